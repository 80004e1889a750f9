"""Stores reports. Each is also the outbox's record of its mail."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.errors import NotFound, StaleState
from jobyard.domain.mail_addresses import UndeliverableRecipient
from jobyard.domain.webhooks import next_attempt_at, webhook_slot
from jobyard.store import transactions
from jobyard.store.documents import from_ms, from_ms_or_none, sortable, to_ms, without_blanks
from jobyard.store.tables import ReportItem, save_if

_PENDING = "yes"
_FAILED = {DeliveryState.FAILED, DeliveryState.BOUNCED}
_UNDELIVERED = {
    DeliveryState.QUEUED: _PENDING,
    DeliveryState.SENDING: _PENDING,
    DeliveryState.FAILED: "lost",
    DeliveryState.BOUNCED: "lost",
}


def _item(report: Report) -> ReportItem:
    delivery = report.delivery
    return ReportItem(
        batch_id=report.batch_id,
        seq=report.seq,
        version=report.version,
        **_index_keys(report),
        body={
            "kind": report.kind.value,
            "at": to_ms(report.created_at),
            "to": list(report.to),
            "subject": report.subject,
            "outcome": report.outcome,
            "counts": dict(report.counts),
            "changed": report.changed_count,
            "files": dict(report.files),
            "delivery": [
                delivery.state.value,
                to_ms(delivery.at),
                delivery.message_id,
                delivery.error,
                delivery.tries,
                delivery.individually,
                list(delivery.sent_to),
                [[*vars(each).values()] for each in delivery.undeliverable],
                *_request(delivery),
            ],
            **without_blanks({"webhook": report.webhook, "texts": dict(report.texts)}),
        },
    )


def _index_keys(report: Report) -> dict[str, Any]:
    """The keys of a report in the indexes. A webhook delivery is listed by its next attempt, in a
    partition for each webhook.
    """
    delivery = report.delivery
    undelivered = _UNDELIVERED.get(delivery.state)
    queued_at = delivery.at if delivery.state in _FAILED else report.created_at
    if not report.webhook:
        return {"undelivered": undelivered, "queued_at": sortable(queued_at)}
    if undelivered == _PENDING:
        undelivered = _webhook_partition(webhook_slot(report.seq))
        queued_at = next_attempt_at(delivery.tries, delivery.at)
    return {
        "undelivered": undelivered,
        "queued_at": sortable(queued_at),
        "webhook": report.webhook,
        "delivery": f"{sortable(report.created_at)} {report.batch_id} {report.seq}",
    }


def _webhook_partition(slot: int) -> str:
    return f"webhook {slot}"


def _request(delivery: Delivery) -> list[Any]:
    """The request that had the mail sent again, as it is stored; nothing if none did."""
    if not delivery.request or delivery.requested_at is None:
        return []
    return [delivery.request, to_ms(delivery.requested_at)]


def _report(item: ReportItem) -> Report:
    body: dict[str, Any] = item.body
    state, at, message_id, error, tries, *recipients = body["delivery"]
    # Older reports have no recipients; most were not sent again.
    individually, sent_to, undeliverable, *request = recipients or (False, (), ())
    requested_by, requested_at = request or ("", None)
    return Report(
        batch_id=item.batch_id,
        seq=int(item.seq),
        kind=ReportKind(body["kind"]),
        created_at=from_ms(body["at"]),
        to=tuple(body["to"]),
        subject=body["subject"],
        outcome=body["outcome"],
        counts=body["counts"],
        changed_count=body["changed"],
        files=body["files"],
        delivery=Delivery(
            DeliveryState(state),
            from_ms(at),
            message_id,
            error,
            tries,
            individually,
            tuple(sent_to),
            tuple(UndeliverableRecipient(*each) for each in undeliverable),
            requested_by,
            from_ms_or_none(requested_at),
        ),
        version=int(item.version),
        webhook=body.get("webhook", ""),
        texts=body.get("texts", {}),
    )


def put_new(report: Report) -> Report:
    """Store a new report. Returns the stored one if the batch has one with this number."""
    new = replace(report, version=1)
    if not save_if(_item(new), ReportItem.batch_id.does_not_exist()):
        return get(report.batch_id, report.seq)
    return new


def new_item(report: Report) -> transactions.TransactItem:
    """The item of a transaction that stores a new report, whose key no other can have."""
    return transactions.replace(_item(replace(report, version=1)))


def get(batch_id: str, seq: int) -> Report:
    """The report with this number.

    Raises:
        NotFound: there is none.
    """
    try:
        return _report(ReportItem.get(batch_id, seq, consistent_read=True))
    except ReportItem.DoesNotExist:
        raise NotFound(f"batch {batch_id} has no report {seq}") from None


def find(batch_id: str, seq: int) -> Report | None:
    """The report with this number; None if there is none."""
    try:
        return get(batch_id, seq)
    except NotFound:
        return None


def of_batch(batch_id: str) -> Iterator[Report]:
    """A batch's reports, by number."""
    for item in ReportItem.query(batch_id, consistent_read=True):
        yield _report(item)


def put_delivery(report: Report, delivery: Delivery) -> Report:
    """Store how far the delivery of the report's mail has come. Returns the new report.

    Raises:
        StaleState: the report changed since it was read.
    """
    new = replace(report, delivery=delivery, version=report.version + 1)
    if not save_if(_item(new), ReportItem.version == report.version):
        raise StaleState(f"the delivery of report {report.seq} of batch {report.batch_id} changed")
    return new


def undelivered(limit: int | None = None) -> Iterator[Report]:
    """Reports that the mail service has not accepted yet, oldest first, from the index; up to
    `limit` of them. Webhook deliveries are not among them.
    """
    for item in ReportItem.by_delivery.query(_PENDING, limit=limit):
        yield _report(item)


def due_for_webhook(slot: int, now: datetime, limit: int) -> list[Report]:
    """The deliveries for the webhook in `slot` whose next attempt is due, longest due first, from
    the index; up to `limit` of them.
    """
    due = ReportItem.queued_at <= sortable(now)
    found = ReportItem.by_delivery.query(_webhook_partition(slot), due, limit=limit)
    return [_report(item) for item in found]


def of_webhook(name: str, before: str, limit: int) -> tuple[list[Report], str | None]:
    """The deliveries for a webhook, newest first, from the index, and where the next page starts;
    None on the last.
    """
    earlier = ReportItem.delivery < before if before else None
    found = [*ReportItem.by_webhook.query(name, earlier, scan_index_forward=False, limit=limit + 1)]
    following = found[limit - 1].delivery if len(found) > limit else None
    return [_report(item) for item in found[:limit]], following


def failed_since(since: datetime, limit: int | None = None) -> Iterator[Report]:
    """Reports whose mail was refused or bounced after `since`, oldest first, from the index; up to
    `limit` of them.
    """
    later = ReportItem.queued_at > sortable(since)
    for item in ReportItem.by_delivery.query("lost", later, limit=limit):
        yield _report(item)


def remove(found: Iterable[Report]) -> None:
    """Remove reports. Those that are gone already are ignored."""
    with ReportItem.batch_write() as removing:
        for report in found:
            removing.delete(ReportItem(report.batch_id, report.seq))
