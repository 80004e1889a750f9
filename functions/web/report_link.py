"""Links to reports in mails: they lead to a file at S3, without signing in."""

from aws_lambda_powertools.event_handler import Response

from jobyard.domain.errors import Gone, NotFound
from jobyard.services.reports.links import file_address
from web.request import PageRequest
from web.responses import page, see_other


def respond(request: PageRequest) -> Response[str]:
    """A redirect to the file, or a page that says why there is none."""
    try:
        return see_other(file_address(request.path, request.query_context, request.site.cursor_key))
    except (NotFound, Gone) as refusal:
        status = 410 if isinstance(refusal, Gone) else 404
        values = {"title": "This link cannot be used", "text": str(refusal)}
        return page("custodian_end.html", request, values, status=status)
