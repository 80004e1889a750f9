"""`make demo-campaign`: updates simulated devices within a window, on the local stack."""

import hashlib
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli import campaign_view
from cli.client import ApiClient, Document
from cli.demo_runner import DemoFailed, DemoOptions, DemoRunner, Keep, Port, WebPort, run_demo
from cli.local import deployment, emulator
from cli.local.emulator import EmulatorError
from examples.devices.simulator import NEW, Simulator

IMAGE = bytes(range(256)) * 4_000
STUCK, LATE = "locked-2", "ok-6"
DEVICES = ("ok-1", STUCK, "current-3", "ok-4", "ok-5", LATE)
_LEAD = timedelta(seconds=6)  # until the window opens
_WINDOW = timedelta(minutes=30)
_PER_MINUTE = 20
_POLL_S = 0.2
_TIMEOUT_S = 120.0


def demo(
    keep: Keep = False,
    port: Port = None,
    web_port: WebPort = None,
    files_port: Annotated[
        int, typer.Option(envvar="JOBYARD_FILES_PORT", help="Port of the simulated devices.")
    ] = deployment.FILES_PORT,
) -> None:
    """Update simulated devices within a window, and retry the one that is stuck."""
    options = DemoOptions(
        keep,
        port,
        web_port,
        files_port,
        users=("operator", "admin"),
        commands=(
            ("jobyard campaign list", "list the campaigns; then try campaign show, tasks"),
            (
                "jobyard campaign simulate examples/campaigns/nights.json",
                "draw one of three nights",
            ),
            (
                "jobyard lifecycle job",
                "show the states of a campaign, and who may send which event",
            ),
        ),
        document=(
            "docs/campaigns.md",
            "windows, retries, rollout, abort; docs/devices.md: devices",
        ),
    )
    run_demo(
        options,
        simulated_devices(files_port),
        lambda devices, running, console: play(
            DemoRunner(console, devices.folder, running.endpoint), devices
        ),
    )


@dataclass(frozen=True)
class SimulatedDevices:
    """The simulator, and a folder for the demo's sessions."""

    simulator: Simulator
    folder: Path

    @property
    def base_url(self) -> str:
        """Where the devices are, and the image."""
        return f"http://{self.simulator.host}"

    def campaign(self, opens_at: datetime) -> Document:
        """A campaign for them, whose window opens at `opens_at`, in UTC."""
        closes_at = opens_at + _WINDOW
        return {
            "name": f"Gateways to {NEW}",
            "job_type": "device-update",
            "parameters": {
                "version": NEW,
                "image": f"{self.base_url}/image.bin",
                "sha256": hashlib.sha256(IMAGE).hexdigest(),
            },
            "kind": "scheduled",
            "zone": "UTC",
            "to": f"{closes_at + timedelta(days=1):%Y-%m-%d}",
            "window": {"from": f"{opens_at:%H:%M:%S}", "to": f"{closes_at:%H:%M:%S}"},
            "retry_s": 30,
            "rollout": {"per_minute": _PER_MINUTE},
            "targets": [{"id": each, "address": f"{self.base_url}/{each}"} for each in DEVICES],
        }

    def connect(self) -> None:
        """Have the device that was offline answer."""
        self.simulator.device(LATE).kind = "ok"

    def repair(self) -> None:
        """Have the device that refused its credentials accept them."""
        self.simulator.device(STUCK).kind = "ok"


@contextmanager
def simulated_devices(port: int) -> Iterator[SimulatedDevices]:
    """Serve simulated devices, and the image for them, on loopback.

    Raises:
        EmulatorError: the port is in use; the message says by what.
    """
    owner = emulator.port_owner(port)
    if owner is not None:
        raise EmulatorError(
            f"port {port}, for the simulated devices, is used by {owner}: choose another with "
            "--files-port, or JOBYARD_FILES_PORT for make"
        )
    with tempfile.TemporaryDirectory(prefix="jobyard-demo-") as folder, Simulator(port) as server:
        server.images["/image.bin"] = IMAGE
        server.device(LATE).kind = "offline"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield SimulatedDevices(server, Path(folder))
        finally:
            server.shutdown()
            thread.join()


def play(runner: DemoRunner, devices: SimulatedDevices) -> str:
    """Play the demo. Returns the path of the page of the first campaign."""
    api = runner.as_user("admin").api("")
    api.list_items("/campaigns")  # the first request takes longer

    runner.section("Six gateways are to get a new version; their window opens in some seconds")
    opens_at = datetime.now(UTC).replace(microsecond=0) + _LEAD
    runner.show_command("admin", "jobyard campaign start @gateways.json")
    campaign_id = _start(runner, api, "/campaigns", devices.campaign(opens_at))
    path = f"/campaigns/{campaign_id}"
    watch = _Watch(runner, api, path)
    watch.until(lambda found, _: found["state"] == "running")

    runner.section("The window is open: a gateway starts every three seconds")
    watch.until(lambda _, tasks: tasks["succeeded"] >= 2)

    runner.section(f"Pause it, because the network of {LATE} is down: nothing starts any more")
    runner.run("operator", "campaign", "pause", campaign_id, "--reason", "the network is down")
    watch.until(lambda found, _: found["state"] == "paused")
    runner.run("operator", "campaign", "tasks", campaign_id)

    runner.section("The network is up again: resume it until every gateway has ended")
    devices.connect()
    runner.run("operator", "campaign", "resume", campaign_id, "--reason", "the network is up")
    ended = watch.until(lambda found, _: bool(found["ended_at"]))
    if ended["state"] != "partially_succeeded":
        raise DemoFailed(f"the campaign ended as {ended['label']}")

    runner.section(f"{STUCK} is stuck: its steps show where, its attempt shows why")
    job_id = _job_of(api, path, STUCK)
    runner.run("operator", "job", job_id)

    runner.section("Once it accepts the credentials, a new campaign retries what has not succeeded")
    devices.repair()
    runner.show_command("admin", f"jobyard campaign retry {campaign_id}")
    retry_id = _start(runner, api, f"{path}/retry", {})
    watch = _Watch(runner, api, f"/campaigns/{retry_id}")
    retried = watch.until(lambda found, _: bool(found["ended_at"]))
    if retried["state"] != "succeeded":
        raise DemoFailed(f"the retry ended as {retried['label']}")
    runner.run("operator", "campaign", "show", retry_id)
    version = devices.simulator.device(STUCK).version
    runner.console.print(f"{STUCK} has version [bold]{version}[/]")
    return f"campaigns/{campaign_id}"


def _start(runner: DemoRunner, api: ApiClient, path: str, body: Document) -> str:
    started = api.post(path, body)
    runner.console.print(f"campaign [bold]{started['campaign_id']}[/]")
    campaign_view.show_started(started, is_preview=True)
    return str(started["campaign_id"])


def _job_of(api: ApiClient, path: str, target: str) -> str:
    """The job id of the task of a target."""
    tasks = api.list_items(f"{path}/tasks")["items"]
    return next(str(each["job_id"]) for each in tasks if each["target"] == target)


@dataclass
class _Watch:
    """Prints the changes of a campaign and of its tasks."""

    runner: DemoRunner
    api: ApiClient
    path: str
    shown: dict[str, str] = field(default_factory=dict)

    def until(self, is_reached: Callable[[Document, Counter[str]], bool]) -> Document:
        """Print changes until the campaign, and its tasks by state, are as expected.

        Raises:
            DemoFailed: it took too long.
        """
        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline:
            found = self.api.get(self.path)
            # Read later, so that all tasks of a campaign that has ended are shown with their ends.
            tasks = self.api.list_items(f"{self.path}/tasks")["items"]
            for task in tasks:
                self._show(task["target"], task["label"], task["failure_message"])
            self._show("the campaign", found["label"], found["waiting_reason"])
            if is_reached(found, Counter(each["state"] for each in tasks)):
                return found
            time.sleep(_POLL_S)
        raise DemoFailed(f"the campaign is still {found['label']} after {_TIMEOUT_S:.0f} seconds")

    def _show(self, name: str, label: str, reason: str) -> None:
        """Print what has changed; tasks are first shown when they run."""
        line = f"{label}: {reason}" if reason else label
        if self.shown.get(name, "Scheduled") != line:
            self.shown[name] = line
            at = datetime.now().astimezone()
            text = Text.assemble((f"{at:%H:%M:%S}  ", "dim"), (f"{name}  ", "bold"), line)
            self.runner.console.print(text, soft_wrap=True)


if __name__ == "__main__":
    typer.run(demo)
