"""Runs one pass over the jobs of a chunk, as a child of the batch machine's Map."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from execute.worker import METER, report_finished, worker
from jobyard.domain.batches.chunks import Chunk
from jobyard.services.batches.chunk_source import run_chunk
from jobyard.services.meter import USAGE_SHARDS
from jobyard.services.runs import ExecutionInput


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the chunk. The result is empty, because the outcome of each job is in the tables."""
    request = ExecutionInput.of(event)
    chunk = Chunk(event["chunk"], event["start"], event["end"])
    part = f"chunk-{chunk.chunk % USAGE_SHARDS}"
    with METER.invocation(part, int(context.memory_limit_in_mb)) as billed:
        billed.origin_id = request.origin_id
        billed.transitions = 2  # the child's start, and its task
        finished = run_chunk(request.origin_id, chunk, request.run, worker(context))
    report_finished(finished, request, chunk=chunk.chunk, unbilled=billed.unwritten)
    return {}
