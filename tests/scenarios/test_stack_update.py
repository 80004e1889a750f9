"""An update of a stack from before 0.1.0 while executions run.

The old definitions pass `batch_id` or `schedule_id` to functions that expect `origin_id`. So these
executions fail, and the scheduler tick recovers their work.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.batches.batch import BatchState
from jobyard.domain.batches.operation import Filter
from jobyard.domain.jobs.job import JobState
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy
from jobyard.services.batches import operations
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.schedules import commands as schedule_commands
from jobyard.services.schedules.commands import ScheduleSpec
from jobyard.store import jobs, occurrences
from tests.harness import Harness, Payloads, single_files
from tests.machines import ExecutionFailed, Function
from tests.scripted_job_type import NAME, scripted

THREE = {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}
NINE = datetime(2026, 11, 25, 9, 0, 1, tzinfo=UTC)


class OldDocument(Exception):
    """A function was invoked with a document of the old definitions."""


def update_before(harness: Harness, first: str, old_name: str = "batch_id") -> None:
    """Update the stack just before the function `first` is invoked: from then on the functions get
    documents of the old definitions."""
    invoked: list[str] = []

    def old_document(document: Mapping[str, Any]) -> dict[str, Any]:
        return {
            old_name if name == "origin_id" else name: old_document(value)
            if isinstance(value, dict)
            else value
            for name, value in document.items()
        }

    def invoke(name: str, function: Function, document: dict[str, Any]) -> dict[str, Any]:
        invoked.append(name)
        if first not in invoked:
            return function(document)
        try:
            return function(old_document(document))
        except KeyError as error:
            raise OldDocument(name) from error

    harness.machines.invoke = invoke


def fail(harness: Harness) -> None:
    """Run the executions, which fail. Later ones use the new definitions."""
    with pytest.raises(ExecutionFailed):
        harness.machines.run_all()
    use_new_definitions(harness)


def use_new_definitions(harness: Harness) -> None:
    """Have later executions hand over documents of the new definitions."""
    harness.machines.invoke = lambda _name, function, document: function(document)


def recover(harness: Harness) -> None:
    """A minute later the scheduler tick starts new executions, and they run."""
    harness.advance(60)
    harness.tick()
    harness.machines.run_all()


def ends_of(batch_id: str) -> list[int]:
    """How often each job succeeded."""
    found = [job for chunk in (0, 1) for job in jobs.of_chunk(batch_id, chunk)]
    return [sum(entry.event == "succeed" for entry in job.history) for job in found]


@pytest.mark.parametrize("first", ["ExecuteChunkFunction", "SettleFunction", "ReportFunction"])
def test_a_batch_that_runs_during_an_update_completes(
    first: str, harness: Harness, payloads: Payloads
) -> None:
    event = harness.upload(single_files(payloads, THREE), name="may.checkm", collection="updated")
    update_before(harness, first)
    with pytest.raises(ExecutionFailed):
        harness.machines.run("batch", f"before-{first}", event)
    use_new_definitions(harness)
    batch_id = harness.batch_id_of(event)

    recover(harness)

    assert harness.batch(batch_id).batch.state is BatchState.COMPLETED
    assert ends_of(batch_id) == [1, 1, 1]
    assert len(harness.mails_of(batch_id)) == 1


def test_a_retry_that_runs_during_an_update_is_carried_out_once(
    harness: Harness, payloads: Payloads
) -> None:
    payloads.status["/c.txt"] = 404
    batch_id = harness.drop(single_files(payloads, THREE), collection="updated")
    payloads.status.clear()
    operations.change_jobs(batch_id, "requeue", Filter(JobState.FAILED), harness.context())
    update_before(harness, "OpenFunction")
    fail(harness)

    recover(harness)

    assert harness.batch(batch_id).counts["succeeded"] == 3
    assert ends_of(batch_id) == [1, 1, 1]


def test_a_single_job_that_runs_during_an_update_is_run_once(
    harness: Harness, payloads: Payloads
) -> None:
    payloads.status["/c.txt"] = 404
    batch_id = harness.drop(single_files(payloads, THREE), collection="updated")
    payloads.status.clear()
    send_job_event(f"{batch_id}.1.0", "requeue", harness.context())
    update_before(harness, "ExecuteJobFunction")
    fail(harness)

    recover(harness)

    assert harness.batch(batch_id).counts["succeeded"] == 3
    assert ends_of(batch_id) == [1, 1, 1]


def test_a_job_of_a_schedule_that_runs_during_an_update_is_run_once(harness: Harness) -> None:
    with scripted() as script:
        harness.at = NINE - timedelta(hours=12)
        rule = recurrence_of(
            {"kind": "daily", "at": "09:00", "zone": "UTC", "anchor": "2026-11-25"}
        )
        spec = ScheduleSpec("updated", NAME, rule, Policy(), {})
        schedule = schedule_commands.create(spec, harness.context())
        harness.at = NINE
        harness.tick()
        update_before(harness, "ExecuteJobFunction", "schedule_id")
        fail(harness)

        recover(harness)

        (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
        assert occurrence.outcome is not None
        assert occurrence.outcome.state is JobState.SUCCEEDED
        assert len(script.inputs) == 1
