"""Records events of the mail service about the mails of reports: sent, delivered, bounced."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from jobyard.domain.batches.mail_event import MailEvent
from jobyard.domain.batches.report import DeliveryState, Report
from jobyard.domain.errors import NotFound, StaleState
from jobyard.domain.mail_addresses import MAX_RECIPIENTS
from jobyard.store import reports

_UNCONFIRMED = frozenset({DeliveryState.SENDING, DeliveryState.SENT})
# By kind of event: the delivery's new state, and the states that it may follow.
_STATES = {
    "Send": (DeliveryState.SENT, frozenset({DeliveryState.SENDING})),
    "Delivery": (DeliveryState.DELIVERED, _UNCONFIRMED),
    "Bounce": (DeliveryState.BOUNCED, _UNCONFIRMED | {DeliveryState.DELIVERED}),
    "Complaint": (DeliveryState.COMPLAINED, _UNCONFIRMED | {DeliveryState.DELIVERED}),
    "Reject": (DeliveryState.FAILED, _UNCONFIRMED),
}


def record_mail_event(event: MailEvent, now: datetime) -> Report | None:
    """Record the event in its report; an older event changes nothing. Returns the stored report, or
    None if there is no such report.

    Raises:
        StaleState: someone else wrote it twice meanwhile.
    """
    with suppress(NotFound):
        try:
            return _record(event, now)
        except StaleState:
            return _record(event, now)
    return None


def _record(event: MailEvent, now: datetime) -> Report:
    report = reports.get(event.batch_id, event.seq)
    before = report.delivery
    undeliverable = dict.fromkeys((*before.undeliverable, *event.bounced))
    after = replace(before, undeliverable=tuple(undeliverable)[:MAX_RECIPIENTS])
    state, earlier = _STATES.get(event.kind, (before.state, frozenset()))
    # While mails are sent one by one, the event of one does not decide for the others.
    one_of_several = before.individually and before.state is DeliveryState.SENDING
    if before.state in earlier and not one_of_several:
        after = replace(after, state=state, message_id=event.message_id, at=now)
    return reports.put_delivery(report, after) if after != before else report
