"""Runs one pass over the jobs of a chunk, as a child of the batch machine's Map."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from execute.worker import METER, worker
from jobyard.services.machines.execute_chunk import run_execute_chunk
from jobyard.services.machines.inputs import ChunkInput
from telemetry.finished_jobs import log_finished


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the chunk. The result is empty, because the outcome of each job is in the tables."""
    request = ChunkInput.of(event)
    done = run_execute_chunk(request, worker(context), METER, int(context.memory_limit_in_mb))
    log_finished(
        done.finished, request, chunk=request.chunk.number, metering_error=done.metering_error
    )
    return {}
