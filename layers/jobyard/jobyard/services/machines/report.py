"""The Report state: write a report's files, send its mail, end the batch."""

from dataclasses import dataclass, replace

from jobyard.domain.batches.batch import Batch
from jobyard.services.machines.inputs import ExecutionInput
from jobyard.services.meter import Meter
from jobyard.services.reports.context import ReportContext
from jobyard.services.reports.report import next_step, report
from jobyard.services.runs import NextStep

_END = NextStep("", "end")  # billed in the report itself, which is written before its own end


@dataclass(frozen=True)
class Reported:
    """The batch after Report, and the next step.

    `metering_error` is why the usage could not be recorded; "" if it was.
    """

    batch: Batch
    next_step: NextStep
    metering_error: str = ""


def run_report(
    request: ExecutionInput, context: ReportContext, meter: Meter, memory_mb: int
) -> Reported:
    """Report a batch and end it, or report the next slice of its jobs."""
    with meter.invocation("report", memory_mb) as invocation:
        invocation.origin_id, invocation.transitions = request.origin_id, _END.transitions
        batch = report(request.origin_id, replace(context, used=lambda: meter.used(invocation)))
        step = NextStep(request.origin_id, next_step(batch), request.run, address=request.address)
        invocation.transitions = step.transitions
    return Reported(batch, step, invocation.metering_error)
