"""`jobyard campaign` with a stack: start, list, show and change campaigns."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobyard.domain.campaigns.targets import MAX_INLINE_TARGETS
from tests.cli.fake_api import NOW, FakeApi, Run

CAMPAIGN_ID = "c" + "a" * 20
PATH = f"/campaigns/{CAMPAIGN_ID}"
WHY = ("--reason", "the devices are being moved")
FORECAST = {
    "description": "2 targets need 1 min; 5 windows give 1200 min",
    "openings": [
        {"start": NOW, "end": "2030-01-31T16:00:00Z", "starts": 2, "started": 2},
    ],
    "opening_count": 5,
    "warnings": ["a warning of the forecast"],
}


def a_campaign(**changes: Any) -> dict[str, Any]:
    """A campaign as the API shows it."""
    return {
        "campaign_id": CAMPAIGN_ID,
        "name": "Gateways to 4.2.0",
        "job_type": "device-update",
        "state": "paused",
        "label": "Paused",
        "schedule": "Fri 22:00 to 02:00 (Europe/Zurich)",
        "creator": "admin",
        "created_at": NOW,
        "started_at": NOW,
        "expires_at": "2030-02-28T23:00:00Z",
        "ended_at": None,
        "tasks": 2,
        "done": 1,
        "counts": {"succeeded": 1, "rescheduled": 1},
        "waiting_reason": "its window is closed",
        "waiting_until": "2030-02-01T21:00:00Z",
        "replace_overlapping": False,
        "replaces": "",
        "replaced_by": "",
        "retry_of": "",
        "actions": ["pause", "resume", "cancel"],
        "links": {},
        "rules": {},
        "parameters": {},
        "forecast": FORECAST,
        "history": [],
        "notify": ["admin@example.org"],
        "overlaps": [],
        "warnings": ["targets[1]: a warning of the request"],
        **changes,
    }


def a_task(**changes: Any) -> dict[str, Any]:
    """A task as the API shows it."""
    return {
        "job_id": f"{CAMPAIGN_ID}.0.0",
        "target": "gw-1",
        "address": "gw-1.example.org",
        "state": "rescheduled",
        "label": "Rescheduled",
        "last_triggered": NOW,
        "step": "upload",
        "step_percent": 42,
        "steps_done": 2,
        "step_count": 5,
        "failure_code": "DEVICE_OFFLINE",
        "failure_message": "gw-1.example.org cannot be reached",
        "waiting_reason": "",
        "waiting_until": None,
        "actions": [],
        "links": {},
        **changes,
    }


def test_start_sends_the_fields_and_the_targets_of_a_file(
    tmp_path: Path, api: FakeApi, run: Run
) -> None:
    file = tmp_path / "targets.csv"
    file.write_text("id,address\ngw-1,gw-1.example.org\ngw-2,\n")
    api.answers("POST /campaigns", a_campaign())

    result = run("campaign", "start", '{"kind": "fire_and_forget"}', "--targets", str(file))

    assert api.bodies("POST") == [
        {
            "kind": "fire_and_forget",
            "targets": [{"id": "gw-1", "address": "gw-1.example.org"}, {"id": "gw-2"}],
        }
    ]
    assert CAMPAIGN_ID in result.stdout
    assert "2 targets need 1 min; 5 windows give 1200 min" in result.stdout
    assert "warning targets[1]: a warning of the request" in result.stdout
    assert "warning a warning of the forecast" in result.stdout
    assert f"jobyard campaign show {CAMPAIGN_ID}" in result.stdout


def test_a_preview_starts_nothing(api: FakeApi, run: Run) -> None:
    api.answers("POST /campaigns/preview", a_campaign())

    result = run("campaign", "start", "{}", "--preview")

    assert api.calls() == ["POST /campaigns/preview"]
    assert CAMPAIGN_ID not in result.stdout


def test_a_preview_shows_which_campaigns_would_be_replaced(api: FakeApi, run: Run) -> None:
    overlaps = [
        {"campaign_id": CAMPAIGN_ID, "name": "Gateways", "tasks": 1_200, "targets": 3},
        {"campaign_id": CAMPAIGN_ID, "name": "Routers", "tasks": 4, "targets": 1},
        {"campaign_id": CAMPAIGN_ID, "name": "Others", "tasks": 4, "targets": None},
    ]
    replacing = a_campaign(overlaps=overlaps, replace_overlapping=True)
    api.answers("POST /campaigns/preview", replacing, a_campaign(overlaps=overlaps))

    result = run("campaign", "start", "{}", "--replace-overlapping", "--preview")

    overlapping = run("campaign", "start", "{}", "--preview")

    assert api.bodies("POST") == [{"replace_overlapping": True}, {}]
    three = f"3 of the 1,200 targets of Gateways ({CAMPAIGN_ID}) are also in this one"
    one = f"1 of the 4 targets of Routers ({CAMPAIGN_ID}) is also in this one"
    assert f"{three}, and their tasks there would be replaced\n" in result.stdout
    assert f"{one}, and its task there would be replaced\n" in result.stdout
    assert f"{three}\n{one}\n" in overlapping.stdout
    assert "Others" in result.stdout
    assert "they could not be compared" in result.stdout


def test_targets_with_an_error_are_not_sent(tmp_path: Path, api: FakeApi, run: Run) -> None:
    file = tmp_path / "targets.csv"
    file.write_text("id\na b\n")

    result = run("campaign", "start", "{}", "--targets", str(file))

    assert "TARGET_ID_BAD" in result.stdout
    assert (api.calls(), result.exit_code) == ([], 1)


@pytest.mark.parametrize("ending", ["csv", "JSONL"])
def test_more_targets_than_are_allowed_inline_are_uploaded(
    ending: str, tmp_path: Path, api: FakeApi, run: Run
) -> None:
    file = tmp_path / f"gateways.{ending}"
    names = [f"gw-{number}" for number in range(MAX_INLINE_TARGETS + 1)]
    lines = ["id", *names] if ending == "csv" else [json.dumps({"id": name}) for name in names]
    file.write_text("\n".join(lines))
    form = {"url": "https://intake.example.org/", "fields": {"key": "targets/t1/t2/a"}}
    api.answers("POST /campaigns/targets", {"targets_file": "targets/t1/t2/a", "upload": form})
    api.answers("POST /", httpx.ReadTimeout("late"), httpx.Response(204))
    api.answers("POST /campaigns/preview", a_campaign())

    result = run("campaign", "start", "{}", "--targets", str(file), "--preview")

    assert result.exit_code == 0
    asked, *uploads, previewed = api.requests
    assert json.loads(asked.content) == {"filename": f"targets.{ending.lower()}"}
    assert len(uploads) == 2  # the first answer was lost, and another version does no harm
    assert file.read_bytes() in uploads[1].content
    assert json.loads(previewed.content) == {"targets_file": "targets/t1/t2/a"}


def test_campaigns_and_tasks_are_listed(api: FakeApi, run: Run) -> None:
    api.answers("GET /campaigns", {"items": [a_campaign()], "next_cursor": None})
    api.answers(f"GET {PATH}/tasks", {"items": [a_task()], "next_cursor": None})

    campaigns_listed = run("campaign", "list").stdout
    run("campaign", "list", "--system")
    run("campaign", "list", "--state", "paused")
    tasks_listed = run("campaign", "tasks", CAMPAIGN_ID, "--state", "rescheduled").stdout

    assert "1 of 2" in campaigns_listed
    assert "its window is closed, until" in campaigns_listed
    for text in (
        "gw-1",
        "Rescheduled",
        "upload 42 %",
        "2 of 5",
        "gw-1.example.org cannot be reached",
    ):
        assert text in tasks_listed
    assert api.calls()[1] == "GET /campaigns?system=true&limit=100"
    assert api.calls()[2] == "GET /campaigns?state=paused&limit=100"
    assert api.calls()[-1] == f"GET {PATH}/tasks?state=rescheduled&limit=100"


def test_a_report_of_a_campaign_is_sent_again(api: FakeApi, run: Run) -> None:
    api.answers(f"POST {PATH}/reports/1/resend", {"to": ["admin@example.org"]})

    printed = run("resend-report", CAMPAIGN_ID, "1", *WHY).stdout

    assert printed == f"report 1 of {CAMPAIGN_ID} waits to be sent to admin@example.org\n"


def test_campaigns_that_cannot_be_read_are_listed_of_all_pages(api: FakeApi, run: Run) -> None:
    unknown = [
        {"campaign_id": "c" + letter * 20, "label": "Unknown", "created_at": NOW} for letter in "xy"
    ]
    pages = [
        {"items": [a_campaign()], "unknown": unknown[:1], "next_cursor": "2"},
        {"items": [], "unknown": unknown[1:], "next_cursor": None},
    ]
    api.answers("GET /campaigns", *pages)

    printed = run("campaign", "list").stdout

    assert printed.count("Unknown") == 2
    assert "its record cannot be read" in printed


def test_a_failed_task_is_listed_with_the_command_that_tries_it_again(
    api: FakeApi, run: Run
) -> None:
    tasks = [a_task(state="failed", label="Failed", actions=["requeue"])]
    api.answers(f"GET {PATH}/tasks", {"items": tasks, "next_cursor": None})

    listed = run("campaign", "tasks", CAMPAIGN_ID).stdout

    assert f"jobyard requeue {CAMPAIGN_ID}.0.0 --reason" in listed


@pytest.mark.parametrize("event", ["cancel", "requeue"])
def test_one_task_is_sent_an_event(event: str, api: FakeApi, run: Run) -> None:
    task = f"{CAMPAIGN_ID}.0.0"
    api.answers(f"POST /jobs/{task}/{event}", {"job_id": task, "state": "scheduled", "links": {}})

    result = run(event, task, *WHY)

    assert api.bodies("POST") == [{"reason": WHY[1]}]
    assert f"jobyard campaign show {CAMPAIGN_ID}" in result.stdout


def test_a_campaign_is_shown_with_what_can_be_done(api: FakeApi, run: Run) -> None:
    api.answers(f"GET {PATH}", a_campaign(retry_of="c" + "b" * 20))

    shown = run("campaign", "show", CAMPAIGN_ID).stdout

    assert "1 of 2 done; 1 succeeded, 1 rescheduled" in shown
    assert re.search(r"retry of +cb{20}\b", shown)
    assert "replace" not in shown
    assert f"jobyard campaign cancel {CAMPAIGN_ID} --reason" in shown
    assert re.search(r"reports to +admin@example\.org\b", shown)
    assert "jobyard reports" not in shown


def test_an_ended_campaign_is_shown_with_its_report(api: FakeApi, run: Run) -> None:
    api.answers(f"GET {PATH}", a_campaign(ended_at=NOW, notify=[]))

    shown = run("campaign", "show", CAMPAIGN_ID).stdout

    assert re.search(r"reports to +nobody\b", shown)
    assert f"jobyard reports {CAMPAIGN_ID} --download ." in shown


@pytest.mark.parametrize("event", ["pause", "resume", "cancel", "force"])
def test_an_event_is_sent_with_its_reason(event: str, api: FakeApi, run: Run) -> None:
    api.answers(f"POST {PATH}/{event}", a_campaign(label="Cancelling"))

    result = run("campaign", event, CAMPAIGN_ID, *WHY)

    assert api.bodies("POST") == [{"reason": WHY[1]}]
    assert result.stdout.startswith(
        f"{CAMPAIGN_ID} is Cancelling: its window is closed, until 2030-02-01"
    )


def test_a_field_that_is_given_twice_is_refused_before_it_is_sent(api: FakeApi, run: Run) -> None:
    result = run("campaign", "start", '{"kind": "scheduled", "kind": "fire_and_forget"}')

    assert (api.calls(), result.exit_code) == ([], 2)
    assert "the key 'kind' twice" in result.stderr


def test_another_id_is_refused_before_it_is_sent(api: FakeApi, run: Run) -> None:
    result = run("campaign", "show", "b" + "a" * 20)

    assert "is not a campaign id" in result.stderr
    assert api.calls() == []


def test_a_change_sends_what_is_given(api: FakeApi, run: Run) -> None:
    api.answers(f"POST {PATH}/change", a_campaign(label="Running"))

    result = run("campaign", "change", CAMPAIGN_ID, "--per-minute", "50", "--at-once", "5", *WHY)

    assert result.exit_code == 0
    assert api.bodies("POST") == [
        {"reason": WHY[1], "at_once": 5, "rollout": {"per_minute": 50}},
    ]
    assert run("campaign", "change", CAMPAIGN_ID, *WHY).exit_code == 2


def test_a_change_sends_only_the_parts_of_a_rate_that_are_given(api: FakeApi, run: Run) -> None:
    api.answers(f"POST {PATH}/change", a_campaign(label="Running"))
    change = ("campaign", "change", CAMPAIGN_ID, *WHY)

    run(*change, "--factor", "1.5", "--every", "20")
    run(*change, "--no-rate")

    assert api.bodies("POST") == [
        {"reason": WHY[1], "rollout": {"factor": 1.5, "every": 20}},
        {"reason": WHY[1], "rollout": None},
    ]
    assert run(*change, "--no-rate", "--every", "20").exit_code == 2


def test_a_retry_starts_a_new_campaign(api: FakeApi, run: Run) -> None:
    other = "c" + "b" * 20
    api.answers(f"POST {PATH}/retry", a_campaign(campaign_id=other))

    result = run("campaign", "retry", CAMPAIGN_ID, '{"to": "2030-03-31"}')

    assert api.bodies("POST") == [{"to": "2030-03-31"}]
    assert other in result.stdout


def test_a_retry_is_previewed(api: FakeApi, run: Run) -> None:
    api.answers(f"POST {PATH}/retry/preview", a_campaign())

    result = run("campaign", "retry", CAMPAIGN_ID, "--preview")

    assert result.exit_code == 0
    assert "started" not in result.stdout
