"""Stores batches, and the tombstones of archived ones."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.archive import Tombstone
from jobyard.domain.batches.batch import UPLOAD_GRACE, Batch, BatchState, ManifestSource
from jobyard.domain.errors import Gone, NotFound, StaleState
from jobyard.domain.history import HistoryEntry
from jobyard.domain.lifecycle import Move
from jobyard.domain.mail_addresses import UndeliverableRecipient
from jobyard.store import transactions
from jobyard.store.documents import (
    from_ms,
    from_ms_or_none,
    history_document,
    parse_history,
    sortable,
    to_ms,
    to_ms_or_none,
    without_blanks,
)
from jobyard.store.tables import BatchItem, KeyValueItem, save_if
from jobyard.store.tombstones import ARCHIVED, TombstoneTable

_FIRST_MONTH = "first month"


def _item(batch: Batch) -> BatchItem:
    waiting = batch.upload_until if batch.state is BatchState.PENDING else None
    body = without_blanks(
        {
            "job_type": batch.job_type,
            "filename": batch.filename,
            "profile": batch.profile,
            "source": [*vars(batch.source).values()] if batch.source else None,
            "notify": list(batch.notify),
            "untold": [[*vars(each).values()] for each in batch.undeliverable],
            "parameters": dict(batch.parameters),
            "note": batch.note,
            "upload_until": to_ms_or_none(batch.upload_until),
            "submitted_at": to_ms(batch.submitted_at),
            "started_at": to_ms_or_none(batch.started_at),
            "ended_at": to_ms_or_none(batch.ended_at),
            "entries": batch.entries,
            "files": batch.files_count,
            "chunk_size": batch.chunk_size,
            "findings": batch.findings,
            "similar_to": batch.duplicate_of,
            "message": batch.failure_message,
            "checked_at": to_ms_or_none(batch.report_checked_at),
            "last_report": batch.last_report,
            "reported": dict(batch.reported_counts),
            "repaired_at": to_ms_or_none(batch.repaired_at),
            "submitted_by": batch.submitter if batch.submitter_sub else "",
            "groups": sorted(batch.submitter_groups),
            "sha256": batch.manifest_sha256,
            "history": history_document(batch.history),
        }
    )
    return BatchItem(
        batch_id=batch.batch_id,
        month=sortable(batch.submitted_at)[:7],
        state=batch.state.value,
        collection=batch.collection,
        submitter=batch.submitter_sub or batch.submitter,
        submitted=f"{sortable(batch.submitted_at)}#{batch.batch_id}",
        version=batch.version,
        expires=int((waiting + UPLOAD_GRACE).timestamp()) if waiting and not batch.source else None,
        body=body,
    )


def _batch(item: BatchItem) -> Batch:
    body: dict[str, Any] = item.body
    return Batch(
        batch_id=item.batch_id,
        state=BatchState(item.state),
        version=int(item.version),
        collection=item.collection,
        submitter=body.get("submitted_by", item.submitter),
        submitter_sub=item.submitter if "submitted_by" in body else "",
        job_type=body.get("job_type", ""),
        filename=body.get("filename", ""),
        submitted_at=from_ms(body["submitted_at"]),
        profile=body.get("profile", ""),
        source=ManifestSource(*body["source"]) if "source" in body else None,
        notify=tuple(body.get("notify", ())),
        undeliverable=tuple(UndeliverableRecipient(*each) for each in body.get("untold", ())),
        parameters=body.get("parameters", {}),
        note=body.get("note", ""),
        upload_until=from_ms_or_none(body.get("upload_until")),
        started_at=from_ms_or_none(body.get("started_at")),
        ended_at=from_ms_or_none(body.get("ended_at")),
        entries=body.get("entries", 0),
        files_count=body.get("files", 0),
        chunk_size=body.get("chunk_size", 0),
        findings=body.get("findings", 0),
        duplicate_of=body.get("similar_to", ""),
        failure_message=body.get("message", ""),
        report_checked_at=from_ms_or_none(body.get("checked_at")),
        last_report=body.get("last_report", 0),
        reported_counts=body.get("reported", {}),
        repaired_at=from_ms_or_none(body.get("repaired_at")),
        history=parse_history(body.get("history", [])),
        submitter_groups=frozenset(body.get("groups", ())),
        manifest_sha256=body.get("sha256", ""),
    )


def put_new(batch: Batch) -> Batch:
    """Store a new batch. Returns it with version 1.

    Raises:
        StaleState: a batch with this id exists.
    """
    new = replace(batch, version=1)
    _note_month(sortable(batch.submitted_at)[:7])
    if not save_if(_item(new), BatchItem.batch_id.does_not_exist()):
        raise StaleState(f"batch {batch.batch_id} exists already")
    return new


def _note_month(month: str) -> None:
    if not first_month():
        item = KeyValueItem(id=_FIRST_MONTH, content=month)
        save_if(item, KeyValueItem.id.does_not_exist())  # the first month noted stays


def require_state(batch_id: str, state: BatchState) -> transactions.TransactItem:
    """The item that cancels a transaction unless the batch is in `state`."""
    return transactions.require_state(BatchItem(batch_id), state.value)


def get(batch_id: str, now: datetime, *, grace: timedelta = timedelta(0)) -> Batch:
    """The batch. Its manifest may be uploaded up to `grace` later than announced.

    Raises:
        NotFound: there is no such batch.
        Gone: it was archived, or its manifest was not uploaded in time.
    """
    try:
        item = BatchItem.get(batch_id, consistent_read=True)
    except BatchItem.DoesNotExist:
        raise NotFound(f"there is no batch {batch_id}") from None
    if item.state == ARCHIVED:
        raise Gone(
            f"batch {batch_id} was archived on {BATCH_TOMBSTONES.parse(item).archived_at:%Y-%m-%d}"
        )
    batch = _batch(item)
    if batch.has_expired(now - grace):
        raise Gone(f"batch {batch_id} was never uploaded and has expired")
    return batch


def apply(batch: Batch, move: Move, **changes: Any) -> Batch:
    """Store the batch after `move`, with `changes` to its other fields. Returns the stored batch.

    A repeat of the last move succeeds and changes nothing.

    Raises:
        StaleState: the batch changed since it was read.
    """
    return _save(batch, batch.moved(move, **changes), move.cause.key)


def add_entry(batch: Batch, entry: HistoryEntry, **changes: Any) -> Batch:
    """Add `entry` to the batch's history, with `changes`, but without a move. Otherwise as `apply`.

    Raises:
        StaleState: the batch changed since it was read.
    """
    return _save(batch, batch.with_entry(entry, **changes), entry.cause)


def _save(before: Batch, after: Batch, cause: str) -> Batch:
    if not save_if(
        _item(after),
        (BatchItem.version == before.version) & (BatchItem.state == before.state.value),
    ):
        item = BatchItem.get(before.batch_id, consistent_read=True)
        if item.state == ARCHIVED:
            raise StaleState(f"batch {before.batch_id} has been archived since")
        stored = _batch(item)
        last = stored.history[-1] if stored.history else None
        if last and last.cause == cause and stored.state is after.state:
            return stored
        raise StaleState(
            f"batch {before.batch_id} was {before.state} when read and has changed since; "
            f"it is {stored.state}"
        )
    return after


@dataclass(frozen=True)
class BatchPage:
    """Batches, newest first. `after` is the cursor of the next page; "" if this is the last one."""

    items: tuple[Batch, ...]
    after: str


def of_month(month: str, *, limit: int, before: str = "") -> BatchPage:
    """Up to `limit` batches submitted in `month` ("2026-11"), newest first, from the index.

    `before` is a cursor, as `BatchPage.after`; "" for the first page.
    """
    return _page(BatchItem.by_month, month, limit, before)


def of_state(state: str, *, limit: int, before: str = "") -> BatchPage:
    """Up to `limit` batches in `state`. Otherwise as `of_month`."""
    return _page(BatchItem.by_state, state, limit, before)


def of_collection(collection: str, *, limit: int, before: str = "") -> BatchPage:
    """Up to `limit` batches of a collection. Otherwise as `of_month`."""
    return _page(BatchItem.by_collection, collection, limit, before)


def of_submitter(sub: str, *, limit: int, before: str = "") -> BatchPage:
    """Up to `limit` batches submitted by one person. Otherwise as `of_month`."""
    return _page(BatchItem.by_submitter, sub, limit, before)


def count_of_state(
    state: str, now: datetime, *, limit: int, since: datetime | None = None
) -> tuple[int, bool]:
    """The number of batches in `state`, from the index, without those whose manifest was not
    uploaded in time; and whether it is exact: up to `limit` are read. With `since`, only those
    submitted since.
    """
    condition = BatchItem.submitted >= sortable(since) if since else None
    found = [
        *BatchItem.by_state.query(
            state,
            range_key_condition=condition,
            scan_index_forward=False,
            limit=limit + 1,
            attributes_to_get=["expires"],
        )
    ]
    until = (now + UPLOAD_GRACE).timestamp()
    present = (each for each in found[:limit] if each.expires is None or each.expires > until)
    return sum(1 for _ in present), len(found) <= limit


def _page(index: Any, key: str, limit: int, before: str) -> BatchPage:
    condition = BatchItem.submitted < before if before else None
    found = index.query(
        key, range_key_condition=condition, scan_index_forward=False, limit=limit + 1
    )
    items = [*found]
    page = items[:limit]
    return BatchPage(
        tuple(_batch(item) for item in page), page[-1].submitted if len(items) > limit else ""
    )


def page_key(batch: Batch) -> str:
    """The cursor of the page that follows `batch`."""
    return f"{sortable(batch.submitted_at)}#{batch.batch_id}"


def first_month() -> str:
    """The month ("2026-11") of the first batch ever submitted; "" if there was none yet."""
    try:
        return KeyValueItem.get(_FIRST_MONTH, consistent_read=True).content
    except KeyValueItem.DoesNotExist:
        return ""


def in_state(
    state: BatchState, after: str = "", *, uploaded: bool = False, page: int | None = None
) -> Iterator[Batch]:
    """Every batch in `state` after the cursor `after`, oldest first, from the index: a batch may be
    outdated or missing. `uploaded` leaves out batches that wait for their manifest. Up to `page`
    batches are read at a time; None is as many as fit."""
    condition = BatchItem.submitted > after if after else None
    is_uploaded = BatchItem.expires.does_not_exist() if uploaded else None
    for item in BatchItem.by_state.query(
        state.value,
        range_key_condition=condition,
        filter_condition=is_uploaded,
        page_size=page,
    ):
        yield _batch(item)


def submitted_until(month: str, at: datetime, after: str = "") -> Iterator[Batch]:
    """The batches submitted in `month` ("2026-11"), up to `at`, after the cursor `after`, oldest
    first, from the index."""
    until = f"{sortable(at)}~"  # the tilde sorts after every cursor of that millisecond
    condition = (
        BatchItem.submitted.between(f"{after}~", until) if after else BatchItem.submitted < until
    )
    if after < until:
        for item in BatchItem.by_month.query(month, range_key_condition=condition):
            yield _batch(item)


# Tombstones


def _listed(item: BatchItem) -> dict[str, Any]:
    return {"submitted": item.submitted}  # the index by state lists it


BATCH_TOMBSTONES = TombstoneTable(BatchItem, _item, _batch, _listed, ("collection", "submitter"))


def in_archiving(after: str = "") -> Iterator[Tombstone[Batch]]:
    """The tombstones of batches whose records are not all removed yet, after the cursor `after`,
    oldest first, from the index."""
    condition = BatchItem.submitted > after if after else None
    for item in BatchItem.by_state.query(ARCHIVED, range_key_condition=condition):
        yield BATCH_TOMBSTONES.parse(item)
