"""Checks and counts what people use of their quotas: once for a batch, not for a job.

A batch, campaign or edit job takes a slot before it is stored. Slots of those that have ended are
found when there is no other left. So nothing has to be counted down, and a crash leaves nothing
wrong.
"""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice

from jobyard.domain.batches.batch import OPEN_BATCH_STATES, Batch
from jobyard.domain.errors import Gone, NotFound, QuotaExceeded, StaleState
from jobyard.domain.quota import (
    Quotas,
    QuotaUse,
    SlotKind,
    byte_refusal,
    day_of,
    mail_refusal,
    open_refusal,
    quota_owner,
    seconds_left,
)
from jobyard.store import batches, quotas

_TRIES = 10
_UNKNOWN_S = 3600.0  # how long a slot is kept for a batch that is not stored yet
# At each multiple of this number of slots, those of ended batches are removed, so that the item
# stays small.
_CLEANUP_EVERY = 25
_TOLERANCE, _TOLERATED_BYTES = 1.1, 10_000_000  # a part of the known bytes, and bytes
_MAX_REMOVED = 25  # at a time, because each takes a call


def check_room(owner: str, batch_id: str, mails: int, limits: Quotas, now: datetime) -> None:
    """Check that there is room for a batch, before its manifest is read. Nothing is counted.

    Raises:
        QuotaExceeded: its owner has too many open batches, or sends too many mails today.
    """
    used = _use_of_today(owner, now)
    if batch_id not in used.slots:
        _check(owner, used, mails, 0, limits, now)


def take_slot(
    owner: str, batch_id: str, mails: int, limits: Quotas, now: datetime, size: int | None = None
) -> None:
    """Count a new batch, the mails of its report, and its bytes if they are known. A repeat counts
    nothing.

    Raises:
        QuotaExceeded: its owner has too many open batches, or sends or deposits too much today.
        StaleState: others changed what the owner uses at the same time, several times.
    """
    for _ in range(_TRIES):
        used = _use_of_today(owner, now)
        if batch_id in used.slots:
            return
        if _check(owner, used, mails, size or 0, limits, now):
            continue
        if quotas.take_slot(owner, batch_id, mails, size, limits, now):
            return
    raise StaleState("too many requests of one person at the same time")


def _check(
    owner: str, used: QuotaUse, mails: int, size: int, limits: Quotas, now: datetime
) -> bool:
    """Check the limits. Returns whether slots were removed, so that `used` is out of date.

    Raises:
        QuotaExceeded: one would be exceeded.
    """
    if _check_open(owner, used, SlotKind.BATCH, limits, now):
        return True
    refusal = mail_refusal(used, mails, limits, now) or byte_refusal(used, size, limits, now)
    if refusal:
        raise QuotaExceeded(refusal, seconds_left(now))
    return False


def _check_open(owner: str, used: QuotaUse, kind: SlotKind, limits: Quotas, now: datetime) -> bool:
    """Check how many are open. Returns whether slots were removed, so that `used` is out of date.

    Raises:
        QuotaExceeded: there would be too many.
    """
    refusal = open_refusal(used, limits, kind)
    slots = used.slots_of(kind)
    is_due = slots and len(slots) % _CLEANUP_EVERY == 0
    if (refusal or is_due) and _free_ended(owner, kind, slots, now):
        return True
    if refusal:
        raise QuotaExceeded(refusal)
    return False


def take_open_slot(
    owner: str, kind: SlotKind, thing_id: str, limits: Quotas, now: datetime
) -> None:
    """Count a new campaign or edit job, before it is stored. A repeat counts nothing.

    Raises:
        QuotaExceeded: its owner has too many that are open.
        StaleState: others changed what the owner uses at the same time, several times.
    """
    for _ in range(_TRIES):
        used = _use_of_today(owner, now)
        if thing_id in used.slots_of(kind):
            return
        if _check_open(owner, used, kind, limits, now):
            continue
        if quotas.take_open_slot(owner, kind, thing_id, limits.open_limit(kind), now):
            return
    raise StaleState("too many requests of one person at the same time")


def count_bytes(batch: Batch, size: int, limits: Quotas, now: datetime) -> None:
    """Count the bytes of a batch that has a slot. A repeat counts nothing.

    Raises:
        QuotaExceeded: its owner deposits too many bytes today.
        StaleState: others changed what the owner uses at the same time, several times.
    """
    owner = quota_owner(batch.submitter_sub, batch.collection)
    for _ in range(_TRIES):
        used = _use_of_today(owner, now)
        note = used.slots.get(batch.batch_id)
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
    note = quotas.get(owner).slots.get(batch.batch_id)
    known = quotas.noted_bytes(note or "") or 0
    if note is not None and stored > known * _TOLERANCE + _TOLERATED_BYTES:
        quotas.add_bytes(owner, batch.batch_id, note, stored, None, now)


def take_mails(owner: str, mails: int, what: str, limits: Quotas, now: datetime) -> None:
    """Count mails by which a person sends `what`.

    Raises:
        QuotaExceeded: they send too many today.
        StaleState: others changed what the person uses at the same time, several times.
    """
    for _ in range(_TRIES):
        used = _use_of_today(owner, now)
        if refusal := mail_refusal(used, mails, limits, now, what):
            raise QuotaExceeded(refusal, seconds_left(now))
        if quotas.add_mails(owner, mails, limits, now):
            return
    raise StaleState("too many mails of one person at the same time")


def may_mail(owner: str, mails: int, limits: Quotas, now: datetime) -> bool:
    """Whether the report on a batch that got no slot may be mailed; then its mails are counted."""
    _use_of_today(owner, now)
    return quotas.add_mails(owner, mails, limits, now)


def _use_of_today(owner: str, now: datetime) -> QuotaUse:
    used = quotas.get(owner)
    if used.day >= day_of(now):
        return used
    quotas.begin_day(owner, now)
    return quotas.get(owner)


def _free_ended(owner: str, kind: SlotKind, slots: Mapping[str, str], now: datetime) -> bool:
    """Remove slots of what has ended, the oldest first. Returns whether any had."""
    by_age = sorted(slots.items(), key=lambda slot: quotas.noted_at(slot[1]))
    found = (each for each, note in by_age if _has_ended(kind, each, note, now))
    ended = [*islice(found, _MAX_REMOVED)]
    quotas.free_slots(owner, kind, ended)
    return bool(ended)


def _is_open(kind: SlotKind, thing_id: str, now: datetime) -> bool:
    if kind is SlotKind.CAMPAIGN:
        from jobyard.store import campaigns

        return campaigns.get(thing_id).is_open
    if kind is SlotKind.EDIT:
        from jobyard.store import edits

        return edits.get(thing_id).is_open
    return batches.get(thing_id, now).state in OPEN_BATCH_STATES


def _has_ended(kind: SlotKind, thing_id: str, note: str, now: datetime) -> bool:
    try:
        return not _is_open(kind, thing_id, now)
    except NotFound:
        return now.timestamp() - quotas.noted_at(note) > _UNKNOWN_S
    except Gone:
        return True
