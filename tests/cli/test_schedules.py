"""`jobyard schedule` on a terminal: lists, details and changes."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from cli import rules
from cli.schedules import app
from jobyard.domain.schedules.rule_parsing import recurrence_of
from tests.cli.conftest import RunOnTerminal
from tests.cli.fake_api import NOW, FakeApi, Run, job, pages, problem

SCHEDULE = "s" + "a" * 20
JOB = f"{SCHEDULE}.0.1900000000000"
WHY = ("--reason", "the table is being moved")
LATER = "2030-02-01T17:00:00Z"
RULE = {
    "kind": "daily",
    "every": 1,
    "at": "09:00",
    "zone": "America/Los_Angeles",
    "anchor": "2026-11-25",
    "dst": ["shift", "once"],
}
PATH = f"/schedules/{SCHEDULE}"


def run_at(utc: str = LATER, local: str = "2030-02-01T09:00:00-08:00") -> dict[str, Any]:
    return {"utc": utc, "local": local, "note": ""}


def occurrence(**changes: Any) -> dict[str, Any]:
    """An occurrence as the API shows it."""
    return {
        "schedule_id": SCHEDULE,
        "scheduled_for": NOW,
        "local": "2030-01-31T04:00:00-08:00",
        "trigger": "schedule",
        "verdict": "run",
        "skip_reason": None,
        "description": "",
        "reason": "",
        "actor": "",
        "job_id": JOB,
        "state": "failed",
        "label": "Failed",
        "started_at": NOW,
        "ended_at": NOW,
        "duration_s": 90.0,
        "start_delay_s": 4.0,
        "failure_codes": ["RECORDS_FAILED"],
        "message": "2 of 12 records could not be changed",
        "records": {"processed": 10, "failed": 2, "total": 12},
        "links": {},
        **changes,
    }


def skipped() -> dict[str, Any]:
    """An occurrence without a job."""
    nothing = ("state", "started_at", "ended_at", "duration_s", "start_delay_s")
    return occurrence(
        verdict="skip",
        skip_reason="CALENDAR",
        description="Skipped (calendar)",
        reason="calendar holidays excludes 31 January 2030",
        label="Skipped",
        job_id="",
        failure_codes=[],
        message="",
        **dict.fromkeys((*nothing, "records")),
    )


def schedule(**changes: Any) -> dict[str, Any]:
    """A schedule as the API shows it."""
    return {
        "schedule_id": SCHEDULE,
        "title": "Expired Confidential Voter Status Sweep",
        "job_type": "sweep",
        "is_system": False,
        "state": "active",
        "label": "Failed",
        "description": "Every day at 09:00 (America/Los_Angeles), from 25 November 2026",
        "zone": "America/Los_Angeles",
        "next_run_at": LATER,
        "resume_at": None,
        "waiting_reason": "",
        "waiting_until": None,
        "running_job_ids": [],
        "latest_run": {
            "job_id": JOB,
            "scheduled_for": NOW,
            "state": "failed",
            "label": "Failed",
            "ended_at": NOW,
        },
        "actions": ["suspend", "edit", "run_now", "delete"],
        "links": {},
        "rule": RULE,
        "dst": ["shift", "once"],
        "missed": {"which": "latest", "limit": 10, "max_age_h": 24},
        "overlap": "forbid",
        "calendar": "",
        "parameters": {"table": "voters"},
        "owner": "admin",
        "created_at": NOW,
        "next_runs": [run_at()],
        "latest_occurrence": occurrence(),
        "history": [],
        **changes,
    }


def year(**changes: Any) -> dict[str, Any]:
    """A year with two days, one of them excluded."""
    due = {"date": "2030-01-06", "runs": 1, "skipped": 0, "reason": "", "note": ""}
    excluded = {**due, "date": "2030-03-10", "runs": 0, "skipped": 1}
    notes = {"reason": "election", "note": "clocks go forward"}
    return {
        "year": 2030,
        "zone": "America/Los_Angeles",
        "days": [due, excluded | notes],
        "is_complete": True,
        "links": {},
        **changes,
    }


def lateness(runs: int = 3) -> dict[str, Any]:
    """The lateness of some runs; of none without them."""
    found = (4.2, 75.0) if runs else (None, None)
    return {"runs": runs, "median_s": found[0], "longest_s": found[1], "links": {}}


EDITED = {"schedule": schedule(), "next_runs_before": [run_at()], "next_runs_after": []}
# Each command with its request and the answer.
COMMANDS: list[tuple[tuple[str, ...], str, dict[str, Any]]] = [
    (("list",), "GET /schedules", {"items": [schedule()], "next_cursor": None}),
    (("show", SCHEDULE), f"GET {PATH}", schedule()),
    (("history", SCHEDULE), f"GET {PATH}/occurrences", {"items": [skipped()], "next_cursor": None}),
    (("year", SCHEDULE), f"GET {PATH}/year", year()),
    (("lateness", SCHEDULE), f"GET {PATH}/lateness", lateness()),
    (
        ("create", "--title", "x", "--job-type", "sweep", "--rule", json.dumps(RULE)),
        "POST /schedules",
        schedule(),
    ),
    (("edit", SCHEDULE, *WHY, "--title", "x"), f"PATCH {PATH}", EDITED),
    (("suspend", SCHEDULE, *WHY), f"POST {PATH}/suspend", schedule(state="suspended")),
    (("resume", SCHEDULE, *WHY), f"POST {PATH}/resume", schedule()),
    (("run", SCHEDULE, *WHY), f"POST {PATH}/run_now", occurrence()),
    (("delete", SCHEDULE, *WHY, "--yes"), f"DELETE {PATH}", schedule(state="deleted")),
]


@pytest.mark.parametrize(("words", "endpoint", "document"), COMMANDS)
def test_json_is_the_apis_document_and_nothing_else(
    words: tuple[str, ...], endpoint: str, document: dict[str, Any], run: Run, api: FakeApi
) -> None:
    api.answers(endpoint, document)

    shown = run("schedule", *words, "--json")

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert json.loads(shown.stdout) == document


@pytest.mark.parametrize(("words", "endpoint", "document"), COMMANDS)
def test_an_error_is_printed_on_standard_error_and_exits_with_1(
    words: tuple[str, ...], endpoint: str, document: dict[str, Any], run: Run, api: FakeApi
) -> None:
    api.answers(f"GET {PATH}", schedule())
    api.answers(endpoint, problem(403, "schedules are for admin"))

    shown = run("schedule", *words)

    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr == (
        "schedules are for admin; you are signed in as admin (admin); "
        "`jobyard login --as ROLE` signs in as someone else\n"
    )


@pytest.mark.parametrize(("words", "endpoint", "document"), COMMANDS)
def test_answers_are_shown_as_text(
    words: tuple[str, ...], endpoint: str, document: dict[str, Any], run: Run, api: FakeApi
) -> None:
    api.answers(f"GET {PATH}", schedule())
    api.answers(endpoint, document)
    api.answers(
        f"GET {PATH}/occurrences", {"items": [occurrence(), skipped()], "next_cursor": None}
    )

    shown = run("schedule", *words)

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert shown.stdout.strip()


@pytest.mark.parametrize("command", ["edit", "suspend", "resume", "run", "delete"])
def test_a_change_needs_a_reason_and_a_schedule_id(command: str, run: Run, api: FakeApi) -> None:
    assert run("schedule", command, SCHEDULE).exit_code == 2
    assert run("schedule", command, "b" + "a" * 20, *WHY).exit_code == 2
    assert api.requests == []


# Reading


def test_job_management_has_votecals_columns_and_labels(run: Run, api: FakeApi) -> None:
    going = schedule(
        label="In Progress", next_run_at=None, waiting_reason="suspended by admin: moving"
    )
    api.answers("GET /schedules", {"items": [schedule(), going], "next_cursor": None})

    lines = run("schedule", "list").stdout.splitlines()

    for heading in ("Job Type", "Status", "Next Scheduled Run Time"):
        assert heading in lines[0]
    assert "Expired Confidential Voter Status Sweep (sweep)" in lines[1]
    assert "Failed" in lines[1]
    assert "2030-02-01" in lines[1]
    assert "In Progress" in lines[2]
    assert "suspended by admin: moving" in lines[2]


@pytest.mark.parametrize(
    ("flags", "query"),
    [
        ((), "?limit=100"),
        (("--label", "in progress"), "?label=In+Progress&limit=100"),
        (("--label", "WAITING", "--limit", "5"), "?label=waiting&limit=5"),
        (("--label", "problem"), "?label=problem&limit=100"),
        (("--system", "--label", "idle"), "?label=Idle&system=true&limit=100"),
    ],
)
def test_a_list_is_filtered_by_label_and_by_system(
    flags: tuple[str, ...], query: str, run: Run, api: FakeApi
) -> None:
    api.answers("GET /schedules", {"items": [], "next_cursor": None})

    shown = run("schedule", "list", *flags)

    assert shown.stdout == "no schedule found\n"
    assert [each.replace("%20", "+") for each in api.calls()] == [f"GET /schedules{query}"]


def test_system_schedules_may_be_missing_for_a_minute(run: Run, api: FakeApi) -> None:
    api.answers("GET /schedules", {"items": [], "next_cursor": None})

    shown = run("schedule", "list", "--system")

    assert shown.stdout == "none yet: the scheduler creates them within a minute\n"
    assert api.calls() == ["GET /schedules?system=true&limit=100"]


def test_all_times_of_a_schedule_are_in_its_zone(run: Run, api: FakeApi) -> None:
    move = {"event": "suspend", "from": "active", "to": "suspended", "actor": "admin"}
    entry = {**move, "at": "2030-01-30T05:06:07Z", "reason": "moving"}
    why = {"waiting_reason": "suspended by admin: moving", "waiting_until": "2030-02-03T04:00:00Z"}
    found = schedule(state="suspended", history=[entry], created_at="2030-01-02T03:04:05Z", **why)
    api.answers(f"GET {PATH}", found)
    api.answers(f"GET {PATH}/occurrences", {"items": [], "next_cursor": None})

    shown = run("schedule", "show", SCHEDULE).stdout

    assert "Tue 2030-01-29 21:06:07 PST" in shown
    assert "Tue 2030-01-01 19:04:05 PST by admin" in shown
    assert "until Sat 2030-02-02 20:00:00 PST" in shown


def test_a_suspension_says_until_when_and_whether_runs_are_left(run: Run, api: FakeApi) -> None:
    why = {"waiting_reason": "suspended by admin: moving", "waiting_until": "2030-02-03T04:00:00Z"}
    found = schedule(state="suspended", **why)
    api.answers(f"POST {PATH}/suspend", found, {**found, "next_run_at": None})

    some, none = (run("schedule", "suspend", SCHEDULE, *WHY, "--until", "9d") for _ in range(2))

    for shown in (some, none):
        assert "until Sat 2030-02-02 20:00:00 PST" in shown.stdout
    assert "next run: Fri 2030-02-01 09:00:00 PST" in some.stdout
    assert "its rule has no more runs after that" in none.stdout


def test_an_unknown_label_is_a_usage_error(run: Run, api: FakeApi) -> None:
    shown = run("schedule", "list", "--label", "busy")

    assert shown.exit_code == 2
    assert api.requests == []


def test_job_details_shows_what_votecal_shows(run: Run, api: FakeApi) -> None:
    api.answers(f"GET {PATH}", schedule(next_runs=[run_at(), run_at() | {"note": "Clocks go"}]))
    api.answers(
        f"GET {PATH}/occurrences", {"items": [occurrence(), skipped()], "next_cursor": "c1"}
    )

    shown = run("schedule", "show", SCHEDULE).stdout

    facts = {line.split("  ")[0]: line for line in shown.splitlines()}
    assert "Expired Confidential Voter Status Sweep (sweep)" in facts["Job Type"]
    assert "Fri 2030-02-01 09:00:00 PST in America/Los_Angeles" in facts["Scheduled Time"]
    assert "Every day at 09:00" in facts["Recurrence pattern"]
    assert "Thu 2030-01-31 04:00:00 PST" in facts["Time of completion"]
    assert "1 min 30 s" in facts["Duration"]
    assert "RECORDS_FAILED" in facts["Failure codes"]
    assert "10 of 12 processed, 2 failed" in facts["Records processed"]
    assert shown.index("Completed Job Details") < shown.index("Next runs")
    assert shown.index("Next runs") < shown.index("Last runs")
    assert "Clocks go" in shown
    assert "4 s" in shown[shown.index("Last runs") :]
    assert "Skipped (calendar): calendar holidays excludes 31 January 2030" in shown
    assert api.calls()[-1] == f"GET {PATH}/occurrences?limit=10"


def test_a_schedule_that_never_ran_shows_no_completed_job(run: Run, api: FakeApi) -> None:
    bare = schedule(
        latest_occurrence=None, latest_run=None, label="Idle", next_run_at=None, next_runs=[]
    )
    api.answers(f"GET {PATH}", bare)
    api.answers(f"GET {PATH}/occurrences", {"items": [], "next_cursor": None})

    shown = run("schedule", "show", SCHEDULE).stdout

    assert "Completed Job Details" not in shown
    assert "Last runs" not in shown
    assert re.search("Scheduled Time +none *$", shown, re.MULTILINE)


def test_a_year_lists_its_days_and_what_the_calendar_excludes(run: Run, api: FakeApi) -> None:
    api.answers(f"GET {PATH}/year", year(), year(days=[], is_complete=False))

    _, due, excluded, total = run(
        "schedule", "year", SCHEDULE, "--year", "2030"
    ).stdout.splitlines()
    nothing = run("schedule", "year", SCHEDULE).stdout

    assert api.calls() == [f"GET {PATH}/year?year=2030", f"GET {PATH}/year"]
    assert due.split() == ["Sun", "2030-01-06", "1", "0"]
    assert "election" in excluded
    assert excluded.endswith("clocks go forward")
    assert total == "1 run in 2030, 1 skipped by its calendar, in America/Los_Angeles"
    assert "0 runs in 2030, in America/Los_Angeles; later times of the year" in nothing


@pytest.mark.parametrize("number", ["1999", "9999", "soon"])
def test_a_year_is_one_that_the_api_knows(number: str, run: Run, api: FakeApi) -> None:
    assert run("schedule", "year", SCHEDULE, "--year", number).exit_code == 2
    assert api.requests == []


def test_the_lateness_is_said_in_words(run: Run, api: FakeApi) -> None:
    api.answers(f"GET {PATH}/lateness", lateness(), lateness(runs=0))

    late, none = (run("schedule", "lateness", SCHEDULE).stdout for _ in range(2))

    assert late == "the newest 3 runs started 4 s late (median), 1 min 15 s at most\n"
    assert none == "no run of its rule has ended yet\n"


def test_the_history_shows_who_started_a_run_and_follows_pages(run: Run, api: FakeApi) -> None:
    wanted = occurrence(trigger="manual", actor="admin", reason="to see", failure_codes=[])
    late = occurrence(trigger="catch_up", failure_codes=[])
    api.answers(f"GET {PATH}/occurrences", *pages([wanted], [late], [skipped()]))

    shown = run("schedule", "history", SCHEDULE).stdout

    assert "started by admin: to see" in shown
    assert "caught up" in shown
    assert "Skipped (calendar)" in shown


def test_at_80_columns_nothing_is_truncated_and_ids_do_not_wrap(
    run_on_terminal: RunOnTerminal, api: FakeApi
) -> None:
    calendar = "calendar state-offices does not allow a time at 04:00 on Thursday 31 January 2030"
    went = occurrence(
        start_delay_s=3599.0,
        duration_s=3599.0,
        trigger="manual",
        actor="administrator",
        reason="the counties wait for it",
        records={"processed": 4321, "failed": 123, "total": 4444},
    )
    odd = occurrence(local="2030-01-31T04:00:07-08:00")
    why = "suspended by administrator: the table is being moved to another account"
    brief = schedule(label="In Progress", waiting_reason=why)
    api.answers("GET /schedules", {"items": [brief], "next_cursor": None})
    api.answers(f"GET {PATH}", schedule())
    api.answers(
        f"GET {PATH}/occurrences",
        {"items": [went, skipped() | {"reason": calendar}, odd], "next_cursor": None},
    )

    listed, shown, history = (
        run_on_terminal(80, "schedule", *words)
        for words in (("list",), ("show", SCHEDULE), ("history", SCHEDULE))
    )

    assert max(map(len, (listed + shown + history).splitlines())) <= 80
    for each in (
        SCHEDULE,
        "Expired Confidential Voter Status Sweep (sweep)",
        "In Progress",
        "Next Scheduled Run Time",
        "Fri 2030-02-01 09:00:00 PST",
        "last ended Thu 2030-01-31 04:00:00 PST",
    ):
        assert each in listed
    assert why in " ".join(listed.split())
    for page in (shown[shown.index("Last runs") :], history):
        assert page.split().count(JOB) == 2
        for each in (
            "Thu 2030-01-31 04:00:07 PST",
            "59 min 59 s  59 min 59 s",
            "records 4321 of 4444 processed, 123 failed",
        ):
            assert each in page
        for each in ("started by administrator: the counties wait for it", calendar):
            assert each in " ".join(page.split())


def test_in_a_pipe_each_row_is_one_line(run: Run, api: FakeApi) -> None:
    words = "the table is being moved, " * 20
    api.answers(
        "GET /schedules", {"items": [schedule(waiting_reason=words)] * 2, "next_cursor": None}
    )
    found = occurrence(trigger="manual", actor="admin", reason=words)
    api.answers(f"GET {PATH}/occurrences", {"items": [found, skipped()], "next_cursor": None})

    listed = run("schedule", "list").stdout.splitlines()
    history = run("schedule", "history", SCHEDULE).stdout.splitlines()

    assert [len(listed), len(history)] == [3, 3]
    assert all(words.strip() in line for line in listed[1:])
    assert words.strip() in history[1]
    assert history[1].endswith(JOB)
    assert all(line == line.rstrip() for line in (*listed, *history))


def test_a_time_outside_the_schedules_zone_is_shown_with_its_offset(run: Run, api: FakeApi) -> None:
    api.answers(f"GET {PATH}", schedule(zone="Europe/Berlin"), schedule(zone="Sea/Atlantis"))
    items = [occurrence(), occurrence(local="2030-01-31T13:00:07+01:00")]
    api.answers(f"GET {PATH}/occurrences", {"items": items, "next_cursor": None})

    moved, unknown = (run("schedule", "history", SCHEDULE).stdout for _ in range(2))

    assert "Thu 2030-01-31 04:00 -08:00 " in moved
    assert "Thu 2030-01-31 13:00:07 CET " in moved
    assert "Thu 2030-01-31 13:00:07 +01:00 " in unknown


def test_a_deleted_schedule_has_a_history_without_a_zone(run: Run, api: FakeApi) -> None:
    api.answers(f"GET {PATH}", problem(410, "it is deleted"))
    api.answers(f"GET {PATH}/occurrences", {"items": [occurrence()], "next_cursor": None})

    shown = run("schedule", "history", SCHEDULE)

    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "Thu 2030-01-31 04:00 -08:00 " in shown.stdout


# Creating and changing


def test_a_schedule_is_created_from_options(run: Run, api: FakeApi, tmp_path: Path) -> None:
    parameters = tmp_path / "sweep.json"
    parameters.write_text('{"table": "voters"}')
    api.answers("POST /schedules", schedule())

    made = run(
        *("schedule", "create", "--title", "a sweep", "--job-type", "sweep"),
        *("--parameters", f"@{parameters}", "--kind", "weekly", "--weekdays", "mon,wed"),
        *(
            "--at",
            "09:00",
            "--zone",
            "UTC",
            "--missed",
            "all",
            "--missed-limit",
            "3",
            "--missed-max-age",
            "48",
        ),
        *("--overlap", "queue_one", "--calendar", "holidays"),
    )

    assert made.exit_code == 0
    assert api.bodies("POST") == [
        {
            "title": "a sweep",
            "job_type": "sweep",
            "rule": {"kind": "weekly", "weekdays": ["mon", "wed"], "at": "09:00", "zone": "UTC"},
            "parameters": {"table": "voters"},
            "missed": {"which": "all", "limit": 3, "max_age_h": 48},
            "overlap": "queue_one",
            "calendar": "holidays",
        }
    ]
    assert SCHEDULE in made.stdout
    assert "next run: Fri 2030-02-01 09:00:00 PST" in made.stdout


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--rule", "{}", "--kind", "daily"),
        ("--rule", "daily"),
        ("--kind", "daily", "--parameters", "{"),
        ("--kind", "daily", "--missed-limit", "3"),
        ("--kind", "daily", "--overlap", "sometimes"),
        ("--kind", "daily", "--missed", "some"),
    ],
)
def test_contradictory_options_are_a_usage_error(
    flags: tuple[str, ...], run: Run, api: FakeApi
) -> None:
    made = run("schedule", "create", "--title", "x", "--job-type", "sweep", *flags)

    assert made.exit_code == 2
    assert api.requests == []


def test_a_missing_parameters_file_is_a_usage_error(run: Run, api: FakeApi) -> None:
    flags = ("--kind", "daily", "--parameters", "@/no/such/file")

    made = run("schedule", "create", "--title", "x", "--job-type", "sweep", *flags)

    assert made.exit_code == 2
    assert "/no/such/file does not exist" in made.stderr


def test_an_edit_changes_only_the_given_parts_of_a_rule(run: Run, api: FakeApi) -> None:
    api.answers(f"GET {PATH}", schedule())
    changed = {
        "schedule": schedule(),
        "next_runs_before": [run_at()],
        "next_runs_after": [run_at(local="2030-02-01T10:30:00-08:00"), run_at()],
    }
    api.answers(f"PATCH {PATH}", changed)

    shown = run("schedule", "edit", SCHEDULE, *WHY, "--at", "10:30", "--calendar", "")

    assert api.bodies("PATCH") == [
        {"reason": WHY[1], "rule": RULE | {"at": "10:30"}, "calendar": ""}
    ]
    before, now = "Fri 2030-02-01 09:00:00 PST", "Fri 2030-02-01 10:30:00 PST"
    assert any(before in line and now in line for line in shown.stdout.splitlines())


def test_an_edit_shows_what_changed_and_what_did_not(run: Run, api: FakeApi) -> None:
    after = schedule(overlap="allow", missed={"which": "none"}, calendar="holidays", title="Sweep")
    api.answers(f"GET {PATH}", schedule())
    api.answers(
        f"PATCH {PATH}",
        {"schedule": after, "next_runs_before": [run_at()], "next_runs_after": [run_at()]},
    )

    shown = run("schedule", "edit", SCHEDULE, *WHY, "--overlap", "allow", "--missed", "none")

    assert api.bodies("PATCH") == [
        {"reason": WHY[1], "overlap": "allow", "missed": {"which": "none"}}
    ]
    lines = [re.sub("  +", ": ", line.strip()) for line in shown.stdout.splitlines()]
    assert lines[:-1] == [
        f"{SCHEDULE} is active",
        "title: Expired Confidential Voter Status Sweep → Sweep",
        "missed runs: catch up on the latest run, at most 24 h old → do not catch up",
        "overlap: forbid → allow",
        "calendar: none → holidays",
    ]
    assert lines[-1].startswith("its next runs are unchanged; next run: Fri 2030-02-01")


def test_an_edit_without_a_change_is_a_usage_error(run: Run, api: FakeApi) -> None:
    assert run("schedule", "edit", SCHEDULE, *WHY).exit_code == 2
    assert api.requests == []


@pytest.mark.parametrize(
    ("flag", "field"),
    [("--end", "end"), ("--times", "count"), ("--weekdays", "weekdays"), ("--day", "day")],
)
def test_an_edit_with_an_empty_option_removes_the_field(
    flag: str, field: str, run: Run, api: FakeApi
) -> None:
    there = RULE | {"end": "2031-01-01", "count": 3, "weekdays": ["mon"], "day": 3}
    api.answers(f"GET {PATH}", schedule(rule=there))
    api.answers(f"PATCH {PATH}", EDITED)

    edited = run("schedule", "edit", SCHEDULE, *WHY, flag, "")

    assert edited.exit_code == 0
    assert api.bodies("PATCH")[0]["rule"] == {
        name: value for name, value in there.items() if name != field
    }


@pytest.mark.parametrize(
    "flag", ["--at", "--zone", "--kind", "--anchor", "--dst", "--title", "--rule", "--parameters"]
)
def test_an_empty_option_that_cannot_be_removed_is_a_usage_error(
    flag: str, run: Run, api: FakeApi
) -> None:
    edited = run("schedule", "edit", SCHEDULE, *WHY, "--overlap", "allow", flag, "")

    assert edited.exit_code == 2
    assert flag in edited.stderr
    assert api.requests == []


@pytest.mark.parametrize("flag", ["--end", "--times", "--weekdays", "--day", "--at"])
def test_a_new_rule_cannot_have_fields_removed(flag: str, run: Run) -> None:
    shown = run("schedule", "preview", "--kind", "daily", flag, "")

    assert shown.exit_code == 2
    assert flag in shown.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--every", "x"), "'x' is not a whole number"),
        (("--times", "-1"), "'-1' is not a whole number"),
        (("--missed-max-age", "0"), "'0' is not a whole number of at least 1"),
        (("--overlap", "never"), "not one of forbid, allow, replace, queue_one"),
        (("--missed", "some"), "not one of none, latest, all"),
    ],
)
def test_a_wrong_value_is_refused_with_a_message(
    flags: tuple[str, ...], message: str, run: Run
) -> None:
    made = run("schedule", "create", "--title", "x", "--job-type", "sweep", *flags)

    assert made.exit_code == 2
    assert message in " ".join(made.stderr.replace("│", "").split())


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ("body.rule.weekdays: a list of mon to sun", "weekdays: a list of mon to sun"),
        ("body.title: too long; body.rule: missing", "title: too long; rule: missing"),
        ("body.parameters.key[0]: a name", "parameters.key[0]: a name"),
        ("the body.rule is odd", "the body.rule is odd"),
    ],
)
def test_errors_name_options_instead_of_api_fields(
    given: str, refusal: str, run: Run, api: FakeApi
) -> None:
    api.answers("POST /schedules", problem(400, given))
    flags = ("--title", "x", "--job-type", "sweep", "--kind", "daily")

    assert run("schedule", "create", *flags).stderr == f"{refusal}\n"


def test_a_schedule_without_a_next_run_says_why(run: Run, api: FakeApi) -> None:
    why = "calendar holidays refuses all of its times"
    bare = schedule(next_run_at=None, next_runs=[], waiting_reason=why)
    api.answers("POST /schedules", bare)
    api.answers(f"GET {PATH}", schedule())
    api.answers(
        f"PATCH {PATH}", {"schedule": bare, "next_runs_before": [run_at()], "next_runs_after": []}
    )
    api.answers(f"POST {PATH}/resume", bare)
    flags = ("--title", "x", "--job-type", "sweep", "--kind", "daily", "--at", "09:00")

    shown = [
        run("schedule", "create", *flags),
        run("schedule", "edit", SCHEDULE, *WHY, "--calendar", "holidays"),
        run("schedule", "resume", SCHEDULE, *WHY),
    ]

    assert [f"no next run: {why}" in each.stdout for each in shown] == [True] * 3


@pytest.mark.parametrize(
    "fields",
    [
        {"every": 2},
        {"kind": "weekly", "weekdays": ["mon"]},
        {"kind": "monthly", "day": "last"},
        {"kind": "once", "anchor": "2030-01-31T10:00"},
        {"anchor": "2030-01-31T10:00"},
    ],
)
@pytest.mark.parametrize("there", [RULE, RULE | {"kind": "weekly", "weekdays": ["tue"]}])
def test_merging_fields_into_a_rule_gives_a_valid_rule(
    there: dict[str, Any], fields: dict[str, Any]
) -> None:
    changed = recurrence_of(rules.merged(there, fields)).document()

    assert changed["zone"] == RULE["zone"]
    assert changed["kind"] == fields.get("kind", there["kind"])


def test_a_suspension_may_have_an_end(run: Run, api: FakeApi) -> None:
    api.answers(f"POST {PATH}/suspend", schedule(state="suspended", next_run_at=None))

    shown = run("schedule", "suspend", SCHEDULE, *WHY, "--until", "2030-01-31T18:00:00+00:00")

    assert api.bodies("POST") == [{"reason": WHY[1], "until": "2030-01-31T18:00:00+00:00"}]
    assert f"{SCHEDULE} is suspended" in shown.stdout


def test_run_shows_the_job_or_that_it_waits(run: Run, api: FakeApi) -> None:
    api.answers(f"POST {PATH}/run_now", occurrence(), occurrence(verdict="wait", job_id=""))

    assert f"jobyard job {JOB}" in run("schedule", "run", SCHEDULE, *WHY).stdout
    assert "starts when the previous run has ended" in run("schedule", "run", SCHEDULE, *WHY).stdout


def test_deleting_asks_first(run: Run, api: FakeApi) -> None:
    api.answers(f"DELETE {PATH}", schedule(state="deleted", next_run_at=None))

    refused = run("schedule", "delete", SCHEDULE, *WHY, typed="n\n")
    agreed = run("schedule", "delete", SCHEDULE, *WHY, typed="y\n")

    assert refused.exit_code == 1
    assert "--yes" in refused.stderr
    assert f"{SCHEDULE} is deleted" in agreed.stdout
    assert [each.replace("%20", "+") for each in api.calls()] == [
        f"DELETE {PATH}?reason=the+table+is+being+moved"
    ]


# Jobs of schedules


def of_schedule(**changes: Any) -> dict[str, Any]:
    """A job of a schedule as the API shows it."""
    return job(
        job_id=JOB,
        batch_id="",
        schedule_id=SCHEDULE,
        scheduled_for=NOW,
        line=None,
        name="",
        url="",
        records={"processed": 10, "failed": 2, "total": 12},
        **changes,
    )


def test_a_job_of_a_schedule_has_no_fields_of_manifests(run: Run, api: FakeApi) -> None:
    api.answers(f"GET /jobs/{JOB}", of_schedule(result={"records": {"total": 12}}))

    shown = run("job", JOB).stdout

    assert SCHEDULE in shown
    assert "10 of 12 processed, 2 failed" in shown
    assert "None" not in shown
    assert "Result" not in shown


def test_a_running_job_has_no_total_and_says_who_started_it(run: Run, api: FakeApi) -> None:
    so_far = {"processed": 891, "failed": 0, "total": None}
    found = of_schedule() | {"records": so_far, "actor": "admin", "reason": "moving"}
    api.answers(f"GET /jobs/{JOB}", found)

    shown = run("job", JOB).stdout

    assert "891 processed" in shown
    assert "891 of" not in shown
    assert "admin: moving" in shown


def test_the_history_shows_who_stopped_a_job_and_what_another_waits_for(
    run: Run, api: FakeApi
) -> None:
    stopped = occurrence(state="cancelled", failure_codes=[], message="cancelled by admin: moving")
    waits = skipped() | {
        "verdict": "wait",
        "skip_reason": None,
        "description": "Waiting (run active)",
    }
    page = {"items": [stopped, waits | {"reason": ""}], "next_cursor": None}
    api.answers(f"GET {PATH}/occurrences", page)

    shown = run("schedule", "history", SCHEDULE).stdout

    assert "cancelled by admin: moving" in shown
    assert "Waiting (run active)" in shown


@pytest.mark.parametrize(
    ("words", "event"),
    [(("cancel",), "cancel"), (("force-fail",), "force_fail"), (("requeue",), "requeue")],
)
def test_a_job_of_a_schedule_takes_the_same_events(
    words: tuple[str, ...], event: str, run: Run, api: FakeApi
) -> None:
    api.answers(f"POST /jobs/{JOB}/{event}", {"state": "scheduled"})

    shown = run(*words, JOB, *WHY)

    assert api.bodies("POST") == [{"reason": WHY[1]}]
    assert f"{JOB} is scheduled" in shown.stdout
    assert f"jobyard schedule show {SCHEDULE}" in shown.stdout


@pytest.mark.parametrize("flag", ["--preview", "--watch", "--code=TIMEOUT"])
def test_a_job_of_a_schedule_is_retried_by_itself(flag: str, run: Run, api: FakeApi) -> None:
    assert run("requeue", JOB, *WHY, flag).exit_code == 2
    assert api.requests == []


PAGE = (Path(__file__).parents[2] / "docs" / "schedules.md").read_text()
DOCUMENTED_COMMANDS = re.findall(r"^jobyard ((?:schedule|calendar) .*)$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("line", DOCUMENTED_COMMANDS)
def test_the_commands_of_the_page_are_valid(line: str, run: Run, api: FakeApi) -> None:
    shown = run(*shlex.split(line.replace(" ID", f" {SCHEDULE}")), typed="y\n")

    assert shown.exit_code in {0, 1}, shown.stderr  # 2 is a usage error, 1 a 404 of the fake API
    assert shown.exit_code == (0 if " preview " in line else 1)


def test_the_page_lists_every_command() -> None:
    documented = {tuple(line.split()[:2]) for line in DOCUMENTED_COMMANDS}
    known = {("schedule", command.name or "") for command in app.registered_commands}

    assert {("schedule", "preview"), ("schedule", "edit")} <= documented
    assert {name for name in known if " ".join(name) not in PAGE} == set()


@pytest.mark.parametrize(
    ("words", "notify"),
    [
        (("--notify", "anna@example.org", "--notify", "ben@example.org"), 2),
        (("--no-notify",), 0),
    ],
)
def test_an_edit_sets_who_gets_mails(
    run: Run, api: FakeApi, words: tuple[str, ...], notify: int
) -> None:
    api.answers(f"GET {PATH}", schedule())
    api.answers(f"PATCH {PATH}", EDITED)

    run("schedule", "edit", SCHEDULE, *WHY, *words)

    (body,) = api.bodies("PATCH")
    assert len(body["notify"]) == notify
    assert run("schedule", "edit", SCHEDULE, *WHY, "--no-notify", *words).exit_code == (
        2 if notify else 0
    )
