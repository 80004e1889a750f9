"""A job type may be removed from a deployment that still has jobs, batches and schedules of it:
they end with a failure code of their own, and all that reads them continues."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobyard.domain.batches.operation import Filter
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.domain.jobs.job_type import JobType
from jobyard.jobtypes import TYPES
from jobyard.services.batches import operations
from jobyard.services.batches.recovery import recover_batches
from jobyard.services.queries import jobs as job_queries
from jobyard.services.retention.work_slice import retention_of
from jobyard.store import jobs
from tests.harness import Harness, Payloads, single_files

THREE = {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}
GONE = Failure.JOB_TYPE_GONE


@contextmanager
def without(name: str) -> Iterator[None]:
    """Unregister the job type of that name for the block."""
    types: dict[str, JobType[Any]] = TYPES  # type: ignore[assignment]
    gone = types.pop(name)
    try:
        yield
    finally:
        types[name] = gone


def test_a_batch_of_a_removed_job_type_fails_with_its_code_and_can_be_retried(
    harness: Harness, payloads: Payloads
) -> None:
    event = harness.upload(single_files(payloads, THREE), name="may.checkm", collection="maps")
    invoke_unchanged = harness.machines.invoke

    def invoke(name: str, function: object, event: dict[str, object]) -> dict[str, object]:
        if name != "OpenFunction":
            with without("deposit"):
                return invoke_unchanged(name, function, event)  # type: ignore[arg-type]
        return invoke_unchanged(name, function, event)  # type: ignore[arg-type]

    harness.machines.invoke = invoke  # type: ignore[assignment]
    harness.machines.run("batch", "gone", event)
    harness.machines.run_all()
    harness.machines.invoke = invoke_unchanged
    batch_id = harness.batch_id_of(event)

    with without("deposit"):
        view = harness.batch(batch_id)
        assert view.batch.state == "failed"
        assert [(each.code, each.count) for each in view.failure_groups or ()] == [(GONE.value, 3)]
        (mail,) = harness.mails_of(batch_id)
        assert "FAIL" in mail.subject
        job = job_queries.job(f"{batch_id}.0.0", harness.query_context())
        assert "there is no job type 'deposit' any more" in job.job.failure_message
        assert (job.label, "requeue" in job.actions) == ("failed", True)
        page = job_queries.list_jobs(
            batch_id, harness.query_context(), state="failed", after=(0, 0), limit=9
        )
        assert len(page.items) == 3
        recover_batches(harness.executions, harness.now())
        assert retention_of("deposit").days > 0

    operations.change_jobs(batch_id, "requeue", Filter(JobState.FAILED), harness.context())
    harness.machines.run_all()
    harness.send_batch_event(batch_id, "update_reporting")
    assert harness.batch(batch_id).batch.state == "completed"


def test_a_requeued_job_of_a_removed_type_fails_with_that_code(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, THREE)
    payloads.status["/c.txt"] = 404
    batch_id = harness.drop(manifest)

    with without("deposit"):
        harness.send_job_event(f"{batch_id}.1.0", "requeue")

    job = jobs.find(JobAddress(batch_id, 1, 0))
    assert job is not None
    assert (job.state, job.failure_code) == (JobState.FAILED, GONE.value)
