"""Events of the mail service about the mails of reports: sent, delivered, bounced."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from jobyard.domain.batches.report import DeliveryState, Report
from jobyard.domain.errors import StaleState
from jobyard.domain.mail_addresses import MAX_RECIPIENTS, UndeliveredRecipient
from jobyard.domain.text import clean
from jobyard.store import reports

# What each piece of news makes of a delivery, and of which deliveries it is news at all.
_UNCONFIRMED = frozenset({DeliveryState.SENDING, DeliveryState.SENT})
_OUTCOMES = {
    "Send": (DeliveryState.SENT, frozenset({DeliveryState.SENDING})),
    "Delivery": (DeliveryState.DELIVERED, _UNCONFIRMED),
    "Bounce": (DeliveryState.BOUNCED, _UNCONFIRMED | {DeliveryState.DELIVERED}),
    "Complaint": (DeliveryState.COMPLAINED, _UNCONFIRMED | {DeliveryState.DELIVERED}),
    "Reject": (DeliveryState.FAILED, _UNCONFIRMED),
}


@dataclass(frozen=True)
class MailEvent:
    """An event about the mail of report `seq` of a batch. `kind` is SES's eventType."""

    batch_id: str
    seq: int
    kind: str
    message_id: str
    bounced: tuple[UndeliveredRecipient, ...] = ()

    @classmethod
    def of(cls, detail: Mapping[str, Any]) -> "MailEvent | None":
        """The event in SES's detail; None for a mail that is not of a report."""
        mail = detail["mail"]
        tags = mail.get("tags", {})
        batch_id, seq = (tags.get(name, [""])[0] for name in ("batch_id", "seq"))
        if not batch_id or not seq.isdecimal():
            return None
        kind = detail.get("eventType", "")
        return cls(batch_id, int(seq), kind, mail["messageId"], _bounced(detail))


def _bounced(detail: Mapping[str, Any]) -> tuple[UndeliveredRecipient, ...]:
    """The recipients that the mail did not reach, with their servers' answers."""
    found = detail.get("bounce", {}).get("bouncedRecipients", [])
    return tuple(
        UndeliveredRecipient(
            clean(each.get("emailAddress", ""), 254),
            clean(each.get("diagnosticCode") or "its server refused the mail", 200),
        )
        for each in found[:MAX_RECIPIENTS]
    )


def record_mail_event(event: MailEvent, now: datetime) -> Report:
    """Record the event in its report; returns the stored report.

    Raises:
        NotFound: there is no such report. StaleState: someone else wrote it twice meanwhile.
    """
    try:
        return _record(event, now)
    except StaleState:
        return _record(event, now)


def _record(event: MailEvent, now: datetime) -> Report:
    bounced = list(event.bounced)
    return note_delivery(event.batch_id, event.seq, event.kind, event.message_id, now, bounced)


def note_delivery(
    batch_id: str,
    seq: int,
    kind: str,
    message_id: str,
    at: datetime,
    bounced: Sequence[UndeliveredRecipient] = (),
) -> Report:
    """Record an event of the mail service about a report's mail; an older event changes nothing.

    `lost` are the recipients that the mail did not reach.

    Raises:
        NotFound: there is no such report.
        StaleState: someone else wrote at the same time; call again.
    """
    written = reports.get(batch_id, seq)
    before = written.delivery
    delivery = replace(
        before,
        undeliverable=tuple(dict.fromkeys((*before.undeliverable, *bounced)))[:MAX_RECIPIENTS],
    )
    state, of = _OUTCOMES.get(kind, (before.state, frozenset()))
    # Of mails that are sent one by one the first is not all there is to tell.
    if before.state in of and not (before.individually and before.state is DeliveryState.SENDING):
        delivery = replace(delivery, state=state, message_id=message_id, at=at)
    return reports.put_delivery(written, delivery) if delivery != before else written
