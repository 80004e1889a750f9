"""A batch's operations, reports and findings, as lists and details show them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jobyard.domain.batches.operation import ACCEPTED, JobOutcome, Operation, count_outcomes
from jobyard.domain.batches.report import Report
from jobyard.domain.manifests.findings import without_zeros
from jobyard.services.access import visible_batch
from jobyard.services.batches import rows
from jobyard.services.context import QueryContext
from jobyard.store import jobs, operations, reports


@dataclass(frozen=True)
class OperationView:
    """An operation with the outcome of each job, chunk by chunk. `after` is the position of the
    next chunk in the operation's list; None when all are shown.
    """

    operation: Operation
    counts: Mapping[str, int]
    outcomes: tuple[JobOutcome, ...]
    after: int | None


def operation(
    batch_id: str, operation_id: str, context: QueryContext, *, after: int = 0, limit: int = 10
) -> OperationView:
    """An operation, with the outcomes in up to `limit` of its chunks.

    Raises:
        NotFound, Gone: there is no such batch or operation, or the actor may not know of it.
    """
    visible_batch(batch_id, context.actor, context.now)
    found = operations.get(batch_id, operation_id)
    outcomes: list[JobOutcome] = []
    for number in found.chunks[after : after + limit]:
        outcomes += _outcomes(found, number, context)
    next_chunk = after + limit
    return OperationView(
        found,
        count_outcomes(outcomes),
        tuple(outcomes),
        next_chunk if next_chunk < len(found.chunks) else None,
    )


def _outcomes(found: Operation, number: int, context: QueryContext) -> list[JobOutcome]:
    outcomes = rows.outcomes_of(context.s3, context.settings, found, number)
    if not outcomes:
        return []
    stands = {job.address.job_id: job.state.value for job in jobs.of_chunk(found.batch_id, number)}
    return [
        replace(each, outcome=stands[each.job_id]) if each.outcome == ACCEPTED else each
        for each in outcomes
    ]


def list_reports(batch_id: str, context: QueryContext) -> list[Report]:
    """A batch's reports, first to last.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not know of it.
    """
    visible_batch(batch_id, context.actor, context.now)
    return list(reports.of_batch(batch_id))


_CONTENT_TYPES = {"csv": "text/csv", "json": "application/json", "html": "text/html"}


def link_to(report: Report, name: str, context: QueryContext) -> str:
    """A link to a file of a report, valid for a quarter of an hour. Only our own page is shown
    inline; every text in it is escaped.
    """
    suffix = name.rsplit(".", 1)[-1]
    shown = "inline" if suffix == "html" else "attachment"
    return context.s3.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": context.settings.work_bucket,
            "Key": report.files[name],
            "ResponseContentType": f"{_CONTENT_TYPES[suffix]}; charset=utf-8",
            "ResponseContentDisposition": f'{shown}; filename="{report.batch_id}-{name}"',
        },
        ExpiresIn=900,
    )


LINKED = ("jobs.csv", "failures.csv", "report.json", "report.html")


def list_findings(
    batch_id: str, context: QueryContext, *, after: int, limit: int
) -> tuple[list[dict[str, Any]], int | None]:
    """Up to `limit` findings of a batch's manifest, and where the next ones begin; None at the end.

    `after` is such a position: a byte of their file, so that no page reads those before it.
    """
    found = visible_batch(batch_id, context.actor, context.now)
    if not found.findings:
        return [], None
    answer = context.s3.get_object(
        Bucket=context.settings.work_bucket,
        Key=rows.findings_key(batch_id),
        Range=f"bytes={after}-",
    )
    shown: list[dict[str, Any]] = []
    for line in answer["Body"].iter_lines(keepends=True):
        if len(shown) == limit:
            return shown, after
        shown.append(without_zeros(json.loads(line)))
        after += len(line)
    return shown, None
