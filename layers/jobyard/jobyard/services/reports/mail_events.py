"""Events of the mail service about the mails of reports: sent, delivered, bounced."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobyard.domain.batches.report import DeliveryState, Report
from jobyard.domain.errors import NotFound, StaleState
from jobyard.domain.mail_addresses import MAX_RECIPIENTS, UndeliverableRecipient
from jobyard.domain.text import clean
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


@dataclass(frozen=True)
class MailEvent:
    """An event about the mail of report `seq` of a batch. `kind` is SES's eventType.

    `bounced` are the recipients that the mail did not reach.
    """

    batch_id: str
    seq: int
    kind: str
    message_id: str
    bounced: tuple[UndeliverableRecipient, ...] = ()

    @classmethod
    def of(cls, detail: Mapping[str, Any]) -> "MailEvent | None":
        """The event in the detail of an SES event; None if the mail is not a report's."""
        mail = detail["mail"]
        tags = mail.get("tags", {})
        batch_id, seq = (tags.get(name, [""])[0] for name in ("batch_id", "seq"))
        if not batch_id or not seq.isdecimal():
            return None
        kind = detail.get("eventType", "")
        return cls(batch_id, int(seq), kind, mail["messageId"], _bounced(detail))


def _bounced(detail: Mapping[str, Any]) -> tuple[UndeliverableRecipient, ...]:
    """The recipients that a mail did not reach, with their servers' answers."""
    found = detail.get("bounce", {}).get("bouncedRecipients", [])
    return tuple(
        UndeliverableRecipient(
            clean(each.get("emailAddress", ""), 254),
            clean(each.get("diagnosticCode") or "its server refused the mail", 200),
        )
        for each in found[:MAX_RECIPIENTS]
    )


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
