"""The outbox: hand a report's mail to the mail service, once, and record its delivery."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from jobyard.domain.batches.report import Delivery, DeliveryState, Report
from jobyard.domain.errors import StaleState
from jobyard.domain.mail_addresses import (
    Addresses,
    UndeliveredRecipient,
    addresses,
    all_addresses,
)
from jobyard.domain.text import clean
from jobyard.services.reports.context import ReportContext
from jobyard.services.settings import Settings
from jobyard.store import reports

UNANSWERED_PAUSE = timedelta(minutes=15)  # how long a hand-over without an answer is let be
QUICK_TRIES = 10  # hand-overs a minute apart; after them one an hour
MAIL_TRIES = QUICK_TRIES + 72  # hand-overs in all: three days
_SLOW_PAUSE = timedelta(hours=1)
MAILS_A_MINUTE = 50  # that the minute rule hands over; a new account may send one a second
SEND_TIMEOUT_S = 35.0  # that one may take, waiting for an answer
MAX_COUNTED_REPORTS = (
    5_000  # reports of the outbox that are looked at in a minute; with more it is an alarm
)
_WAITING = frozenset({DeliveryState.QUEUED, DeliveryState.SENDING})
FAILED_COUNTED_FOR = timedelta(hours=1)  # how long a failed mail counts for the alarm
_SERVER_ERROR = 500  # an answer of this status or more leaves open whether the mail was taken

# What the mail service refuses, in our message; its own are logged under the request's id.
_REFUSALS = {
    "AccountSuspendedException": "the mail service has suspended the account",
    "BadRequestException": "the mail service takes the mail, or an address of it, for malformed",
    "LimitExceededException": "the mail service takes no more mails for now",
    "MailFromDomainNotVerifiedException": "the sender's domain is not verified",
    "MessageRejected": "the mail service refuses the mail, or an address of it",
    "SendingPausedException": "the mail service has paused the account",
    "TooManyRequestsException": "the mail service takes no more mails for now",
}
_NO_ADDRESS = "none of its addresses can be written to"
# Those that one address of several may be the cause of.
_ADDRESS_ERRORS = frozenset({"BadRequestException", "MessageRejected"})


def deliver(report: Report, context: ReportContext) -> Report:
    """Hand a report's mail to the mail service, if that has not been done.

    A hand-over without a recorded answer is repeated after a quarter of an hour. The mail service
    cannot say whether it took a message, so then, and only then, a mail may be sent twice.
    """
    now = context.now()
    delivery = report.delivery
    if not _is_due(delivery, now):
        return report
    recipients = _all_recipients(report, context.settings)
    if not report_to(report):
        nobody = replace(
            delivery, state=DeliveryState.FAILED, undeliverable=recipients.bad, error=_NO_ADDRESS
        )
        return _record_delivery(report, nobody, context)
    sending = replace(
        delivery,
        state=DeliveryState.SENDING,
        at=now,
        error="",
        tries=delivery.tries + 1,
        undeliverable=tuple(dict.fromkeys((*delivery.undeliverable, *recipients.bad))),
    )
    try:
        report = reports.put_delivery(report, sending)
    except StaleState:
        return reports.get(report.batch_id, report.seq)  # another worker has it in hand
    if sending.individually:
        return _send_individually(report, recipients, context)
    try:
        message_id = _send(report, report_to(report), _blind_copies(context.settings), context)
    except context.mail.exceptions.ClientError as refusal:
        if _code(refusal) in _ADDRESS_ERRORS and len(recipients.good) > 1:
            report = _record_delivery(report, replace(sending, individually=True), context)
            return (
                _send_individually(report, recipients, context)
                if report.delivery.individually
                else report
            )
        return _record_failure(report, refusal, context)
    except context.unanswered as error:
        return _record_failure(report, error, context)
    sent = replace(sending, state=DeliveryState.SENT, message_id=message_id)
    return _record_delivery(report, sent, context)


def _is_due(delivery: Delivery, now: datetime) -> bool:
    """Whether a mail is to be handed over now, and not later."""
    pause = UNANSWERED_PAUSE if delivery.state is DeliveryState.SENDING else timedelta()
    if delivery.tries >= QUICK_TRIES:
        pause = _SLOW_PAUSE
    return delivery.state in _WAITING and now - delivery.at >= pause


def _send_individually(report: Report, recipients: Addresses, context: ReportContext) -> Report:
    """Send a mail to each recipient, because the one to all was refused. A recipient whose mail is
    refused is the bad one. Each sent mail is recorded at once, so that it is sent once.
    """
    refusal: Exception | None = None
    refused: list[UndeliveredRecipient] = []
    for address in recipients.good:
        if address in report.delivery.sent_to:
            continue
        try:
            message_id = _send(report, (address,), (), context)
        except context.mail.exceptions.ClientError as error:
            if _code(error) not in _ADDRESS_ERRORS:
                return _record_failure(report, error, context)
            refusal = error
            refused.append(UndeliveredRecipient(address, _failure_message(error)))
            continue
        except context.unanswered as error:
            return _record_failure(report, error, context)
        updated = _record_sent(report, address, message_id, context)
        if updated is None:
            return reports.get(report.batch_id, report.seq)  # another worker took it over
        report = updated
    if refusal is not None:
        context.refused(report, refusal)
    if not report.delivery.sent_to:
        return _record_failure(report, refusal, context) if refusal is not None else report
    undelivered = tuple(dict.fromkeys((*report.delivery.undeliverable, *refused)))
    sent = replace(report.delivery, state=DeliveryState.SENT, undeliverable=undelivered)
    return _record_delivery(report, sent, context)


def _record_sent(
    report: Report, address: str, message_id: str, context: ReportContext
) -> Report | None:
    """Record that `address` was sent its mail; None when another hand-over has begun since."""
    tries = report.delivery.tries
    while report.delivery.tries == tries:
        sent = (*report.delivery.sent_to, address)
        updated = replace(report.delivery, message_id=message_id, sent_to=sent, at=context.now())
        try:
            return reports.put_delivery(report, updated)
        except StaleState:  # news of one of the mails came between
            report = reports.get(report.batch_id, report.seq)
    return None


def _record_failure(report: Report, error: Exception, context: ReportContext) -> Report:
    """Record that the mail was not handed over, or perhaps not: it is tried again, or never."""
    sending = report.delivery
    state = DeliveryState.SENDING
    if isinstance(error, context.mail.exceptions.ClientError):
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 500)
        state = state if status >= _SERVER_ERROR else DeliveryState.QUEUED
    if sending.tries >= MAIL_TRIES:
        state = DeliveryState.FAILED
    context.refused(report, error)
    return _record_delivery(
        report, replace(sending, state=state, error=_failure_message(error)), context
    )


def _code(error: Any) -> str:
    code: str = error.response["Error"]["Code"]
    return code


def _failure_message(error: Exception) -> str:
    """The result of a hand-over in message, and the request id to find it in the log."""
    answer: dict[str, Any] = getattr(error, "response", {})
    if not answer:
        return "the mail service did not answer"
    message = _REFUSALS.get(_code(error), "the mail service failed")
    return f"{message} (its request {clean(answer['ResponseMetadata'].get('RequestId', '-'), 64)})"


def _record_delivery(report: Report, delivery: Delivery, context: ReportContext) -> Report:
    try:
        return reports.put_delivery(report, replace(delivery, at=context.now()))
    except StaleState:
        return reports.get(report.batch_id, report.seq)  # news from the mail service came first


def _send(
    report: Report, to: Sequence[str], blind_copies: Sequence[str], context: ReportContext
) -> str:
    settings = context.settings

    def text_of(name: str) -> str:
        answer = context.s3.get_object(Bucket=settings.work_bucket, Key=report.files[name])
        text: str = answer["Body"].read().decode()
        return text

    answer = context.mail.send_email(
        FromEmailAddress=settings.mail_from,
        Destination={"ToAddresses": list(to), "BccAddresses": list(blind_copies)},
        Content={
            "Simple": {
                "Subject": {"Data": clean(report.subject), "Charset": "UTF-8"},
                "Body": {
                    "Text": {"Data": text_of("mail.txt"), "Charset": "UTF-8"},
                    "Html": {"Data": text_of("report.html"), "Charset": "UTF-8"},
                },
                # All mails of a batch in one thread.
                "Headers": [{"Name": "References", "Value": f"<{report.batch_id}@jobyard>"}],
            }
        },
        ConfigurationSetName=settings.mail_configuration_set,
        EmailTags=[
            {"Name": "batch_id", "Value": report.batch_id},
            {"Name": "seq", "Value": str(report.seq)},
        ],
    )
    return answer["MessageId"]


def report_to(report: Report) -> tuple[str, ...]:
    """The recipients of a report whose addresses a mail can be sent to."""
    return all_addresses(report.to).good


def _blind_copies(settings: Settings) -> tuple[str, ...]:
    return addresses(settings.mail_bcc).good


def _all_recipients(report: Report, settings: Settings) -> Addresses:
    """All recipients of a report's mail, and those it cannot be sent to."""
    return all_addresses(report.to) + addresses(settings.mail_bcc)


def recipient_count(to: Sequence[str], settings: Settings) -> int:
    """How many addresses the mail of a report to `to` goes to; 0 for nobody."""
    return len(to) + len(_blind_copies(settings)) if to else 0


def deliver_waiting(
    context: ReportContext, remaining: Callable[[], float] = lambda: math.inf
) -> int:
    """Hand over the mails in the outbox. Returns how many reports are still undelivered, those
    included that failed within the last hour.

    `remaining` is in seconds. Mails that wait for a later try do not delay others.
    """
    left = sent = 0
    for report in islice(reports.undelivered(), MAX_COUNTED_REPORTS):
        found = report
        free = sent < MAILS_A_MINUTE and remaining() >= SEND_TIMEOUT_S
        if free and _is_due(report.delivery, context.now()):
            found = deliver(reports.get(report.batch_id, report.seq), context)
            sent += 1
        left += found.delivery.state in _WAITING
    since = context.now() - FAILED_COUNTED_FOR
    return left + sum(1 for _ in islice(reports.failed_since(since), MAX_COUNTED_REPORTS))
