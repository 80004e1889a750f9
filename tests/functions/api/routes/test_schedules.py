"""Schedules through the API: created, read, edited, suspended, run, deleted."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.cost import Usage
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.job import JobAddress
from jobyard.domain.schedules.next_runs import preview
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import (
    CatchUp,
    MissedPolicy,
    OverlapPolicy,
    Policy,
    Schedule,
    occurrence_time,
)
from jobyard.store import holds, schedules, usage
from tests.functions.api.api_client import NOW, Api
from tests.functions.api.batch_records import executions
from tests.functions.api.routes.test_jobs import all_pages
from tests.functions.api.schedule_records import (
    DAILY,
    TODAY,
    a_schedule,
    items_read,
    minute,
    put_progress,
    sweep,
    wanted,
    work,
)
from tests.functions.api.test_idempotency import KEY, forget_answers

WHY = {"reason": "the table is being moved"}
NOBODYS = "s" + "a" * 20
HOURLY = {"kind": "hourly", "at": "00:00", "zone": "UTC", "anchor": "2026-01-01"}
QUEUE_ONE = Policy(overlap=OverlapPolicy.QUEUE_ONE)


def path(schedule: Schedule | dict[str, Any], more: str = "") -> str:
    """The path of a schedule, or of something under it."""
    named = schedule["schedule_id"] if isinstance(schedule, dict) else schedule.schedule_id
    return f"/schedules/{named}{more}"


def started_job(api: Api, schedule: Schedule) -> JobAddress:
    """The address of a job that a person started now."""
    job_id = api.post(path(schedule, "/run_now"), WHY).json["job_id"]
    address = JobAddress.parse(job_id)
    assert address
    return address


# Made


def test_a_schedule_is_made_and_says_when_it_runs_next(api: Api) -> None:
    made = api.post("/schedules", wanted())

    assert made.status == 201
    shown = made.json
    assert made.headers["location"].endswith(f"/api{path(shown)}")
    assert shown["title"] == "Expired Confidential Voter Status Sweep"
    assert (shown["state"], shown["label"], shown["waiting_reason"]) == ("active", "Idle", "")
    assert shown["description"] == "Every day at 09:00 (UTC), from 25 November 2026"
    assert shown["rule"] == DAILY | {"every": 1, "dst": ["shift", "once"]}
    assert shown["dst"] == ["shift", "once"]
    assert shown["missed"] == {"which": "latest", "limit": 10, "max_age_h": 24}
    assert (shown["overlap"], shown["calendar"]) == ("forbid", "")
    assert shown["parameters"] == sweep()
    assert shown["owner"] == "admin"
    expected = preview(recurrence_of(DAILY), NOW, 20)
    assert shown["next_runs"] == [each.document() for each in expected]
    assert shown["next_run_at"] == shown["next_runs"][0]["utc"]
    assert (shown["latest_run"], shown["latest_occurrence"], shown["running_job_ids"]) == (
        None,
        None,
        [],
    )
    assert shown["actions"] == ["suspend", "edit", "run_now", "delete"]
    assert api.get(path(shown)).json == shown


def test_all_settings_are_kept_as_they_were_sent(api: Api) -> None:
    api.request("PUT", "/calendars/holidays", body=WHY)
    sent = {
        "missed": {"which": "all", "limit": 3, "max_age_h": 48},
        "overlap": "queue_one",
        "calendar": "holidays",
    }

    shown = api.post("/schedules", wanted(**sent, rule={**DAILY, "dst": ["skip", "twice"]})).json

    assert {name: shown[name] for name in sent} == sent
    assert shown["dst"] == ["skip", "twice"]


def test_a_catch_up_policy_may_be_a_single_word(api: Api) -> None:
    shown = api.post("/schedules", wanted(missed="none")).json

    assert shown["missed"] == {"which": "none", "limit": 10, "max_age_h": 24}


def test_a_rule_without_an_anchor_counts_from_today(api: Api) -> None:
    shown = api.post("/schedules", wanted(rule={"kind": "daily", "at": "09:00", "zone": "UTC"}))

    assert shown.json["rule"]["anchor"] >= TODAY


@pytest.mark.parametrize(
    ("changes", "kind", "where"),
    [
        ({"rule": {"kind": "yearly", "at": "09:00"}}, "invalid-rule", "body.rule.kind"),
        ({"rule": {**DAILY, "every": 367}}, "invalid-rule", "body.rule.every"),
        ({"rule": {**DAILY, "weekdays": ["mon"]}}, "invalid-rule", "body.rule.weekdays"),
        ({"rule": {**DAILY, "zone": "Moon/Crater"}}, "invalid-rule", "body.rule.zone"),
        ({"rule": {**DAILY, "dst": "never"}}, "invalid-rule", "body.rule.dst"),
        ({"rule": {**DAILY, "end": "2020-01-01"}}, "invalid-rule", "body.rule.end"),
        ({"parameters": {"table": "voters"}}, "invalid-parameters", "body.parameters."),
        ({"parameters": {"text": "x" * 16_384}}, "invalid-parameters", "body.parameters"),
        ({"parameters": {**sweep(), "table": 1}}, "invalid-parameters", "body.parameters.table"),
    ],
)
def test_an_invalid_schedule_is_refused_by_its_field(
    api: Api, changes: dict[str, Any], kind: str, where: str
) -> None:
    answer = api.post("/schedules", wanted(**changes))

    assert (answer.status, answer.kind) == (400, kind)
    assert answer.json["errors"][0]["field"].startswith(where)
    assert answer.json["errors"][0]["message"]
    assert api.get("/schedules").json["items"] == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"job_type": "deposit", "parameters": {}}, "cannot run job type 'deposit'"),
        ({"job_type": "frog", "parameters": {}}, "job type 'frog': give sweep"),
        ({"calendar": "holidays"}, "there is no calendar 'holidays'"),
        ({"rule": {"kind": "once", "anchor": "2020-01-31T09:00"}}, "no future run"),
        ({"rule": {**DAILY, "anchor": "2020-01-01", "count": 5}}, "no future run"),
    ],
)
def test_what_would_never_run_as_it_stands_is_refused(
    api: Api, changes: dict[str, Any], words: str
) -> None:
    answer = api.post("/schedules", wanted(**changes))

    assert (answer.status, answer.kind) == (400, "bad-request")
    assert words in answer.json["detail"]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"title": " "}, "body.title"),
        ({"title": "x" * 101}, "body.title"),
        ({"rule": "daily"}, "body.rule"),
        ({"rule": {**DAILY, "at_night": True}}, "body.rule.at_night"),
        ({"missed": "some"}, "body.missed"),
        ({"missed": {"which": "all", "limit": 0}}, "body.missed"),
        ({"overlap": "queue"}, "body.overlap"),
        ({"calendar": "State Holidays"}, "body.calendar"),
        ({"cron": "0 9 * * *"}, "body.cron"),
    ],
)
def test_a_field_that_violates_its_description_is_refused(
    api: Api, changes: dict[str, Any], where: str
) -> None:
    answer = api.post("/schedules", wanted(**changes))

    assert (answer.status, answer.kind) == (422, "validation-failed")
    assert any(each["field"].startswith(where) for each in answer.json["errors"])


def test_a_schedule_sent_again_is_the_one_that_was_made(api: Api) -> None:
    first = api.post("/schedules", wanted(), headers=KEY)
    kept = api.post("/schedules", wanted(), headers=KEY)
    forget_answers()
    again = api.post("/schedules", wanted(), headers=KEY)

    assert (kept.status, kept.json) == (first.status, first.json)
    assert again.json["schedule_id"] == first.json["schedule_id"]
    assert len(api.get("/schedules").json["items"]) == 1


# Previews


def test_a_preview_is_the_list_of_the_next_occurrences(api: Api) -> None:
    rule = {
        "kind": "weekly",
        "every": 2,
        "weekdays": ["mon", "wed"],
        "at": "09:00",
        "zone": "America/Los_Angeles",
        "anchor": "2026-11-25",
    }
    body = {"rule": rule, "count": 3, "from": "2026-11-25T17:00:00Z"}

    answer = api.post("/schedules/preview", body)

    assert answer.json == [
        {"utc": "2026-11-25T17:00:00Z", "local": "2026-11-25T09:00:00-08:00", "note": ""},
        {"utc": "2026-12-07T17:00:00Z", "local": "2026-12-07T09:00:00-08:00", "note": ""},
        {"utc": "2026-12-09T17:00:00Z", "local": "2026-12-09T09:00:00-08:00", "note": ""},
    ]


def test_a_preview_notes_the_days_on_which_clocks_change(api: Api) -> None:
    rule = {**DAILY, "at": "02:30", "zone": "America/Los_Angeles", "anchor": "2027-03-13"}

    found = api.post("/schedules/preview", {"rule": rule, "from": "2027-03-13T00:00:00Z"}).json

    assert [each["utc"] for each in found[:2]] == ["2027-03-13T10:30:00Z", "2027-03-14T10:00:00Z"]
    assert "does not exist" in found[1]["note"]


def test_a_preview_leaves_out_what_a_calendar_refuses(api: Api) -> None:
    api.request("PUT", "/calendars/holidays", body={**WHY, "exclude": ["2026-12-25"]})
    body = {"rule": DAILY, "count": 2, "from": "2026-12-24T00:00:00Z", "calendar": "holidays"}

    found = api.post("/schedules/preview", body).json

    assert [each["utc"][:10] for each in found] == ["2026-12-24", "2026-12-26"]
    answer = api.post("/schedules/preview", {**body, "calendar": "none-such"})
    assert (answer.status, answer.kind) == (400, "bad-request")


def test_a_preview_is_shorter_where_the_rule_ends(api: Api) -> None:
    rule = {**DAILY, "count": 3}

    assert len(api.post("/schedules/preview", {"rule": rule, "count": 1000}).json) <= 3
    past = {"rule": rule, "from": "9999-12-31T23:59:59Z"}
    assert api.post("/schedules/preview", past).json == []


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"count": 0}, "body.count"),
        ({"count": 1001}, "body.count"),
        ({"from": "2026-11-25T17:00:00"}, "body.from"),
        ({"from": 0}, "body.from"),
        ({"rule": None}, "body.rule"),
    ],
)
def test_an_invalid_preview_is_refused(api: Api, changes: dict[str, Any], where: str) -> None:
    answer = api.post("/schedules/preview", {"rule": DAILY, **changes})

    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == where


# Listed


def test_schedules_are_listed_by_title_page_by_page(api: Api) -> None:
    for title in ("b", "C", "a", "d"):
        a_schedule_called(title)

    items = all_pages(api, "/schedules", limit=3)

    assert [each["title"] for each in items] == ["a", "b", "C", "d"]
    assert "next_runs" not in items[0]


def test_titles_with_numbers_are_listed_as_people_count(api: Api) -> None:
    for title in ("No. 10", "no. 9", "No. 100", "No. 1"):
        a_schedule_called(title)

    items = all_pages(api, "/schedules", limit=2)

    assert [each["title"] for each in items] == ["No. 1", "no. 9", "No. 10", "No. 100"]


def a_schedule_called(title: str, **changes: Any) -> Schedule:
    made = a_schedule(**changes)
    renamed = made.moved(_noted(made), title=title)
    return schedules.write(made, renamed)


def _noted(schedule: Schedule) -> Any:
    from jobyard.domain.lifecycle import Cause
    from jobyard.domain.schedules.schedule import SCHEDULE

    return SCHEDULE.move(schedule.state, "track", NOW, Cause("renamed"))


def test_schedules_of_the_system_are_shown_only_when_asked_for(api: Api) -> None:
    mine, systems = a_schedule(), a_schedule(is_system=True)

    assert ids(api, {}) == [mine.schedule_id]
    assert ids(api, {"system": "true"}) == [systems.schedule_id]
    shown = api.get(path(systems)).json
    assert shown["is_system"] is True
    assert "delete" not in shown["actions"]
    reasons = {each["event"]: each["reason"] for each in shown["unavailable"]}
    assert reasons == {
        "resume": "the schedule must be suspended; it is active",
        "delete": "it is a system schedule; suspend it instead",
    }


def ids(api: Api, query: dict[str, Any]) -> list[str]:
    return [each["schedule_id"] for each in all_pages(api, "/schedules", **query)]


def test_schedules_are_found_by_votecals_words(api: Api) -> None:
    idle, going, well, badly, suspended = (a_schedule() for _ in range(5))
    started_job(api, going)
    work(started_job(api, well), "succeeded", NOW, timedelta(seconds=2))
    work(started_job(api, badly), "failed", NOW, timedelta(seconds=2))
    api.post(path(suspended, "/suspend"), WHY)

    found = {
        word: set(ids(api, {"label": word, "limit": 1}))
        for word in ("Idle", "In Progress", "Completed", "Failed", "waiting")
    }

    assert found == {
        "Idle": {idle.schedule_id, suspended.schedule_id},
        "In Progress": {going.schedule_id},
        "Completed": {well.schedule_id},
        "Failed": {badly.schedule_id},
        "waiting": {idle.schedule_id, well.schedule_id, badly.schedule_id},
    }


def test_a_page_reads_what_it_shows_and_one_more(api: Api) -> None:
    for _ in range(5):
        a_schedule()
    schedule = minute(a_schedule(HOURLY, since=NOW - timedelta(hours=9)))

    with items_read() as of_list:
        api.get("/schedules", query={"limit": 3})
    with items_read() as of_history:
        api.get(path(schedule, "/occurrences"), query={"limit": 3})

    assert of_list["BatchGetItem"] == 3
    assert of_list["Query"] == 4  # keys alone
    assert of_history["Query"] == 4
    assert of_history["GetItem"] == 1  # the schedule


# Why it does not run


def test_a_suspended_schedule_shows_the_actor_the_reason_and_the_end(api: Api) -> None:
    schedule = a_schedule(HOURLY)
    until = NOW + timedelta(hours=5)

    shown = api.post(path(schedule, "/suspend"), {**WHY, "until": until.isoformat()}).json

    assert (shown["state"], shown["label"]) == ("suspended", "Idle")
    assert shown["waiting_reason"] == "suspended by admin: the table is being moved"
    assert shown["waiting_until"] == shown["resume_at"] == until.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert shown["next_run_at"] >= shown["waiting_until"]
    assert shown["actions"] == ["resume", "edit", "run_now", "delete"]
    forever = api.post(path(a_schedule(), "/suspend"), WHY).json
    assert (forever["next_run_at"], forever["next_runs"], forever["waiting_until"]) == (
        None,
        [],
        None,
    )


def test_a_schedule_may_be_suspended_until_the_very_end_of_time(api: Api) -> None:
    schedule = a_schedule()
    body = {**WHY, "until": "9999-12-31T23:59:59.999999Z"}

    shown = api.post(path(schedule, "/suspend"), body)

    assert shown.status == 200
    assert api.get(path(schedule)).json == shown.json
    assert api.get("/schedules").status == 200


def test_a_schedule_is_resumed(api: Api) -> None:
    schedule = a_schedule()
    api.post(path(schedule, "/suspend"), WHY)

    shown = api.post(path(schedule, "/resume"), {"reason": "moved"}).json

    assert (shown["state"], shown["waiting_reason"]) == ("active", "")
    assert shown["next_run_at"]
    assert [(each["event"], each["reason"]) for each in shown["history"]] == [
        ("suspend", "the table is being moved"),
        ("resume", "moved"),
    ]


def test_a_schedule_under_a_hold_names_it(api: Api) -> None:
    holds.put(Hold("type:sweep", "operator", "the region is down", NOW))
    schedule = a_schedule()

    assert "type:sweep is held by operator" in api.get(path(schedule)).json["waiting_reason"]
    (listed,) = api.get("/schedules").json["items"]
    assert "the region is down" in listed["waiting_reason"]


def test_a_schedule_whose_calendar_refuses_all_says_so(api: Api) -> None:
    shut = {"weekdays": ["mon"], "from": "01:00", "to": "02:00"}
    api.request("PUT", "/calendars/shut", body={**WHY, "include": [shut]})
    schedule = a_schedule(policy=Policy(calendar="shut"))
    orphan = a_schedule(policy=Policy(calendar="gone"))

    shown = api.get(path(schedule)).json
    assert shown["next_run_at"] is None
    assert shown["waiting_reason"] == "calendar shut excludes all of its next 10,000 times"
    assert "calendar gone does not exist any more" in api.get(path(orphan)).json["waiting_reason"]


def test_a_schedule_whose_last_times_the_clocks_leave_out_says_so(api: Api) -> None:
    leap = {"kind": "daily", "at": "02:30", "anchor": "2027-03-14", "count": 1, "dst": "skip"}
    schedule = a_schedule(leap | {"zone": "America/Los_Angeles"})

    shown = api.get(path(schedule)).json

    assert shown["next_run_at"] is None
    assert shown["waiting_reason"] == "all its remaining times are skipped by clock changes"


def test_a_schedule_whose_time_has_come_says_what_it_waits_for(api: Api) -> None:
    due = a_schedule(HOURLY, since=NOW - timedelta(hours=2))
    missed = Policy(CatchUp(MissedPolicy.ALL), QUEUE_ONE.overlap)
    behind = minute(a_schedule(HOURLY, since=NOW - timedelta(hours=3), policy=missed))

    assert "a job starts within a minute" in api.get(path(due)).json["waiting_reason"]
    assert "the previous run" in api.get(path(behind)).json["waiting_reason"]


def test_an_ended_schedule_says_so_and_starts_again_with_other_times(api: Api) -> None:
    earlier = (NOW - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")
    once = {"kind": "once", "anchor": earlier, "zone": "UTC"}
    schedule = minute(a_schedule(once, since=NOW - timedelta(days=2)))

    shown = api.get(path(schedule)).json
    edited = api.request("PATCH", path(schedule), body={**WHY, "rule": DAILY}).json

    assert (shown["state"], shown["next_run_at"]) == ("ended", None)
    assert shown["actions"] == ["edit"]  # its one run is still going
    assert edited["schedule"]["state"] == "active"
    assert edited["next_runs_before"] == []
    assert len(edited["next_runs_after"]) == 5


def test_an_ended_schedule_cannot_be_edited_without_a_rule(api: Api) -> None:
    once = {"kind": "once", "anchor": (NOW - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M")}
    schedule = minute(a_schedule(once | {"zone": "UTC"}, since=NOW - timedelta(days=2)))

    refused = api.request("PATCH", path(schedule), body={**WHY, "title": "another"})

    assert (refused.status, refused.kind) == (400, "bad-request")
    assert "has ended: give it a rule" in refused.json["detail"]


def test_times_that_a_request_finds_missed_are_counted_as_the_clock_counts_them(
    api: Api, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    never = Policy(CatchUp(MissedPolicy.NONE))
    schedule = a_schedule(HOURLY, since=NOW - timedelta(hours=3), policy=never)

    api.post(path(schedule, "/suspend"), WHY)

    lines = capsys.readouterr().out.splitlines()
    (counted,) = [json.loads(line) for line in lines if "_aws" in line]
    assert counted["RunsFailedOrMissed"] == [3.0]
    reasons = [vars(line)["reasons"] for line in caplog.records if line.message == "skipped"]
    assert reasons == [{"MISSED": 3}]


# Edited


def test_an_edit_shows_how_the_next_runs_change(api: Api) -> None:
    schedule = a_schedule()
    later = {**DAILY, "at": "10:30", "zone": "Europe/Berlin"}

    edited = api.request("PATCH", path(schedule), body={**WHY, "rule": later}).json

    for name, rule in (("next_runs_before", DAILY), ("next_runs_after", later)):
        expected = [each.document() for each in preview(recurrence_of(rule), NOW, 5)]
        assert edited[name] == expected
    assert edited["schedule"]["next_run_at"] == edited["next_runs_after"][0]["utc"]
    assert edited["schedule"]["history"][-1]["reason"] == WHY["reason"]


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ({"title": "another"}, {"title": "another"}),
        ({"overlap": "allow"}, {"overlap": "allow"}),
        ({"missed": "none"}, {"missed": {"which": "none", "limit": 10, "max_age_h": 24}}),
        ({"calendar": ""}, {"calendar": ""}),
        ({"title": None, "calendar": ""}, {"calendar": ""}),
        (
            {"parameters": {**sweep(), "table": "electors"}},
            {"parameters": {**sweep(), "table": "electors"}},
        ),
    ],
)
def test_what_is_not_named_stays_as_it_was(
    api: Api, change: dict[str, Any], after: dict[str, Any]
) -> None:
    api.request("PUT", "/calendars/holidays", body=WHY)
    before = api.post("/schedules", wanted(calendar="holidays", overlap="replace")).json

    shown = api.request("PATCH", path(before), body={**WHY, **change}).json["schedule"]

    changing = {"history", "revision", *after}
    assert {name: shown[name] for name in after} == after
    assert {name: each for name, each in shown.items() if name not in changing} == {
        name: each for name, each in before.items() if name not in changing
    }


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"title": "another", "reason": None}, 422, "body.reason"),
        ({}, 422, "give at least one field to change"),
        ({"title": None}, 422, "give at least one field to change"),
        ({"job_type": "sweep"}, 422, "body.job_type"),
        ({"rule": {**DAILY, "every": 0}}, 400, "body.rule.every"),
        ({"rule": {"kind": "once", "anchor": "2020-01-31T09:00"}}, 400, "no future run"),
        ({"parameters": {}}, 400, "body.parameters."),
        ({"calendar": "none-such"}, 400, "none-such"),
    ],
)
def test_an_invalid_edit_changes_nothing(
    api: Api, change: dict[str, Any], status: int, words: str
) -> None:
    schedule = a_schedule()

    answer = api.request("PATCH", path(schedule), body={**WHY, **change})

    assert answer.status == status
    assert words in answer.text
    assert schedules.get(schedule.schedule_id) == schedule


def test_an_edit_of_a_revision_that_is_not_the_latest_is_refused(api: Api) -> None:
    schedule = a_schedule()
    seen = {**WHY, "revision": api.get(path(schedule)).json["revision"]}

    first = api.request("PATCH", path(schedule), body={**seen, "title": "first"})
    second = api.request("PATCH", path(schedule), body={**seen, "title": "second"})

    assert (first.status, second.status) == (200, 409)
    assert first.json["schedule"]["revision"] == seen["revision"] + 1
    assert schedules.get(schedule.schedule_id).title == "first"


def test_an_edit_sent_again_is_made_once(api: Api) -> None:
    schedule = a_schedule()
    body = {**WHY, "title": "another"}

    first = api.request("PATCH", path(schedule), body=body, headers=KEY)
    kept = api.request("PATCH", path(schedule), body=body, headers=KEY)
    forget_answers()
    again = api.request("PATCH", path(schedule), body=body, headers=KEY)

    assert first.json == kept.json
    assert again.json["schedule"] == first.json["schedule"]
    assert len(again.json["schedule"]["history"]) == 1


# Run


def test_a_job_is_run_now_and_found_by_its_link(api: Api) -> None:
    schedule = a_schedule()

    answer = api.post(path(schedule, "/run_now"), WHY)

    assert answer.status == 202
    run = answer.json
    assert answer.headers["location"] == run["links"]["job"]
    assert (run["trigger"], run["verdict"], run["label"]) == ("manual", "run", "In Progress")
    assert (run["actor"], run["reason"]) == ("admin", WHY["reason"])
    assert f"{run['job_id']}-main" in executions("job")
    shown = api.get(path(schedule)).json
    assert (shown["label"], shown["running_job_ids"]) == ("In Progress", [run["job_id"]])
    assert "run_now" not in shown["actions"]
    assert "delete" not in shown["actions"]
    reasons = {each["event"]: each["reason"] for each in shown["unavailable"]}
    assert "its overlap policy is forbid" in reasons["run_now"]
    assert reasons["delete"] == "a job of it is running; cancel it, or wait for its end"
    refused = api.post(path(schedule, "/run_now"), WHY)
    assert (refused.status, refused.kind) == (409, "invalid-transition")
    assert "its overlap policy is forbid" in refused.json["detail"]


def test_a_run_that_waits_for_another_has_no_job_yet(api: Api) -> None:
    schedule = a_schedule(policy=QUEUE_ONE)
    going = started_job(api, schedule)

    answer = api.post(path(schedule, "/run_now"), WHY)

    assert answer.status == 202
    assert (
        answer.json["description"]
        == f"Waiting (run of {occurrence_time(going):%Y-%m-%d %H:%M}Z active)"
    )
    assert "location" not in answer.headers
    assert (answer.json["verdict"], answer.json["label"]) == ("wait", "Waiting")
    assert (answer.json["job_id"], answer.json["state"]) == ("", None)
    assert "waits for the previous one" in api.get(path(schedule)).json["waiting_reason"]
    refused = api.post(path(schedule, "/run_now"), WHY)
    assert (refused.status, refused.kind) == (409, "invalid-transition")
    assert refused.json["detail"].endswith("and another one is waiting")


def test_a_run_that_waits_under_a_hold_says_so(api: Api) -> None:
    schedule = a_schedule(policy=QUEUE_ONE)
    address = started_job(api, schedule)
    api.post(path(schedule, "/run_now"), WHY)
    holds.put(Hold("type:sweep", "operator", "the region is down", NOW))
    work(address, "succeeded", NOW, timedelta(seconds=1))

    (waiting, _) = api.get(path(schedule, "/occurrences")).json["items"]

    description = "Waiting (type:sweep is held by operator: the region is down)"
    assert (waiting["verdict"], waiting["description"]) == ("wait", description)


def test_a_repeated_run_now_does_not_start_a_waiting_run(api: Api) -> None:
    schedule = a_schedule(policy=QUEUE_ONE)
    address = started_job(api, schedule)
    first = api.post(path(schedule, "/run_now"), WHY, headers=KEY)
    forget_answers()

    again = api.post(path(schedule, "/run_now"), WHY, headers=KEY)

    assert again.json == first.json
    started = [each for each in executions("job") if each.startswith(schedule.schedule_id)]
    assert started == [f"{address.job_id}-main"]


def test_a_repeated_run_now_is_the_same_run(api: Api) -> None:
    schedule = a_schedule()
    first = api.post(path(schedule, "/run_now"), WHY, headers=KEY)
    forget_answers()

    again = api.post(path(schedule, "/run_now"), WHY, headers=KEY)

    assert (again.status, again.json) == (202, first.json)


def test_a_completed_job_is_shown_with_its_times_and_records(api: Api) -> None:
    at = NOW.replace(minute=0, second=0)
    schedule = minute(a_schedule(HOURLY, since=at), at + timedelta(seconds=1))
    job = work(
        schedule.job_address(at), "succeeded", at + timedelta(seconds=4), timedelta(seconds=90)
    )

    shown = api.get(path(schedule)).json

    assert shown["label"] == "Completed"
    assert shown["latest_run"]["job_id"] == job.address.job_id
    completed = shown["latest_occurrence"]
    assert completed["ended_at"] == shown["latest_run"]["ended_at"]
    assert (completed["start_delay_s"], completed["duration_s"]) == (4, 90)
    assert (completed["trigger"], completed["label"]) == ("schedule", "Completed")
    assert [completed["records"][name] for name in ("processed", "failed", "total")] == [12, 0, 12]
    assert completed["failure_codes"] == []
    assert api.get(path(schedule, "/occurrences")).json["items"] == [completed]


def test_a_failed_job_is_shown_with_its_codes(api: Api) -> None:
    schedule = a_schedule()
    work(started_job(api, schedule), "failed", NOW, timedelta(seconds=3))

    shown = api.get(path(schedule)).json

    assert shown["label"] == "Failed"
    completed = shown["latest_occurrence"]
    assert completed["failure_codes"] == ["RECORDS_FAILED"]
    assert completed["message"] == "2 of 12 records could not be changed"
    assert [completed["records"][name] for name in ("processed", "failed", "total")] == [10, 2, 12]


def test_a_job_that_continues_reports_its_progress(api: Api) -> None:
    schedule = a_schedule()
    address = started_job(api, schedule)
    work(address, "running", NOW, timedelta())
    put_progress(address, 4200)

    (shown,) = api.get(path(schedule, "/occurrences")).json["items"]

    assert (shown["state"], shown["label"]) == ("running", "In Progress")
    assert shown["records"] == {"processed": 4200, "failed": 0, "total": None}
    assert shown["started_at"] == NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert shown["ended_at"] is None
    job = api.get(f"/jobs/{address.job_id}").json
    assert job["records"] == {"processed": 4200, "failed": 0, "total": None}


def test_a_time_without_a_job_says_why(api: Api) -> None:
    api.request(
        "PUT", "/calendars/none", body={**WHY, "exclude": [{"from": "2020-01-01", "to": TODAY}]}
    )
    policy = Policy(calendar="none")
    schedule = minute(a_schedule(HOURLY, since=NOW - timedelta(hours=1), policy=policy))

    shown = api.get(path(schedule, "/occurrences")).json["items"][0]

    assert (shown["verdict"], shown["skip_reason"]) == ("skip", "CALENDAR")
    assert (shown["description"], shown["label"]) == ("Skipped (calendar)", "Skipped")
    assert "calendar none excludes" in shown["reason"]
    assert (shown["job_id"], shown["state"], shown["records"]) == ("", None, None)
    assert api.get(f"/jobs/{schedule.job_address(_at(shown)).job_id}").status == 404


def _at(shown: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(shown["scheduled_for"])


def test_the_history_is_shown_newest_first_page_by_page(api: Api) -> None:
    schedule = minute(a_schedule(HOURLY, since=NOW - timedelta(hours=30)))

    items = all_pages(api, path(schedule, "/occurrences"), limit=7)

    times = [each["scheduled_for"] for each in items]
    assert len(times) == 30
    assert times == sorted(set(times), reverse=True)
    assert items[0]["verdict"] == "run"
    assert {each["skip_reason"] for each in items[1:]} == {"MISSED"}


def test_what_is_archived_is_not_shown(api: Api) -> None:
    at = NOW.replace(minute=0, second=0) - timedelta(hours=1)
    schedule = minute(a_schedule(HOURLY, since=at), at + timedelta(seconds=1))
    address = work(schedule.job_address(at), "succeeded", at, timedelta(seconds=9)).address
    stored = minute(schedule)
    schedules.write(stored, stored.retaining_from(at + timedelta(minutes=1)))

    items = api.get(path(schedule, "/occurrences")).json["items"]
    assert [_at(each) for each in items] == [at + timedelta(hours=1)]
    shown = api.get(path(schedule)).json
    assert (shown["latest_run"]["job_id"], shown["latest_occurrence"]) == (address.job_id, None)
    gone = api.get(f"/jobs/{address.job_id}")
    assert (gone.status, gone.kind) == (410, "gone")


# Deleted


def test_a_deleted_schedule_is_gone_and_its_history_stays(api: Api) -> None:
    schedule = a_schedule()
    address = started_job(api, schedule)
    work(address, "succeeded", NOW, timedelta(seconds=1))

    deleted = api.request("DELETE", path(schedule), query=WHY)

    assert (deleted.status, deleted.json["state"]) == (200, "deleted")
    assert (deleted.json["next_run_at"], deleted.json["actions"]) == (None, [])
    gone = api.get(path(schedule))
    assert (gone.status, gone.kind) == (410, "gone")
    assert gone.json["detail"].endswith(
        f"was deleted by admin at {NOW:%Y-%m-%d %H:%M}Z: {WHY['reason']}"
    )
    assert api.post(path(schedule, "/run_now"), WHY).status == 410
    assert api.get("/schedules").json["items"] == []
    assert len(api.get(path(schedule, "/occurrences")).json["items"]) == 1
    assert api.get(f"/jobs/{address.job_id}").status == 200
    assert api.get(path(schedule, "/cost")).status == 200


def test_a_schedule_is_not_deleted_while_a_job_runs_nor_without_a_reason(api: Api) -> None:
    schedule = a_schedule()
    started_job(api, schedule)

    running = api.request("DELETE", path(schedule), query=WHY)
    systems = api.request("DELETE", path(a_schedule(is_system=True)), query=WHY)

    assert (running.status, running.kind) == (409, "invalid-transition")
    assert (systems.status, systems.kind) == (409, "invalid-transition")
    assert api.request("DELETE", path(a_schedule())).status == 422


# Refused


@pytest.mark.parametrize(
    ("method", "more", "body"),
    [
        ("GET", "", None),
        ("GET", "/occurrences", None),
        ("GET", "/cost", None),
        ("PATCH", "", {**WHY, "title": "x"}),
        ("POST", "/suspend", WHY),
        ("POST", "/resume", WHY),
        ("POST", "/run_now", WHY),
        ("DELETE", "?", None),
    ],
)
@pytest.mark.parametrize("named", [NOBODYS, "b" + "a" * 20, "s"])
def test_an_id_without_a_schedule_is_not_found(
    api: Api, method: str, more: str, body: Any, named: str
) -> None:
    query = WHY if method == "DELETE" else None

    answer = api.request(method, f"/schedules/{named}{more.strip('?')}", body=body, query=query)

    assert (answer.status, answer.kind) == (404, "not-found")


@pytest.mark.parametrize(
    ("event", "body", "status"),
    [
        ("resume", WHY, 409),
        ("suspend", {}, 422),
        ("suspend", {**WHY, "until": "2020-01-01T00:00:00Z"}, 400),
        ("suspend", {**WHY, "until": "2030-01-01T00:00:00"}, 422),
        ("run_now", {"reason": " "}, 422),
        ("dance", WHY, 404),
    ],
)
def test_an_impossible_request_about_a_schedule_is_refused(
    api: Api, event: str, body: Any, status: int
) -> None:
    schedule = a_schedule()

    answer = api.post(path(schedule, f"/{event}"), body)

    assert answer.status == status
    assert schedules.get(schedule.schedule_id) == schedule


def test_a_suspension_sent_again_is_answered_as_before_though_its_end_is_past(api: Api) -> None:
    schedule = a_schedule()
    body = {**WHY, "until": (NOW + timedelta(minutes=1)).isoformat()}
    first = api.post(path(schedule, "/suspend"), body, headers=KEY)
    forget_answers()
    api.now += timedelta(minutes=2)

    again = api.post(path(schedule, "/suspend"), body, headers=KEY)

    assert (first.status, again.status) == (200, 200)
    assert [each["event"] for each in again.json["history"]] == ["suspend", "resume"]


# Cost


def test_a_schedules_bill_adds_up_what_its_jobs_used(api: Api) -> None:
    schedule = a_schedule()
    usage.add(schedule.schedule_id, "job", Usage(write_units=3, invocations=1, ms=5))

    bill = api.get(path(schedule, "/cost")).json

    assert bill["schedule_id"] == schedule.schedule_id
    assert bill["dollars"] == pytest.approx(3 * 0.625e-6 + 0.2e-6)
    assert bill["billed_ms"] == 5


# Jobs of schedules


def test_a_job_of_a_schedule_shows_what_it_is_for(api: Api) -> None:
    schedule = a_schedule()
    address = started_job(api, schedule)
    work(address, "failed", NOW, timedelta(seconds=3))

    shown = api.get(f"/jobs/{address.job_id}").json

    assert (shown["schedule_id"], shown["batch_id"]) == (schedule.schedule_id, "")
    assert (shown["line"], shown["name"], shown["url"]) == (None, "", "")
    assert shown["trigger"] == "manual"
    assert shown["parameters"] == sweep()
    assert (shown["state"], shown["label"]) == ("failed", "Failed")
    assert shown["records"] == {"processed": 10, "failed": 2, "total": 12}
    assert shown["waiting_reason"] == "waits for a person to requeue or delete it"
    assert shown["actions"] == ["requeue", "delete"]
    assert shown["links"]["schedule"].endswith(path(schedule))
    assert "batch" not in shown["links"]


def test_a_job_of_a_schedule_that_has_not_begun_waits_for_a_worker(api: Api) -> None:
    shown = api.get(f"/jobs/{started_job(api, a_schedule()).job_id}").json

    assert (shown["state"], shown["waiting_reason"]) == ("scheduled", "waits for a worker")
    assert shown["records"] is None
    assert shown["actions"] == ["force_fail", "cancel"]


def test_the_cancel_of_a_job_is_noted_with_its_schedule(api: Api) -> None:
    schedule = a_schedule()
    address = started_job(api, schedule)

    moved = api.post(f"/jobs/{address.job_id}/cancel", WHY)

    assert (moved.status, moved.json["state"]) == (200, "cancelled")
    assert (moved.json["schedule_id"], moved.json["batch_id"]) == (schedule.schedule_id, "")
    shown = api.get(path(schedule)).json
    assert (shown["label"], shown["running_job_ids"]) == ("Failed", [])
    assert shown["latest_occurrence"]["state"] == "cancelled"
    assert shown["latest_occurrence"]["message"] == f"cancelled by admin: {WHY['reason']}"
    job = api.get(f"/jobs/{address.job_id}").json
    assert (job["actor"], job["reason"]) == ("admin", WHY["reason"])


def test_a_failed_job_of_a_schedule_is_requeued(api: Api) -> None:
    schedule = a_schedule()
    address = started_job(api, schedule)
    work(address, "failed", NOW, timedelta(seconds=3))

    moved = api.post(f"/jobs/{address.job_id}/requeue", WHY)

    assert (moved.status, moved.json["state"]) == (202, "scheduled")
    assert moved.json["actions"] == ["force_fail", "cancel"]
    assert api.get(path(schedule)).json["running_job_ids"] == [address.job_id]
    again = [each for each in executions("job") if each.startswith(address.job_id)]
    assert len(again) == 2


def test_a_failed_job_is_not_requeued_while_another_runs(api: Api) -> None:
    schedule = a_schedule()
    address = started_job(api, schedule)
    work(address, "failed", NOW, timedelta(seconds=3))
    started_job(api, schedule)

    shown = api.get(f"/jobs/{address.job_id}").json

    assert shown["actions"] == ["delete"]
    assert shown["waiting_reason"] == "waits for a person to delete it"
    assert api.post(f"/jobs/{address.job_id}/requeue", WHY).status == 409


@pytest.mark.parametrize("event", ["hold", "release"])
def test_a_job_of_a_schedule_is_neither_held_nor_released(api: Api, event: str) -> None:
    address = started_job(api, a_schedule())

    answer = api.post(f"/jobs/{address.job_id}/{event}", WHY)

    assert (answer.status, answer.kind) == (409, "invalid-transition")


@pytest.mark.parametrize(
    "rest", ["0.0", "0.1", "1.1764061200000", "0.99999999999999999999", f"0.{'9' * 39}"]
)
def test_a_job_that_no_schedule_has_is_unknown(api: Api, rest: str) -> None:
    schedule = a_schedule()

    for job_id in (f"{schedule.schedule_id}.{rest}", f"{NOBODYS}.{rest}"):
        assert api.get(f"/jobs/{job_id}").status == 404
        assert api.post(f"/jobs/{job_id}/cancel", WHY).status == 404


# Job types


def test_everyone_sees_which_job_types_there_are(api: Api) -> None:
    items = {each["name"]: each for each in api.get("/job-types", role="viewer").json["items"]}

    assert items["deposit"]["origins"] == ["batch"]
    assert items["sweep"]["origins"] == ["schedule"]
    assert set(items["sweep"]["parameters"]) >= set(sweep())
    assert items["sweep"]["labels"]["running"] == "In Progress"
    assert all(each["title"] and each["steps"] for each in items.values())


def test_a_year_of_a_schedule_is_shown_day_by_day(api: Api) -> None:
    schedule = a_schedule()  # daily, from 25 November 2026

    shown = api.get(path(schedule, "/year")).json

    assert (shown["year"], shown["zone"], shown["is_complete"]) == (2026, "UTC", True)
    assert [each["date"] for each in shown["days"]][:2] == ["2026-11-25", "2026-11-26"]
    assert {each["runs"] for each in shown["days"]} == {1}
    assert len(api.get(path(schedule, "/year"), query={"year": 2028}).json["days"]) == 366
    assert api.get(path(schedule, "/year"), query={"year": 1999}).status == 422


def test_an_edit_is_previewed_and_changes_nothing(api: Api) -> None:
    schedule = a_schedule()
    body = {"exclude": ["2026-12-25"], **WHY}
    api.request("PUT", "/calendars/closed", body=body)

    later = api.post(path(schedule, "/preview"), {"rule": {**DAILY, "at": "10:00"}}).json
    closed = api.post(path(schedule, "/preview"), {"calendar": "closed"}).json
    same = api.post(path(schedule, "/preview"), {}).json

    assert later["added"][0]["utc"] == "2026-11-25T10:00:00Z"
    assert later["removed"][0]["utc"] == "2026-11-25T09:00:00Z"
    assert [each["utc"] for each in closed["removed"]] == ["2026-12-25T09:00:00Z"]
    assert (closed["added"], same["added"], same["removed"]) == ([], [], [])
    assert api.post(path(schedule, "/preview"), {"calendar": "nowhere"}).status == 400
    assert api.get(path(schedule)).json["history"] == []


def test_the_lateness_of_runs_leaves_out_manual_ones(api: Api) -> None:
    schedule = a_schedule()
    api.post(path(schedule, "/run_now"), WHY)

    shown = api.get(path(schedule, "/lateness")).json

    assert (shown["runs"], shown["median_s"], shown["longest_s"]) == (0, None, None)


def test_the_failed_records_of_a_sweep_are_a_file_and_no_other(api: Api) -> None:
    schedule = a_schedule()
    api.post(f"/schedules/{schedule.schedule_id}/run_now", {"reason": "now"})
    active = schedules.get(schedule.schedule_id).active[0]
    job_id = schedule.job_address(active.scheduled_for).job_id
    none_yet = api.get(f"/jobs/{job_id}/failed-records")

    work(schedule.job_address(active.scheduled_for), "failed", NOW, timedelta(seconds=1))
    found = api.get(f"/jobs/{job_id}/failed-records").json

    assert (none_yet.status, none_yet.kind) == (404, "not-found")
    assert found["records"] == 2
    assert f"/failed-records/{job_id}/3.jsonl?" in found["url"]


def test_who_gets_mails_about_failed_runs_is_set_and_shown(api: Api) -> None:
    created = api.post("/schedules", wanted(notify=["Anna <anna@example.org>"])).json
    path = f"/schedules/{created['schedule_id']}"
    why = {"reason": "she is away"}

    refused = api.request("PATCH", path, body={**why, "notify": ["eve@example.com"]})
    changed = api.request("PATCH", path, body={**why, "notify": []}).json["schedule"]

    assert (created["notify"], created["failure_mailed_at"]) == (["anna@example.org"], None)
    assert (refused.status, changed["notify"]) == (400, [])
    acts = api.get("/activity").json["items"]
    assert [each["changes"] for each in acts if each["event"] == "edit"] == ["notify: nobody"]
    assert api.get(f"{path}/reports").json == {"items": [], "webhook_deliveries": []}
