"""A batch's reports, and links to their files."""

from jobyard.domain.batches.report import Report
from jobyard.services.access import visible_batch
from jobyard.services.context import QueryContext
from jobyard.store import reports

LINKED_FILES = ("jobs.csv", "failures.csv", "report.json", "report.html")
_LINK_EXPIRES_S = 900
_CONTENT_TYPES = {"csv": "text/csv", "json": "application/json", "html": "text/html"}


def list_reports(batch_id: str, context: QueryContext) -> list[Report]:
    """A batch's reports, oldest first.

    Raises:
        NotFound, Gone: there is no such batch, or the actor may not see it.
    """
    visible_batch(batch_id, context.actor, context.now)
    return list(reports.of_batch(batch_id))


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
