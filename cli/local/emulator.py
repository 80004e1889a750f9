"""Starts, finds and stops the emulator process."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cli.local import snapshots
from jobyard.domain.errors import JobyardError

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".jobyard"  # all data of the local stack; `jobyard local reset` deletes it
PYTHON = ROOT / ".venv-emulator" / "bin" / "python"
PORT = 4914
WEB_PORT = 4916
HOST = "127.0.0.1"
LOG = "emulator.log"

# Timeouts for an emulator that shows no activity. Loading and saving are activity.
START_TIMEOUT_S = 60.0
NOTE_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 20.0
NOTICE_AFTER_S = 3.0  # after this, show the user why it takes so long
_TAIL = 64 * 1024


# The emulators that this process started and has to wait for at their end.
_children: dict[int, subprocess.Popen[bytes]] = {}


class EmulatorError(JobyardError):
    """The emulator cannot be started or stopped; the message says what to do."""


@dataclass(frozen=True)
class Emulator:
    """A running emulator. `home` has its state, its log and its workers' folders.

    `port` serves every AWS service, `web_port` the pages and the API.
    """

    home: Path
    port: int
    web_port: int
    pid: int
    iam: bool  # whether it enforces IAM policies

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def web_url(self) -> str:
        """Where the pages are, and the API at /api."""
        return f"http://{HOST}:{self.web_port}"

    @property
    def log(self) -> Path:
        return self.home / LOG


def silent(_: str) -> None:
    """Ignore progress messages."""


@contextmanager
def exclusive(home: Path, say: Callable[[str], None] = silent) -> Iterator[None]:
    """Hold the lock for starting or resetting the stack in `home`."""
    with _locked(home / "up.lock", lambda: say("waiting for another `jobyard local up`")):
        yield


def start(
    home: Path,
    port: int,
    web_port: int = 0,
    *,
    iam: bool = False,
    persist: bool = True,
    say: Callable[[str], None] = silent,
) -> Emulator:
    """Start an emulator and wait until it answers. Web port 0 is any that is free.

    Raises:
        EmulatorError: a port is in use, the emulator is not installed, it exits at once, or its
            saved state is damaged.
    """
    if not PYTHON.exists():
        raise EmulatorError("the emulator is not installed here: run `make local` once")
    with _locked(home / "start.lock"):
        emulator = _started(home, port, web_port, iam=iam, persist=persist, say=say)
    wait_until_ready(emulator, say)
    return emulator


def _started(
    home: Path, port: int, web_port: int, *, iam: bool, persist: bool, say: Callable[[str], None]
) -> Emulator:
    """Start the process and wait until it has written its ports to the lock file."""
    if running(home) is not None:
        raise EmulatorError("the emulator is already running: run `jobyard local down` first")
    if port == web_port:
        raise EmulatorError(f"the pages need a port of their own: choose another than {port}")
    for number, option, variable in (
        (port, "--port", "JOBYARD_PORT"),
        (web_port, "--web-port", "JOBYARD_WEB_PORT"),
    ):
        if owner := port_owner(number):
            raise EmulatorError(
                f"port {number} is used by {owner}: choose another with {option}, or {variable} "
                "for make"
            )
    _clear(home)
    if persist and (repaired := _repaired(home)):
        say(repaired)
    lock = _lock_file(home)
    lock.write_text("")  # or the new process would be taken for the old one until it has written
    environment = _environment(home, port, iam=iam, persist=persist)
    server = Path(__file__).with_name("emulator_server.py")
    log = (home / LOG).open("ab")
    process = subprocess.Popen(
        [str(PYTHON), str(server), str(lock), str(port), str(web_port), environment["AUTH"]],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # one process group with its workers, so that they end together
    )
    log.close()
    _children[process.pid] = process
    while process.poll() is None:
        if (emulator := running(home)) is not None:
            return emulator
        time.sleep(0.02)
    raise EmulatorError(_exit_reason(home))


def updated(running: Emulator, web_port: int, say: Callable[[str], None] = silent) -> Emulator:
    """`running`, or its successor if an earlier version started it, without a port for pages.

    Raises:
        EmulatorError: it could not save its state, or the port is in use.
    """
    if running.web_port:
        return running
    say("restarting the emulator, which an earlier version of Jobyard started")
    stop(running.home)
    if error := save_error(running.home):
        raise EmulatorError(
            f"stopped, but its latest changes were not saved: {error}. Everything saved before "
            "that is kept. Run `jobyard local up` again."
        )
    return start(running.home, running.port, web_port, iam=running.iam, say=say)


def wait_until_ready(emulator: Emulator, say: Callable[[str], None] = silent) -> None:
    """Wait until the emulator answers. While it loads its state, the timeout starts again.

    Raises:
        EmulatorError: it ended, or shows no activity.
    """
    began = time.monotonic()
    notified = False
    wait = _ActivityTimeout(emulator, START_TIMEOUT_S)
    while not is_ready(emulator):
        if not _is_alive(emulator.pid):
            raise EmulatorError(_exit_reason(emulator.home))
        if wait.is_over():
            _terminate(emulator)
            raise EmulatorError(f"the emulator does not answer:\n{_log_tail(emulator.home)}")
        if not notified and time.monotonic() - began > NOTICE_AFTER_S:
            notified = True
            say("the emulator is loading its saved state")
        time.sleep(0.05)


def running(home: Path) -> Emulator | None:
    """The emulator that runs in `home`, if there is one.

    Raises:
        EmulatorError: a process holds the lock but does not write its port.
    """
    lock = _lock_file(home)
    deadline = time.monotonic() + NOTE_TIMEOUT_S
    while lock.exists() and _is_locked(lock):
        note = _note(home)
        if note:
            return Emulator(home, note["port"], note.get("web_port", 0), note["pid"], note["iam"])
        if time.monotonic() > deadline:
            raise EmulatorError(f"a process holds {lock} but does not answer: stop that process")
        time.sleep(0.02)  # it has just started and has not written yet
    return None


def stop(home: Path, *, save_s: float = STOP_TIMEOUT_S) -> bool:
    """Stop the emulator in `home` and its workers. True if there was one.

    It saves its state first. It is killed if it shows no activity for `save_s`, in seconds;
    `save_error` then has the reason.
    """
    emulator = running(home)
    if emulator is not None and not _terminate(emulator, save_s):
        killed = {"not_saved": f"it showed no activity for {save_s:.0f} seconds and was killed"}
        _lock_file(home).write_text(json.dumps(killed))
    _clear(home)
    return emulator is not None


def save_error(home: Path) -> str:
    """Why the last emulator could not save at its end; "" if it could."""
    return str(_note(home).get("not_saved", ""))


def delete_state(home: Path) -> None:
    """Delete the state of the emulator in `home`, which must have been stopped."""
    for kept in (*snapshots.FOLDERS, "objects", "workers"):
        shutil.rmtree(home / kept, ignore_errors=True)
    (home / LOG).unlink(missing_ok=True)


def is_ready(emulator: Emulator) -> bool:
    address = f"{emulator.endpoint}/_ministack/ready"
    try:
        # Without TLS; to read the certificates takes 20 ms of CPU each time.
        response = httpx.get(address, timeout=5, trust_env=False, verify=False)
    except httpx.HTTPError:
        return False
    return response.status_code == httpx.codes.OK


def port_owner(port: int) -> str | None:
    """A description of the program that listens on `port` of loopback; None if it is free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return next(_port_owners(port), "another program")
    return None


def free_port() -> int:
    """A port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _environment(home: Path, port: int, *, iam: bool, persist: bool) -> dict[str, str]:
    """The emulator's whole environment. It inherits nothing, such as the caller's AWS credentials.

    Its workers inherit it, with a folder for their temporary files.
    """
    workers = home / "workers"
    workers.mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.defpath,
        "HOME": str(workers),
        "TMPDIR": str(workers),
        "LANG": "C.UTF-8",
        "BIND_HOST": HOST,  # the default is every address of the machine
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
            # For its keys only: emulator_server.py decides where snapshots go.
            "STATE_DIR": str(home / snapshots.KEYS),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(home / "objects"),
        }
    return environment


@contextmanager
def _locked(path: Path, on_waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a file lock on `path`; wait for it if necessary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock_file(home: Path) -> Path:
    return home / "emulator.lock"


def _is_locked(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _note(home: Path) -> dict[str, Any]:
    """The emulator's note in its lock file; {} while it is being written."""
    try:
        note = json.loads(_lock_file(home).read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _clear(home: Path) -> None:
    """Clean up after an emulator that was killed."""
    home.mkdir(parents=True, exist_ok=True)
    for pid in [pid for pid, process in _children.items() if process.poll() is not None]:
        del _children[pid]  # it was killed; `poll` has waited for it
    if running(home) is None:
        shutil.rmtree(home / "workers", ignore_errors=True)


def _repaired(home: Path) -> str:
    try:
        return snapshots.repair(home)
    except snapshots.DamagedSnapshots as error:
        raise EmulatorError(
            f"no snapshot of the stack is complete: {error}. Restore a copy of yours, or delete "
            "everything with `jobyard local reset`. Nothing was changed."
        ) from error


class _ActivityTimeout:
    """A timeout that starts again whenever the emulator touches its lock file."""

    def __init__(self, emulator: Emulator, timeout_s: float) -> None:
        self._lock = _lock_file(emulator.home)
        self._timeout_s = timeout_s
        self._seen = self._last_activity()
        self._since = time.monotonic()

    def is_over(self) -> bool:
        activity = self._last_activity()
        if activity != self._seen:
            self._seen, self._since = activity, time.monotonic()
        return time.monotonic() - self._since > self._timeout_s

    def _last_activity(self) -> int:
        return self._lock.stat().st_mtime_ns if self._lock.exists() else 0


def _terminate(emulator: Emulator, timeout_s: float = STOP_TIMEOUT_S) -> bool:
    """Terminate the process, then kill its group. True if it ended by itself."""
    pid = emulator.pid
    wait = _ActivityTimeout(emulator, timeout_s)
    try:
        os.kill(pid, signal.SIGTERM)
        while _is_alive(pid) and not wait.is_over():
            time.sleep(0.05)
        by_itself = not _is_alive(pid)
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        by_itself = True  # it has ended, with its workers
    _await_end_of_group(pid)
    if pid in _children:
        _children.pop(pid).wait()
    return by_itself


def _await_end_of_group(pid: int) -> None:
    """Wait, up to five seconds, until the system has removed all processes of a killed group."""
    with suppress(ProcessLookupError):
        for _ in range(100):
            if pid in _children:
                _children[pid].poll()
            os.killpg(pid, 0)
            time.sleep(0.05)


def _is_alive(pid: int) -> bool:
    if pid in _children:
        return _children[pid].poll() is None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _exit_reason(home: Path) -> str:
    lines = _log_tail(home)
    for line in reversed(lines.splitlines()):
        if line.startswith("cannot load"):
            return (
                f"the emulator {line}. It is unchanged in {home}: restore a copy of "
                "yours, or delete everything with `jobyard local reset`."
            )
    return f"the emulator exited at once:\n{lines}"


def _log_tail(home: Path) -> str:
    log = home / LOG
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL))
        tail = file.read().decode(errors="replace")
    return "\n".join(tail.splitlines()[-15:])


def _port_owners(port: int) -> Iterator[str]:
    """Descriptions of the programs that listen on `port`, as far as this system shows them."""
    found = shutil.which("lsof")
    if found:
        output = subprocess.run(
            [found, "-nP", "-Fpc", f"-iTCP:{port}", "-sTCP:LISTEN"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        fields = {line[0]: line[1:] for line in output.splitlines() if line}
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
            continue  # it has ended, or belongs to another user
