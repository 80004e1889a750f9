"""Records what SES reports about a mail: sent, delivered, bounced or complained about."""

from typing import Any

from jobyard.domain.batches.mail_event import MailEvent
from jobyard.domain.batches.report import Report
from jobyard.services.reports.mail_events import record_mail_event
from report.clients import LOGGER, now


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Record the event in its report. Events about other mails are only logged."""
    mail_event = MailEvent.of(event["detail"])
    if mail_event is None:
        LOGGER.info("mail of no report", event_type=event["detail"].get("eventType", ""))
        return {}
    report = record_mail_event(mail_event, now())
    _log(mail_event, report)
    return {"state": report.delivery.state.value} if report else {}


def _log(mail_event: MailEvent, report: Report | None) -> None:
    ids = {"origin_id": mail_event.batch_id, "seq": mail_event.seq, "event_type": mail_event.kind}
    if report is None:
        LOGGER.warning("mail of an unknown report", extra=ids)
    else:
        LOGGER.info("mail", extra=ids | {"delivery": report.delivery.state})
