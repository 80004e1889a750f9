"""Stores occurrences. They are written together with their schedule, by `schedules.write`."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.domain.schedules.occurrence import Occurrence, RunOutcome, SkipReason, Trigger, Verdict
from jobyard.store import transactions
from jobyard.store.documents import from_ms, from_ms_or_none, to_ms, to_ms_or_none, without_blanks
from jobyard.store.tables import OccurrenceItem


def item_of(occurrence: Occurrence) -> OccurrenceItem:
    """The occurrence as an item, for a transaction."""
    body = without_blanks(
        {
            "trigger": occurrence.trigger,
            "verdict": occurrence.verdict,
            "decided_at": to_ms(occurrence.decided_at),
            "reason": occurrence.skip_reason,
            "words": occurrence.reason,
            "actor": occurrence.actor,
            "job_type": occurrence.job_type,
            "parameters": dict(occurrence.parameters),
            "outcome": occurrence.outcome and _outcome_document(occurrence.outcome),
        }
    )
    return OccurrenceItem(
        schedule_id=occurrence.schedule_id,
        at=to_ms(occurrence.scheduled_for),
        version=occurrence.version,
        body=body,
    )


def _outcome_document(outcome: RunOutcome) -> list[Any]:
    return [
        outcome.state,
        to_ms_or_none(outcome.started_at),
        to_ms_or_none(outcome.resumed_at),
        to_ms(outcome.ended_at),
        list(outcome.failure_codes),
        outcome.failure_message,
        outcome.processed,
        outcome.failed,
        outcome.total,
    ]


def _outcome(line: list[Any] | None) -> RunOutcome | None:
    if line is None:
        return None
    state, started_at, resumed_at, ended_at, codes, *rest = line
    return RunOutcome(
        JobState(state),
        from_ms_or_none(started_at),
        from_ms_or_none(resumed_at),
        from_ms(ended_at),
        tuple(codes),
        *rest,
    )


def _occurrence(item: OccurrenceItem) -> Occurrence:
    body: dict[str, Any] = item.body
    return Occurrence(
        schedule_id=item.schedule_id,
        scheduled_for=from_ms(item.at),
        version=int(item.version),
        trigger=Trigger(body["trigger"]),
        verdict=Verdict(body["verdict"]),
        decided_at=from_ms(body["decided_at"]),
        skip_reason=SkipReason(body["reason"]) if "reason" in body else None,
        reason=body.get("words", ""),
        actor=body.get("actor", ""),
        job_type=body["job_type"],
        parameters=body.get("parameters", {}),
        outcome=_outcome(body.get("outcome")),
    )


def find(address: JobAddress) -> Occurrence | None:
    """The occurrence of the job with this address; None if there is none."""
    try:
        return _occurrence(
            OccurrenceItem.get(address.origin_id, address.position, consistent_read=True)
        )
    except OccurrenceItem.DoesNotExist:
        return None


def newest(
    schedule_id: str, *, limit: int, before: datetime | None = None
) -> tuple[Occurrence, ...]:
    """Up to `limit` occurrences of a schedule, newest first, at times before `before`."""
    condition = OccurrenceItem.at < to_ms(before) if before else None
    found = OccurrenceItem.query(
        schedule_id,
        range_key_condition=condition,
        scan_index_forward=False,
        limit=limit,
        consistent_read=True,
    )
    return tuple(_occurrence(item) for item in found)


def older(schedule_id: str, than: datetime, *, limit: int | None = None) -> Iterator[Occurrence]:
    """The occurrences of a schedule at times before `than`, oldest first, at most `limit`."""
    for item in OccurrenceItem.query(
        schedule_id,
        range_key_condition=OccurrenceItem.at < to_ms(than),
        limit=limit,
        consistent_read=True,
    ):
        yield _occurrence(item)


def deletion(occurrence: Occurrence) -> transactions.TransactItem:
    """The item of a transaction that removes the occurrence if it has not changed meanwhile."""
    item = OccurrenceItem(occurrence.schedule_id, to_ms(occurrence.scheduled_for))
    return transactions.delete(item, occurrence.version)
