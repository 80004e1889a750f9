"""Records what SES reports about a mail: sent, delivered, bounced or complained about."""

from typing import Any

from jobyard.domain.errors import NotFound
from jobyard.services.reports.mail_events import MailEvent, record_mail_event
from report.clients import LOGGER, now


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Record the event in its report. Events about other mails are only logged."""
    mail_event = MailEvent.of(event["detail"])
    if mail_event is None:
        LOGGER.info("mail of no report", event_type=event["detail"].get("eventType", ""))
        return {}
    ids = {"origin_id": mail_event.batch_id, "seq": mail_event.seq, "event_type": mail_event.kind}
    try:
        report = record_mail_event(mail_event, now())
    except NotFound:
        LOGGER.warning("mail of an unknown report", extra=ids)
        return {}
    LOGGER.info("mail", extra=ids | {"delivery": report.delivery.state})
    return {"state": report.delivery.state.value}
