"""Schedules on the real local stack: the minute rule starts, or skips, what is due.

Three schedules are due at the same time, so that the test waits for one minute only: one is active
and sweeps the example's table, one is suspended, and one has a calendar that excludes the day.
"""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.local import voters
from cli.local.emulator import ROOT
from cli.local.stack import Stack
from tests.live.api_user import TIMEOUT_S, ApiUser

UserOfRole = Callable[[str], ApiUser]
SWEEP = json.loads((ROOT / "examples" / "voters" / "sweep.json").read_text())
AHEAD = timedelta(seconds=15)  # to create three schedules
DAY = timedelta(days=1)
NAMES = ("active", "suspended", "closed")


@pytest.fixture(scope="module")
def due(stack: Stack, aws: Callable[[str], Any]) -> datetime:
    """The time at which all three are due; the table that they sweep exists."""
    voters.fill_table(aws("dynamodb"), datetime.now(UTC))
    return datetime.now(UTC).replace(microsecond=0) + AHEAD


@pytest.fixture(scope="module")
def paths(api_user: UserOfRole, due: datetime) -> dict[str, str]:
    """The schedules after their time, by name."""
    admin = api_user("admin")
    closed = {"exclude": [f"{due:%Y-%m-%d}"], "reason": "nobody is there"}
    assert admin.api.put("/api/calendars/closed", json=closed).is_success
    rule = {"kind": "daily", "at": f"{due:%H:%M:%S}", "anchor": f"{due:%Y-%m-%d}", "zone": "UTC"}
    made = {}
    for name in NAMES:
        wanted = {"title": name, "job_type": "sweep", "rule": rule, "parameters": SWEEP}
        calendar = {"calendar": "closed"} if name == "closed" else {}
        found = admin.post("/api/schedules", **wanted, **calendar)
        made[name] = f"/api/schedules/{found['schedule_id']}"
    admin.post(f"{made['suspended']}/suspend", reason="an audit")
    assert datetime.now(UTC) < due
    for path in made.values():
        await_newest(admin, path, "schedule")
    return made


def await_newest(admin: ApiUser, path: str, trigger: str) -> dict[str, Any]:
    """The newest occurrence of a schedule with that trigger, after the end of its job if it has
    one."""
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        for newest in admin.get(f"{path}/occurrences?limit=1")["items"]:
            has_ended = newest["verdict"] == "skip" or newest["ended_at"]
            if newest["trigger"] == trigger and has_ended:
                return dict(newest)
        assert time.monotonic() < deadline, admin.get(path)
        time.sleep(0.5)


def test_the_scheduler_tick_starts_a_job_when_it_is_due(
    api_user: UserOfRole, paths: dict[str, str], due: datetime
) -> None:
    admin = api_user("admin")

    schedule = admin.get(paths["active"])
    (run,) = admin.get(f"{paths['active']}/occurrences")["items"]

    assert (run["trigger"], run["verdict"], run["state"]) == ("schedule", "run", "succeeded")
    assert datetime.fromisoformat(run["scheduled_for"]) == due
    assert (run["records"]["processed"], run["records"]["failed"]) == (voters.DUE, 0)
    assert 0 <= run["start_delay_s"] < 120
    assert (schedule["label"], schedule["state"]) == ("Completed", "active")
    assert datetime.fromisoformat(schedule["next_run_at"]) == due + DAY


def test_a_skipped_time_of_a_suspended_schedule_names_the_actor_and_the_reason(
    api_user: UserOfRole, paths: dict[str, str]
) -> None:
    (skipped,) = api_user("admin").get(f"{paths['suspended']}/occurrences")["items"]

    assert (skipped["verdict"], skipped["skip_reason"]) == ("skip", "SUSPENDED")
    assert skipped["description"] == "Skipped (schedule suspended)"
    assert skipped["reason"] == "suspended by admin: an audit"
    assert skipped["job_id"] == ""


def test_a_time_that_the_calendar_leaves_out_is_skipped_and_says_so(
    api_user: UserOfRole, paths: dict[str, str], due: datetime
) -> None:
    (skipped,) = api_user("admin").get(f"{paths['closed']}/occurrences")["items"]

    assert (skipped["verdict"], skipped["skip_reason"]) == ("skip", "CALENDAR")
    assert skipped["reason"] == f"calendar closed excludes {due:%-d %B %Y}"


def test_a_schedule_that_is_resumed_has_its_next_run_and_one_wanted_now_runs_at_once(
    api_user: UserOfRole, paths: dict[str, str], due: datetime
) -> None:
    admin = api_user("admin")
    path = paths["suspended"]

    resumed = admin.post(f"{path}/resume", reason="the audit is over")
    answer = admin.post(f"{path}/run_now", reason="to see")
    run = await_newest(admin, path, "manual")

    assert datetime.fromisoformat(resumed["next_run_at"]) == due + DAY
    assert (run["job_id"], run["state"]) == (answer["job_id"], "succeeded")
    assert (run["actor"], run["reason"]) == ("admin", "to see")
    assert admin.get(f"/api/jobs/{run['job_id']}")["state"] == "succeeded"
    assert admin.get(path)["next_run_at"] == resumed["next_run_at"]


@pytest.mark.parametrize("role", ["viewer", "depositor", "operator"])
def test_only_an_admin_may_see_and_change_schedules(
    role: str, api_user: UserOfRole, paths: dict[str, str]
) -> None:
    api, path, why = api_user(role).api, paths["active"], {"reason": "to try"}
    wanted = {"title": "mine", "job_type": "sweep", "rule": {"kind": "daily"}}

    answers = {
        "list": api.get("/api/schedules"),
        "look": api.get(path),
        "history": api.get(f"{path}/occurrences"),
        "make": api.post("/api/schedules", json=wanted),
        "edit": api.patch(path, json=why | {"title": "mine"}),
        "suspend": api.post(f"{path}/suspend", json=why),
        "resume": api.post(f"{path}/resume", json=why),
        "run now": api.post(f"{path}/run_now", json=why),
        "delete": api.delete(path, params=why),
    }

    assert {name: answer.status_code for name, answer in answers.items()} == dict.fromkeys(
        answers, 403
    )


def test_a_deleted_schedule_is_gone_and_its_history_stays(
    api_user: UserOfRole, paths: dict[str, str]
) -> None:
    admin, path = api_user("admin"), paths["closed"]

    assert admin.api.delete(path, params={"reason": "not needed"}).is_success

    assert admin.api.get(path).status_code == 410
    assert len(admin.get(f"{path}/occurrences")["items"]) == 1
