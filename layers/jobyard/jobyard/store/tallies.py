"""Stores tallies: one item a batch, in the batches table. It also says who is counting.

A tally can always be counted again. So one that could not be written is no error, and one that
nobody has counted for a month expires.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pynamodb.exceptions import PutError

from jobyard.domain.batches.tally import StripSegment, Tally
from jobyard.domain.jobs.job import JobState
from jobyard.store.documents import (
    from_ms,
    from_ms_or_none,
    parse_spans,
    spans_document,
    to_ms,
    to_ms_or_none,
    without_blanks,
)
from jobyard.store.tables import BatchItem, is_version, save_if

LIFETIME = timedelta(days=30)  # after it was last counted
_STATE = "tally"  # no batch is in this state
_MILLISECOND = timedelta(milliseconds=1)
# The letters of the states in a stored strip. A share follows each as a hexadecimal digit.
_LETTERS = {
    JobState.SCHEDULED: "w",
    JobState.HELD: "h",
    JobState.RUNNING: "r",
    JobState.PAUSED: "p",
    JobState.STOPPING: "o",
    JobState.SUCCEEDED: "s",
    JobState.PARTIALLY_SUCCEEDED: "a",
    JobState.FAILED: "f",
    JobState.CANCELLED: "c",
    JobState.REPLACED: "e",
    JobState.DELETED: "d",
}
_STATES = {letter: state for state, letter in _LETTERS.items()}


@dataclass(frozen=True)
class StoredTally:
    """The item of a batch's tally.

    `tally` is None if nobody has counted yet. Until `claimed_until` someone is counting. `version`
    counts the item's writes; 0 is no item.
    """

    tally: Tally | None = None
    claimed_until: datetime | None = None
    version: int = 0


def of_batches(batch_ids: Iterable[str]) -> dict[str, StoredTally]:
    """The stored tallies of several batches, by batch. A batch without one is left out."""
    keys = [_key(batch_id) for batch_id in batch_ids]
    found = BatchItem.batch_get(keys, consistent_read=True)
    return {item.batch_id.partition("#")[0]: _stored(item) for item in found}


def claim(batch_id: str, seen: StoredTally, now: datetime, until: datetime) -> StoredTally | None:
    """Note that somebody counts the jobs of a batch `until` then.

    Returns the stored tally after that; None if someone else has claimed or counted since `seen`.
    """
    claimed = StoredTally(seen.tally, until, seen.version + 1)
    return claimed if _save(batch_id, claimed, seen.version, now) else None


def put(batch_id: str, claimed: StoredTally, tally: Tally) -> bool:
    """Store a tally, which ends the claim. Returns False if the claim was over and another was
    made, or if DynamoDB failed."""
    after = StoredTally(tally, None, claimed.version + 1)
    return _save(batch_id, after, claimed.version, tally.counted_at)


def _key(batch_id: str) -> str:
    return f"{batch_id}#tally"


def _save(batch_id: str, after: StoredTally, seen: int, now: datetime) -> bool:
    item = BatchItem(
        batch_id=_key(batch_id),
        state=_STATE,
        version=after.version,
        expires=int((now + LIFETIME).timestamp()),
        body=without_blanks(
            {
                "tally": _document(after.tally) if after.tally else None,
                "claimed": to_ms_or_none(after.claimed_until),
            }
        ),
    )
    try:
        return save_if(item, is_version(BatchItem, seen))
    except PutError:
        return False


def _stored(item: BatchItem) -> StoredTally:
    body = item.body
    return StoredTally(
        _tally(body["tally"]) if "tally" in body else None,
        from_ms_or_none(body.get("claimed")),
        int(item.version),
    )


def _document(tally: Tally) -> dict[str, Any]:
    return {
        "counts": without_blanks(tally.counts),
        "failures": dict(tally.failures),
        "final": dict(tally.not_requeueable),
        "failed_at": spans_document(tally.failed_at),
        "next": to_ms_or_none(tally.next_retry),
        "strip": encode_strip(tally.strip),
        "at": to_ms(tally.counted_at),
        "ms": tally.duration // _MILLISECOND,
        "batch": tally.batch_version,
        "operations": tally.operations_version,
        "stays": tally.is_final,
        "samples": [list(each) for each in tally.samples],
    }


def _tally(found: Mapping[str, Any]) -> Tally:
    counts = {state.value: 0 for state in JobState} | found["counts"]
    return Tally(
        counts=counts,
        failures=found["failures"],
        not_requeueable=found["final"],
        failed_at=parse_spans(found.get("failed_at", {})),
        next_retry=from_ms_or_none(found["next"]),
        strip=parse_strip(found["strip"]),
        counted_at=from_ms(found["at"]),
        duration=found["ms"] * _MILLISECOND,
        batch_version=found["batch"],
        operations_version=found["operations"],
        is_final=found["stays"],
        samples=tuple((at, ended) for at, ended in found.get("samples", ())),
    )


def encode_strip(strip: Sequence[StripSegment]) -> str:
    """A strip as text, segment by segment: "120sf,f1se" is 120 columns of succeeded jobs, then one
    with one share of failed jobs and 14 of succeeded ones."""
    return ",".join(
        (str(each.columns) if each.columns > 1 else "")
        + "".join(f"{_LETTERS[state]}{share:x}" for state, share in each.shares)
        for each in strip
    )


def parse_strip(text: str) -> tuple[StripSegment, ...]:
    """The strip that `encode_strip` encoded."""
    return tuple(_segment(part) for part in text.split(",") if part)


def _segment(part: str) -> StripSegment:
    pairs = part.lstrip("0123456789")
    columns = part.removesuffix(pairs)
    shares = ((_STATES[pairs[at]], int(pairs[at + 1], 16)) for at in range(0, len(pairs), 2))
    return StripSegment(int(columns or 1), tuple(shares))
