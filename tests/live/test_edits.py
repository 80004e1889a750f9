"""Edit jobs on the deployed stack, whose roles are enforced. In the demo people repair a border,
through a fix-up, a review and a conflict with what another worker did. Then a custodian sends a
file, and a reviewer wants corrections.
"""

import io
import json
import re
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from cli import demo_edit
from cli.demo_runner import DemoRunner
from cli.local import mail
from cli.local.emulator import Emulator
from cli.local.stack import Stack
from jobyard.services.datasets.pack import MIN_CHANGES
from tests.live.api_user import ApiUser
from tests.live.reader import hidden_fields


def test_the_demo_repairs_a_border_that_two_workers_change_and_a_third_person_reviews(
    platform: Emulator, stack: Stack, api_user: Callable[[str], ApiUser], tmp_path: Path
) -> None:
    output = io.StringIO()
    console = Console(file=output, width=200)
    with httpx.HTTPTransport() as network:
        runner = DemoRunner(
            console, tmp_path, platform.endpoint, home=platform.home, transport=network
        )
        page = demo_edit.play(runner, tmp_path)
        dataset = change_many(runner, tmp_path, platform)

    worker = api_user("worker")
    edit_id = page.removeprefix("edits/")
    done = worker.get(f"/api/edits/{edit_id}")
    history = worker.get(f"/api/datasets/{done['dataset']}/history?id={demo_edit.STANISLAUS}")
    repaired, named = history["items"]
    assert [each["failure_type"] for each in done["children"]] == [
        "VALIDATION",
        "QUARANTINE_REVIEW",
        "CONFLICT",
    ]
    assert (done["revision"], done["approval"]["reviewer"]) == (3, "reviewer")
    assert (repaired["edit_id"], repaired["before"]) == (edit_id, named["after"])
    assert repaired["after"]["properties"] == {"name": "Stanislaus County"}
    assert (named["authors"], repaired["authors"]) == ([demo_edit.OTHER], ["worker"])
    assert "revision 1  Stanislaus intersects itself" in output.getvalue()
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


def change_many(runner: DemoRunner, folder: Path, platform: Emulator) -> str:
    """Load a dataset, and have a worker change so much that it is due to be packed: with a file of
    a custodian, and after corrections.
    """
    dataset, file = f"dots-{time.time_ns()}", folder / "dots.geojson"

    def write(name: str) -> str:
        features = [a_dot(number, name) for number in range(MIN_CHANGES + 1)]
        file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return str(file)

    def claim(user: str, job_id: str) -> Path:
        target = folder / f"{job_id}.zip"
        runner.run(user, "edit", "activate", job_id)
        awaited(lambda: admin.get(f"/edits/{job_id}"), "prepared")
        runner.run(user, "edit", "download", job_id, "--to", str(target))
        return target

    def child() -> str:
        return str(awaited(lambda: admin.get(f"/edits/{edit_id}"), "quarantined")["open_child"])

    runner.run("admin", "dataset", "load", dataset, write("before"))
    admin, planner = (runner.as_user(each).api("") for each in ("admin", "planner"))
    options = ["--name", "All", "--type", demo_edit.EDIT_TYPE, "--box", "0", "0", "30", "2"]
    runner.run("planner", "edit", "propose", dataset, *options, "--quarantine")
    edit_id = str(planner.list_items("/edits")["items"][0]["id"])
    custodian = "Rosa", "planner@example.org", "The plan of the dots"
    runner.run("planner", "edit", "attachment", "request", edit_id, *custodian)
    runner.run("planner", "edit", "allocate", edit_id, demo_edit.TEAM)
    send_as_custodian(platform, b"the plan")
    plan = folder / "plan.txt"
    runner.run("planner", "edit", "attachment", "download", edit_id, "1", "--to", str(plan))
    assert plan.read_bytes() == b"the plan"

    with zipfile.ZipFile(claim("worker", edit_id)) as package:
        assert package.read("attachments/01-plan.txt") == b"the plan"
    runner.run("worker", "edit", "upload", edit_id, write("afte"))
    review_id = child()
    claim("reviewer", review_id)
    wanted = "corrections", "--comment", "a letter is missing"
    runner.run("reviewer", "edit", "review", review_id, *wanted)
    corrections_id = child()
    claim("worker", corrections_id)
    runner.run("worker", "edit", "upload", corrections_id, write("after"))
    awaited(lambda: admin.get(f"/edits/{corrections_id}"), "completed")
    again_id = child()
    claim("reviewer", again_id)
    runner.run("reviewer", "edit", "review", again_id, "approve")
    done = awaited(lambda: admin.get(f"/edits/{edit_id}"), "completed")
    assert [each["failure_type"] for each in done["children"]] == [
        "QUARANTINE_REVIEW",
        "QUARANTINE_CORRECTIONS",
        "QUARANTINE_REVIEW",
    ]
    return dataset


def send_as_custodian(platform: Emulator, content: bytes) -> None:
    """Open the link in the mail that a custodian got, send a file to S3, and submit it."""
    link = None
    while link is None:
        texts = "\n".join(each.text for each in mail.sent(platform.endpoint))
        link = re.search(r"https?://\S+/attachments/\S+", texts)
        time.sleep(0.1)
    with httpx.Client(trust_env=False, timeout=60) as browser:
        page = browser.get(link[0]).text
        (action,) = re.findall(r'action="([^"]+)" enctype', page)
        fields = hidden_fields(page.partition("<details")[0])
        sent = browser.post(action, data=fields, files={"file": ("plan.txt", content)})
        back = browser.get(sent.headers["Location"])
        done = browser.post(
            link[0],
            data=hidden_fields(back.text.partition("<details")[0]),
            headers={"Origin": platform.web_url},
        )
        assert "Your file was received" in done.text, done.text


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
