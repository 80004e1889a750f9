"""The Open state: the first step of an execution for a batch."""

from dataclasses import dataclass

from jobyard.domain.batches.batch import ManifestSource
from jobyard.domain.errors import StaleState
from jobyard.domain.ids import origin_of
from jobyard.services.batches.intake import is_misplaced
from jobyard.services.batches.open import open_object
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.machines.inputs import ExecutionInput
from jobyard.services.meter import Meter
from jobyard.services.origins import CHUNKED
from jobyard.services.runs import NextStep


@dataclass(frozen=True)
class Opened:
    """The next step of an execution after Open.

    `misplaced` is a manifest that was refused because it is outside every collection.
    `metering_error` is why the usage could not be recorded; "" if it was.
    """

    next_step: NextStep
    misplaced: ManifestSource | None = None
    metering_error: str = ""


def run_open(request: ExecutionInput, context: OpenContext, meter: Meter, memory_mb: int) -> Opened:
    """Take the first step of an execution: open a new manifest, or resume a batch.

    If another execution changed the batch meanwhile, try once more with what is stored now.
    """
    manifest = request.manifest
    with meter.invocation("open", memory_mb) as invocation:
        invocation.origin_id = request.origin_id
        try:
            step = _open(request, context)
        except StaleState:
            step = _open(request, context)
        invocation.origin_id, invocation.transitions = step.origin_id, step.transitions
        invocation.events = int(manifest is not None)
    misplaced = manifest if manifest and is_misplaced(manifest) else None
    return Opened(step, misplaced, invocation.metering_error)


def _open(request: ExecutionInput, context: OpenContext) -> NextStep:
    if request.manifest is not None:
        return open_object(request.manifest, context)
    resume = CHUNKED[origin_of(request.origin_id)].resume
    return resume(request.origin_id, request.command, request.run, context)
