"""The ExecuteJob state: a single job of any origin, which has an execution of its own."""

from dataclasses import dataclass, replace

from jobyard.domain.errors import NotFound
from jobyard.services.jobs.runner import AttemptOutcome, run_jobs
from jobyard.services.jobs.worker import Worker
from jobyard.services.machines.inputs import ExecutionInput
from jobyard.services.meter import Meter
from jobyard.services.origins import ORIGINS
from jobyard.services.runs import NextStep


@dataclass(frozen=True)
class JobRun:
    """The next step of an execution that ran one job, and its attempt, if it finished one.

    `metering_error` is why the usage could not be recorded; "" if it was.
    """

    next_step: NextStep
    finished: list[AttemptOutcome]
    metering_error: str = ""

    @property
    def transitions(self) -> int:
        """State transitions up to the machine's next Task state: ExecuteJob, its Choice, and a Wait
        before another attempt.
        """
        return 2 + (self.next_step.next == "next_pass")


def run_execute_job(
    request: ExecutionInput, worker: Worker, meter: Meter, memory_mb: int
) -> JobRun:
    """Run the job of an execution, which a release, a requeue, a recovery or a schedule started."""
    with meter.invocation("job", memory_mb) as invocation:
        invocation.origin_id, invocation.transitions = request.origin_id, 2
        invocation.jobs = worker.job_counter.take
        job_run = run_job(request, worker)
        invocation.transitions = job_run.transitions
    return replace(job_run, metering_error=invocation.metering_error)


def run_job(request: ExecutionInput, worker: Worker) -> JobRun:
    """Run one job, without a meter. A job whose origin does not exist any more is only settled.

    Raises:
        ValueError: the input names no job.
    """
    address, run = request.address, request.run
    if address is None:
        raise ValueError(f"an execution of {request.origin_id} names no job")
    try:
        source = ORIGINS[address.origin].job_source(address, run, worker)
    except NotFound:
        return JobRun(NextStep(request.origin_id, "settle", run=run, address=address), [])
    finished = run_jobs(source, worker)
    return JobRun(source.next_step(), finished)
