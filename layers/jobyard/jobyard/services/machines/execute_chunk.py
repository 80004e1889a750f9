"""The ExecuteChunk state: one pass of a run over the jobs of a chunk."""

from dataclasses import dataclass

from jobyard.domain.ids import origin_of
from jobyard.services.jobs.runner import AttemptOutcome
from jobyard.services.jobs.worker import Worker
from jobyard.services.machines.inputs import ChunkInput
from jobyard.services.meter import USAGE_SHARDS, Meter
from jobyard.services.origins import CHUNKED

CHUNK_TRANSITIONS = 2  # the child's start, and its task


@dataclass(frozen=True)
class ChunkRun:
    """The jobs that ended in a pass. `metering_error` is why the usage was not recorded, or ""."""

    finished: list[AttemptOutcome]
    metering_error: str = ""


def run_execute_chunk(
    request: ChunkInput, worker: Worker, meter: Meter, memory_mb: int
) -> ChunkRun:
    """Run the due jobs of a chunk."""
    part = f"chunk-{request.chunk.number % USAGE_SHARDS}"
    with meter.invocation(part, memory_mb) as invocation:
        invocation.origin_id, invocation.transitions = request.origin_id, CHUNK_TRANSITIONS
        invocation.jobs = worker.job_counter.take
        run_chunk = CHUNKED[origin_of(request.origin_id)].run_chunk
        finished = run_chunk(request.origin_id, request.chunk, request.run, worker)
    return ChunkRun(finished, invocation.metering_error)
