"""Names of batches, and where a chunk of a batch lies. Nothing here is random or knows the time."""

import base64
import hashlib

_LENGTH = 20


def batch_id_of(seed: bytes) -> str:
    """The batch id that belongs to `seed`: "b" and 20 lower-case base32 characters."""
    digest = hashlib.sha256(seed).digest()
    return "b" + base64.b32encode(digest).decode().lower()[:_LENGTH]


def batch_id_of_object(bucket: str, key: str, version_id: str) -> str:
    """The batch id of a manifest that was dropped, the same however often the event comes."""
    return batch_id_of("\n".join((bucket, key, version_id)).encode())


def is_batch_id(text: str) -> bool:
    """Whether `text` has the form of a batch id."""
    return (
        len(text) == _LENGTH + 1
        and text[0] == "b"
        and all(character in "abcdefghijklmnopqrstuvwxyz234567" for character in text[1:])
    )
