"""A long step is shown while it runs; a short one costs no write."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress, JobState, StepRecord, StepStatus
from jobyard.domain.jobs.job_type import Done, Fail, JobType, StepInput, StepResult
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.step_context import StepContext
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.queries import jobs as job_queries
from jobyard.services.schedules import commands as schedule_commands
from jobyard.services.schedules.commands import ScheduleSpec
from jobyard.store import jobs, schedules
from tests.call_interceptor import Answer, Call, Listener
from tests.faults.aws_semantics import named
from tests.harness import Harness, Payloads, single_files
from tests.scripted_job_type import NAME, scripted

READINGS = 400  # readings of a record before the test gives up


class Writes(Listener):
    """The statements that were sent, by the job state that they write."""

    def __init__(self) -> None:
        self.states: list[str] = []

    def before(self, call: Call) -> Answer | None:
        if call.operation == "BatchExecuteStatement":
            for each in call.parameters["Statements"]:
                self.states.append(named(each)["s"]["S"])
        return None


@contextmanager
def deposits(**steps: Callable[[StepInput], StepResult]) -> Iterator[None]:
    """Give deposits these steps."""
    types: dict[str, JobType[Any]] = TYPES  # type: ignore[assignment]
    was = types["deposit"]
    named = tuple(
        (name, lambda step_input, _, step=step: step(step_input)) for name, step in steps.items()
    )
    types["deposit"] = JobType("deposit", "Deposit", named, StepContext)
    try:
        yield
    finally:
        types["deposit"] = was


def done(_: StepInput) -> StepResult:
    return Done()


def seen_at_work(job_id: str) -> StepRecord | None:
    """Wait until a job's record shows a running step. Returns the step."""
    address = JobAddress.parse(job_id)
    assert address is not None
    for _ in range(READINGS):
        job = jobs.find(address)
        at_work = [each for each in job.steps if each.status is StepStatus.RUNNING] if job else []
        if at_work:
            return at_work[0]
        time.sleep(0.02)
    return None


def test_a_step_that_takes_more_than_a_second_is_seen_running(
    harness: Harness, payloads: Payloads
) -> None:
    found: list[Any] = []

    def slow(step_input: StepInput) -> StepResult:
        began = harness.now()
        harness.advance(1.6)
        step = seen_at_work(step_input.job_id)
        found.append((step, job_queries.job(step_input.job_id, harness.query_context()), began))
        return Done({"bytes": 1})

    with deposits(first=done, slow=slow, last=done):
        batch_id = harness.drop(single_files(payloads, {"a.txt": b"x"}))

    ((step, view, began),) = found
    assert step == StepRecord("slow", StepStatus.RUNNING, began)
    assert [(each.name, each.status) for each in view.job.steps] == [
        ("first", "completed"),
        ("slow", "running"),
    ]
    assert (view.step, view.job.state) == ("slow", "running")
    job = jobs.find(JobAddress(batch_id, 0, 0))
    assert job is not None
    assert [(each.name, each.status) for each in job.steps] == [
        ("first", "completed"),
        ("slow", "completed"),
        ("last", "completed"),
    ]
    assert [entry.event for entry in job.history] == ["start", "succeed"]


def test_a_job_whose_steps_are_short_is_written_twice(harness: Harness, payloads: Payloads) -> None:
    writes = Writes()

    def nearly(_: StepInput) -> StepResult:
        time.sleep(0.3)  # long enough to be read
        return Done()

    with harness.interceptor.listening(writes), deposits(first=nearly, last=nearly):
        harness.drop(single_files(payloads, {"a.txt": b"x", "b.txt": b"y"}))

    assert sorted(writes.states) == ["running", "running", "succeeded", "succeeded"]


def test_a_step_shown_running_fails_like_any(harness: Harness, payloads: Payloads) -> None:
    def slow(step_input: StepInput) -> StepResult:
        harness.advance(1.6)
        assert seen_at_work(step_input.job_id)
        return Fail(Failure.TOO_LARGE, "too large")

    def raising(step_input: StepInput) -> StepResult:
        harness.advance(1.6)
        assert seen_at_work(step_input.job_id)
        raise OSError("no more")

    for step, code in ((slow, "TOO_LARGE"), (raising, "STEP_ERROR")):
        with deposits(step=step):
            batch_id = harness.drop(
                single_files(payloads, {"a.txt": b"x"}), collection=code.lower().replace("_", "-")
            )
        job = jobs.find(JobAddress(batch_id, 0, 0))
        assert job is not None
        assert (job.state, job.failure_code) == (JobState.FAILED, code)
        assert [(each.name, each.status) for each in job.steps] == [("step", "failed")]


def test_a_job_that_a_person_stops_shows_no_running_step(
    harness: Harness, payloads: Payloads
) -> None:
    def slow(step_input: StepInput) -> StepResult:
        harness.advance(1.6)
        assert seen_at_work(step_input.job_id)
        send_job_event(step_input.job_id, "force_fail", harness.context())
        return Done()

    with deposits(slow=slow):
        batch_id = harness.drop(single_files(payloads, {"a.txt": b"x"}))

    job = jobs.find(JobAddress(batch_id, 0, 0))
    assert job is not None
    assert job.failure_code == "FORCED"
    assert [each.status for each in job.steps] == ["pending"]


def test_the_step_of_a_schedules_job_is_seen_running_too(harness: Harness) -> None:
    rule = {"kind": "daily", "at": "13:00", "zone": "UTC", "anchor": "2026-11-22"}
    seen: list[StepRecord | None] = []

    with scripted() as script:
        made = schedule_commands.create(
            ScheduleSpec("slow", NAME, recurrence_of(rule), Policy(), {}), harness.context()
        )

        def during() -> None:
            harness.advance(1.6)
            (run,) = schedules.get(made.schedule_id).active
            seen.append(seen_at_work(made.job_address(run.scheduled_for).job_id))

        script.during = during
        harness.advance(3601)
        harness.tick()
        harness.machines.run_all()

    assert [step and step.status for step in seen] == ["running"]
