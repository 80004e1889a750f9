"""Calls webhooks through the outbox: what is to be called is stored first, and tried until it is
answered, so that each call arrives at least once. All tries have the same id.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.redaction import redacted
from jobyard.domain.text import clean
from jobyard.domain.urls import https_error
from jobyard.domain.webhooks import (
    PAUSES,
    WEBHOOK_TRIES,
    Webhook,
    WebhookEvent,
    headers,
    payload,
    webhook_id,
    webhook_seq,
)
from jobyard.services.reports.context import ReportContext
from jobyard.services.settings import Settings
from jobyard.store import reports, webhooks

CONNECT_S, ANSWER_S = 5.0, 10.0  # that the receiver has
CALL_TIMEOUT_S = CONNECT_S + ANSWER_S  # the longest that one call takes
_TEXT = "webhook.json"
_GONE = 410  # the receiver wants no more calls
_REMOVED = "there is no such webhook any more"


def queue_calls(
    event: WebhookEvent,
    origin_id: str,
    number: int,
    at: datetime,
    data: Mapping[str, Any],
    collection: str = "",
) -> list[Report]:
    """Store the calls about the `number`th report of an origin, `at` its time. A repeat returns the
    stored ones. Nothing is stored if no webhook wants the event.
    """
    wanted = calls_about(event, origin_id, number, at, data, collection)
    return [reports.put_new(each) for each in wanted]


def calls_about(
    event: WebhookEvent,
    origin_id: str,
    number: int,
    at: datetime,
    data: Mapping[str, Any],
    collection: str = "",
) -> list[Report]:
    """The calls of the webhooks that want an event, to be stored; as `queue_calls`."""
    body = payload(event, at, data)
    return [
        Report(
            batch_id=origin_id,
            seq=webhook_seq(number, each.slot),
            kind=ReportKind.WEBHOOK,
            created_at=at,
            to=(redacted(each.url),),
            subject=f"{event.value} to {each.name}",
            outcome="",
            counts={},
            changed_count=0,
            files={},
            delivery=Delivery(DeliveryState.QUEUED, at),
            webhook=each.name,
            texts={_TEXT: body.decode()},
        )
        for each in webhooks.list_all()[0]
        if each.wants(event, collection)
    ]


def is_call_due(delivery: Delivery, now: datetime) -> bool:
    """Whether a call has to be tried now, and not later."""
    waiting = delivery.state in {DeliveryState.QUEUED, DeliveryState.SENDING}
    pause = PAUSES[min(delivery.tries, len(PAUSES)) - 1] if delivery.tries else timedelta()
    return waiting and now - delivery.at >= pause


def call(report: Report, context: ReportContext) -> Report:
    """Call a webhook, if it is due. Returns the stored report.

    A call without a recorded answer is tried again after a pause.
    """
    now = context.now()
    if not is_call_due(report.delivery, now):
        return report
    found = next(
        (
            each
            for each in webhooks.list_all()[0]
            if each.name == report.webhook and not each.is_deleted
        ),
        None,
    )
    sending = replace(
        report.delivery,
        state=DeliveryState.SENDING if found else DeliveryState.FAILED,
        at=now,
        error="" if found else _REMOVED,
        tries=report.delivery.tries + 1,
    )
    try:
        report = reports.put_delivery(report, sending)
        if found is None:
            return report
        return reports.put_delivery(report, _tried(report, found, context))
    except StaleState:
        return reports.get(report.batch_id, report.seq)  # another worker calls it


def _tried(report: Report, webhook: Webhook, context: ReportContext) -> Delivery:
    """Try a call. Returns how its delivery continues."""
    # Few deployments have a webhook.
    from jobyard.jobtypes.http_client import FetchRefused
    from jobyard.jobtypes.http_client.pace import RESERVE_S

    began = context.now()

    def remaining() -> float:  # a host may have several addresses, and none may answer
        return CALL_TIMEOUT_S + RESERVE_S - (context.now() - began).total_seconds()

    body = report.texts[_TEXT].encode()
    message_id = webhook_id(report.batch_id, report.seq)
    signed = headers(message_id, context.now(), body, webhook.secret)
    status, error = 0, https_error(webhook.url, context.settings.allowed_hosts)
    try:
        if not error:
            sent = context.http().send("POST", webhook.url, remaining, headers=signed, body=body)
            status = sent.status
    except FetchRefused as refusal:
        error = refusal.message
        if refusal.code is Failure.TIMEOUT:
            error = f"it did not answer in {CALL_TIMEOUT_S:g} seconds"
    delivery = replace(report.delivery, at=context.now(), message_id=message_id)
    if 200 <= status < 300:
        return replace(delivery, state=DeliveryState.DELIVERED, error="")
    error = clean(error or f"it answered {status}")
    if status == _GONE or delivery.tries >= WEBHOOK_TRIES:
        return replace(delivery, state=DeliveryState.FAILED, error=error)
    return replace(delivery, state=DeliveryState.QUEUED, error=error)


def links(path: str, settings: Settings) -> dict[str, str]:
    """The links of a call: to the API and to the page of what it is about, at `path`."""
    return {"self": f"{settings.url}/api/{path}", "page": f"{settings.url}/{path}"}
