"""A worker or an execution of a schedule's job may die anywhere: the job ends once, and its
schedule has the outcome."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobRecord, JobState
from jobyard.domain.schedules.occurrence import Occurrence
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy, Schedule
from jobyard.jobtypes import TYPES
from jobyard.services.runs import ExecutionRun
from jobyard.services.schedules import commands as schedule_commands
from jobyard.services.schedules import jobs as schedule_jobs
from jobyard.services.schedules.commands import ScheduleSpec
from jobyard.services.schedules.recovery import recover_schedule
from jobyard.store import jobs, occurrences, schedules
from tests.call_interceptor import Answer, Call, Listener
from tests.harness import Harness
from tests.killed_executions import Killed
from tests.scripted_job_type import NAME, Script, scripted

DAILY = {"kind": "daily", "at": "09:00", "zone": "UTC", "anchor": "2026-11-25"}
NINE = datetime(2026, 11, 25, 9, 0, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def script() -> Iterator[Script]:
    """What the jobs do."""
    with scripted() as script:
        yield script


@pytest.fixture
def schedule(harness: Harness) -> Schedule:
    """A due schedule; its job's execution was started, and has not run."""
    harness.at = NINE - timedelta(hours=12)
    wanted = ScheduleSpec("lost", NAME, recurrence_of(DAILY), Policy(), {})
    made = schedule_commands.create(wanted, harness.context())
    harness.at = NINE
    harness.tick()
    return made


def run_of(schedule: Schedule) -> Occurrence:
    """The occurrence of nine o'clock."""
    (run,) = occurrences.newest(schedule.schedule_id, limit=9)
    return run


def job_of(schedule: Schedule) -> JobRecord:
    """Its job as it is stored."""
    job = jobs.find(run_of(schedule).address)
    assert job is not None
    return job


def word(schedule: Schedule) -> str:
    """The label in the list."""
    return schedules.get(schedule.schedule_id).label


@dataclass
class Dying(Listener):
    """The worker dies before it writes the result of its step."""

    armed: bool = False

    def before(self, call: Call) -> Answer | None:
        if self.armed and call.operation == "BatchExecuteStatement":
            self.armed = False
            raise RuntimeError("the worker is gone")
        return None


@pytest.mark.parametrize(
    ("took_s", "code"),
    [(1.0, Failure.WORKER_LOST), (TYPES["deposit"].time_limit, Failure.TIMEOUT)],
)
def test_a_job_whose_worker_always_dies_fails_and_its_schedule_has_the_outcome(
    took_s: float, code: Failure, schedule: Schedule, harness: Harness, script: Script
) -> None:
    dying = Dying()

    def during() -> None:
        harness.advance(took_s)
        dying.armed = True

    script.during = during
    with harness.interceptor.listening(dying):
        harness.machines.run_all()
    failed = run_of(schedule)
    script.during = lambda: None
    harness.at = NINE + timedelta(days=1)
    harness.tick()
    harness.machines.run_all()

    assert len(script.inputs) == 3 + 1  # three workers were lost, and the next day's was not
    assert failed.outcome is not None
    assert (failed.outcome.state, failed.outcome.failure_codes) == (JobState.FAILED, (code.value,))
    job = jobs.find(failed.address)
    assert job is not None
    assert (job.state, job.failure_code, job.orphan_count) == (JobState.FAILED, code.value, 2)
    assert word(schedule) == "Completed"


def test_the_result_of_a_worker_that_was_given_up_changes_nothing(
    schedule: Schedule, harness: Harness, script: Script
) -> None:
    address = run_of(schedule).address

    def given_up() -> None:
        schedule_jobs.give_up_job(address, ExecutionRun(MAIN_RUN, 1), harness.now())
        schedule_jobs.settle_job(address, harness.executions, harness.now())

    script.during = given_up
    harness.machines.run_all()

    job, outcome = job_of(schedule), run_of(schedule).outcome
    assert outcome is not None
    assert (outcome.state, outcome.failure_codes) == (JobState.FAILED, (Failure.WORKER_LOST.value,))
    assert [entry.event for entry in job.history] == ["start", "fail"]
    assert word(schedule) == "Failed"


DEATHS = [
    ("ExecuteJob", "before"),
    ("ExecuteJob", "after"),
    ("Settle", "before"),
    ("Settle", "after"),
]


@pytest.fixture(params=DEATHS, ids=lambda death: f"{death[1]} {death[0]}")
def left(request: pytest.FixtureRequest, schedule: Schedule, harness: Harness) -> Schedule:
    """The schedule, after its job's execution died before or after a state's work."""
    state, when = request.param
    invoke_once = harness.machines.invoke

    def invoke(name: str, function: Callable[..., Any], event: Any) -> Any:
        if name != f"{state}Function":
            return invoke_once(name, function, event)
        harness.machines.invoke = invoke_once
        if when == "after":
            invoke_once(name, function, event)
        raise Killed

    harness.machines.invoke = invoke
    with pytest.raises(Killed):
        harness.machines.run_all()
    return schedule


def ended_once(schedule: Schedule, script: Script) -> None:
    """The job has succeeded once, and its schedule has the outcome."""
    outcome = run_of(schedule).outcome
    assert outcome is not None
    assert outcome.state is JobState.SUCCEEDED
    assert [entry.event for entry in job_of(schedule).history].count("succeed") == 1
    assert len(script.inputs) == 1
    stored = schedules.get(schedule.schedule_id)
    assert (stored.label, stored.active, stored.next_check_at) == ("Completed", (), None)


def test_a_failed_execution_is_followed_at_once_and_only_once(
    left: Schedule, harness: Harness, script: Script
) -> None:
    ended = run_of(left).outcome is not None  # it died when all was done
    recovered = [
        recover_schedule(left.schedule_id, harness.executions, harness.now()) for _ in range(2)
    ]
    harness.machines.run_all()

    assert recovered == [0 if ended else 1, 0]
    ended_once(left, script)


def test_the_scheduler_tick_follows_a_failed_execution_without_an_event(
    left: Schedule, harness: Harness, script: Script
) -> None:
    harness.advance(61)
    harness.tick()
    harness.tick()
    harness.machines.run_all()

    ended_once(left, script)


def test_an_orphaned_execution_is_started_again_by_the_scheduler_tick(
    left: Schedule, harness: Harness, script: Script
) -> None:
    """As after a restart of an emulator that had not saved it."""
    harness.machines.executions.clear()

    harness.advance(61)
    harness.tick()
    harness.machines.run_all()

    ended_once(left, script)


def test_the_scheduler_tick_ignores_a_running_execution(
    schedule: Schedule, harness: Harness, script: Script
) -> None:
    recovered = []

    def during() -> None:
        for _ in range(3):
            harness.advance(200)
            recovered.append(harness.tick().recovered)

    script.during = during
    harness.machines.run_all()

    assert recovered == [0, 0, 0]
    ended_once(schedule, script)


def test_an_execution_that_was_stopped_is_followed_when_its_worker_has_certainly_ended(
    left: Schedule, harness: Harness, script: Script
) -> None:
    if run_of(left).outcome is not None:
        ended_once(left, script)
        return
    for stands in harness.machines.executions.values():
        stands["status"] = "ABORTED"

    recovered = []
    for _ in range(17):
        harness.advance(60)
        recovered.append(harness.tick().recovered)
    harness.machines.run_all()

    assert sum(recovered) == 1
    assert not any(recovered[:14])
    ended_once(left, script)
