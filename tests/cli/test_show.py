"""Commands that only read: their text, their JSON, and their errors."""

import json
from pathlib import Path

import httpx
import pytest
from typer.models import CommandInfo

from cli import commands, schedules, terminal
from jobyard.domain.lifecycles import lifecycle_named
from tests.cli.fake_api import (
    BATCH,
    JOB,
    NOW,
    URL,
    FakeApi,
    Run,
    batch,
    job,
    pages,
    problem,
    report,
)

SCHEDULE = "saaaaaaaaaaaaaaaaaaaa"
CAMPAIGN = "caaaaaaaaaaaaaaaaaaaa"


def cost() -> dict[str, object]:
    line = {
        "kind": "write_units",
        "title": "DynamoDB write units",
        "quantity": 2050.0,
        "dollars": 0.00128125,
        "price": 0.625,
        "per": 1e6,
        "source": "DynamoDB pricing, on demand",
    }
    return {
        "batch_id": BATCH,
        "dollars": 0.00128125,
        "dollars_per_job": 0.00000128125,
        "billed_ms": 0,
        "lines": [line, line | {"kind": "mails", "title": "SES mails", "quantity": 0.0}],
        "priced_on": "2026-10-04",
        "region": "us-east-1",
        "links": {},
    }


def log(**changes: object) -> dict[str, object]:
    line = {
        "at": NOW,
        "level": "ERROR",
        "message": "step error",
        "fields": {"step": "storing", "metrics": {"maxMemoryUsedMB": 140}},
        "exception": "Traceback [red]\nValueError: odd",
    }
    return {
        "job_id": JOB,
        "attempt": job()["attempts"][0],
        "lines": [line],
        "is_complete": True,
        "missing_reason": "",
        "links": {},
        **changes,
    }


def rates() -> dict[str, object]:
    """Two steps, of which the second is empty."""
    counts = {"started": 1200, "ended": 1100, "failed": 3, "open_batches": 2}
    nothing = dict.fromkeys(counts, 0)
    points = [
        {"at": NOW, **counts, "deployed": "0.2.0+8f5a6a2e"},
        {"at": "2030-01-31T12:12:00Z", **nothing, "deployed": ""},
    ]
    waits = {"wait_p50_s": 2.0, "wait_p95_s": 600.0}
    return {"range": "24h", "step_s": 720, "points": points, **waits, "links": {}}


READS = [
    (("batches",), "GET /batches", {"items": [batch()], "next_cursor": None}),
    (("batch", BATCH), f"GET /batches/{BATCH}", batch()),
    (("jobs", BATCH), f"GET /batches/{BATCH}/jobs", {"items": [job()], "next_cursor": None}),
    (("job", JOB), f"GET /jobs/{JOB}", job()),
    (("log", JOB), f"GET /jobs/{JOB}/log", log(lines=[], missing_reason="none was found")),
    (("findings", BATCH), f"GET /batches/{BATCH}/findings", {"items": [], "next_cursor": None}),
    (("cost", BATCH), f"GET /batches/{BATCH}/cost", cost()),
    (("cost", CAMPAIGN), f"GET /campaigns/{CAMPAIGN}/cost", cost()),
    (("cost", SCHEDULE), f"GET /schedules/{SCHEDULE}/cost", cost()),
    (("cost", "e" + "a" * 20), f"GET /edits/e{'a' * 20}/cost", cost()),
    (("reports", CAMPAIGN), f"GET /campaigns/{CAMPAIGN}/reports", {"items": [report()]}),
    (("reports", BATCH), f"GET /batches/{BATCH}/reports", {"items": [report()]}),
    (("holds",), "GET /holds", {"items": []}),
    (("rates",), "GET /rates", rates()),
]


@pytest.mark.parametrize(("words", "endpoint", "document"), READS)
def test_json_is_the_apis_document_and_nothing_else(
    words: tuple[str, ...], endpoint: str, document: dict[str, object], run: Run, api: FakeApi
) -> None:
    api.answers(endpoint, document)

    shown = run(*words, "--json")

    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == document
    assert shown.stderr == ""


@pytest.mark.parametrize(("words", "endpoint", "document"), READS)
def test_an_error_is_printed_on_standard_error_and_exits_with_1(
    words: tuple[str, ...], endpoint: str, document: dict[str, object], run: Run, api: FakeApi
) -> None:
    api.answers(endpoint, problem(403, "this is for operators"))

    shown = run(*words, "--json")

    assert shown.exit_code == 1
    assert shown.stdout == ""
    assert shown.stderr == (
        "this is for operators; you are signed in as admin (admin); "
        "`jobyard login --as ROLE` signs in as someone else\n"
    )


@pytest.mark.parametrize(("words", "endpoint", "document"), READS)
def test_read_commands_show_text(
    words: tuple[str, ...], endpoint: str, document: dict[str, object], run: Run, api: FakeApi
) -> None:
    api.answers(endpoint, document)

    shown = run(*words)

    assert shown.exit_code == 0
    assert "Traceback" not in shown.output
    assert shown.stdout.strip()


def test_a_cost_lists_each_usage_and_the_total(run: Run, api: FakeApi) -> None:
    api.answers(f"GET /batches/{BATCH}/cost", cost())

    shown = run("cost", BATCH).stdout

    assert "DynamoDB write units" in shown
    assert "$0.625 for 1,000,000" in shown
    assert "SES mails" not in shown
    assert "total 0.001281 US dollars, 1.28 per million jobs" in shown
    assert "prices of 2026-10-04 in us-east-1" in shown


def test_the_cost_of_a_campaign_is_for_its_tasks(run: Run, api: FakeApi) -> None:
    found = {name: value for name, value in cost().items() if name != "dollars_per_job"}
    api.answers(f"GET /campaigns/{CAMPAIGN}/cost", found | {"dollars_per_task": 2e-6})

    assert "US dollars, 2.00 per million tasks" in run("cost", CAMPAIGN).stdout


def test_a_server_error_is_shown_with_its_request_id(run: Run, api: FakeApi) -> None:
    broken = {"detail": "something failed here", "request_id": "r-1"}
    api.answers("GET /holds", httpx.Response(500, json=broken))

    assert run("holds").stderr == "something failed here (request r-1)\n"


def test_batches_are_filtered_and_say_what_they_wait_for(run: Run, api: FakeApi) -> None:
    held = batch("held", waiting_reason="everything is held by admin: power", waiting_until=NOW)
    api.answers("GET /batches", {"items": [held], "next_cursor": None})

    shown = run("batches", "--state", "held", "--collection", "maps")

    assert api.calls() == ["GET /batches?state=held&collection=maps&limit=20"]
    assert BATCH in shown.stdout
    assert "everything is held by admin: power, until 2030-01-31" in shown.stdout


def test_a_list_says_when_there_is_more(run: Run, api: FakeApi) -> None:
    api.answers("GET /batches", *pages([batch(), batch()], [batch()]))

    shown = run("batches", "--limit", "2")

    assert "showing the first 2 batches: use --limit for more" in shown.stdout


def test_json_with_a_limit_has_the_next_cursor(run: Run, api: FakeApi) -> None:
    api.answers("GET /batches", *pages([batch(), batch()], [batch()]))

    shown = json.loads(run("batches", "--limit", "2", "--json").stdout)

    assert len(shown["items"]) == 2
    assert shown["next_cursor"] == "c1"


def test_pages_of_jobs_are_followed(run: Run, api: FakeApi) -> None:
    api.answers(f"GET /batches/{BATCH}/jobs", *pages([job()], [job()], [job()]))

    shown = run("jobs", BATCH, "--state", "failed")

    assert shown.stdout.count(JOB) == 3
    assert "PAYLOAD_NOT_FOUND: 404 from files.example.org" in shown.stdout


def test_a_batch_shows_its_failures_its_history_and_its_actions(run: Run, api: FakeApi) -> None:
    group = {
        "failure_code": "SIZE_MISMATCH",
        "description": "The file is not as long.",
        "count": 2,
        "first_seen_at": "2026-11-22T10:30:00Z",
        "last_seen_at": None,
    }
    failed = batch("failed", failed=2, failure_groups=[group], actions=["update_reporting"])
    api.answers(f"GET /batches/{BATCH}", failed)

    shown = run("batch", BATCH).stdout

    assert "SIZE_MISMATCH" in shown
    assert "first seen" in shown
    assert "2026-11-22" in shown
    assert "pending → processing" in shown
    assert "update-reporting" in shown


def test_a_name_that_looks_like_markup_is_shown_unchanged(run: Run, api: FakeApi) -> None:
    api.answers(f"GET /jobs/{JOB}", job(name="[red]plan[/red].txt"))

    assert "[red]plan[/red].txt" in run("job", JOB).stdout


def test_a_job_shows_what_its_steps_say(run: Run, api: FakeApi) -> None:
    left_out = "left out an empty folder: maps/"
    step = {"name": "downloading", "status": "completed", "message": left_out}
    api.answers(f"GET /jobs/{JOB}", job("succeeded", steps=[step], kept_until=NOW))

    shown = run("job", JOB).stdout
    assert left_out in shown
    assert "kept until" in shown


def test_a_task_has_its_state_in_the_words_of_lists_of_tasks(run: Run, api: FakeApi) -> None:
    task = f"c{'a' * 20}.0.0"
    api.answers(f"GET /jobs/{task}", job("scheduled", job_id=task, label="Rescheduled"))

    assert "Rescheduled" in run("job", task).stdout


def test_rates_have_a_line_for_each_step_with_jobs_and_the_totals(run: Run, api: FakeApi) -> None:
    api.answers("GET /rates", rates())

    shown = run("rates", "--range", "24h").stdout

    assert api.calls() == ["GET /rates?range=24h"]
    head, step, totals, waits = shown.splitlines()
    assert waits == "half of the jobs waited up to 2 s to start, 95 % up to 10 min 0 s"
    assert head.split() == ["from", "started", "ended", "failed", "open", "batches", "deployed"]
    assert step.split()[-5:] == ["1,200", "1,100", "3", "2", "0.2.0+8f5a6a2e"]
    assert totals.startswith("1,200 started, 1,100 ended, 3 failed within 24h; a step is 12 min")


@pytest.mark.parametrize("range_", ["", "2h"])
def test_rates_are_of_a_known_range(range_: str, run: Run, api: FakeApi) -> None:
    shown = run("rates", "--range", range_)

    assert shown.exit_code == 2
    assert "1h, 24h, 7d" in shown.stderr
    assert api.requests == []


def test_an_attempt_has_its_number_and_its_request_id(run: Run, api: FakeApi) -> None:
    api.answers(f"GET /jobs/{JOB}", job())

    assert "8f5a6a2e-0000-4000-8000-000000000000" in run("job", JOB).stdout


def test_attempts_that_are_alike_are_shown_with_how_often_and_from_when_to_when(
    run: Run, api: FakeApi
) -> None:
    alike = job()["attempts"][0] | {"number": 4, "times": 12, "failure_message": "no answer"}
    api.answers(f"GET /jobs/{JOB}", job() | {"attempts": [alike]})

    shown = run("job", JOB).stdout

    assert "4 to 15" in shown
    assert "12 times: no answer" in shown


def test_a_log_is_shown_line_by_line_as_it_is(run: Run, api: FakeApi) -> None:
    api.answers(f"GET /jobs/{JOB}/log", log())

    shown = run("log", JOB, "--attempt", "1")

    assert api.calls() == [f"GET /jobs/{JOB}/log?attempt=1"]
    first, line, *trace = shown.stdout.splitlines()
    assert first == f"attempt 1 of {JOB}, request 8f5a6a2e-0000-4000-8000-000000000000"
    assert line.endswith('ERROR step error step=storing metrics={"maxMemoryUsedMB": 140}')
    assert trace == ["Traceback [red]", "ValueError: odd"]


def test_a_log_says_why_lines_are_missing(run: Run, api: FakeApi) -> None:
    expired = log(lines=[], missing_reason="log lines are kept for 30 days")
    api.answers(f"GET /jobs/{JOB}/log", expired, log(is_complete=False))

    assert "no log lines: log lines are kept for 30 days" in run("log", JOB).stdout
    assert "there are more lines" in run("log", JOB).stdout


def test_findings_are_listed_by_line_and_column(run: Run, api: FakeApi) -> None:
    finding = {
        "level": "error",
        "code": "URL_BAD",
        "line": 7,
        "column": 3,
        "message": "must begin with https://",
    }
    of_line = finding | {"line": 8, "column": None}
    api.answers(
        f"GET /batches/{BATCH}/findings", {"items": [finding, of_line], "next_cursor": None}
    )

    lines = run("findings", BATCH).stdout.splitlines()

    assert [line.split()[0] for line in lines if "URL_BAD" in line] == ["7:3", "8"]


def test_the_files_of_all_reports_are_downloaded(run: Run, api: FakeApi, tmp_path: Path) -> None:
    files = report()["files"] | {"failures_csv": None}
    api.answers(f"GET /batches/{BATCH}/reports", {"items": [report(files=files)]})
    for name in ("jobs.csv", "report.json", "report.html"):
        api.answers(f"GET /files/{name}", httpx.Response(200, content=name.encode()))

    shown = run("reports", BATCH, "--download", str(tmp_path / "new"))

    assert shown.exit_code == 0
    assert {path.name: path.read_text() for path in (tmp_path / "new").iterdir()} == {
        f"{BATCH}-1-jobs.csv": "jobs.csv",
        f"{BATCH}-1-report.json": "report.json",
        f"{BATCH}-1-report.html": "report.html",
    }


def test_an_expired_download_link_is_reported(run: Run, api: FakeApi, tmp_path: Path) -> None:
    api.answers(f"GET /batches/{BATCH}/reports", {"items": [report()]})
    words = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
    api.answers("GET /files/jobs.csv", httpx.Response(403, text=words))

    shown = run("reports", BATCH, "--download", str(tmp_path))

    assert shown.exit_code == 1
    assert shown.stderr == "S3 answered 403 AccessDenied: Request has expired\n"


def test_an_expired_hold_is_shown_as_ended(run: Run, api: FakeApi) -> None:
    hold = {
        "scope": "type:deposit",
        "owner": "operator",
        "reason": "power",
        "placed_at": NOW,
        "until": NOW,
        "is_active": False,
        "held": {"batches": 2, "jobs": 30, "is_exact": False},
    }
    api.answers("GET /holds", {"items": [hold]})

    shown = run("holds").stdout

    assert "ended" in shown
    assert "2 batches, 30 jobs or more" in " ".join(shown.split())


@pytest.mark.parametrize(
    "words",
    [
        ("batch", "b1"),
        ("job", BATCH),
        ("jobs", JOB),
        ("batches", "--state", "lost"),
        ("batches", "--limit", "0"),
        ("reports",),
    ],
)
def test_impossible_arguments_are_a_usage_error(words: tuple[str, ...], run: Run) -> None:
    shown = run(*words)

    assert shown.exit_code == 2
    assert shown.stdout == ""


@pytest.mark.parametrize(
    ("lifecycle", "registered"),
    [
        ("batch", commands.app.registered_commands),
        ("job", commands.app.registered_commands),
        ("schedule", schedules.app.registered_commands),
    ],
)
def test_actions_are_shown_as_command_names(lifecycle: str, registered: list[CommandInfo]) -> None:
    named = {each.name or getattr(each.callback, "__name__", "") for each in registered}

    text = terminal.commands_for(lifecycle_named(lifecycle).people_events())

    assert {each.replace("-", "_") for each in text.split(", ")} <= named


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("batch", f"s{'a' * 20}.0.1900000000000"), f"jobyard job s{'a' * 20}.0.1900000000000"),
        (("batch", JOB), f"jobyard job {JOB}"),
        (("jobs", "s" + "a" * 20), f"jobyard schedule show s{'a' * 20}"),
        (("batch", "nope"), "is not a batch id"),
        (("cost", "nope"), "is not the id of a batch, a schedule, a campaign or"),
        (("jobs", BATCH, "--csv", "--json"), "choose one of --csv and --json"),
        (("jobs", BATCH, "--limit", "x"), "'x' is not a whole number of at least 1"),
        (("batches", "--state", "open"), "not one of pending, held"),
    ],
)
def test_an_id_of_another_kind_is_answered_with_the_right_command(
    words: tuple[str, ...], message: str, run: Run, api: FakeApi
) -> None:
    shown = run(*words)

    assert shown.exit_code == 2
    assert message in " ".join(shown.stderr.replace("│", "").split())
    assert api.requests == []


def test_activity_names_who_did_what_and_why(run: Run, api: FakeApi) -> None:
    act = {
        "at": "2026-11-30T10:00:00Z",
        "actor": "ann",
        "actor_id": "s-1",
        "event": "force_fail",
        "kind": "job",
        "subject_id": JOB,
        "title": "",
        "count": 1,
        "reason": "it hangs",
        "cause": "r1",
        "links": {},
    }
    changed = {**act, "event": "replace", "kind": "hold", "changes": "in place of: bob's hold"}
    many = {**act, "event": "requeue", "subject_id": BATCH, "title": "m.csv", "count": 7}
    api.answers("GET /activity", {"items": [act, changed, many], "next_cursor": None})

    shown = run("activity").stdout

    assert "in place of: bob's hold" in shown

    assert "force-fail" in shown
    assert f"job {JOB}" in shown
    assert f"7 jobs of batch {BATCH} (m.csv)" in shown
    assert "it hangs" in shown


def test_jobs_are_printed_as_csv_part_by_part(run: Run, api: FakeApi) -> None:
    link = {"Link": f'<{URL}/api/batches/{BATCH}/jobs.csv?state=failed&cursor=c2>; rel="next"'}
    api.answers(
        f"GET /batches/{BATCH}/jobs.csv",
        httpx.Response(200, text="job_id,name\r\n1,'=1+1\r\n", headers=link),
        httpx.Response(200, text='2,"a, b"\r\n'),
    )

    shown = run("jobs", BATCH, "--state", "failed", "--csv", "--limit", "1")

    assert shown.stdout_bytes == b'job_id,name\r\n1,\'=1+1\r\n2,"a, b"\r\n'
    assert api.calls() == [
        f"GET /batches/{BATCH}/jobs.csv?state=failed",
        f"GET /batches/{BATCH}/jobs.csv?state=failed&cursor=c2",
    ]


def test_jobs_are_requested_by_code_step_and_name(run: Run, api: FakeApi) -> None:
    api.answers(f"GET /batches/{BATCH}/jobs", {"items": [job()], "next_cursor": None})

    run("jobs", BATCH, "--code", "TIMEOUT", "--step", "downloading", "--name", "map")

    query = api.requests[-1].url.params
    assert (query["failure_code"], query["step"], query["name"]) == (
        "TIMEOUT",
        "downloading",
        "map",
    )


def test_a_search_says_what_it_found_and_what_it_did_not_search(run: Run, api: FakeApi) -> None:
    match = {"kind": "batch", "found_id": BATCH, "title": "m.csv", "why": "its id", "links": {}}
    found = {
        "items": [match],
        "batches_since": None,
        "not_searched": ["jobs by file name"],
        "more": ["batch"],
    }
    api.answers("GET /find", found)

    shown = run("find", "m.csv", "--kind", "batch").stdout

    assert BATCH in shown
    assert "not searched: jobs by file name" in shown
    assert "more were found: --kind batch" in shown
    assert dict(api.requests[-1].url.params) == {"q": "m.csv", "kind": "batch"}


def alarm(name: str, state: str) -> dict[str, object]:
    return {
        "name": name,
        "state": state,
        "is_active": state == "ALARM",
        "since": NOW,
        "means": "A batch has been open for too long",
        "advice": "`jobyard batches` shows what it waits for",
        "chapter": "A batch that is stuck",
        "cause": "Threshold Crossed",
    }


def test_alarms_that_are_on_are_shown_with_what_to_do(run: Run, api: FakeApi) -> None:
    items = [alarm("OldestBatchAlarm", "ALARM"), alarm("RunsAlarm", "OK")]
    api.answers("GET /alarms", {"items": items})

    shown = run("alarms")

    assert shown.exit_code == 1
    for words in ("OldestBatchAlarm", "jobyard batches", "A batch that is stuck", "1 alarm off"):
        assert words in shown.stdout
    assert "RunsAlarm" not in shown.stdout


def test_without_an_alarm_all_is_well(run: Run, api: FakeApi) -> None:
    api.answers("GET /alarms", {"items": [alarm("RunsAlarm", "OK")]})

    shown = run("alarms")

    assert (shown.exit_code, shown.stdout.strip()) == (0, "1 alarm off")


def test_the_failed_records_of_a_sweep_are_downloaded(
    run: Run, api: FakeApi, tmp_path: Path
) -> None:
    target, line = tmp_path / "failed.jsonl", '{"key": "M7", "reason": "legal_hold is true"}\n'
    api.answers(f"GET /jobs/{JOB}/failed-records", {"url": f"{URL}/there", "records": 1})
    api.answers("GET /there", httpx.Response(200, text=line))

    shown = run("failed-records", JOB, str(target))

    assert shown.stdout.startswith("1 record in ")
    assert target.read_text() == line
