"""`jobyard local` as a new user runs it: in its own project and processes."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from cli.local import clients, demo_users, deployment, emulator, mail, stack
from cli.local.emulator import ROOT, Emulator
from cli.local.stack import Stack
from examples.devices.simulator import NEW, Simulator
from jobyard.domain.campaigns.claim import CLAIM_FOR
from jobyard.domain.campaigns.task_summary import TaskSummary
from jobyard.store import campaigns, chunks, jobs
from tests.built_layers import with_layers
from tests.faults.load_stack import LoadStack, names_of, store_of, workers_of
from tests.live.api_user import ApiUser

TIMEOUT_S = 60
IMAGE = bytes(range(256)) * 6_000  # two parts


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

    @contextmanager
    def admin(self) -> Iterator[ApiUser]:
        """The API of the running stack, as an admin uses it."""
        endpoint, found = f"http://{emulator.HOST}:{self.port}", self.stack()
        (user,) = (each for each in demo_users.DEMO_USERS if each.username == "admin")
        cognito = clients.client("cognito-idp", endpoint)
        token = demo_users.sign_in(cognito, found.user_pool_client, user)
        with httpx.Client(
            base_url=found.api_url,
            headers={"Authorization": f"Bearer {token}"},
            trust_env=False,
            timeout=60,
        ) as api:
            yield ApiUser(api, endpoint)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.local("status", "--json").stdout)
        return found


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, layers: Path) -> Iterator[Project]:
    made = Project(tmp_path_factory.mktemp("project"))
    with_layers(made.home / "build", layers)
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


@pytest.mark.turns(2)
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


@pytest.mark.turns(2)
def test_the_port_of_the_files_can_be_changed(project: Project, running: Emulator) -> None:
    chosen = emulator.free_port()

    assert project.local("up", "--files-port", str(chosen)).returncode == 0

    assert deployment.files_port(running.endpoint) == chosen
    assert f"http://127.0.0.1:{chosen}/" in project.local("status").stdout


@pytest.mark.turns(2)
def test_another_port_needs_another_start(project: Project, running: Emulator) -> None:
    done = project.local("up", "--port", str(emulator.free_port()))

    assert done.returncode == 1
    assert "is already running" in done.stderr


@pytest.mark.turns(2)
def test_another_port_of_the_pages_needs_another_start(project: Project, running: Emulator) -> None:
    done = project.local("up", "--web-port", str(emulator.free_port()))

    assert done.returncode == 1
    assert f"on ports {project.port} and {project.web_port}" in done.stderr


def test_mails_and_logs_are_shown(project: Project, running: Emulator) -> None:
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


def test_campaigns_survive_a_killed_worker_a_pause_and_a_restarted_stack(
    project: Project, running: Emulator
) -> None:
    files_port, mails = deployment.files_port(running.endpoint), mail.sent(running.endpoint)
    with Simulator(files_port) as devices:
        devices.images["/image.bin"] = IMAGE
        devices.device("slow-1").slow_s = 2.0  # it is still updated when its worker is killed
        Thread(target=devices.serve_forever, args=(0.05,), daemon=True).start()
        with project.admin() as admin:
            first = admin.post("/api/campaigns", **update(devices, "slow-1", "ok-2", "locked-3"))
            first_path = f"/api/campaigns/{first['campaign_id']}"
            await_call(devices, "slow-1", "GET /update")
            second = admin.post("/api/campaigns", **update(devices, "slow-1"))
            second_path = f"/api/campaigns/{second['campaign_id']}"
            admin.post(f"{second_path}/pause", reason="the stack restarts")
            kill_workers(running)
        devices.device("slow-1").kind = "ok"

        assert project.local("down").returncode == 0
        assert project.up().returncode == 0
        restarted = emulator.running(project.home)
        assert restarted
        with project.admin() as admin:
            assert let_claims_pass(project, restarted, first["campaign_id"]) > 0
            ended = admin.await_state(first_path, "partially_succeeded", "failed", "succeeded")
            let_claims_pass(project, restarted, second["campaign_id"])
            paused = admin.await_state(second_path, "paused", "held", "succeeded")
            admin.post(f"{second_path}/resume", reason="the stack runs again")
            last = admin.await_state(second_path, "succeeded", "failed")
            attempts = [
                attempt
                for path in (first_path, second_path)
                for attempt in attempts_of(admin, path)
            ]
        devices.shutdown()

    assert (ended["state"], ended["counts"]) == (
        "partially_succeeded",
        {"succeeded": 2, "failed": 1},
    )
    assert (paused["label"], paused["counts"].get("succeeded")) == ("Paused", None)
    assert "the stack restarts, until a person releases it" in paused["waiting_reason"]
    assert last["state"] == "succeeded"
    assert {each: len(devices.device(each).applied) for each in ("slow-1", "ok-2", "locked-3")} == {
        "slow-1": 1,
        "ok-2": 1,
        "locked-3": 0,
    }
    assert all(one["ended_at"] <= next_one["started_at"] for one, next_one in pairwise(attempts))
    kept = mail.sent(restarted.endpoint)
    assert [asdict(one) for one in kept[: len(mails)]] == [asdict(one) for one in mails]
    assert deployment.files_port(restarted.endpoint) == files_port


def update(devices: Simulator, *device_ids: str) -> dict[str, Any]:
    """A request to update simulated devices at once."""
    address = f"http://{devices.host}"
    return {
        "job_type": "device-update",
        "kind": "fire_and_forget",
        "parameters": {
            "version": NEW,
            "image": f"{address}/image.bin",
            "sha256": hashlib.sha256(IMAGE).hexdigest(),
        },
        "targets": [{"id": each, "address": f"{address}/{each}"} for each in device_ids],
    }


def await_call(devices: Simulator, device_id: str, call: str) -> None:
    """Wait until a device has been called, so that its task runs."""
    deadline = time.monotonic() + TIMEOUT_S
    while not devices.device(device_id).requests[call]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill_workers(running: Emulator) -> None:
    """Kill all workers of functions, at any moment."""
    for pid in workers_of(running.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def let_claims_pass(project: Project, running: Emulator, campaign_id: str) -> int:
    """Let the time of a campaign pass after which lost workers cannot live any more, and the
    scheduler tick look for it. Returns how many of its tasks have lost their worker.
    """
    load = LoadStack(running, project.stack(), names_of(running, project.stack()))
    with store_of(load):
        lost = [task for task in jobs.of_chunk(campaign_id, 0) if task.state == "running"]
        jobs.write_many(
            [
                (task, replace(task, at=task.at - CLAIM_FOR, version=task.version + 1))
                for task in lost
            ]
        )
        record = chunks.get(campaign_id, 0)
        summary = TaskSummary.of_document(record.summary)
        if summary.running_since:
            since = summary.running_since - CLAIM_FOR
            chunks.put(replace(record, summary=replace(summary, running_since=since).document()))
        campaign = campaigns.get(campaign_id)
        due = replace(campaign, check_at=campaign.created_at, version=campaign.version + 1)
        campaigns.write(campaign, due)
    load.client("lambda").invoke(
        FunctionName=load.names["SchedulerTickFunction"], InvocationType="Event", Payload=b"{}"
    )
    return len(lost)


def attempts_of(admin: ApiUser, path: str) -> list[dict[str, Any]]:
    """The attempts on the first target of a campaign."""
    (task,) = (each for each in admin.get(f"{path}/tasks")["items"] if each["target"] == "slow-1")
    attempts: list[dict[str, Any]] = admin.get(f"/api/jobs/{task['job_id']}")["attempts"]
    return attempts


@pytest.mark.turns(2)
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


@pytest.mark.turns(2)
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
