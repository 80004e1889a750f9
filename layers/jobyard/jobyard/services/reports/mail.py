"""The outbox: send the mail of each report once, deliver to webhooks, and record both."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice, zip_longest
from typing import Any

from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.errors import StaleState
from jobyard.domain.mail_addresses import (
    Addresses,
    UndeliverableRecipient,
    addresses,
    all_addresses,
)
from jobyard.domain.text import clean
from jobyard.domain.webhooks import MAX_WEBHOOKS
from jobyard.services.reports.context import ReportContext
from jobyard.services.reports.webhooks import (
    DELIVERY_TIMEOUT_S,
    deliver_to_webhook,
)
from jobyard.services.settings import Settings
from jobyard.store import reports, webhooks

NO_RESPONSE_PAUSE = timedelta(minutes=15)  # until a mail without a response is sent again
QUICK_TRIES = 10  # a minute apart; later ones are an hour apart
MAIL_TRIES = QUICK_TRIES + 72  # in all: three days
_SLOW_PAUSE = timedelta(hours=1)
MAILS_PER_MINUTE = 50  # that one tick sends; SES lets a new account send one a second
WEBHOOKS_PER_MINUTE = 50  # deliveries to webhooks that one tick tries
_WEBHOOK_RECORD_S = 5.0  # for the records before and after an attempt
SEND_TIMEOUT_S = 35.0  # the longest that sending one mail takes
MAX_COUNTED_REPORTS = 5_000  # undelivered reports read per tick; more are an alarm as well
FAILED_COUNTED_FOR = timedelta(hours=1)  # how long a failed mail counts for the alarm
_WAITING = frozenset({DeliveryState.QUEUED, DeliveryState.SENDING})
_SERVER_ERROR = 500  # from this status on, the mail may have been accepted nevertheless

# Messages for SES's error codes. SES's own message is in the log, under the request id.
_REFUSALS = {
    "AccountSuspendedException": "the mail service has suspended the account",
    "BadRequestException": "the mail service rejects the mail or one of its addresses as malformed",
    "LimitExceededException": "the mail service accepts no more mails for now",
    "MailFromDomainNotVerifiedException": "the sender's domain is not verified",
    "MessageRejected": "the mail service rejects the mail or one of its addresses",
    "SendingPausedException": "the mail service has paused the account",
    "TooManyRequestsException": "the mail service accepts no more mails for now",
}
_NO_ADDRESS = "no recipient has a valid address"
_ADDRESS_ERRORS = frozenset(
    {"BadRequestException", "MessageRejected"}
)  # one address may cause them


def deliver(report: Report, context: ReportContext) -> Report:
    """Send a report's mail, if it is due. Returns the stored report.

    A mail without a recorded response is sent again after a quarter of an hour. SES cannot say
    whether it accepted the first one. Only in this case a mail may be sent twice.
    """
    if report.kind is ReportKind.WEBHOOK:
        return deliver_to_webhook(report, context)
    now = context.now()
    delivery = report.delivery
    if not _is_due(delivery, now):
        return report
    recipients = _all_recipients(report, context.settings)
    if not report_to(report):
        failed = replace(
            delivery,
            state=DeliveryState.FAILED,
            undeliverable=recipients.invalid,
            error=_NO_ADDRESS,
        )
        return _record_delivery(report, failed, context)
    sending = replace(
        delivery,
        state=DeliveryState.SENDING,
        at=now,
        error="",
        tries=delivery.tries + 1,
        undeliverable=tuple(dict.fromkeys((*delivery.undeliverable, *recipients.invalid))),
    )
    try:
        report = reports.put_delivery(report, sending)
    except StaleState:
        return reports.get(report.batch_id, report.seq)  # another worker is sending it
    if sending.individually:
        return _send_individually(report, recipients, context)
    try:
        message_id = _send(report, report_to(report), _blind_copies(context.settings), context)
    except context.mail.exceptions.ClientError as refusal:
        if _code(refusal) in _ADDRESS_ERRORS and len(recipients.valid) > 1:
            report = _record_delivery(report, replace(sending, individually=True), context)
            if not report.delivery.individually:
                return report
            return _send_individually(report, recipients, context)
        return _record_failure(report, refusal, context)
    except context.no_response_error as error:
        return _record_failure(report, error, context)
    sent = replace(sending, state=DeliveryState.SENT, message_id=message_id)
    return _record_delivery(report, sent, context)


def _is_due(delivery: Delivery, now: datetime) -> bool:
    """Whether a mail has to be sent now, and not later."""
    pause = NO_RESPONSE_PAUSE if delivery.state is DeliveryState.SENDING else timedelta()
    if delivery.tries >= QUICK_TRIES:
        pause = _SLOW_PAUSE
    return delivery.state in _WAITING and now - delivery.at >= pause


def _send_individually(report: Report, recipients: Addresses, context: ReportContext) -> Report:
    """Send a separate mail to each recipient, because the one to all was rejected.

    A recipient whose mail is rejected is recorded as undeliverable. Each sent mail is recorded at
    once, so that it is not sent again.
    """
    refusal: Exception | None = None
    refused: list[UndeliverableRecipient] = []
    for address in recipients.valid:
        if address in report.delivery.sent_to:
            continue
        try:
            message_id = _send(report, (address,), (), context)
        except context.mail.exceptions.ClientError as error:
            if _code(error) not in _ADDRESS_ERRORS:
                return _record_failure(report, error, context)
            refusal = error
            refused.append(UndeliverableRecipient(address, _failure_message(error)))
            continue
        except context.no_response_error as error:
            return _record_failure(report, error, context)
        updated = _record_sent(report, address, message_id, context)
        if updated is None:
            return reports.get(report.batch_id, report.seq)  # another worker is sending it
        report = updated
    if refusal is not None:
        context.on_failure(report, refusal)
    if not report.delivery.sent_to:
        return _record_failure(report, refusal, context) if refusal is not None else report
    undelivered = tuple(dict.fromkeys((*report.delivery.undeliverable, *refused)))
    sent = replace(report.delivery, state=DeliveryState.SENT, undeliverable=undelivered)
    return _record_delivery(report, sent, context)


def _record_sent(
    report: Report, address: str, message_id: str, context: ReportContext
) -> Report | None:
    """Record that `address` was sent its mail; None if another worker has begun to send it."""
    tries = report.delivery.tries
    while report.delivery.tries == tries:
        sent = (*report.delivery.sent_to, address)
        updated = replace(report.delivery, message_id=message_id, sent_to=sent, at=context.now())
        try:
            return reports.put_delivery(report, updated)
        except StaleState:  # an event of the mail service was recorded
            report = reports.get(report.batch_id, report.seq)
    return None


def _record_failure(report: Report, error: Exception, context: ReportContext) -> Report:
    """Record that sending failed, or got no response. The mail is tried again, up to MAIL_TRIES."""
    sending = report.delivery
    state = DeliveryState.SENDING
    if isinstance(error, context.mail.exceptions.ClientError):
        status = error.response["ResponseMetadata"].get("HTTPStatusCode", 500)
        if status < _SERVER_ERROR:
            state = DeliveryState.QUEUED
    if sending.tries >= MAIL_TRIES:
        state = DeliveryState.FAILED
    context.on_failure(report, error)
    return _record_delivery(
        report, replace(sending, state=state, error=_failure_message(error)), context
    )


def _code(error: Any) -> str:
    code: str = error.response["Error"]["Code"]
    return code


def _failure_message(error: Exception) -> str:
    """Why a mail was not sent, with the request id to find it in the log."""
    response: dict[str, Any] = getattr(error, "response", {})
    if not response:
        return "the mail service did not answer"
    message = _REFUSALS.get(_code(error), "the mail service failed")
    request_id = clean(response["ResponseMetadata"].get("RequestId", "-"), 64)
    return f"{message} (request {request_id})"


def _record_delivery(report: Report, delivery: Delivery, context: ReportContext) -> Report:
    try:
        return reports.put_delivery(report, replace(delivery, at=context.now()))
    except StaleState:
        return reports.get(report.batch_id, report.seq)  # an event of the mail service came first


def _send(
    report: Report, to: Sequence[str], blind_copies: Sequence[str], context: ReportContext
) -> str:
    """Send the mail. Returns SES's message id."""
    settings = context.settings

    def text_of(name: str) -> str:
        if name in report.texts:
            return report.texts[name]
        response = context.s3.get_object(Bucket=settings.work_bucket, Key=report.files[name])
        text: str = response["Body"].read().decode()
        return text

    response = context.mail.send_email(
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
    return response["MessageId"]


def report_to(report: Report) -> tuple[str, ...]:
    """The recipients of a report with a valid address."""
    return all_addresses(report.to).valid


def _blind_copies(settings: Settings) -> tuple[str, ...]:
    return addresses(settings.mail_bcc).valid


def _all_recipients(report: Report, settings: Settings) -> Addresses:
    """The recipients of a report's mail, with blind copies, by valid and invalid addresses."""
    return all_addresses(report.to) + addresses(settings.mail_bcc)


def recipient_count(to: Sequence[str], settings: Settings) -> int:
    """How many addresses a report's mail to `to` is sent to, with blind copies; 0 without `to`."""
    return len(to) + len(_blind_copies(settings)) if to else 0


def deliver_waiting(
    context: ReportContext, remaining: Callable[[], float] = lambda: math.inf
) -> int:
    """Send the mails in the outbox, then call the webhooks in it. Returns how many mails are still
    undelivered, including reports that failed within the last hour.

    `remaining` is in seconds. Mails that wait for a later try do not delay others, and slow
    receivers of webhooks delay no mails. Webhook deliveries are not counted, because an operator
    cannot repair somebody else's receiver.
    """
    left = sent = 0
    for report in islice(reports.undelivered(), MAX_COUNTED_REPORTS):
        found = report
        may_send = sent < MAILS_PER_MINUTE and remaining() >= SEND_TIMEOUT_S
        if may_send and _is_due(report.delivery, context.now()):
            found = deliver(reports.get(report.batch_id, report.seq), context)
            sent += 1
        left += found.delivery.state in _WAITING
    _deliver_webhooks(_due_webhooks(context.now()), context, remaining)
    since = context.now() - FAILED_COUNTED_FOR
    return left + sum(1 for _ in islice(reports.failed_since(since), MAX_COUNTED_REPORTS))


def _due_webhooks(now: datetime) -> list[Report]:
    """The webhook deliveries that are due, round-robin over the webhooks, up to
    `WEBHOOKS_PER_MINUTE` of each, so that thousands for one receiver delay no other one.
    """
    _, version = webhooks.list_all()
    if not version:
        return []
    queues = [
        reports.due_for_webhook(slot, now, WEBHOOKS_PER_MINUTE) for slot in range(MAX_WEBHOOKS)
    ]
    return [each for turn in zip_longest(*queues) for each in turn if each is not None]


def _deliver_webhooks(
    due: Sequence[Report], context: ReportContext, remaining: Callable[[], float]
) -> None:
    """Make the deliveries that are due. After a failure, the others of its webhook come last, so
    that a receiver that does not respond delays no other one.
    """
    failing: set[str] = set()
    last: list[Report] = []
    made = 0
    for found in (due, last):
        for report in found:
            if found is due and report.webhook in failing:
                last.append(report)
                continue
            if made == WEBHOOKS_PER_MINUTE or remaining() < DELIVERY_TIMEOUT_S + _WEBHOOK_RECORD_S:
                return
            made += 1
            after = deliver_to_webhook(reports.get(report.batch_id, report.seq), context)
            if after.delivery.state in _WAITING:
                failing.add(report.webhook)
