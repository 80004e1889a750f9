"""The mail service tells how a mail fared."""

from typing import Any

from jobyard.domain.errors import NotFound, StaleState
from jobyard.domain.mail_addresses import MAX_RECIPIENTS, UndeliveredRecipient
from jobyard.domain.text import clean
from jobyard.services.reports.mail import note_delivery
from report.clients import LOGGER, now


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Note the news with the report its tags name; news of other mails is let be."""
    detail = event["detail"]
    mail = detail["mail"]
    tags = mail.get("tags", {})
    batch_id, seq = (tags.get(name, [""])[0] for name in ("batch_id", "seq"))
    news = detail.get("eventType", "")
    if not batch_id or not seq.isdecimal():
        LOGGER.info("mail of nobody", news=news)
        return {}
    try:
        report = _noted(batch_id, int(seq), news, mail["messageId"], _lost(detail))
    except NotFound:
        LOGGER.warning("mail of an unknown report", batch_id=batch_id, seq=seq, news=news)
        return {}
    LOGGER.info("mail", batch_id=batch_id, seq=seq, news=news, delivery=report.delivery.state)
    return {"state": report.delivery.state.value}


def _noted(
    batch_id: str, seq: int, news: str, message_id: str, lost: list[UndeliveredRecipient]
) -> Any:
    try:
        return note_delivery(batch_id, seq, news, message_id, now(), lost)
    except StaleState:
        return note_delivery(batch_id, seq, news, message_id, now(), lost)


def _lost(detail: dict[str, Any]) -> list[UndeliveredRecipient]:
    """Whom the mail did not reach, in the words of their own servers."""
    found = detail.get("bounce", {}).get("bouncedRecipients", [])
    return [
        UndeliveredRecipient(
            clean(each.get("emailAddress", ""), 254),
            clean(each.get("diagnosticCode") or "its server refused the mail", 200),
        )
        for each in found[:MAX_RECIPIENTS]
    ]
