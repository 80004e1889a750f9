"""The Settle state: decide what follows a pass, a job, or an error that the machine caught."""

from dataclasses import dataclass, replace

from jobyard.domain.batches.batch import BatchState, ManifestSource
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.ids import origin_of
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.batches.intake import find_batch
from jobyard.services.batches.open_attempts import record_unopened, unopened_message
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.batches.settle import SettleContext, give_up
from jobyard.services.machines.inputs import ExecutionInput
from jobyard.services.meter import Meter
from jobyard.services.origins import CHUNKED, ORIGINS
from jobyard.services.runs import ExecutionRun, NextStep, Waits


@dataclass(frozen=True)
class Settled:
    """An execution's next step, and what a caught error means for its job or manifest.

    `given_up` is the job that failed because its execution could not end it. `has_open_failed`: the
    error was one of the Open state. `metering_error` is why the usage could not be recorded, or "".
    """

    next_step: NextStep
    given_up: JobAddress | None = None
    has_open_failed: bool = False
    metering_error: str = ""


def run_settle(
    request: ExecutionInput, request_id: str, context: SettleContext, meter: Meter, memory_mb: int
) -> Settled:
    """Settle the batch or the job that an execution works on.

    A report on a manifest that could not be opened refers to `request_id`.
    """
    with meter.invocation("settle", memory_mb) as invocation:
        invocation.origin_id = request.origin_id
        settled = _settle(request, request_id, context)
        step = settled.next_step
        invocation.origin_id, invocation.transitions = step.origin_id, step.transitions
    return replace(settled, metering_error=invocation.metering_error)


def _settle(request: ExecutionInput, request_id: str, context: SettleContext) -> Settled:
    message = unopened_message(request_id)
    if request.manifest is not None:
        return Settled(
            _settle_failed_open(request.manifest, context, message), has_open_failed=True
        )
    if request.address is not None:
        return _settle_job(request.address, request, context)
    if request.command == "open":
        step = give_up(request.origin_id, request.run, context, message)
        return Settled(step, has_open_failed=True)
    settle = CHUNKED[origin_of(request.origin_id)].settle
    waits = Waits(request.pass_began, request.waits)
    return Settled(settle(request.origin_id, request.run, context, waits))


def _settle_failed_open(source: ManifestSource, context: SettleContext, message: str) -> NextStep:
    """End the batch of a manifest that could not be opened. If it has not been started, only record
    the attempt: a later scheduler tick starts another execution.
    """
    batch = find_batch(source, context.s3, context.now())
    if batch is None or batch.state is BatchState.PENDING:
        open_context = OpenContext(context.settings, context.s3, context.now, execution="")
        unopened = record_unopened(source, open_context, message)
        return NextStep(unopened.batch_id if unopened else "", "end")
    return give_up(batch.batch_id, ExecutionRun(MAIN_RUN, 1), context, message)


def _settle_job(address: JobAddress, request: ExecutionInput, context: SettleContext) -> Settled:
    """Fail the job if its execution could not end it; then settle its origin."""
    origin = ORIGINS[address.origin]
    has_failed = request.error is not None
    given_up = has_failed and origin.give_up_job(address, request.run, context.now())
    return Settled(origin.settle_job(address, request.run, context), address if given_up else None)
