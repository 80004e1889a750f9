"""Names of batches and schedules, the origins of jobs. Nothing here is random."""

import base64
import hashlib
from enum import StrEnum

_LENGTH = 20


class Origin(StrEnum):
    """What jobs are made by. One job type may have several."""

    BATCH = "batch"  # a manifest's rows
    SCHEDULE = "schedule"  # the runs of a schedule


def origin_of(origin_id: str) -> Origin:
    """What an id names; a batch if it has the form of no other."""
    return Origin.SCHEDULE if is_schedule_id(origin_id) else Origin.BATCH


def batch_id_of(seed: bytes) -> str:
    """The batch id that belongs to `seed`: "b" and 20 lower-case base32 characters."""
    return f"b{_letters(seed)}"


def schedule_id_of(seed: bytes) -> str:
    """The schedule id that belongs to `seed`: "s" and 20 lower-case base32 characters."""
    return f"s{_letters(seed)}"


def _letters(seed: bytes) -> str:
    return base64.b32encode(hashlib.sha256(seed).digest()).decode().lower()[:_LENGTH]


def batch_id_of_object(bucket: str, key: str, version_id: str) -> str:
    """The batch id of a manifest that was dropped, the same however often the event comes."""
    return batch_id_of("\n".join((bucket, key, version_id)).encode())


def is_batch_id(text: str) -> bool:
    """Whether `text` has the form of a batch id."""
    return _is_id(text, "b")


def is_schedule_id(text: str) -> bool:
    """Whether `text` has the form of a schedule id."""
    return _is_id(text, "s")


def is_origin_id(text: str) -> bool:
    """Whether `text` has the form of an id of something that jobs come from."""
    return is_batch_id(text) or is_schedule_id(text)


def _is_id(text: str, initial: str) -> bool:
    return (
        len(text) == _LENGTH + 1
        and text[0] == initial
        and all(character in "abcdefghijklmnopqrstuvwxyz234567" for character in text[1:])
    )
