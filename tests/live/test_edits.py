"""The demo of edit jobs on the deployed stack, whose roles are enforced: three people repair a
border, through a fix-up, a merge with another's commit, and a review.
"""

import io
from collections.abc import Callable
from pathlib import Path

import httpx
from rich.console import Console

from cli import demo_edit
from cli.demo_runner import DemoRunner
from cli.local.emulator import Emulator
from cli.local.stack import Stack
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
    assert worker.get(f"/api/edits/{edit_id}/cost")["billed_ms"] > 0
    listed = api_user("planner").get(f"/api/edits?state=completed&dataset={done['dataset']}")
    assert edit_id in [each["id"] for each in listed["items"]]

    admin = api_user("admin").api
    path = f"/api/datasets/{done['dataset']}"
    assert admin.delete(path, params={"reason": "the demo is over"}).status_code == 200
    gone = admin.get(path)
    assert gone.status_code == 410
    assert "was deleted by admin" in gone.json()["detail"]
