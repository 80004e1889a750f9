"""The demo of edit jobs on the deployed stack, whose roles are enforced: three people repair a
border, through a fix-up, a merge with another's commit, and a review.
"""

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from cli import demo_edit
from cli.demo_runner import DemoRunner
from cli.local.emulator import Emulator
from cli.local.stack import Stack
from jobyard.services.datasets.pack import MIN_CHANGES
from tests.live.api_user import ApiUser


def test_the_demo_repairs_a_border_in_four_steps_of_three_people(
    platform: Emulator, stack: Stack, api_user: Callable[[str], ApiUser], tmp_path: Path
) -> None:
    output = io.StringIO()
    console = Console(file=output, width=200)
    with httpx.HTTPTransport() as network:
        runner = DemoRunner(
            console, tmp_path, platform.endpoint, home=platform.home, transport=network
        )
        page = demo_edit.play(runner, tmp_path)
        dataset = change_many(runner, tmp_path)

    worker = api_user("worker")
    edit_id = page.removeprefix("edits/")
    done = worker.get(f"/api/edits/{edit_id}")
    history = worker.get(f"/api/datasets/{done['dataset']}/history?id={demo_edit.STANISLAUS}")
    repaired, named = history["items"]
    assert [each["failure_type"] for each in done["children"]] == [
        "VALIDATION",
        "QUARANTINE_REVIEW",
    ]
    assert (done["revision"], done["approval"]["reviewer"]) == (3, "reviewer")
    assert (repaired["edit_id"], repaired["before"]) == (edit_id, named["after"])
    assert repaired["after"]["properties"] == {"name": "Stanislaus County"}
    assert "revision 1  Stanislaus meets itself" in output.getvalue()
    assert "revision 3  Stanislaus is sound" in output.getvalue()
    packs_what_has_many_changes(dataset, api_user("admin"))
    assert worker.get(f"/api/edits/{edit_id}/cost")["billed_ms"] > 0
    listed = api_user("planner").get(f"/api/edits?state=completed&dataset={done['dataset']}")
    assert edit_id in [each["id"] for each in listed["items"]]

    admin = api_user("admin").api
    path = f"/api/datasets/{done['dataset']}"
    assert admin.delete(path, params={"reason": "the demo is over"}).status_code == 200
    gone = admin.get(path)
    assert gone.status_code == 410
    assert "was deleted by admin" in gone.json()["detail"]


def a_dot(number: int, name: str) -> dict[str, Any]:
    geometry = {"type": "Point", "coordinates": [number / 10, 1]}
    properties = {"name": name}
    return {"type": "Feature", "id": str(number), "geometry": geometry, "properties": properties}


def change_many(runner: DemoRunner, folder: Path) -> str:
    """Load a dataset, and have a worker change so much that it is due to be packed."""
    dataset, file = f"dots-{time.time_ns()}", folder / "dots.geojson"

    def write(name: str) -> str:
        features = [a_dot(number, name) for number in range(MIN_CHANGES + 1)]
        file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return str(file)

    runner.run("admin", "dataset", "load", dataset, write("before"))
    admin, planner = (runner.as_user(each).api("") for each in ("admin", "planner"))
    options = ["--name", "All", "--type", demo_edit.EDIT_TYPE, "--box", "0", "0", "30", "2"]
    runner.run("planner", "edit", "propose", dataset, *options)
    edit_id = str(planner.list_items("/edits")["items"][0]["id"])
    runner.run("planner", "edit", "allocate", edit_id, demo_edit.TEAM)
    runner.run("worker", "edit", "activate", edit_id)
    awaited(lambda: admin.get(f"/edits/{edit_id}"), "prepared")
    runner.run("worker", "edit", "download", edit_id, "--to", str(folder / "dots.zip"))
    runner.run("worker", "edit", "upload", edit_id, write("after"))
    awaited(lambda: admin.get(f"/edits/{edit_id}"), "completed")
    return dataset


def packs_what_has_many_changes(dataset: str, admin: ApiUser) -> None:
    """Run the system's job `pack`; readers see what they saw before."""
    own: dict[str, Any] = {}
    while "pack" not in own:  # the first tick of the scheduler makes it
        own = {one["job_type"]: one for one in admin.get("/api/schedules?system=true")["items"]}
        time.sleep(0.1)
    path = f"/api/schedules/{own['pack']['schedule_id']}"
    while admin.get(path)["running_job_ids"]:
        time.sleep(0.1)
    job_id = admin.post(f"{path}/run_now", reason="to see it")["job_id"]
    done = awaited(lambda: admin.get(f"/api/jobs/{job_id}"), "succeeded")
    assert done["records"]["processed"] >= 1, done
    for revision, name in ((1, "before"), (2, "after")):
        found = admin.get(f"/api/datasets/{dataset}/feature?id=7&revision={revision}")
        assert found["properties"] == {"name": name}


def awaited(read: Callable[[], Any], state: str) -> Any:
    """What is read as soon as it is in a state."""
    while (found := read())["state"] != state:
        assert not found.get("failure_code"), found
        assert not found.get("problem"), found
        time.sleep(0.1)
    return found
