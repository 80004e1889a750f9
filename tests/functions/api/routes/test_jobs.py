"""Jobs through the API: lists, details, events, operations on many."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest

from jobyard.domain.batches.batch import Batch
from jobyard.domain.jobs.job import JOB, Attempt, JobAddress, StepRecord, StepStatus
from jobyard.domain.lifecycle import Cause
from jobyard.services.context import Actor, QueryContext
from jobyard.services.queries import jobs as job_queries
from jobyard.services.queries.jobs import JobMatch
from jobyard.store import jobs
from tests.functions.api.api_client import NOW, Api
from tests.functions.api.batch_records import HOUR_AGO, a_batch, a_job, executions, put_lines
from tests.people import sub_of

WHY = {"reason": "the server is back"}
UNKNOWN_BATCH = "b" + "a" * 20


def all_pages(api: Api, path: str, **query: Any) -> list[dict[str, Any]]:
    """Every item of a list, page by page."""
    items, cursor = [], ""
    while cursor is not None:
        page = api.get(path, query={**query, "cursor": cursor}).json
        items += page["items"]
        cursor = page["next_cursor"]
    return items


def test_jobs_are_listed_in_the_manifests_order_recorded_or_not(api: Api) -> None:
    batch = a_batch(entries=5)
    a_job(batch, 1, "failed")
    a_job(batch, 4, "running")

    items = all_pages(api, f"/batches/{batch.batch_id}/jobs", limit=2)

    assert [each["line"] for each in items] == [6, 7, 8, 9, 10]
    states = [each["state"] for each in items]
    assert states == ["scheduled", "failed", "scheduled", "scheduled", "running"]


@pytest.mark.parametrize(
    ("state", "lines"), [("failed", [6, 9]), ("scheduled", [8, 10]), ("held", [])]
)
def test_jobs_are_found_by_state(api: Api, state: str, lines: list[int]) -> None:
    batch = a_batch(entries=5)
    for number, reached in ((0, "failed"), (1, "succeeded"), (3, "failed")):
        a_job(batch, number, reached)

    items = all_pages(api, f"/batches/{batch.batch_id}/jobs", state=state, limit=1)

    assert [each["line"] for each in items] == lines


def a_mixed_batch() -> Batch:
    """Five jobs in three chunks: 0 and 3 failed, 1 and 4 succeeded, 2 has not started."""
    batch = a_batch("processing", entries=5)
    a_job(batch, 0, "failed")
    a_job(batch, 1, "succeeded")
    a_job(batch, 3, "failed", failure_code="TIMEOUT")
    a_job(batch, 4, "succeeded")
    return batch


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"failure_code": "TIMEOUT"}, ["3"]),
        ({"failure_code": "PAYLOAD_NOT_FOUND"}, ["0"]),
        ({"failure_code": "TIMEOUT", "state": "succeeded"}, []),
        ({"step": "downloading"}, ["0", "3"]),
        ({"step": "estimating", "state": "scheduled"}, ["2"]),
        ({"name": "4"}, ["4"]),
        ({"name": "nowhere"}, []),
        ({"name": "3", "state": "failed", "step": "downloading"}, ["3"]),
    ],
)
def test_jobs_are_found_by_code_step_and_name(
    api: Api, query: dict[str, str], names: list[str]
) -> None:
    batch = a_mixed_batch()

    for limit in (1, 50):
        found = all_pages(api, f"/batches/{batch.batch_id}/jobs", **query, limit=limit)
        assert [each["name"] for each in found] == names


def test_a_search_by_name_keeps_its_place_after_so_many_chunks(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_queries, "MAX_CHUNKS_SEARCHED", 1)
    batch = a_mixed_batch()
    path = f"/batches/{batch.batch_id}/jobs"

    first = api.get(path, query={"name": "4"}).json

    assert first["items"] == []
    assert first["next_cursor"]
    assert [each["name"] for each in all_pages(api, path, name="4")] == ["4"]


@pytest.mark.parametrize(
    ("matching", "position", "around"),
    [
        (JobMatch(), 0, ("", 1)),
        (JobMatch(), 2, (1, 3)),
        (JobMatch(), 4, (3, "")),
        (JobMatch(state="failed"), 0, ("", 3)),
        (JobMatch(state="failed"), 2, (0, 3)),
        (JobMatch(state="failed"), 4, (3, "")),
        (JobMatch(code="TIMEOUT"), 0, ("", 3)),
        (JobMatch(name="2"), 4, (2, "")),
        (JobMatch(state="scheduled"), 3, (2, "")),
    ],
)
def test_the_jobs_around_one_are_those_of_the_filtered_list(
    api: Api, matching: JobMatch, position: int, around: tuple[int | str, int | str]
) -> None:
    batch = a_mixed_batch()

    def id_of(number: int | str) -> str:
        if isinstance(number, str):
            return ""
        return f"{batch.batch_id}.{number // 2}.{number % 2}"

    found = job_queries.neighbours(id_of(position), query_context(api), matching)

    assert (found.before, found.after) == tuple(map(id_of, around))
    assert (found.unsearched_to, found.unsearched_from) == (0, 0)


def test_the_jobs_around_one_are_searched_in_so_many_chunks(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_queries, "MAX_CHUNKS_SEARCHED", 1)
    batch = a_mixed_batch()

    found = job_queries.neighbours(f"{batch.batch_id}.2.0", query_context(api), JobMatch(name="0"))

    assert (found.before, found.after) == ("", "")
    assert (found.unsearched_to, found.unsearched_from) == (4, 0)


def query_context(api: Api) -> QueryContext:
    from api.handler import CONTEXT

    admin = Actor(sub_of("admin"), "admin", frozenset({"admin"}))
    return QueryContext(CONTEXT.settings, CONTEXT.s3, admin, api.tick())


def test_a_page_of_long_lines_is_cut_before_lambda_cannot_answer_with_it(api: Api) -> None:
    batch = a_batch(entries=150, chunk_size=100)
    url = "https://files.example.org/" + "a" * 60_000
    lines = [
        json.dumps({"line": n + 1, "kind": "file", "url": url, "name": str(n)}).encode() + b"\n"
        for n in range(150)
    ]
    put_lines(batch, lines)

    first = api.get(f"/batches/{batch.batch_id}/jobs", query={"limit": 200})
    items = all_pages(api, f"/batches/{batch.batch_id}/jobs", limit=200)

    assert len(first.text) < 5_000_000
    assert [each["line"] for each in items] == list(range(1, 151))


def test_of_a_long_history_the_first_and_the_last_are_shown_and_the_others_counted(
    api: Api,
) -> None:
    batch = a_batch(entries=1)
    a_job(batch, 0, "failed")
    address = JobAddress(batch.batch_id, 0, 0)
    stored = jobs.find(address)
    assert stored
    job = replace(stored, attempts=())
    for number in range(40):
        for event, key in (("requeue", f"r{number}"), ("start", "main.p1"), ("fail", "main.p2")):
            job = job.moved(JOB.move(job.state, event, NOW, Cause(key, reason=f"{event} it")))
        failed = Attempt(NOW, NOW, "storing", "TIMEOUT", "slow")
        job = replace(job, attempts=(*job.attempts, failed)).compacted()
    jobs.item_of(job).save()

    shown = api.get(f"/jobs/{address.job_id}").json

    assert [each["event"] for each in shown["history"][:5]] == [
        "start",
        "fail",
        "requeue",
        "more",
        "start",
    ]
    gap = shown["history"][3]
    assert gap["reason"].startswith("99 more moves: fail ")
    assert (gap["actor"], gap["from"]) == ("machine", "scheduled")
    assert [(each["number"], each["times"]) for each in shown["attempts"]] == [
        *((1, 37), (38, 1), (39, 1), (40, 1))
    ]


def test_a_running_step_is_shown_running(api: Api) -> None:
    batch = a_batch(entries=1)
    a_job(batch, 0, "running")
    address = JobAddress(batch.batch_id, 0, 0)
    stored = jobs.find(address)
    assert stored
    step = StepRecord("downloading", StepStatus.RUNNING, NOW, percent=42)
    jobs.item_of(stored.with_step(step)).save()

    shown = api.get(f"/jobs/{address.job_id}").json

    (running,) = [each for each in shown["steps"] if each["status"] == "running"]
    assert (running["name"], running["completed_at"]) == ("downloading", None)
    assert running["percent"] == 42
    assert running["started_at"]


def test_a_job_shows_its_steps_attempts_and_history(api: Api) -> None:
    batch = a_batch(entries=1)
    a_job(batch, 0, "failed", requeue_count=2, data={"size": 12})

    shown = api.get(f"/jobs/{batch.batch_id}.0.0").json

    at = HOUR_AGO.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert shown["kept_until"] is None
    ended = a_batch("completed", entries=1)
    kept_until = api.get(f"/jobs/{ended.batch_id}.0.0").json["kept_until"]
    assert kept_until == (HOUR_AGO + timedelta(days=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    steps = {each["name"]: each for each in shown["steps"]}
    assert steps["estimating"]["status"] == "completed"
    assert steps["estimating"]["completed_at"] == at
    assert steps["provisioning"]["skipped_at"] == at
    assert steps["provisioning"]["completed_at"] is None
    assert steps["downloading"]["status"] == "failed"
    assert steps["storing"]["status"] == "pending"
    assert steps["storing"]["started_at"] is None
    assert shown["step"] == "downloading"
    assert shown["attempts"] == [
        {
            "number": 1,
            "times": 1,
            "started_at": at,
            "ended_at": at,
            "step": "downloading",
            "failure_code": "PAYLOAD_NOT_FOUND",
            "failure_message": "404 from files.example.org",
            "request_id": "",
        }
    ]
    assert [each["event"] for each in shown["history"]] == ["start", "fail"]
    assert shown["failure_code"] == "PAYLOAD_NOT_FOUND"
    assert shown["label"] == "Failed"
    assert shown["waiting_reason"] == "waits for a person to requeue or delete it"
    assert shown["actions"] == ["requeue", "delete"]
    assert shown["requeue_count"] == 2
    assert shown["result"] == {"size": 12}
    assert shown["links"]["batch"].endswith(f"/api/batches/{batch.batch_id}")


def test_a_waiting_job_says_why_and_until_when(api: Api) -> None:
    later = NOW + timedelta(minutes=5)
    batch = a_batch(entries=3)
    a_job(batch, 0, "held")
    record = a_job(batch, 1, "running", next_at=None)
    move = JOB.move("running", "reschedule", HOUR_AGO, Cause("main.p1.c0.t9"))
    waiting = record.moved(move, next_at=later, failure_code="PAYLOAD_BUSY")
    jobs.apply(record, waiting, batch.state)

    items = api.get(f"/batches/{batch.batch_id}/jobs").json["items"]

    assert items[0]["waiting_reason"] == "nothing holds it any more; it is released within a minute"
    assert items[1]["waiting_reason"] == "retry 1 of 3 after PAYLOAD_BUSY"
    assert items[1]["waiting_until"] == later.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert items[2]["waiting_reason"].startswith("waits for a worker, behind")


@pytest.mark.parametrize(
    "job_id",
    [
        "nonsense",
        f"{UNKNOWN_BATCH}.0.0",
        f"{UNKNOWN_BATCH}.0",
        f"{UNKNOWN_BATCH}.0.x",
        f"{UNKNOWN_BATCH}.00.0",
        f"{UNKNOWN_BATCH}.-1.0",
    ],
)
def test_an_unknown_job_is_not_found_whatever_its_id_looks_like(api: Api, job_id: str) -> None:
    for answer in (api.get(f"/jobs/{job_id}"), api.post(f"/jobs/{job_id}/hold", WHY)):
        assert (answer.status, answer.kind) == (404, "not-found")


@pytest.mark.parametrize("position", ["0.2", "1.1", "2.0", "0.999999999999", "9" * 30 + ".0"])
def test_a_job_beyond_its_batch_is_not_found(api: Api, position: str) -> None:
    batch = a_batch(entries=3)

    for answer in (
        api.get(f"/jobs/{batch.batch_id}.{position}"),
        api.post(f"/jobs/{batch.batch_id}.{position}/hold", WHY),
    ):
        assert (answer.status, answer.kind) == (404, "not-found")


def test_an_id_that_is_far_too_long_is_refused(api: Api) -> None:
    answer = api.get(f"/jobs/{UNKNOWN_BATCH}.{'1' * 5000}.0")

    assert (answer.status, answer.kind) == (422, "validation-failed")


def test_a_job_of_a_deleted_batch_is_gone(api: Api) -> None:
    batch = a_batch("deleted", entries=1)

    for answer in (
        api.get(f"/jobs/{batch.batch_id}.0.0"),
        api.post(f"/jobs/{batch.batch_id}.0.0/hold", WHY),
    ):
        assert (answer.status, answer.kind) == (410, "gone")


@pytest.mark.parametrize(
    ("state", "event", "after", "status", "machine"),
    [
        ("scheduled", "hold", "held", 200, ""),
        ("scheduled", "force_fail", "failed", 200, "batch"),
        ("scheduled", "cancel", "cancelled", 200, "batch"),
        ("held", "release", "scheduled", 202, "job"),
        ("held", "delete", "deleted", 200, "batch"),
        ("running", "force_fail", "failed", 200, "batch"),
        ("failed", "requeue", "scheduled", 202, "job"),
        ("failed", "delete", "deleted", 200, "batch"),
    ],
)
def test_an_event_changes_the_job_and_starts_the_machine(
    api: Api, state: str, event: str, after: str, status: int, machine: str
) -> None:
    batch = a_batch(entries=1)
    a_job(batch, 0, state)
    job_id = f"{batch.batch_id}.0.0"

    answer = api.post(f"/jobs/{job_id}/{event}", WHY)

    assert answer.status == status
    assert answer.json["state"] == after
    assert answer.json["actions"] == [*JOB.actions(after, ["admin"])]
    last = api.get(f"/jobs/{job_id}").json["history"][-1]
    assert (last["actor"], last["reason"]) == ("admin", "the server is back")
    for name in ("batch", "job"):
        started = [each for each in executions(name) if each.startswith(batch.batch_id)]
        assert len(started) == (name == machine)


@pytest.mark.parametrize("state", ["scheduled", "held", "running", "succeeded", "failed"])
def test_a_job_refuses_an_event_that_its_state_does_not_allow(api: Api, state: str) -> None:
    batch = a_batch(entries=1)
    a_job(batch, 0, state)
    for event in JOB.people_events():
        if event not in JOB.actions(state, ["admin"]):
            answer = api.post(f"/jobs/{batch.batch_id}.0.0/{event}", WHY)
            assert (answer.status, answer.kind) == (409, "invalid-transition")
            assert f"job is {state}" in answer.json["detail"]


def test_a_job_of_a_batch_that_is_over_is_left_alone(api: Api) -> None:
    batch = a_batch("completed", entries=1)

    answer = api.post(f"/jobs/{batch.batch_id}.0.0/hold", WHY)

    assert (answer.status, answer.kind) == (409, "invalid-transition")
    assert "its batch is completed" in answer.json["detail"]


def test_what_only_a_new_submission_helps_is_not_requeued(api: Api) -> None:
    batch = a_batch(entries=1)
    a_job(batch, 0, "failed", requeueable=False)

    answer = api.post(f"/jobs/{batch.batch_id}.0.0/requeue", WHY)

    assert (answer.status, answer.kind) == (409, "invalid-transition")
    assert api.get(f"/jobs/{batch.batch_id}.0.0").json["actions"] == ["delete"]


@pytest.mark.parametrize("role", ["viewer", "operator"])
@pytest.mark.parametrize(
    ("batch_state", "state"),
    [
        *(("processing", state) for state in ("scheduled", "running", "failed", "succeeded")),
        ("reporting", "scheduled"),
        ("completed", "scheduled"),
    ],
)
def test_an_event_that_is_not_open_is_refused_and_its_reason_is_shown(
    api: Api, batch_state: str, state: str, role: str
) -> None:
    job_id = a_job(a_batch(batch_state, entries=3), 0, state).address.job_id

    shown = api.get(f"/jobs/{job_id}", role=role).json

    closed = {each["event"]: each["reason"] for each in shown["unavailable"]}
    assert sorted([*closed, *shown["actions"]]) == sorted(JOB.people_events())
    for event in closed:
        assert api.post(f"/jobs/{job_id}/{event}", WHY, role=role).status in {403, 409}


@pytest.mark.parametrize("event", ["start", "succeed", "replace", "explode"])
def test_only_events_a_person_may_send_a_job_are_there(api: Api, event: str) -> None:
    answer = api.post(f"/jobs/{UNKNOWN_BATCH}.0.0/{event}", WHY)

    assert (answer.status, answer.kind) == (404, "not-found")
    assert "requeue" in answer.json["detail"]


def test_a_requeue_takes_all_failed_jobs_or_those_that_match(api: Api) -> None:
    batch = a_batch("failed", entries=6)
    for number in (0, 2, 3):
        a_job(batch, number, "failed")
    a_job(batch, 5, "failed", failure_code="TIMEOUT")
    a_job(batch, 4, "succeeded")
    path = f"/batches/{batch.batch_id}/operations"
    named = [f"{batch.batch_id}.0.0", f"{batch.batch_id}.2.0"]

    def matched(**wanted: Any) -> int:
        answer = api.post(path, {"preview": True, **wanted})
        assert answer.status == 200
        assert answer.json["operation_id"] is None
        number: int = answer.json["matched"]
        return number

    assert matched() == 4
    assert matched(failure_codes=["TIMEOUT"]) == 1
    assert matched(failure_codes=["TIMEOUT", "PAYLOAD_NOT_FOUND"]) == 4
    assert matched(job_ids=named) == 1
    assert matched(job_ids=named, failure_codes=["TIMEOUT"]) == 0
    assert not [each for each in executions("batch") if each.startswith(batch.batch_id)]


def test_a_requeue_is_an_operation_with_an_outcome_for_each_job(api: Api) -> None:
    batch = a_batch("failed", entries=3)
    a_job(batch, 0, "failed")
    a_job(batch, 2, "failed")
    path = f"/batches/{batch.batch_id}/operations"

    answer = api.post(path, {"reason": "again", "failure_codes": ["PAYLOAD_NOT_FOUND"]})

    assert (answer.status, answer.json["matched"]) == (202, 2)
    operation_id = answer.json["operation_id"]
    started = [each for each in executions("batch") if each.startswith(batch.batch_id)]
    assert started == [f"{batch.batch_id}-operation-{operation_id}"]
    s3 = boto3.client("s3")
    for chunk, outcome in ((0, "accepted"), (1, "refused")):
        line = [f"{batch.batch_id}.{chunk}.0", outcome, "" if chunk == 0 else "too late"]
        key = f"operations/{batch.batch_id}/{operation_id}/{chunk:08d}.jsonl"
        s3.put_object(Bucket="work", Key=key, Body=json.dumps(line).encode())
    assert answer.headers["location"] == answer.json["links"]["self"]
    shown = api.get(f"{path}/{operation_id}").json
    assert shown["state"] == "running"
    assert (shown["actor"], shown["reason"], shown["event"]) == ("admin", "again", "requeue")
    assert shown["failure_codes"] == ["PAYLOAD_NOT_FOUND"]
    outcomes = [(each["outcome"], each["message"]) for each in shown["outcomes"]]
    assert outcomes == [("failed", ""), ("refused", "too late")]
    assert shown["next_cursor"] is None


def test_many_jobs_are_sent_another_event_than_a_requeue(api: Api) -> None:
    batch = a_batch("processing", entries=5)
    for number in (0, 2):
        a_job(batch, number, "held")
    path = f"/batches/{batch.batch_id}/operations"
    wanted = {"event": "cancel", "state": "held"}

    preview = api.post(path, wanted | {"preview": True})
    scheduled = api.post(path, {"event": "hold", "state": "scheduled", "preview": True})
    answer = api.post(path, wanted | {"reason": "the wrong files"})

    assert (preview.status, preview.json["matched"]) == (200, 2)
    assert scheduled.json["matched"] == 3
    assert (answer.status, answer.json["matched"]) == (202, 2)
    shown = api.get(f"{path}/{answer.json['operation_id']}").json
    assert (shown["event"], shown["reason"]) == ("cancel", "the wrong files")


def test_outcomes_come_thirty_chunks_a_page(api: Api) -> None:
    batch = a_batch("failed", entries=63)
    for number in range(0, 63, 2):
        a_job(batch, number, "failed")
    path = f"/batches/{batch.batch_id}/operations"
    operation_id = api.post(path, WHY).json["operation_id"]

    first = api.get(f"{path}/{operation_id}").json
    second = api.get(f"{path}/{operation_id}", query={"cursor": first["next_cursor"]}).json

    assert first["next_cursor"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "give a reason"),
        ({"reason": "again", "failure_codes": ["BROKEN"]}, 422, "PAYLOAD_NOT_FOUND"),
        ({"reason": "again", "job_ids": ["b1.0.0"]}, 422, "batch_id.chunk.position"),
        ({"reason": "again", "job_ids": [f"{UNKNOWN_BATCH}.0.{'1' * 40}"]}, 422, "batch_id.chunk"),
        ({"reason": "again", "job_ids": [f"{UNKNOWN_BATCH}.0.0"]}, 400, "job ids of batch"),
        ({"reason": "again", "job_ids": [f"{UNKNOWN_BATCH}.0.0"] * 1001}, 422, "at most 1000"),
        ({"reason": "again", "preview": "yes"}, 422, "boolean"),
        ({"reason": "again", "failure_codes": ["TIMEOUT"]}, 409, "no failed job"),
        ({"reason": "again", "event": "start"}, 422, "force_fail"),
        ({"reason": "again", "event": "cancel"}, 409, "job is failed: cannot cancel"),
        ({"reason": "again", "event": "cancel", "state": "held"}, 409, "no held job"),
        (
            {"event": "cancel", "state": "held", "failure_codes": ["TIMEOUT"], "preview": True},
            400,
            "leave the codes out",
        ),
    ],
)
def test_a_bad_request_for_many_jobs_is_refused(
    api: Api, body: dict[str, Any], status: int, words: str
) -> None:
    batch = a_batch("failed", entries=1)
    a_job(batch, 0, "failed")

    answer = api.post(f"/batches/{batch.batch_id}/operations", body)

    assert answer.status == status
    assert words in answer.json["detail"]


def test_nothing_of_a_batch_that_is_over_is_requeued(api: Api) -> None:
    batch = a_batch("completed", entries=1)

    for body in (WHY, {"preview": True}):
        answer = api.post(f"/batches/{batch.batch_id}/operations", body)
        assert (answer.status, answer.kind) == (409, "invalid-transition")


def test_an_unknown_operation_is_not_found(api: Api) -> None:
    batch = a_batch("failed")

    answer = api.get(f"/batches/{batch.batch_id}/operations/r000000000000")

    assert (answer.status, answer.kind) == (404, "not-found")
