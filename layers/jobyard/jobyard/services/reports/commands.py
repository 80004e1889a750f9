"""What people do to reports: have one sent again."""

from jobyard.domain.activity import Subject
from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.errors import InvalidTransition
from jobyard.domain.ids import origin_of
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext, require_reason
from jobyard.services.reports.access import visible_origin
from jobyard.store import reports

# A mail that waits is sent anyway. A person who marked one as spam gets no other.
RESENDABLE = frozenset(
    {DeliveryState.SENT, DeliveryState.DELIVERED, DeliveryState.BOUNCED, DeliveryState.FAILED}
)


def resend_refusal(report: Report) -> str:
    """Why the mail of a report cannot be sent again now; "" if it can."""
    state = report.delivery.state
    if report.kind is ReportKind.NOTICE:
        return "it is about an edit job: send again what it says, such as a custodian's link"
    if state in RESENDABLE:
        return ""
    if state is DeliveryState.SUPPRESSED:
        return "it has no recipients"
    if state is DeliveryState.COMPLAINED:
        return "a recipient marked its mail as spam"
    return "it is pending already" if report.webhook else "its mail waits to be sent already"


def queue_again(report: Report, context: CommandContext) -> Report:
    """Put a report into the outbox again. Returns the stored one.

    Raises:
        StaleState: its delivery changed at the same time.
    """
    now = context.now()
    queued = Delivery(DeliveryState.QUEUED, now, request=context.run, requested_at=now)
    return reports.put_delivery(report, queued)


def resend(origin_id: str, seq: int, context: CommandContext) -> Report:
    """Put the mail of a report of a batch or campaign into the outbox again, for all of its
    recipients. It is sent within a minute.

    Raises:
        NotFound, Gone: there is no such origin or report, or the actor may not see it.
        Forbidden: the actor may not send it again. BadRequest: no reason is given.
        InvalidTransition: its mail waits already, has no recipients, or was marked as spam.
        StaleState: its delivery changed at the same time.
    """
    name = visible_origin(origin_id, context.actor, context.now())
    kind = origin_of(origin_id)
    authorize(context.actor, kind, "resend_report")
    report = reports.get(origin_id, seq)
    if report.delivery.request != context.run:
        require_reason(context, "resend")
        if refusal := resend_refusal(report):
            raise InvalidTransition(
                f"report {seq} of {kind} {origin_id} is not sent again: {refusal}"
            )
        report = queue_again(report, context)
    requested_at = report.delivery.requested_at or context.now()
    activity.record(
        context,
        "resend_report",
        Subject(kind, origin_id, f"{name}, report {seq}"),
        requested_at,
    )
    return report
