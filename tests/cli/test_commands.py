import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from cli import options
from tests.cli.fake_api import BATCH, JOB, FakeApi, Run, batch, problem, report

WHY = ("--reason", "the file is there now")

EVENTS = [
    (("cancel", BATCH), f"/batches/{BATCH}/cancel"),
    (("cancel", JOB), f"/jobs/{JOB}/cancel"),
    (("hold", JOB), f"/jobs/{JOB}/hold"),
    (("release", JOB), f"/jobs/{JOB}/release"),
    (("release", BATCH), f"/batches/{BATCH}/release"),
    (("force-fail", JOB), f"/jobs/{JOB}/force_fail"),
    (("delete", BATCH, "--yes"), f"/batches/{BATCH}/delete"),
    (("delete", JOB, "--yes"), f"/jobs/{JOB}/delete"),
    (("update-reporting", BATCH), f"/batches/{BATCH}/update_reporting"),
]


@pytest.mark.parametrize(("words", "path"), EVENTS)
def test_each_event_goes_to_its_route_with_its_reason(
    words: tuple[str, ...], path: str, run: Run, api: FakeApi
) -> None:
    api.answers(f"POST {path}", {"state": "cancelled"})

    result = run(*words, *WHY)

    assert result.exit_code == 0
    assert f"{words[1]} is cancelled" in result.stdout
    assert api.bodies("POST") == [{"reason": WHY[1]}]
    assert api.requests[-1].headers["Idempotency-Key"]


@pytest.mark.parametrize(("words", "path"), EVENTS)
def test_json_is_the_answer_of_the_api(
    words: tuple[str, ...], path: str, run: Run, api: FakeApi
) -> None:
    api.answers(f"POST {path}", {"state": "cancelled", "links": {}})

    result = run(*words, *WHY, "--json")

    assert json.loads(result.stdout) == {"state": "cancelled", "links": {}}
    assert result.stderr == ""


@pytest.mark.parametrize(("words", "path"), EVENTS)
def test_a_refused_event_exits_with_1_and_the_apis_message(
    words: tuple[str, ...], path: str, run: Run, api: FakeApi
) -> None:
    api.answers(f"POST {path}", problem(409, "batch is completed: nothing more can happen to it"))

    result = run(*words, *WHY, "--json")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr == "batch is completed: nothing more can happen to it\n"


@pytest.mark.parametrize(("words", "path"), EVENTS)
def test_an_event_needs_a_reason(words: tuple[str, ...], path: str, run: Run, api: FakeApi) -> None:
    assert run(*words).exit_code == 2
    assert api.requests == []


def test_deleting_asks_first(run: Run, api: FakeApi) -> None:
    api.answers(f"POST /batches/{BATCH}/delete", {"state": "deleted"})

    refused = run("delete", BATCH, *WHY, typed="n\n")
    agreed = run("delete", BATCH, *WHY, "--json", typed="y\n")

    assert refused.exit_code == 1
    assert agreed.exit_code == 0
    assert json.loads(agreed.stdout) == {"state": "deleted"}
    assert len(api.requests) == 1


def test_a_requeue_sends_failure_codes_and_counts_the_jobs(run: Run, api: FakeApi) -> None:
    api.answers(f"POST /batches/{BATCH}/operations", {"operation_id": "r1", "matched": 3})

    result = run("requeue", BATCH, *WHY, "--code", "payload_not_found", "--code", "TIMEOUT")

    assert api.bodies("POST") == [
        {"preview": False, "reason": WHY[1], "failure_codes": ["PAYLOAD_NOT_FOUND", "TIMEOUT"]}
    ]
    assert "3 jobs will be requeued" in result.stdout


@pytest.mark.parametrize("event", ["release", "cancel", "delete"])
def test_the_jobs_of_a_batch_in_a_state_are_sent_an_event(
    event: str, run: Run, api: FakeApi
) -> None:
    api.answers(f"POST /batches/{BATCH}/operations", {"operation_id": "r1", "matched": 3})
    yes = ("--yes",) if event == "delete" else ()

    result = run(event, BATCH, *WHY, "--jobs", "held", *yes)

    assert api.bodies("POST") == [{"event": event, "state": "held", "reason": WHY[1]}]
    assert f"{event} is sent to 3 jobs" in result.stdout
    assert "--jobs applies to batches" in run(event, JOB, *WHY, "--jobs", "held", *yes).stderr
    assert run(event, BATCH, *WHY, "--jobs", "nope", *yes).exit_code == 2


def test_one_job_can_be_requeued(run: Run, api: FakeApi) -> None:
    api.answers(f"POST /batches/{BATCH}/operations", {"operation_id": "r1", "matched": 1})

    run("requeue", JOB, *WHY)

    assert api.bodies("POST")[0]["job_ids"] == [JOB]


def test_a_preview_needs_no_reason_and_changes_nothing(run: Run, api: FakeApi) -> None:
    api.answers(f"POST /batches/{BATCH}/operations", {"operation_id": None, "matched": 2})

    result = run("requeue", BATCH, "--preview")

    assert api.bodies("POST") == [{"preview": True}]
    assert result.stdout == "2 jobs would be requeued\n"
    assert run("requeue", BATCH).exit_code == 2


def test_a_preview_exits_with_1_when_the_requeue_would(run: Run, api: FakeApi) -> None:
    answer = {"operation_id": None, "matched": 0, "not_requeueable": 0}
    api.answers(f"POST /batches/{BATCH}/operations", answer)

    result = run("requeue", JOB, "--preview")

    assert (result.exit_code, result.stdout) == (1, "0 jobs would be requeued\n")
    assert run("requeue", JOB, "--preview", "--json").exit_code == 1


@pytest.mark.parametrize("preview", [True, False])
def test_jobs_that_cannot_be_requeued_are_counted_and_exit_with_1(
    preview: bool, run: Run, api: FakeApi
) -> None:
    answer = {"operation_id": "r1", "matched": 3, "not_requeueable": 1}
    api.answers(f"POST /batches/{BATCH}/operations", answer)

    result = run("requeue", BATCH, *(("--preview",) if preview else WHY))

    assert result.exit_code == 1
    assert f"2 jobs {'would' if preview else 'will'} be requeued" in result.stdout
    assert "1 job cannot" in result.stdout
    as_json = run("requeue", BATCH, *WHY, "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (1, answer)


def test_a_requeue_of_a_job_that_cannot_be_requeued_exits_with_1(run: Run, api: FakeApi) -> None:
    words = "the failed job cannot be requeued (its ark is another object's)"
    api.answers(f"POST /batches/{BATCH}/operations", problem(409, words))

    result = run("requeue", JOB, *WHY)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"{words}\n")


def test_a_watched_requeue_shows_its_refusals_and_exits_with_1(run: Run, api: FakeApi) -> None:
    api.answers(f"POST /batches/{BATCH}/operations", {"operation_id": "r1", "matched": 2})
    api.answers(f"GET /batches/{BATCH}", batch("failed", succeeded=1, deleted=1))
    done = {"state": "done", "next_cursor": None}
    refused = {"job_id": JOB, "outcome": "refused", "message": "someone else changed it first"}
    api.answers(
        f"GET /batches/{BATCH}/operations/r1",
        done,
        {**done, "outcomes": [], "next_cursor": "c1"},
        {**done, "outcomes": [refused]},
    )
    api.answers(f"GET /batches/{BATCH}/reports", {"items": [report()]})

    result = run("requeue", BATCH, *WHY, "--watch")

    assert result.exit_code == 1
    assert f"{JOB}: someone else changed it first" in result.stdout.replace("\n", " ")
    assert f"GET /batches/{BATCH}/operations/r1?outcome=refused&cursor=c1" in api.calls()


def test_watching_a_requeue_waits_for_the_operation_and_exits_with_0_when_nothing_is_failed(
    run: Run, api: FakeApi
) -> None:
    api.answers(f"POST /batches/{BATCH}/operations", {"operation_id": "r1", "matched": 1})
    api.answers(f"GET /batches/{BATCH}", batch("failed", failed=1), batch("failed", succeeded=1))
    api.answers(f"GET /batches/{BATCH}/operations/r1", {"state": "running"}, {"state": "done"})
    api.answers(f"GET /batches/{BATCH}/reports", {"items": [report()]})

    result = run("requeue", BATCH, *WHY, "--watch")

    assert result.exit_code == 0
    assert "its jobs are repaired (1 succeeded)" in result.stdout
    assert f"jobyard update-reporting {BATCH}" in result.stdout


def test_a_requeue_that_fails_again_exits_with_1(run: Run, api: FakeApi) -> None:
    api.answers(f"POST /batches/{BATCH}/operations", {"operation_id": "r1", "matched": 1})
    api.answers(f"GET /batches/{BATCH}", batch("failed", failed=1))
    api.answers(f"GET /batches/{BATCH}/operations/r1", {"state": "done"})
    api.answers(f"GET /batches/{BATCH}/reports", {"items": [report()]})

    result = run("requeue", BATCH, *WHY, "--watch", "--json")

    assert result.exit_code == 1
    assert json.loads(result.stdout)["state"] == "failed"


def test_an_unknown_failure_code_is_a_usage_error_that_lists_the_known(run: Run) -> None:
    result = run("requeue", BATCH, *WHY, "--code", "BROKEN")

    assert result.exit_code == 2
    assert "DIGEST_MISMATCH" in result.stderr


def test_an_update_that_finds_no_change_says_so(run: Run, api: FakeApi) -> None:
    api.answers(f"POST /batches/{BATCH}/update_reporting", {"state": "update_reporting"})
    last = {"event": "fail", "reason": "no change since the last report"}
    api.answers(f"GET /batches/{BATCH}", batch("failed", failed=1, history=[last]))
    api.answers(f"GET /batches/{BATCH}/reports", {"items": [report()]})

    result = run("update-reporting", BATCH, *WHY, "--watch")

    assert result.exit_code == 1
    assert "no change since the last report" in result.stdout


def test_a_scope_is_held_until_a_time_and_released(run: Run, api: FakeApi) -> None:
    api.answers("PUT /holds/collection:maps", {"scope": "collection:maps"})
    api.answers(
        "DELETE /holds/collection:maps", {"scope": "collection:maps", "released_batches": 2}
    )

    held = run("hold", "collection:maps", *WHY, "--until", "2030-01-31T18:00+01:00")
    released = run("release", "collection:maps", *WHY)

    assert api.bodies("PUT") == [{"reason": WHY[1], "until": "2030-01-31T17:00:00+00:00"}]
    assert "collection:maps is on hold until 2030-01-31" in held.stdout
    assert "with 2 batches" in released.stdout


def test_a_hold_is_replaced_only_with_replace(run: Run, api: FakeApi) -> None:
    words = "everything is held by ann: power (since 2030-01-31 11:00 UTC)"
    api.answers("PUT /holds/everything", problem(409, words), {"scope": "everything"})

    refused = run("hold", "everything", *WHY)
    taken = run("hold", "everything", *WHY, "--replace")

    assert (refused.exit_code, refused.stderr) == (1, f"{words}\n")
    assert taken.exit_code == 0
    assert api.bodies("PUT") == [{"reason": WHY[1]}, {"reason": WHY[1], "replace": True}]


def test_a_release_that_continues_says_so(run: Run, api: FakeApi) -> None:
    answer = httpx.Response(202, json={"scope": "everything", "released_batches": 25})
    api.answers("DELETE /holds/everything", answer)

    released = run("release", "everything", *WHY)

    assert "with 25 batches; the rest of its work is released within" in released.stdout


def test_the_release_of_a_scope_without_batches_shows_no_count(run: Run, api: FakeApi) -> None:
    api.answers("DELETE /holds/type:sweep", {"scope": "type:sweep", "released_batches": 0})

    released = run("release", "type:sweep", *WHY)

    assert released.stdout == "type:sweep is released\n"
    assert api.requests[-1].url.params["reason"] == WHY[1]


@pytest.mark.parametrize(
    "words",
    [
        ("hold", "collection:"),
        ("hold", BATCH),
        ("hold", "everything", "--until", "soon"),
        ("hold", JOB, "--until", "2h"),
        ("hold", JOB, "--replace"),
        ("release", "somewhere"),
        ("force-fail", BATCH),
        ("update-reporting", JOB),
    ],
)
def test_impossible_targets_are_a_usage_error(
    words: tuple[str, ...], run: Run, api: FakeApi
) -> None:
    result = run(*words, *WHY)

    assert result.exit_code == 2
    assert api.requests == []


def test_a_duration_counts_from_now() -> None:
    at = datetime.fromisoformat(options.future_time("2h"))

    assert timedelta(hours=1, minutes=59) < at - datetime.now(UTC) <= timedelta(hours=2)


def test_a_reason_that_is_too_long_is_refused_with_its_size(run: Run, api: FakeApi) -> None:
    result = run("cancel", BATCH, "--reason", "\u65e5" * 167)

    assert result.exit_code == 2
    assert "501 bytes of UTF-8; the limit is" in " ".join(result.stderr.split())
    assert api.requests == []


def test_a_reason_that_is_not_utf8_is_sent_with_replacement_characters(
    run: Run, api: FakeApi
) -> None:
    api.answers(f"POST /batches/{BATCH}/cancel", {"state": "cancelling"})

    result = run("cancel", BATCH, "--reason", "no\udcff")

    assert result.exit_code == 0
    assert api.bodies("POST") == [{"reason": "no\ufffd"}]


def test_a_report_is_sent_again_to_its_recipients(run: Run, api: FakeApi) -> None:
    found = report()
    api.answers(f"POST /batches/{BATCH}/reports/2/resend", found)

    result = run("resend-report", BATCH, "2", *WHY)

    assert f"report 2 of {BATCH} waits to be sent to {found['to'][0]}" in result.stdout
    assert api.bodies("POST") == [{"reason": WHY[1]}]


def test_failed_jobs_with_a_code_are_deleted_together(run: Run, api: FakeApi) -> None:
    answer = {"operation_id": "o1", "matched": 3, "not_requeueable": 0, "links": {}}
    api.answers(f"POST /batches/{BATCH}/operations", answer)

    run("delete", BATCH, *WHY, "--code", "PAYLOAD_NOT_FOUND", "--yes")

    (body,) = api.bodies("POST")
    assert (body["event"], body["state"]) == ("delete", "failed")
    assert body["failure_codes"] == ["PAYLOAD_NOT_FOUND"]
