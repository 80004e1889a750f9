"""Names of batches and schedules. Nothing here is random or knows the time."""

import base64
import hashlib

_LENGTH = 20


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


def _is_id(text: str, initial: str) -> bool:
    return (
        len(text) == _LENGTH + 1
        and text[0] == initial
        and all(character in "abcdefghijklmnopqrstuvwxyz234567" for character in text[1:])
    )
