"""The reports of a batch or a campaign, as their pages list them."""

from typing import Any

from jobyard.domain.batches.report import Report
from jobyard.domain.errors import NotFound
from jobyard.domain.ids import is_child_id, is_edit_id, origin_of
from jobyard.services.queries import reports as report_queries
from jobyard.services.reports.commands import resend_refusal
from web.address import address_of
from web.event_buttons import EventButton, role_reason
from web.request import PageRequest

_NUMBER_LENGTH = 6  # digits of the number of a report


def reports_address(origin_id: str) -> str:
    """The address of the reports of a batch or a campaign, or of the edit job of a notice."""
    if is_edit_id(origin_id) or is_child_id(origin_id):
        return address_of("edit", origin_id)
    return f"{address_of(origin_of(origin_id), origin_id)}/reports"


def report_rows(origin_id: str, request: PageRequest) -> list[dict[str, Any]]:
    """The reports, newest first, then the webhook deliveries, each with the button that sends it
    again.
    """
    found = report_queries.list_reports(origin_id, request.query_context)
    ordered = (*reversed(found.reports), *reversed(found.deliveries))
    return [{"report": each, "resend": resend_button(each, request)} for each in ordered]


def resend_button(report: Report, request: PageRequest) -> EventButton:
    """The button that sends the mail of a report again."""
    kind = origin_of(report.batch_id)
    what = "It is sent to" if report.webhook else "Its mail goes to"
    return EventButton(
        name=f"resend-{report.seq}",
        address=f"{reports_address(report.batch_id)}/{report.seq}/resend",
        label="Send again",
        icon="send",
        effect=f"{what} {', '.join(report.to)} within a minute.",
        unavailable_reason=role_reason(kind, "resend_report", request) or resend_refusal(report),
    )


def address_in_list(origin_id: str, seq: str, request: PageRequest) -> str:
    """The address of a report in the list of its batch or campaign.

    Raises:
        NotFound: there is no such report.
    """
    found = report_queries.list_reports(origin_id, request.query_context)
    if seq not in {str(each.seq) for each in (*found.reports, *found.deliveries)}:
        raise NotFound(f"{origin_of(origin_id)} {origin_id} has no report {seq}")
    return f"{reports_address(origin_id)}#report-{seq}"


def report_number(text: str) -> int:
    """The number of a report.

    Raises:
        NotFound: it is no number that a report may have.
    """
    if not text.isascii() or not text.isdecimal() or not 0 < len(text) <= _NUMBER_LENGTH:
        raise NotFound(f"there is no report {text}")
    return int(text)


def link_to_file(origin_id: str, seq: str, name: str, request: PageRequest) -> str:
    """A link of S3 to a file of a report, valid for some minutes.

    Raises:
        NotFound: there is no such report or file.
    """
    for each in report_queries.list_reports(origin_id, request.query_context).reports:
        if str(each.seq) == seq and name in each.files and name in report_queries.LINKED_FILES:
            return report_queries.link_to(each, name, request.query_context)
    raise NotFound(f"{origin_of(origin_id)} {origin_id} has no report {seq} with {name}")
