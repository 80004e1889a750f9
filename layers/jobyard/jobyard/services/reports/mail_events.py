"""Events of the mail service about the mails of reports: sent, delivered, bounced."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobyard.domain.batches.report import Report
from jobyard.domain.errors import StaleState
from jobyard.domain.mail_addresses import MAX_RECIPIENTS, UndeliveredRecipient
from jobyard.domain.text import clean
from jobyard.services.reports.mail import note_delivery


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
