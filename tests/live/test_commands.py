"""`jobyard local` as a new user runs it: in its own project and processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.local import clients, deployment, emulator, mail, stack
from cli.local.emulator import ROOT, Emulator
from cli.local.stack import Stack

TIMEOUT_S = 60


class Project:
    """A copy of the project with a stack of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = emulator.free_port()
        self.web_port = emulator.free_port()
        without = shutil.ignore_patterns("__pycache__")
        for folder in ("cli", "functions", "infra", "layers"):
            shutil.copytree(ROOT / folder, root / folder, ignore=without)
        shutil.copyfile(ROOT / "template.yaml", root / "template.yaml")
        (root / ".venv-emulator").symlink_to(ROOT / ".venv-emulator")

    def local(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `jobyard local` with these arguments."""
        return subprocess.run(
            [sys.executable, "-c", "from cli.main import app; app()", "local", *arguments],
            cwd=self.root,
            env={
                "PATH": os.defpath,
                "HOME": str(self.root),
                "PYTHONPATH": os.pathsep.join(
                    str(self.root / part) for part in ("", "functions", "layers/jobyard")
                ),
                "COLUMNS": "200",
                "AWS_PROFILE": "one-that-is-not-there",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def home(self) -> Path:
        return self.root / ".jobyard"

    def up(self) -> subprocess.CompletedProcess[str]:
        return self.local("up", "--port", str(self.port), "--web-port", str(self.web_port))

    def stack(self) -> Stack:
        """The running stack, without a process that shows it."""
        endpoint = f"http://{emulator.HOST}:{self.port}"
        return stack.read(clients.client("cloudformation", endpoint), deployment.STACK)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.local("status", "--json").stdout)
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    made = Project(tmp_path_factory.mktemp("project"))
    yield made
    emulator.stop(made.home)


@pytest.fixture
def running(project: Project) -> Emulator:
    """The emulator of the project's running stack."""
    if emulator.running(project.home) is None:
        done = project.up()
        assert done.returncode == 0, done.stdout + done.stderr
    found = emulator.running(project.home)
    assert found
    return found


def test_two_simultaneous_starts_both_succeed(project: Project) -> None:
    with ThreadPoolExecutor(2) as both:
        done = list(both.map(lambda _: project.up(), range(2)))

    assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
    for each in done:
        assert f"http://127.0.0.1:{project.port}" in each.stdout
        assert "depositor" in each.stdout
        first = next(line for line in each.stdout.splitlines() if "127.0.0.1" in line)
        assert first.split() == ["web", f"http://127.0.0.1:{project.web_port}/"]


def test_status_has_all_that_programs_need_and_up_again_changes_nothing(
    project: Project, running: Emulator
) -> None:
    status = project.status()
    page = httpx.get(f"{status['api_url']}/api/openapi.json", timeout=60, trust_env=False)

    assert page.status_code == 200
    assert {person["role"] for person in status["people"]} >= {"depositor", "operator", "admin"}
    assert {"endpoint", "region", "intake_bucket", "batch_machine"} <= status.keys()
    assert status["web_url"] == status["api_url"] == f"http://127.0.0.1:{project.web_port}"
    assert project.up().returncode == 0
    assert project.status() == status


def test_the_port_of_the_files_can_be_changed(project: Project, running: Emulator) -> None:
    chosen = emulator.free_port()

    assert project.local("up", "--files-port", str(chosen)).returncode == 0

    assert deployment.files_port(running.endpoint) == chosen
    assert f"http://127.0.0.1:{chosen}/" in project.local("status").stdout


def test_another_port_needs_another_start(project: Project, running: Emulator) -> None:
    done = project.local("up", "--port", str(emulator.free_port()))

    assert done.returncode == 1
    assert "is already running" in done.stderr


def test_another_port_of_the_pages_needs_another_start(project: Project, running: Emulator) -> None:
    done = project.local("up", "--web-port", str(emulator.free_port()))

    assert done.returncode == 1
    assert f"on ports {project.port} and {project.web_port}" in done.stderr


def test_mails_and_logs_are_shown(project: Project, running: Emulator) -> None:
    files_port = deployment.files_port(running.endpoint)
    clients.client("s3", running.endpoint).put_object(
        Bucket=project.stack().intake_bucket,
        Key="manifests/maps/broken.checkm",
        Body=b"#%nonsense\n",
    )
    deadline = time.monotonic() + TIMEOUT_S
    while not mail.sent(running.endpoint) and time.monotonic() < deadline:
        time.sleep(0.1)
    mails: list[dict[str, Any]] = json.loads(project.local("mail", "--json").stdout)

    assert ["FAIL" in one["subject"] for one in mails] == [True]
    assert "broken.checkm" in project.local("mail").stdout
    assert '"opened"' in project.local("logs", "Open").stdout
    unknown = project.local("logs", "Opn")
    assert unknown.returncode == 2
    assert "'Opn' is not one of" in unknown.stderr

    project.local("down")
    assert project.up().returncode == 0
    kept = [asdict(one) for one in mail.sent(running.endpoint)]
    assert json.loads(json.dumps(kept)) == mails
    assert deployment.files_port(running.endpoint) == files_port


def test_a_stack_restarts_with_its_state_after_its_emulator_was_killed(
    project: Project, running: Emulator
) -> None:
    known = project.stack()
    while not list(project.home.glob("state/cloudformation.json")):
        time.sleep(0.1)
    os.killpg(running.pid, signal.SIGKILL)
    while emulator.running(project.home):
        time.sleep(0.05)

    assert project.up().returncode == 0

    assert project.stack() == known


def test_reset_deletes_everything(project: Project, running: Emulator) -> None:
    before = project.stack()

    assert project.local("reset").returncode == 0

    assert project.up().returncode == 0
    assert project.stack().intake_bucket != before.intake_bucket
    assert mail.sent(running.endpoint) == []


def test_down_leaves_no_process_behind(project: Project, running: Emulator) -> None:
    done = project.local("down")

    assert (done.returncode, done.stdout.strip()) == (0, "stopped")
    assert emulator.port_owner(project.port) is None
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)


def test_what_does_not_run_says_how_to_start_it(project: Project) -> None:
    project.local("down")

    status, mails = project.local("status"), project.local("mail")

    assert (status.returncode, mails.returncode) == (1, 1)
    assert "jobyard local up" in status.stdout
    assert "jobyard local up" in mails.stderr
