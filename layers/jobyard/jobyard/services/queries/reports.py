"""The reports of batches and campaigns, and links to their files."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.report import OUTCOMES, Report
from jobyard.domain.errors import NotFound
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.access import visible_batch
from jobyard.services.batches import rows
from jobyard.services.context import QueryContext
from jobyard.services.queries.searched import Searched
from jobyard.services.reports.access import visible_origin
from jobyard.store import reports

LINKED_FILES = ("jobs.csv", "failures.csv", "report.json", "report.html")
_LINK_EXPIRES_S = 900
_LETTERS_READ = 1_000_000  # outcomes, a byte each, that a page of changes reads of each report
_CONTENT_TYPES = {"csv": "text/csv", "json": "application/json", "html": "text/html"}


@dataclass(frozen=True)
class OriginReports:
    """What was sent about a batch or campaign, oldest first: reports, and webhook deliveries."""

    reports: tuple[Report, ...]
    deliveries: tuple[Report, ...]


def list_reports(origin_id: str, context: QueryContext) -> OriginReports:
    """What was sent about a batch or campaign.

    Raises:
        NotFound, Gone: there is no such batch or campaign, or the actor may not see it.
        Forbidden: the actor may not see campaigns.
    """
    visible_origin(origin_id, context.actor, context.now)
    found = list(reports.of_batch(origin_id))
    return OriginReports(
        tuple(each for each in found if not each.webhook),
        tuple(each for each in found if each.webhook),
    )


def link_to(report: Report, name: str, context: QueryContext) -> str:
    """A link to a file of a report, valid for 15 minutes. Browsers download the file; only the HTML
    page, whose texts are all escaped, is shown.
    """
    suffix = name.rsplit(".", 1)[-1]
    disposition = "inline" if suffix == "html" else "attachment"
    return context.s3.generate_presigned_url(
        "get_object",
        Params={
            "Bucket": context.settings.work_bucket,
            "Key": report.files[name],
            "ResponseContentType": f"{_CONTENT_TYPES[suffix]}; charset=utf-8",
            "ResponseContentDisposition": f'{disposition}; filename="{report.batch_id}-{name}"',
        },
        ExpiresIn=_LINK_EXPIRES_S,
    )


@dataclass(frozen=True)
class ChangedOutcome:
    """A job whose outcome in one report is another than in the report that it is compared with."""

    job_id: str
    name: str
    before: str
    after: str


@dataclass(frozen=True)
class ReportChanges:
    """A page of changed outcomes, in the order of the manifest, and the number of the job where the
    next page begins; None after the last. `searched` is how far a page that is not full was
    searched; None if that is to the end.
    """

    items: tuple[ChangedOutcome, ...]
    after: int | None
    searched: Searched | None = None


def report_changes(
    batch_id: str, numbers: tuple[int, int], context: QueryContext, *, after: int, limit: int
) -> ReportChanges:
    """The jobs whose outcome changed between two reports of a batch, given by their numbers.

    A page reads up to `_LETTERS_READ` outcomes of each report, so it may be short although another
    follows.

    Raises:
        NotFound, Gone: there is no such batch or report, or the actor may not see it. NotFound also
            if a report lists no jobs.
    """
    batch = visible_batch(batch_id, context.actor, context.now)
    keys = [_outcomes_key(reports.get(batch_id, seq)) for seq in numbers]
    end = min(batch.entries, after + _LETTERS_READ)
    if after >= end:
        return ReportChanges((), None)
    earlier, later = (_letters(key, after, end, context) for key in keys)
    changed = [
        (position, before, now)
        for position, (before, now) in enumerate(zip(earlier, later, strict=True), start=after)
        if before != now
    ]
    shown = changed[:limit]
    items = _changed_outcomes(batch, shown, context)
    if len(changed) > limit:
        return ReportChanges(items, changed[limit][0])
    if end == batch.entries:
        return ReportChanges(items, None)
    return ReportChanges(items, end, Searched(end - after, end))


def _outcomes_key(report: Report) -> str:
    """The key of the outcomes of all jobs in a report.

    Raises:
        NotFound: it lists no jobs.
    """
    key = report.files.get("outcomes")
    if key is None:
        raise NotFound(f"report {report.seq} of batch {report.batch_id} lists no jobs")
    return key


def _letters(key: str, start: int, end: int, context: QueryContext) -> str:
    """The outcomes of the jobs from `start` to `end`, exclusive, a letter each."""
    response = context.s3.get_object(
        Bucket=context.settings.work_bucket, Key=key, Range=f"bytes={start}-{end - 1}"
    )
    letters: str = response["Body"].read().decode()
    return letters


def _changed_outcomes(
    batch: Batch, changed: Sequence[tuple[int, str, str]], context: QueryContext
) -> tuple[ChangedOutcome, ...]:
    """The changed jobs with their names. The rows of each chunk are read once."""
    names: dict[int, list[rows.Row]] = {}
    found = []
    for position, before, after in changed:
        number, index = divmod(position, batch.chunk_size)
        if number not in names:
            chunk = rows.chunk_of(context.s3, context.settings, batch, number)
            names[number] = rows.rows_of(context.s3, context.settings, batch.batch_id, chunk)
        job_id = JobAddress(batch.batch_id, number, index).job_id
        name = str(names[number][index].get("name", ""))
        found.append(ChangedOutcome(job_id, name, OUTCOMES[before], OUTCOMES[after]))
    return tuple(found)
