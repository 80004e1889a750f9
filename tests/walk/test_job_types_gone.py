"""A job type may be taken out of a deployment while there are still jobs, batches and schedules of
it: they end by a code that says so, and everything that looks at them goes on."""

from collections.abc import Iterator
from contextlib import contextmanager

from jobyard.domain.batches.operation import Filter
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.domain.jobs.job_type import JobType
from jobyard.jobtypes import TYPES
from jobyard.services import commands, queries
from jobyard.services.recovery import reconcile
from jobyard.services.retention.work_slice import kept_for
from jobyard.store import jobs
from tests.walk.yard import Payloads, Yard, single_files

THREE = {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}
GONE = Failure.JOB_TYPE_GONE


@contextmanager
def without(name: str) -> Iterator[None]:
    """The job type of that name is not there for a while."""
    types: dict[str, JobType] = TYPES  # type: ignore[assignment]
    gone = types.pop(name)
    try:
        yield
    finally:
        types[name] = gone


def test_a_batch_whose_job_type_is_gone_ends_and_says_so_and_can_be_retried(
    yard: Yard, payloads: Payloads
) -> None:
    event = yard.put(single_files(payloads, THREE), name="may.checkm", collection="maps")
    opened = yard.machines.invoke

    def invoke(name: str, function: object, handed: dict[str, object]) -> dict[str, object]:
        if name != "OpenFunction":
            with without("deposit"):
                return opened(name, function, handed)  # type: ignore[arg-type]
        return opened(name, function, handed)  # type: ignore[arg-type]

    yard.machines.invoke = invoke  # type: ignore[assignment]
    yard.machines.run("batch", "gone", event)
    yard.machines.run_all()
    yard.machines.invoke = opened
    batch_id = yard.batch_id_of(event)

    with without("deposit"):
        view = yard.batch(batch_id)
        assert view.batch.state == "failed"
        assert [group[:3] for group in view.failure_groups] == [(GONE.value, GONE.sentence, 3)]
        (mail,) = yard.mails_of(batch_id)
        assert "FAIL" in mail.subject
        job = queries.job(f"{batch_id}.0.0", yard.looking())
        assert "there is no job type 'deposit' any more" in job.job.failure_message
        assert (job.word, "requeue" in job.actions) == ("failed", True)
        page = queries.list_jobs(batch_id, yard.looking(), state="failed", after=(0, 0), limit=9)
        assert len(page.items) == 3
        reconcile(yard.starting, yard.now())
        assert kept_for("deposit").days > 0

    commands.retry(batch_id, Filter(JobState.FAILED), yard.asking())
    yard.machines.run_all()
    yard.ask_batch(batch_id, "update_reporting")
    assert yard.batch(batch_id).batch.state == "completed"


def test_a_job_requeued_when_its_type_is_gone_fails_by_that_code(
    yard: Yard, payloads: Payloads
) -> None:
    manifest = single_files(payloads, THREE)
    payloads.status["/c.txt"] = 404
    batch_id = yard.drop(manifest)

    with without("deposit"):
        yard.ask_job(f"{batch_id}.1.0", "requeue")

    job = jobs.get(JobAddress(batch_id, 1, 0))
    assert job is not None
    assert (job.state, job.failure_code) == (JobState.FAILED, GONE.value)
