"""The Report state: write a report's files, send its mail, end the batch."""

from dataclasses import dataclass, replace

from jobyard.domain.ids import origin_of
from jobyard.services.machines.inputs import ExecutionInput
from jobyard.services.meter import Meter
from jobyard.services.origins import CHUNKED
from jobyard.services.reports.context import ReportContext
from jobyard.services.reports.report import ReportProgress
from jobyard.services.runs import NextStep

_END = NextStep("", "end")  # billed in the report itself, which is written before its own end


@dataclass(frozen=True)
class Reported:
    """How far a batch or campaign is reported, and the next step.

    `metering_error` is why the usage could not be recorded; "" if it was.
    """

    progress: ReportProgress
    next_step: NextStep
    metering_error: str = ""


def run_report(
    request: ExecutionInput, context: ReportContext, meter: Meter, memory_mb: int
) -> Reported:
    """Report a batch or campaign, or the next slice of its jobs."""
    report = CHUNKED[origin_of(request.origin_id)].report
    with meter.invocation("report", memory_mb) as invocation:
        invocation.origin_id, invocation.transitions = request.origin_id, _END.transitions
        progress = report(request.origin_id, replace(context, used=lambda: meter.used(invocation)))
        step = NextStep(request.origin_id, progress.next, request.run, address=request.address)
        invocation.transitions = step.transitions
    return Reported(progress, step, invocation.metering_error)
