"""Starts and stops Redis, a Celery worker, and the driver that sends chords."""

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import cpu_s, descendants
from cli.local.emulator import HOST, ROOT, free_port

HERE = Path(__file__).parent
PYTHON = ROOT / ".venv-bench" / "bin" / "python"
START_S = 30.0


class PeerFailed(Exception):
    """Celery or Redis failed."""


@dataclass(frozen=True)
class Peer:
    """A running Celery worker. `worker` is the pid of its parent, whose children run tasks."""

    worker: int
    redis: int
    driver: subprocess.Popen[str]

    def run(self, tasks: int) -> float:
        """Run a chord of `tasks` tasks: seconds from sending it to the result of its callback."""
        if self.driver.stdin is None or self.driver.stdout is None:
            raise PeerFailed("the driver has no pipes")
        self.driver.stdin.write(f"{tasks}\n")
        self.driver.stdin.flush()
        answer = json.loads(self.driver.stdout.readline() or "{}")
        if answer.get("done") != tasks:
            raise PeerFailed(f"the chord answered {answer} for {tasks} tasks")
        return float(answer["seconds"])

    def pool_cpu_s(self) -> float:
        """CPU seconds of the processes that run the tasks."""
        return sum(map(cpu_s, descendants(self.worker)))

    def parent_cpu_s(self) -> float:
        """CPU seconds of the process that receives the messages and passes them to the pool."""
        return cpu_s(self.worker)


@contextmanager
def peer(workers: int) -> Iterator[Peer]:
    """A Redis on a free port without persistence, and a Celery worker of `workers` processes.

    With Celery's defaults: JSON messages, stored results, four messages prefetched per process.
    """
    subprocess.run([str(ROOT / "requirements" / "install"), "bench"], check=True)
    home = tempfile.mkdtemp(prefix="jobyard-bench-")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        port = free_port()
        redis = [shutil.which("redis-server") or "redis-server", "--bind", HOST]
        redis += ["--port", str(port), "--save", "", "--appendonly", "no", "--dir", home]
        server = subprocess.Popen(redis, stdout=subprocess.DEVNULL)
        stack.callback(_terminate, server)
        url = f"redis://{HOST}:{port}/0"
        environment = {"PATH": "/usr/bin:/bin", "CELERY_BROKER_URL": url, "PYTHONPATH": str(HERE)}
        environment |= {"CELERY_RESULT_BACKEND": url, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(PYTHON), "-m", "celery", "--app", "tasks", "worker"]
        command += ["--concurrency", str(workers), "--loglevel", "WARNING"]
        with (Path(home) / "celery.log").open("wb") as log:
            worker = subprocess.Popen(
                command, cwd=home, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        stack.callback(_terminate, worker)
        driver = subprocess.Popen(
            [str(PYTHON), str(HERE / "drive.py")],
            cwd=home,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(_terminate, driver)
        _wait_for_pool(worker, workers)
        yield Peer(worker.pid, server.pid, driver)


def _wait_for_pool(worker: "subprocess.Popen[bytes]", workers: int) -> None:
    deadline = time.monotonic() + START_S
    while len(descendants(worker.pid)) < workers:
        if worker.poll() is not None or time.monotonic() > deadline:
            raise PeerFailed("Celery's worker did not start")
        time.sleep(0.05)


def _terminate(process: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()
    process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
