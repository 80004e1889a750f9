"""Starts, finds and stops the emulator's process."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from jobyard.domain.errors import JobyardError

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".jobyard"  # everything a laptop's stack keeps; `jobyard local reset` empties it
PYTHON = ROOT / ".venv-emulator" / "bin" / "python"
PORT = 4914
HOST = "127.0.0.1"
LOG = "emulator.log"

START_S = 60.0
NOTE_S = 5.0
STOP_S = 20.0


# The emulators this very process started: it has to take note of their ends.
_children: dict[int, subprocess.Popen[bytes]] = {}


class EmulatorError(JobyardError):
    """The emulator cannot be started or stopped; the message says what to do."""


@dataclass(frozen=True)
class Emulator:
    """An emulator that runs. `home` is where its state, its log and its workers' folders lie."""

    home: Path
    port: int
    pid: int
    iam: bool  # whether it enforces IAM, the roles of the template included

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        return self.home / LOG


def start(home: Path, port: int, *, iam: bool = False, persist: bool = True) -> Emulator:
    """Start an emulator and wait until it answers.

    Raises:
        EmulatorError: the port is taken, the emulator is not installed, or it ended at once.
    """
    if not PYTHON.exists():
        raise EmulatorError("the emulator is not installed here: run `make local` once")
    taken_by = listener(port)
    if taken_by is not None:
        raise EmulatorError(
            f"port {port} is taken by {taken_by}: "
            "choose another with --port, or JOBYARD_PORT for make"
        )
    _mend(home)
    lock = _lock_file(home)
    lock.touch()
    environment = _environment(home, port, iam=iam, persist=persist)
    serve = Path(__file__).with_name("serve.py")
    log = (home / LOG).open("ab")
    process = subprocess.Popen(
        [str(PYTHON), str(serve), str(lock), str(port), environment["AUTH"]],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # it and its workers are one group, ended together
    )
    log.close()
    _children[process.pid] = process
    emulator = Emulator(home=home, port=port, pid=process.pid, iam=iam)
    deadline = time.monotonic() + START_S
    while not answers(emulator):
        if process.poll() is not None:
            raise EmulatorError(f"the emulator ended at once:\n{_last_lines(emulator.log)}")
        if time.monotonic() > deadline:
            _end(process.pid)
            raise EmulatorError(f"the emulator does not answer:\n{_last_lines(emulator.log)}")
        time.sleep(0.05)
    return emulator


def running(home: Path) -> Emulator | None:
    """The emulator that runs from `home`, if one does.

    Raises:
        EmulatorError: one is there but never says where.
    """
    lock = _lock_file(home)
    deadline = time.monotonic() + NOTE_S
    while lock.exists() and _is_locked(lock):
        noted = lock.read_text()
        if noted:
            return Emulator(home=home, **json.loads(noted))
        if time.monotonic() > deadline:
            raise EmulatorError(f"a process holds {lock} and says nothing: end it by hand")
        time.sleep(0.02)  # it has just begun, and writes as soon as it has the lock
    return None


def stop(home: Path, *, save_s: float = STOP_S) -> bool:
    """End the emulator of `home` and its workers; True if there was one. Its state is saved, if
    that takes no longer than `save_s`."""
    emulator = running(home)
    if emulator is not None:
        _end(emulator.pid, save_s)
    _mend(home)
    return emulator is not None


def forget(home: Path) -> None:
    """Throw away what the emulator of `home` keeps. It must have been stopped."""
    for kept in ("state", "objects", "workers"):
        shutil.rmtree(home / kept, ignore_errors=True)
    (home / LOG).unlink(missing_ok=True)


def answers(emulator: Emulator) -> bool:
    try:
        answer = httpx.get(f"{emulator.endpoint}/_ministack/ready", timeout=5, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == httpx.codes.OK


def listener(port: int) -> str | None:
    """Who listens on `port` of the loopback address, in words; None when it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return next(_listeners(port), "another program")
    return None


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _environment(home: Path, port: int, *, iam: bool, persist: bool) -> dict[str, str]:
    """The emulator's whole environment: nothing of the caller's, who may have AWS credentials.

    Its workers inherit it, and with it a folder of their own for what they leave behind.
    """
    workers = home / "workers"
    workers.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.defpath,
        "HOME": str(workers),
        "TMPDIR": str(workers),
        "LANG": "C.UTF-8",
        "BIND_HOST": HOST,  # its default is every address of the machine
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": HOST,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "AUTH": "true" if iam else "false",
        "LOG_LEVEL": "INFO",
    }
    if persist:
        environment |= {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(home / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(home / "objects"),
        }
    return environment


def _lock_file(home: Path) -> Path:
    return home / "emulator.lock"


def _is_locked(lock: Path) -> bool:
    with lock.open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _mend(home: Path) -> None:
    """Clear away what an emulator that was killed left behind."""
    home.mkdir(parents=True, exist_ok=True)
    if running(home) is None:
        shutil.rmtree(home / "workers", ignore_errors=True)


def _end(pid: int, wait_s: float = STOP_S) -> None:
    """Ask the process to end, wait, then end its whole group."""
    try:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + wait_s
        while _lives(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended, and its workers with it
    if pid in _children:
        _children.pop(pid).wait()


def _lives(pid: int) -> bool:
    if pid in _children:
        return _children[pid].poll() is None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _last_lines(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def _listeners(port: int) -> Iterator[str]:
    """The programs that listen on `port`, as far as this machine tells."""
    found = shutil.which("lsof")
    if found:
        told = subprocess.run(
            [found, "-nP", "-Fpc", f"-iTCP:{port}", "-sTCP:LISTEN"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        fields = {line[0]: line[1:] for line in told.splitlines() if line}
        if {"p", "c"} <= fields.keys():
            yield f"{fields['c']} (process {fields['p']})"
    sockets = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            for row in table.read_text().splitlines()[1:]:
                columns = row.split()
                if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{columns[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(str(fd.readlink()) in sockets for fd in (process / "fd").iterdir()):
                name = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                yield f"`{name[:80]}` (process {process.name})"
        except OSError:
            continue  # it has ended, or is somebody else's
