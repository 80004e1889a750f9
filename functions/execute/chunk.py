"""A child of the batch machine's Map: one pass over the jobs of a chunk."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from execute.worker import METER, tell, worker
from jobyard.domain.batches.chunks import Chunk
from jobyard.services.jobs.chunk_runner import run_chunk
from jobyard.services.meter import USAGE_SHARDS
from jobyard.services.runs import ExecutionRun


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the chunk; what came of its jobs is in the tables, so the answer is empty."""
    chunk = Chunk(event["chunk"], event["start"], event["end"])
    run = ExecutionRun(event["run"], event["pass"])
    part = f"chunk-{chunk.chunk % USAGE_SHARDS}"
    with METER.invocation(part, int(context.memory_limit_in_mb)) as billed:
        billed.origin_id = event["batch_id"]
        billed.transitions = 2  # the child's start, and its task
        ended = run_chunk(event["batch_id"], chunk, run, worker(context))
    tell(
        ended,
        batch_id=event["batch_id"],
        run=run.name,
        pass_=run.number,
        chunk=chunk.chunk,
        unbilled=billed.unwritten,
    )
    return {}
