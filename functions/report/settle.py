"""The state after every pass: sum the chunks, say what comes next."""

from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard.domain import metrics
from jobyard.domain.batches.batch import BatchState
from jobyard.domain.batches.chunks import MAIN
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.batches.open import (
    OpenContext,
    batch_of_key,
    not_opened,
    note_landed,
    source_of,
)
from jobyard.services.batches.settle import give_up, settle
from jobyard.services.jobs.chunk_runner import give_up_job
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.services.schedules.jobs import give_up_occurrence, settle_occurrence
from report.clients import LOGGER, METER, SETTINGS, SETTLING, STARTING, now


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Settle the batch that `event` names; one that could not be opened reports why."""
    with METER.invocation("settle", int(context.memory_limit_in_mb)) as billed:
        billed.origin_id = event.get("schedule_id") or event.get("batch_id", "")
        following = _follow(event, context.aws_request_id)
        billed.origin_id = billed.origin_id or following.batch_id
        billed.transitions = following.transitions
    LOGGER.info(
        "settled",
        batch_id=following.batch_id,
        schedule_id=event.get("schedule_id", ""),
        next=following.next,
        run=following.run.name,
        pass_=following.run.number,
        unbilled=billed.unwritten,
    )
    return following.document()


def _follow(event: dict[str, Any], request_id: str) -> NextStep:
    if "detail" in event:
        return _not_opened(event["detail"], _words(event, request_id))
    run = ExecutionRun(event["run"], event["pass"])
    if "schedule_id" in event:
        place = JobAddress(event["schedule_id"], event["chunk"], event["position"])
        if "error" in event and give_up_occurrence(place, run, now()):
            LOGGER.warning(
                "job failed",
                schedule_id=place.origin_id,
                job_id=place.job_id,
                error=event["error"],
            )
            emf = EphemeralMetrics(namespace=metrics.NAMESPACE)
            emf.add_metric(metrics.RUNS_FAILED_OR_MISSED, MetricUnit.Count, 1)
            emf.flush_metrics()
        settle_occurrence(place, STARTING, now())
        return NextStep("", "end", run=run)
    if "error" in event and "position" in event:
        place = JobAddress(event["batch_id"], event["chunk"], event["position"])
        give_up_job(place, run, now())
    if event.get("command") == "open":
        return give_up(event["batch_id"], run, SETTLING, _words(event, request_id))
    return settle(event["batch_id"], run, SETTLING)


def _not_opened(detail: dict[str, Any], words: str) -> NextStep:
    """Report a manifest that could not be read; one that was not even claimed is kept, to be opened
    by the minute rule."""
    source = source_of(detail)
    batch = batch_of_key(source.bucket, source.key, source.version_id, SETTLING.s3, now())
    if batch is None or batch.state is BatchState.PENDING:
        opening = OpenContext(SETTINGS, SETTLING.s3, now, execution="")
        kept = note_landed(source, opening, words)
        return NextStep(kept.batch_id if kept else "", "end")
    return give_up(batch.batch_id, ExecutionRun(MAIN, 1), SETTLING, words)


def _words(event: dict[str, Any], request_id: str) -> str:
    """What a depositor is told of a manifest that could not be opened. What AWS, or a function,
    said of it names parts of the house; it is logged under the id that the words give."""
    if "error" in event:
        LOGGER.error(
            "not opened",
            batch_id=event.get("batch_id", ""),
            request_id=request_id,
            error=event["error"],
        )
    return not_opened(request_id)
