"""Jobs that call a URL or a function: who may submit them, and workers that die around the call."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest

from examples.calls.service import Service
from jobyard.domain.errors import Forbidden, InvalidParameters
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy
from jobyard.services.schedules.commands import ScheduleSpec, create
from jobyard.store import jobs, occurrences
from tests.called import answering, start, submitted
from tests.harness import DEPOSITOR, FUNCTION, Harness
from tests.killed_executions import Death, Killed

MANIFEST = "fileUrl,fileName,title\nhttp://127.0.0.1:4915/1.tif,1.tif,One\n"
INVOKED = {"function": "recognise", "mode": "callback"}


@pytest.fixture
def service(harness: Harness) -> Iterator[Service]:
    with Service() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        host = server.url.removeprefix("http://").partition("/")[0]
        harness.settings = replace(harness.settings, allowed_hosts=frozenset({host}))
        harness.allow_hosts()
        yield server
        server.shutdown()
        thread.join()


def only_job(batch_id: str) -> JobRecord:
    """The one job of a batch."""
    found = jobs.find(JobAddress(batch_id, 0, 0))
    assert found is not None
    return found


@pytest.mark.parametrize("job_type", ["http", "lambda"])
def test_a_depositor_submits_no_calls_and_nobody_drops_them(
    harness: Harness, job_type: str
) -> None:
    parameters = {"function": "recognise"} if job_type == "lambda" else {}

    with pytest.raises(Forbidden, match="only an operator or an admin may submit a batch of"):
        submitted(harness, job_type, parameters, MANIFEST, DEPOSITOR)

    batch_id = harness.drop(MANIFEST, name="may.csv", metadata={"job-type": job_type})
    dropped = harness.batch(batch_id).batch
    assert (dropped.state, dropped.entries) == ("failed", 0)
    assert dropped.failure_message == (
        f"a batch of {job_type} is submitted by an operator or an admin, not dropped in the bucket"
    )


@pytest.mark.parametrize(
    ("job_type", "parameters"),
    [
        ("http", {"method": "TRACE"}),
        ("http", {"unknown": 1}),
        ("http", {"callback_url": "https://example.org/"}),
        ("lambda", {}),
        ("lambda", {"function": "f", "callback_url": "https://example.org/"}),
    ],
)
def test_a_batch_with_wrong_parameters_is_refused_before_its_upload(
    harness: Harness, job_type: str, parameters: dict[str, Any]
) -> None:
    with pytest.raises(InvalidParameters):
        submitted(harness, job_type, parameters, MANIFEST)


def test_a_function_that_fails_is_retried_and_a_requeue_resumes(harness: Harness) -> None:
    events: list[dict[str, Any]] = []

    def fails(event: dict[str, Any]) -> dict[str, Any]:
        events.append(event)
        raise ValueError("no memory")

    harness.batch_functions[FUNCTION] = fails
    batch_id = submitted(harness, "lambda", {"function": "recognise"}, MANIFEST)

    failed = only_job(batch_id)
    assert (failed.state, failed.failure_code) == ("failed", "CALL_FAILED")
    assert failed.failure_message == "the function raised an error (no memory)"
    assert len(events) == 4  # and three retries

    harness.batch_functions[FUNCTION] = lambda event: events.append(event) or {"words": 1}
    harness.send_job_event(f"{batch_id}.0.0", "requeue")
    assert only_job(batch_id).data["answer"] == {"words": 1}
    assert {event["idempotency_key"] for event in events} == {f"{batch_id}.0.0"}


def test_a_lost_callback_fails_the_job_after_its_tries(harness: Harness) -> None:
    events: list[dict[str, Any]] = []
    harness.batch_functions[FUNCTION] = lambda event: events.append(event) or {}

    batch_id = submitted(harness, "lambda", {**INVOKED, "wait_hours": 0.01}, MANIFEST)

    lost = only_job(batch_id)
    assert (lost.state, lost.failure_code, len(events)) == ("failed", "CALLBACK_LOST", 4)
    assert len({event["callback"]["token"] for event in events}) == 4
    assert harness.batch(batch_id).batch.state == "failed"


def test_a_cancelled_batch_waits_for_no_callback(harness: Harness) -> None:
    def started(event: dict[str, Any]) -> dict[str, Any]:
        with harness.interceptor.muted():
            harness.send_batch_event(event["batch_id"], "cancel")
        return {}

    harness.batch_functions[FUNCTION] = started
    batch_id = submitted(harness, "lambda", INVOKED, MANIFEST)

    assert only_job(batch_id).state is JobState.CANCELLED


def test_a_schedule_invokes_a_function_that_calls_back(harness: Harness) -> None:
    events: list[dict[str, Any]] = []

    def started(event: dict[str, Any]) -> dict[str, Any]:
        events.append(event)
        document = {"token": event["callback"]["token"], "status": "succeeded"}
        answering(harness)(event["callback"]["url"], document)
        return {}

    harness.batch_functions[FUNCTION] = started
    rule = recurrence_of({"kind": "daily", "at": "02:00", "zone": "UTC", "anchor": "2026-11-22"})
    spec = ScheduleSpec("Tidy up", "lambda", rule, Policy(), {**INVOKED, "body": {"task": "tidy"}})
    schedule = create(spec, harness.context())
    assert schedule.next_at is not None
    harness.at = schedule.next_at
    harness.tick()
    harness.machines.run_all()

    (event,) = events
    assert (event["task"], event["scheduled_for"]) == ("tidy", "2026-11-23T02:00:00Z")
    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    found = jobs.find(occurrence.address)
    assert found is not None
    assert (found.address.job_id, found.state) == (event["idempotency_key"], JobState.SUCCEEDED)


class NotedDeath(Death):
    """Notes the number of the last call before each piece of work that was asked for."""

    def __init__(self, at: int = -1, *, applied: bool = False) -> None:
        super().__init__(at, applied=applied)
        self.marks: list[int] = []

    def mark(self) -> None:
        """The work is asked for now."""
        self.marks.append(self.calls)


def run_story(
    harness: Harness, job_type: str, parameters: dict[str, Any], death: NotedDeath
) -> str:
    """A batch of one call, whose executions may die; the scheduler's ticks recover it."""
    batch_id, run = start(harness, job_type, parameters, MANIFEST)
    death.start()
    with suppress(Killed), harness.interceptor.listening(death):
        run()
    for _ in range(4):
        harness.advance(901)
        harness.tick()
        death.start()
        with suppress(Killed), harness.interceptor.listening(death):
            harness.machines.run_all()
    return batch_id


@pytest.mark.turns(2)
@pytest.mark.parametrize("job_type", ["http", "lambda"])
def test_a_worker_that_dies_around_a_call_makes_it_again_with_the_same_key(
    harness: Harness, service: Service, job_type: str
) -> None:
    keys: list[str] = []
    death = NotedDeath()

    def note(key: str) -> None:
        keys.append(key)
        death.mark()

    def started(event: dict[str, Any]) -> dict[str, Any]:
        """Calls back if it is invoked again: else the callback is lost, and the job retried."""
        note(event["idempotency_key"])
        if len(keys) > 1:
            document = {"token": event["callback"]["token"], "status": "succeeded"}
            with harness.interceptor.muted():
                answering(harness)(event["callback"]["url"], document)
        return {}

    harness.batch_functions[FUNCTION] = started
    service.on_call = note
    invoked = {**INVOKED, "wait_hours": 0.01}
    parameters = invoked if job_type == "lambda" else {"url": service.url}
    run_story(harness, job_type, parameters, death)
    asked = death.marks[0]
    wrong, repeated = {}, 0
    for at in range(asked - 1, asked + 3):
        for applied in (False, True):
            keys.clear()
            death = NotedDeath(at, applied=applied)
            batch_id = run_story(harness, job_type, parameters, death)
            view, mails = harness.batch(batch_id), harness.mails_of(batch_id)
            if (view.batch.state, len(mails), {*keys}) != ("completed", 1, {f"{batch_id}.0.0"}):
                wrong[at - asked, applied] = (view.batch.state, len(mails), keys[:])
            failed = {each.failure_code for each in only_job(batch_id).attempts}
            repeated += len(keys) > 1 and "CALLBACK_LOST" not in failed

    assert wrong == {}
    assert repeated  # some died between the call and its record
