"""Delivers webhook events through an outbox: each delivery is stored first, then retried with
backoff until the receiver returns 2xx, up to `WEBHOOK_TRIES` attempts. A 410, or a webhook that was
disabled or removed, ends it at once. All attempts send the same message id, so the receiver can
drop duplicates.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.redaction import redacted
from jobyard.domain.text import clean
from jobyard.domain.urls import https_error
from jobyard.domain.webhooks import (
    WEBHOOK_TRIES,
    Webhook,
    WebhookEvent,
    headers,
    next_attempt_at,
    payload,
    webhook_id,
    webhook_seq,
)
from jobyard.services.reports.context import ReportContext
from jobyard.services.settings import Settings
from jobyard.store import reports, webhooks

CONNECT_S, ANSWER_S = 5.0, 10.0  # that the receiver has
DELIVERY_TIMEOUT_S = CONNECT_S + ANSWER_S  # the longest that one attempt takes
_TEXT = "webhook.json"
_GONE = 410  # the receiver wants no more deliveries
_REMOVED = "there is no such webhook any more"
_DISABLED = "the webhook is disabled"


def queue_deliveries(
    event: WebhookEvent,
    origin_id: str,
    number: int,
    at: datetime,
    data: Mapping[str, Any],
    collection: str = "",
) -> list[Report]:
    """Store the deliveries about the `number`th report of an origin, `at` its time. A repeat
    returns the stored ones. Nothing is stored if no webhook wants the event.
    """
    wanted = deliveries_about(event, origin_id, number, at, data, collection)
    return [reports.put_new(each) for each in wanted]


def deliveries_about(
    event: WebhookEvent,
    origin_id: str,
    number: int,
    at: datetime,
    data: Mapping[str, Any],
    collection: str = "",
) -> list[Report]:
    """The deliveries to the webhooks that want an event, to be stored; as `queue_deliveries`."""
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


def is_delivery_due(delivery: Delivery, now: datetime) -> bool:
    """Whether a webhook delivery has to be tried now, and not later."""
    is_pending = delivery.state in {DeliveryState.QUEUED, DeliveryState.SENDING}
    return is_pending and now >= next_attempt_at(delivery.tries, delivery.at)


def deliver_to_webhook(report: Report, context: ReportContext) -> Report:
    """Try a delivery, if it is due. Returns the stored report.

    One without a recorded response is tried again after a pause.
    """
    now = context.now()
    if not is_delivery_due(report.delivery, now):
        return report
    found = next(
        (
            each
            for each in webhooks.list_all()[0]
            if each.name == report.webhook and not each.is_deleted
        ),
        None,
    )
    before = report.delivery
    if found is None or not found.is_enabled:
        error = _DISABLED if found else _REMOVED
        updated = replace(before, state=DeliveryState.FAILED, at=now, error=error)
    else:
        tries = before.tries + 1
        updated = replace(before, state=DeliveryState.SENDING, at=now, error="", tries=tries)
    try:
        report = reports.put_delivery(report, updated)
        if found is None or not found.is_enabled:
            return report
        return reports.put_delivery(report, _tried(report, found, context))
    except StaleState:
        return reports.get(report.batch_id, report.seq)  # another worker tries it


def _tried(report: Report, webhook: Webhook, context: ReportContext) -> Delivery:
    """Try a delivery once. Returns how it continues."""
    # Few deployments have a webhook.
    from jobyard.jobtypes.http_client import FetchRefused
    from jobyard.jobtypes.http_client.pace import RESERVE_S

    began = context.now()

    def remaining() -> float:  # a host may have several addresses, and none may respond
        return DELIVERY_TIMEOUT_S + RESERVE_S - (context.now() - began).total_seconds()

    body = report.texts[_TEXT].encode()
    message_id = webhook_id(report.batch_id, report.seq)
    signed = headers(message_id, began, body, webhook.secrets(began))
    status, error = 0, https_error(webhook.url, context.settings.allowed_hosts)
    try:
        if not error:
            sent = context.http().send("POST", webhook.url, remaining, headers=signed, body=body)
            status = sent.status
    except FetchRefused as refusal:
        error = refusal.message
        if refusal.code is Failure.TIMEOUT:
            error = f"it did not answer in {DELIVERY_TIMEOUT_S:g} seconds"
    delivery = replace(report.delivery, at=context.now(), message_id=message_id)
    if 200 <= status < 300:
        return replace(delivery, state=DeliveryState.DELIVERED, error="")
    error = clean(error or f"it answered {status}")
    if status == _GONE or delivery.tries >= WEBHOOK_TRIES:
        return replace(delivery, state=DeliveryState.FAILED, error=error)
    return replace(delivery, state=DeliveryState.QUEUED, error=error)


def links(path: str, settings: Settings) -> dict[str, str]:
    """The links of an event: to the API and to the page of what it is about, at `path`."""
    return {"self": f"{settings.url}/api/{path}", "page": f"{settings.url}/{path}"}
