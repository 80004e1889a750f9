"""Campaigns on the simulated devices, through the deployed stack."""

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import httpx
import pytest
from rich.console import Console

from cli import demo_campaign
from cli.demo_runner import DemoRunner
from cli.local.emulator import Emulator
from cli.local.stack import Stack
from examples.devices.simulator import NEW, Simulator
from tests.live.api_user import ApiUser

IMAGE = bytes(range(256)) * 6_000  # two parts
SECRET = "jobyard/devices/gateways"


@pytest.fixture
def simulator(files_port: int) -> Iterator[Simulator]:
    """Devices at the only address on the loopback that the stack may call."""
    with Simulator(files_port) as server:
        server.images["/image.bin"] = IMAGE
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def request(simulator: Simulator, *device_ids: str, **changes: Any) -> dict[str, Any]:
    """A request to update devices at once."""
    address = f"http://{simulator.host}"
    return {
        "job_type": "device-update",
        "kind": "fire_and_forget",
        "parameters": {
            "version": NEW,
            "image": f"{address}/image.bin",
            "sha256": hashlib.sha256(IMAGE).hexdigest(),
        },
        "targets": [
            {"id": each, "address": f"{address}/{each}", "secret": SECRET} for each in device_ids
        ],
        **changes,
    }


def test_devices_are_updated_and_a_second_campaign_finds_them_current(
    simulator: Simulator,
    api_user: Callable[[str], ApiUser],
    aws: Callable[[str], Any],
) -> None:
    aws("secretsmanager").create_secret(Name=SECRET, SecretString=json.dumps({"token": "t"}))
    admin = api_user("admin")

    first = admin.post("/api/campaigns", **request(simulator, "ok-1", "ok-2", "locked-1"))
    path = f"/api/campaigns/{first['campaign_id']}"
    ended = admin.await_state(path, "partially_succeeded", "succeeded", "failed")

    assert (ended["state"], ended["done"]) == ("partially_succeeded", 3)
    listed = admin.get("/api/campaigns")["items"]
    assert first["campaign_id"] in {each["campaign_id"] for each in listed}
    tasks = {each["target"]: each for each in admin.get(f"{path}/tasks")["items"]}
    assert {name: each["state"] for name, each in tasks.items()} == {
        "ok-1": "succeeded",
        "ok-2": "succeeded",
        "locked-1": "failed",
    }
    assert tasks["locked-1"]["failure_code"] == "DEVICE_FORBIDDEN"
    for device_id in ("ok-1", "ok-2"):
        device = simulator.device(device_id)
        assert (device.version, len(device.applied)) == (NEW, 1)
    job = admin.get(f"/api/jobs/{tasks['ok-1']['job_id']}")
    assert [each["status"] for each in job["steps"]] == ["completed"] * 5

    second = admin.post("/api/campaigns", **request(simulator, "ok-1", "ok-2"))
    path = f"/api/campaigns/{second['campaign_id']}"
    assert admin.await_state(path, "succeeded", "failed")["state"] == "succeeded"
    for each in admin.get(f"{path}/tasks")["items"]:
        job = admin.get(f"/api/jobs/{each['job_id']}")
        assert [step["status"] for step in job["steps"]][2:] == ["skipped"] * 3


def test_a_campaign_is_paused_resumed_and_cancelled(
    simulator: Simulator, api_user: Callable[[str], ApiUser]
) -> None:
    admin, why = api_user("admin"), {"reason": "the devices are being moved"}
    wanted = request(simulator, "offline-1", expires_s=7_200)

    campaign = admin.post("/api/campaigns", **wanted)["campaign_id"]
    path = f"/api/campaigns/{campaign}"
    admin.await_state(path, "running")
    admin.post(f"{path}/pause", **why)
    admin.post(f"{path}/resume", **why)
    admin.post(f"{path}/cancel", **why)

    ended = admin.await_state(path, "cancelled")
    assert (ended["done"], ended["counts"]) == (1, {"cancelled": 1})


def test_a_campaign_stops_by_itself_and_is_replaced(
    simulator: Simulator, api_user: Callable[[str], ApiUser]
) -> None:
    admin = api_user("admin")
    rules = {"abort": {"percent": 50, "at_least": 2}, "expires_s": 7_200}

    first = admin.post(
        "/api/campaigns", **request(simulator, "locked-2", "locked-3", "offline-2", **rules)
    )["campaign_id"]
    path = f"/api/campaigns/{first}"
    held = admin.await_state(path, "paused")
    simulator.device("offline-2").kind = "ok"
    second = admin.post("/api/campaigns", **request(simulator, "offline-2", replaces=first))

    assert "2 of 2 tasks failed; the limit is 50 %" in held["waiting_reason"]
    assert admin.await_state(path, "replaced")["replaced_by"] == second["campaign_id"]
    assert admin.await_state(f"/api/campaigns/{second['campaign_id']}", "succeeded")["done"] == 1
    assert len(simulator.device("offline-2").applied) == 1
    tasks = {each["target"]: each["label"] for each in admin.get(f"{path}/tasks")["items"]}
    assert tasks == {"locked-2": "Failed", "locked-3": "Failed", "offline-2": "Cancelled"}


def test_the_demo_shows_a_window_a_pause_and_a_retry(
    platform: Emulator, stack: Stack, files_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    output = io.StringIO()
    with demo_campaign.simulated_devices(files_port) as devices, httpx.HTTPTransport() as network:
        runner = DemoRunner(
            Console(file=output, width=200),
            devices.folder,
            platform.endpoint,
            home=platform.home,
            transport=network,
        )
        page = demo_campaign.play(runner, devices)

    shown = output.getvalue()
    for words in (
        "locked-2  Failed: the device answered GET /device with 401",
        "the campaign  Paused: ",
        "the campaign  Partially Succeeded",
        "locked-2  Succeeded",
        "locked-2 has version 4.2.0",
    ):
        assert words in shown
    campaign_id = page.removeprefix("campaigns/")
    assert f"campaign {campaign_id}\n" in shown
    assert re.search(rf"retry of +{campaign_id}", capsys.readouterr().out)
