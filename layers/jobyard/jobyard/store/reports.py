"""Reports as they are stored; each is also the outbox's record of its mail."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.errors import NotFound, StaleState
from jobyard.domain.mail_addresses import UndeliveredRecipient
from jobyard.store.documents import from_ms, sortable, to_ms
from jobyard.store.tables import ReportItem, save_if

_FAILED = {DeliveryState.FAILED, DeliveryState.BOUNCED}
_UNDELIVERED = {
    DeliveryState.QUEUED: "yes",
    DeliveryState.SENDING: "yes",
    DeliveryState.FAILED: "lost",
    DeliveryState.BOUNCED: "lost",
}


def _item(report: Report) -> ReportItem:
    delivery = report.delivery
    return ReportItem(
        batch_id=report.batch_id,
        seq=report.seq,
        version=report.version,
        undelivered=_UNDELIVERED.get(delivery.state),
        queued_at=sortable(delivery.at if delivery.state in _FAILED else report.created_at),
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
            ],
        },
    )


def _report(item: ReportItem) -> Report:
    body: dict[str, Any] = item.body
    state, at, message_id, error, tries, *recipients = body["delivery"]
    individually, recipients, undeliverable = recipients or (
        False,
        (),
        (),
    )  # an old one has none of these
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
            tuple(recipients),
            tuple(UndeliveredRecipient(*each) for each in undeliverable),
        ),
        version=int(item.version),
    )


def put_new(report: Report) -> Report:
    """Write the report down; if one of its number is there already, that one is the answer."""
    new = replace(report, version=1)
    if not save_if(_item(new), ReportItem.batch_id.does_not_exist()):
        return get(report.batch_id, report.seq)
    return new


def get(batch_id: str, seq: int) -> Report:
    """The report of that number, strongly read.

    Raises:
        NotFound: there is none.
    """
    try:
        return _report(ReportItem.get(batch_id, seq, consistent_read=True))
    except ReportItem.DoesNotExist:
        raise NotFound(f"batch {batch_id} has no report {seq}") from None


def find(batch_id: str, seq: int) -> Report | None:
    """The report of that number, strongly read; None when there is none."""
    try:
        return get(batch_id, seq)
    except NotFound:
        return None


def of_batch(batch_id: str) -> Iterator[Report]:
    """A batch's reports, first to last."""
    for item in ReportItem.query(batch_id, consistent_read=True):
        yield _report(item)


def put_delivery(report: Report, delivery: Delivery) -> Report:
    """Write down how far the mail got.

    Raises:
        StaleState: someone else did since the report was read.
    """
    new = replace(report, delivery=delivery, version=report.version + 1)
    if not save_if(_item(new), ReportItem.version == report.version):
        raise StaleState(f"the delivery of report {report.seq} of batch {report.batch_id} changed")
    return new


def undelivered() -> Iterator[Report]:
    """Reports whose mail is not with the mail service yet, oldest first, as the index knows it."""
    for item in ReportItem.waiting.query("yes"):
        yield _report(item)


def failed_since(since: datetime) -> Iterator[Report]:
    """Reports whose mail was refused or bounced after `since`, as the index knows it."""
    for item in ReportItem.waiting.query("lost", ReportItem.queued_at > sortable(since)):
        yield _report(item)


def remove(found: Iterable[Report]) -> None:
    """Remove reports; those that are no more are let be."""
    with ReportItem.batch_write() as removing:
        for report in found:
            removing.delete(ReportItem(report.batch_id, report.seq))
