"""Links to the files of a report that work for some days, without signing in and without a command.

S3's own links end with the credentials that signed them, within hours. So a mail has a link of
ours, which leads to one of S3 that has just been signed. All who have the link may read the report.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from jobyard.domain.errors import BadRequest, Gone, NotFound
from jobyard.domain.link_paths import REPORT_FILES
from jobyard.services import cursors
from jobyard.services.context import QueryContext
from jobyard.services.settings import Settings
from jobyard.store import reports

SHARED_FILES = ("report.html", "jobs.csv", "failures.csv")
_KIND = "report link"


def report_address(
    origin_id: str, seq: int, settings: Settings, now: datetime, keys: Callable[[], bytes]
) -> str:
    """The address of a report's page, to which `/NAME` may be added for another of its files; "" if
    the deployment has no such links.
    """
    if not settings.report_link_days:
        return ""
    until = now + timedelta(days=settings.report_link_days)
    token = cursors.sign([origin_id, seq, int(until.timestamp())], _KIND, keys())
    return f"{settings.url}{REPORT_FILES}{token}"


def file_address(path: str, context: QueryContext, keys: Callable[[], bytes]) -> str:
    """The address at S3 of the file that a link leads to, by the path of the link.

    Raises:
        NotFound: the link is not valid, or the report or the file does not exist any more.
        Gone: the link has ended.
    """
    token, _, name = path.removeprefix(REPORT_FILES).partition("/")
    try:
        origin_id, seq, until = cursors.verify(token, _KIND, keys())
    except BadRequest as error:
        raise NotFound("this link is not valid: use the one in the mail as it is") from error
    if context.now.timestamp() >= until:
        raise Gone("this link has ended; sign in to see the report")
    name = name or "report.html"
    report = reports.find(origin_id, seq)
    if report is None or name not in SHARED_FILES or name not in report.files:
        raise NotFound("this report has no such file any more")
    from jobyard.services.queries.reports import link_to  # late: who sends mails needs none of it

    return link_to(report, name, context)
