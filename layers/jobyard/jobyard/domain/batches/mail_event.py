"""An event of the mail service about the mail of a report: sent, delivered, bounced."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobyard.domain.mail_addresses import MAX_RECIPIENTS, UndeliverableRecipient
from jobyard.domain.text import clean


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
