"""A part of a list of jobs as CSV, as a file."""

from aws_lambda_powertools.event_handler import Response

from gateway.pagination import Pagination
from jobyard.services.queries.job_csv import JobCsv
from web.request import PageRequest, page_links


def csv_part(
    request: PageRequest, name: str, part: JobCsv, start: tuple[int, int], pagination: Pagination
) -> Response[str]:
    """A part that begins at `start`. Its last line says where the next one is, if there is one."""
    text = part.text
    if following := page_links(request, pagination.next_cursor(part.after))["next_address"]:
        address = f"{request.site.settings.url}{following}"
        text += f"There may be more jobs. The next part: {address}\r\n"
    if start != (0, 0):
        name += f"-from-{start[0]}.{start[1]}"
    disposition = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(200, "text/csv; charset=utf-8", text, disposition)
