"""The reconcile job checks everything, where a tick checks a bounded part."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.batches.batch import BatchState
from jobyard.domain.errors import InvalidTransition
from jobyard.domain.ids import system_schedule_id
from jobyard.domain.jobs.job import JobState
from jobyard.domain.jobs.job_type import Continue, Done, Snooze, StepInput, StepResult
from jobyard.domain.schedules.schedule import ScheduleState
from jobyard.jobtypes.reconcile import RECONCILE
from jobyard.services.batches.recovery import FAILED_BATCHES_CHECKED, recover_batches
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.schedules import commands as schedule_commands
from jobyard.services.schedules.commands import make_system_schedules
from jobyard.store import batches, checkpoints, occurrences, schedules
from tests.archived_fixtures import batch_of
from tests.harness import Harness, Payloads, single_files

pytestmark = pytest.mark.emulator

ONE = {"c.txt": b"three"}


class Killed(BaseException):
    """The execution died."""


def run_reconcile(
    harness: Harness, job_id: str, remaining: Callable[[], float] = lambda: 600.0
) -> StepResult:
    """Run a reconcile job to its end, in as many attempts as it needs."""
    step_input = StepInput("", job_id, "", {}, {}, {}, attempt=1)
    context = replace(harness.system_worker().step_context(RECONCILE), remaining=remaining)
    ((_, checking),) = RECONCILE.steps
    outcome = checking(step_input, context)
    while isinstance(outcome, Snooze | Continue):
        outcome = checking(step_input, context)
    return outcome


def done(checked: int, recovered: int) -> Done:
    """The result of a job that checked so many and recovered some."""
    records = {"processed": checked, "failed": 0, "total": checked}
    words = f"checked {checked}, recovered {recovered}"
    return Done({"records": records, "recovered": recovered}, words)


def left_by_its_execution(harness: Harness, payloads: Payloads) -> str:
    """A failed batch whose requeued job lost its execution."""
    payloads.status["/c.txt"] = 404
    batch_id = harness.drop(single_files(payloads, ONE), collection="left")
    payloads.status.clear()
    invoke_once = harness.machines.invoke

    def invoke(name: str, function: Callable[..., Any], event: Any) -> Any:
        harness.machines.invoke = invoke_once
        raise Killed

    send_job_event(f"{batch_id}.0.0", "requeue", harness.context())
    harness.machines.invoke = invoke
    with pytest.raises(Killed):
        harness.machines.run_all()
    return batch_id


def newer_failed_ones(harness: Harness, number: int) -> None:
    """So many failed batches, each submitted after the last."""
    for each in range(number):
        at = harness.at + timedelta(seconds=1 + each)
        batches.put_new(batch_of(f"failed {each}", BatchState.FAILED, at, entries=0))


def test_a_failed_batch_under_repair_is_recovered_however_many_newer_ones_there_are(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = left_by_its_execution(harness, payloads)
    newer_failed_ones(harness, FAILED_BATCHES_CHECKED)
    harness.advance(61)

    assert recover_batches(harness.executions, harness.now()) == 0
    assert run_reconcile(harness, "reconcile-1.0.1") == done(FAILED_BATCHES_CHECKED + 1, 1)
    harness.machines.run_all()

    assert harness.batch(batch_id).counts["succeeded"] == 1
    assert run_reconcile(harness, "reconcile-2.0.1") == done(FAILED_BATCHES_CHECKED + 1, 0)


def test_a_reconcile_job_without_enough_time_continues_and_counts_nothing_twice(
    harness: Harness, payloads: Payloads
) -> None:
    left_by_its_execution(harness, payloads)
    newer_failed_ones(harness, 45)
    harness.advance(61)
    calls = []

    def hurried() -> float:
        """At every second reading there is no time left."""
        calls.append(0)
        return 600.0 if len(calls) % 2 else 0.0

    assert run_reconcile(harness, "reconcile-3.0.1", hurried) == done(46, 1)
    assert checkpoints.get("reconcile-3.0.1").version > 3
    assert len(calls) > 6


def test_a_run_of_a_schedule_that_lost_its_execution_is_recovered(harness: Harness) -> None:
    make_system_schedules(harness.now())
    retention = system_schedule_id("retention")
    for other in ("reconcile", "pack"):
        schedule_commands.suspend(system_schedule_id(other), None, harness.context())
    harness.at = datetime(2026, 11, 23, 3, 30, tzinfo=UTC)
    invoke_once = harness.machines.invoke

    def invoke(name: str, function: Callable[..., Any], event: Any) -> Any:
        harness.machines.invoke = invoke_once
        raise Killed

    started = harness.tick().started
    harness.machines.invoke = invoke
    with pytest.raises(Killed):
        harness.machines.run_all()
    harness.advance(61)

    outcome = run_reconcile(harness, "reconcile-4.0.1")
    harness.machines.run_all()

    assert started == 1
    assert isinstance(outcome, Done)
    assert outcome.result["recovered"] == 1
    assert schedules.get(retention).label == "Completed"


# Schedules of their own


def test_the_system_s_schedules_are_created_once(harness: Harness) -> None:
    made = make_system_schedules(harness.now())

    assert {each.title: each.next_at for each in made} == {
        "Retention": datetime(2026, 11, 23, 3, 30, tzinfo=UTC),
        "Reconcile": datetime(2026, 11, 22, 12, 20, tzinfo=UTC),
        "Pack": datetime(2026, 11, 23, 2, 30, tzinfo=UTC),
    }
    assert make_system_schedules(harness.now()) == []
    assert schedules.by_title(system=False, limit=10).items == ()
    listed = schedules.by_title(system=True, limit=10).items
    assert [each.title for each in listed] == ["Pack", "Reconcile", "Retention"]


def test_an_admin_may_suspend_and_edit_them_but_never_delete_one(harness: Harness) -> None:
    make_system_schedules(harness.now())
    reconcile_id = system_schedule_id("reconcile")

    schedule_commands.suspend(reconcile_id, None, harness.context())
    schedule_commands.edit(
        reconcile_id, schedule_commands.ScheduleEdit(title="Look through"), harness.context()
    )
    with pytest.raises(InvalidTransition, match="is a system schedule; suspend it instead"):
        schedule_commands.delete(reconcile_id, harness.context())

    assert make_system_schedules(harness.now()) == []
    kept = schedules.get(reconcile_id)
    assert (kept.state, kept.title) == (ScheduleState.SUSPENDED, "Look through")


def test_reconcile_runs_by_its_own_schedule_every_hour(harness: Harness) -> None:
    make_system_schedules(harness.now())

    harness.at = datetime(2026, 11, 22, 12, 20, tzinfo=UTC)
    harness.tick()
    harness.machines.run_all()

    (ran,) = occurrences.newest(system_schedule_id("reconcile"), limit=5)
    assert ran.outcome is not None
    assert (ran.outcome.state, ran.outcome.processed) == (JobState.SUCCEEDED, 1)  # itself
