"""The job machine's first state: one job by itself, after a person released or requeued it."""

from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from execute.worker import METER, tell, worker
from jobyard.domain.job import Place
from jobyard.services.running import run_job
from jobyard.services.steering import Run


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the job; the answer says whether to come again, and with what."""
    place = Place(event["batch_id"], event["chunk"], event["position"])
    run = Run(event["run"], event["pass"])
    with METER.invocation("job", int(context.memory_limit_in_mb)) as billed:
        billed.origin_id, billed.transitions = place.origin_id, 2
        following, ended = run_job(place, run, worker(context))
        billed.transitions += following.next == "again"  # Wait
    tell(
        ended,
        batch_id=place.origin_id,
        job_id=place.job_id,
        run=run.name,
        unbilled=billed.unwritten,
    )
    return following.document() | {"chunk": place.chunk, "position": place.position}
