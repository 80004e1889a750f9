"""Checks and counts what people use of their quotas: once for a batch, not for a job.

A batch takes a place before it is stored. Places of batches that have ended are found when there is
no other left. So nothing has to be counted down, and a crash leaves nothing wrong.
"""

from datetime import datetime
from itertools import islice

from jobyard.domain.batches.batch import OPEN_BATCH_STATES, Batch
from jobyard.domain.errors import Gone, NotFound, QuotaExceeded, StaleState
from jobyard.domain.quota import (
    Quotas,
    QuotaUse,
    byte_refusal,
    day_of,
    mail_refusal,
    open_refusal,
    quota_owner,
    seconds_left,
)
from jobyard.store import batches, quotas

_TRIES = 10
_UNKNOWN_S = 3600.0  # how long a place is kept for a batch that is not stored yet
_CHECKED_AT = 25  # at each multiple of so many places, those of ended batches are removed: the item
_TOLERANCE, _TOLERATED = 1.1, 10_000_000  # a part of the known bytes, and bytes
_REMOVED = 25  # stays small. So many are removed at most, because each takes a call


def check_room(owner: str, batch_id: str, mails: int, limits: Quotas, now: datetime) -> None:
    """Check that there is room for a batch, before its manifest is read. Nothing is counted.

    Raises:
        QuotaExceeded: its owner has too many open batches, or sends too many mails today.
    """
    used = _use_of_today(owner, now)
    if batch_id not in used.places:
        _check(owner, used, mails, 0, limits, now)


def take_place(
    owner: str, batch_id: str, mails: int, limits: Quotas, now: datetime, size: int | None = None
) -> None:
    """Count a new batch, the mails of its report, and its bytes if they are known. A repeat counts
    nothing.

    Raises:
        QuotaExceeded: its owner has too many open batches, or sends or deposits too much today.
        StaleState: others changed what the owner uses during each try.
    """
    for _ in range(_TRIES):
        used = _use_of_today(owner, now)
        if batch_id in used.places:
            return
        if _check(owner, used, mails, size or 0, limits, now):
            continue
        if quotas.take_place(owner, batch_id, mails, size, limits, now):
            return
    raise StaleState("too many requests of one person at the same time")


def _check(
    owner: str, used: QuotaUse, mails: int, size: int, limits: Quotas, now: datetime
) -> bool:
    """Check the limits. Returns whether places were removed, so that `used` is out of date.

    Raises:
        QuotaExceeded: one would be exceeded.
    """
    refusal = open_refusal(used, limits)
    is_due = used.places and len(used.places) % _CHECKED_AT == 0
    if (refusal or is_due) and _leave_ended(owner, used, now):
        return True
    if refusal:
        raise QuotaExceeded(refusal)
    refusal = mail_refusal(used, mails, limits, now) or byte_refusal(used, size, limits, now)
    if refusal:
        raise QuotaExceeded(refusal, seconds_left(now))
    return False


def count_bytes(batch: Batch, size: int, limits: Quotas, now: datetime) -> None:
    """Count the bytes of a batch that has a place. A repeat counts nothing.

    Raises:
        QuotaExceeded: its owner deposits too many bytes today.
        StaleState: others changed what the owner uses during each try.
    """
    owner = quota_owner(batch.submitter_sub, batch.collection)
    for _ in range(_TRIES):
        used = _use_of_today(owner, now)
        note = used.places.get(batch.batch_id)
        if note is None or quotas.noted_bytes(note) is not None:
            return
        if refusal := byte_refusal(used, size, limits, now):
            raise QuotaExceeded(refusal, seconds_left(now))
        if quotas.add_bytes(owner, batch.batch_id, note, size, limits.daily_bytes, now):
            return
    raise StaleState("too many manifests of one person at the same time")


def count_stored(batch: Batch, stored: int, now: datetime) -> None:
    """Count what a batch has stored much more than its manifest said: it gives no sizes. What
    Jobyard itself writes, such as reports, is within the tolerance.
    """
    owner = quota_owner(batch.submitter_sub, batch.collection)
    note = quotas.get(owner).places.get(batch.batch_id)
    known = quotas.noted_bytes(note or "") or 0
    if note is not None and stored > known * _TOLERANCE + _TOLERATED:
        quotas.add_bytes(owner, batch.batch_id, note, stored, None, now)


def may_mail(owner: str, mails: int, limits: Quotas, now: datetime) -> bool:
    """Whether the report on a batch that got no place may be mailed; then its mails are counted."""
    _use_of_today(owner, now)
    return quotas.add_mails(owner, mails, limits, now)


def _use_of_today(owner: str, now: datetime) -> QuotaUse:
    used = quotas.get(owner)
    if used.day >= day_of(now):
        return used
    quotas.begin_day(owner, now)
    return quotas.get(owner)


def _leave_ended(owner: str, used: QuotaUse, now: datetime) -> bool:
    """Remove places of batches that have ended, the oldest first. Returns whether any had."""
    by_age = sorted(used.places.items(), key=lambda place: quotas.noted_at(place[1]))
    found = (batch_id for batch_id, note in by_age if _has_ended(batch_id, note, now))
    ended = [*islice(found, _REMOVED)]
    quotas.leave_places(owner, ended)
    return bool(ended)


def _has_ended(batch_id: str, note: str, now: datetime) -> bool:
    try:
        return batches.get(batch_id, now).state not in OPEN_BATCH_STATES
    except NotFound:
        return now.timestamp() - quotas.noted_at(note) > _UNKNOWN_S
    except Gone:
        return True
