"""Any text from outside, in any field, is written and reads back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.schemas.fields import Note, Reason, Title
from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.batches.operation import REFUSED, Filter, JobOutcome, Operation
from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.compaction import MAX_JOB_BYTES
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState, apply_event, new_job
from jobyard.domain.jobs.job_type import (
    Continue,
    Done,
    Fail,
    JobType,
    Skipped,
    Snooze,
    StepInput,
    StepResult,
)
from jobyard.domain.lifecycle import Cause
from jobyard.domain.schedules.calendar import Calendar, CalendarChange, StoredCalendar
from jobyard.domain.text import clean, is_clean
from jobyard.jobtypes.deposit.refusal import Refused, RetryLater
from jobyard.jobtypes.http_client.refusal import FetchRefused
from jobyard.services.jobs.attempt import (
    AttemptInput,
    Progress,
    after_attempt,
    after_start,
    run_steps,
    unexpected_failure,
)
from jobyard.services.jobs.write_group import WriteGroup
from jobyard.store import (
    batches,
    calendars,
    checkpoints,
    holds,
    jobs,
    operations,
    reports,
    transactions,
)
from tests.store.sizes import job_bytes

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("store_endpoint")]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
# All of Unicode, lone surrogates and controls too, and sometimes very long.
LETTERS = st.characters(categories=None, exclude_categories=())
ANY = st.one_of(
    st.text(LETTERS, max_size=40),
    st.tuples(st.text(LETTERS, min_size=1, max_size=4), st.integers(1, 700)).map(
        lambda pair: pair[0] * pair[1]
    ),
)
a_few = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_numbers = count()


def address() -> JobAddress:
    """An address that no other job has."""
    return JobAddress(f"bany{next(_numbers):017d}", 0, 0)


def step_that(raises: Exception | None, answers: StepResult | None) -> JobType[object]:
    """A job type whose only step does that."""

    def step(_step_input: StepInput, _context: object) -> StepResult:
        if raises:
            raise raises
        assert answers
        return answers

    return JobType("any", "Any", (("step", step),), object)


def outcomes(text: str) -> list[JobType[object]]:
    """Every way in which a step may return text."""
    stop, wait = FetchRefused(Failure.TIMEOUT, text).about(text), RetryLater(1.0, text)
    refused = Refused(Failure.TIMEOUT, text)
    answers: list[StepResult] = [
        Done({"a": text[:200], text[:200]: [text[:200], {"b": None}]}, text),
        Skipped(text),
        Snooze(1.0, text),
        Continue(1.0, text),
        Fail(Failure.TIMEOUT, text, retryable=True, result={"a": text[:200]}),
        Fail(stop.code, stop.message),
        Fail(refused.code, refused.message),
        Snooze(wait.seconds, wait.message),
    ]
    return [step_that(None, each) for each in answers] + [
        step_that(OSError(text), None),
        step_that(UnicodeError(text), None),
    ]


def performed(job: JobRecord, job_type: JobType[object]) -> JobRecord:
    """The job after an attempt by a worker."""
    progress = Progress(job)
    step_input = StepInput("", job.address.job_id, "", {}, {}, job.data, attempt=job.start_count)
    try:
        attempt = AttemptInput(job_type, step_input, None)
        attempted = run_steps(attempt, progress, lambda: NOON, WriteGroup())
    except (OSError, UnicodeError):
        attempted = unexpected_failure(progress, NOON)
    assert attempted
    return after_attempt(attempted, job_type, NOON, job.cause)


@a_few
@given(text=ANY)
def test_whatever_a_step_returns_its_record_is_written_and_reads_back(text: str) -> None:
    kinds = outcomes(text)
    running = [after_start(new_job(address(), NOON), NOON, "main.p1.c0.t1") for _ in kinds]
    assert jobs.write_many([(None, job) for job in running]) == running

    after = [performed(job, kind) for job, kind in zip(running, kinds, strict=True)]

    assert jobs.write_many(list(zip(running, after, strict=True))) == after
    for job in after:
        assert jobs.find(job.address) == job
        assert job.failure_code != Failure.UNWRITABLE
        texts = [job.failure_message, *(each.message for each in job.steps)]
        texts += [each.failure_message for each in job.attempts]
        assert all(is_clean(each) for each in texts)
        assert job_bytes(job.address.origin_id, 0, 0) <= MAX_JOB_BYTES


@a_few
@given(name=ANY, reason=ANY)
def test_whatever_people_say_of_a_job_is_written_and_reads_back(name: str, reason: str) -> None:
    job = replace(new_job(address(), NOON), state=JobState.RUNNING, version=1)
    jobs.write_many([(None, job)])
    for number, event in enumerate(("force_fail", "requeue", "hold", "delete")):
        after = apply_event(job, event, NOON, Cause(f"r{number}", name, reason))
        assert jobs.write_many([(job, after)]) == [after]
        assert jobs.find(job.address) == after
        job = after


@a_few
@given(text=ANY)
def test_every_record_that_quotes_people_or_things_reads_back(text: str) -> None:
    number = next(_numbers)
    name = f"bnoun{number:016d}"
    batch = batches.put_new(
        Batch(
            name,
            BatchState.PROCESSING,
            0,
            text[:60] or "c",
            text or "s",
            text,
            text,
            NOON,
            profile=text,
            parameters={"title": text[:60]},
            failure_message=text,
        )
    )
    cause = Cause("r1", text, text)
    moved = batches.apply(
        batch, BATCH.move("processing", "cancel", NOON, cause), failure_message=text
    )
    stored = batches.get(name, NOON)
    assert replace(stored, parameters={}) == replace(moved, parameters={})

    hold = Hold(f"collection:any{number}", text, text, NOON)
    holds.put(hold)
    assert holds.find(hold.scope) == hold

    operation = Operation(
        name, "r000000000001", "requeue", Filter(JobState.FAILED), text, text, NOON, 1, (0,)
    )
    operations.put_new(operation, BatchState.CANCELLING)
    found = operations.find(name, "r000000000001")
    assert found is not None
    assert (found.actor, found.reason) == (operation.actor, operation.reason)
    assert is_clean(JobOutcome("j", REFUSED, text).message)

    delivery = Delivery(DeliveryState.FAILED, NOON, error=text)
    report = Report(name, 1, ReportKind.FIRST, NOON, (), "s", "o", {}, 0, {}, delivery)
    assert reports.put_new(report).delivery == delivery
    assert reports.get(name, 1).delivery == delivery

    calendar = Calendar(f"any-{number}")
    kept = StoredCalendar(calendar, 1, (CalendarChange("put", NOON, text, text, "r1"),))
    calendars.put(kept)
    assert calendars.find_any(calendar.name) == kept

    seen = Checkpoint(name)
    after = seen.advanced(1, [(text, text)], {"key": 1})
    transactions.write([checkpoints.put_item(seen, after, NOON)])
    assert checkpoints.get(name) == after


@pytest.mark.parametrize("kind", [Reason, Note, Title], ids=["reason", "note", "title"])
@given(text=ANY)
def test_text_in_requests_is_cleaned_or_refused(kind: Callable[..., object], text: str) -> None:
    try:
        taken = TypeAdapter(kind).validate_python(text)
    except ValidationError:
        return
    assert isinstance(taken, str)
    assert is_clean(taken)
    assert clean(taken, 1000) == taken
