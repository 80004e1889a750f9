"""Cursors of lists: the position after a page, sealed so that nobody can read or change it."""

import base64
import hashlib
import hmac
import json
from typing import Any

from jobyard.domain.errors import BadRequest
from jobyard.store import key_values

_TAG_BYTES = 16
_BLOCK_BYTES = hashlib.sha256().digest_size


def key(candidate: str) -> bytes:
    """The keys that seal this deployment's cursors, separated by spaces. The first one seals, and
    all are accepted. `candidate` is a random one, which is stored if there is none yet.
    """
    return key_values.get_or_create_secret("cursors", candidate).encode()


def sign(position: Any, kind: str, key: bytes) -> str:
    """`position` (JSON) as a cursor of lists of this `kind`."""
    text = json.dumps(position, separators=(",", ":")).encode()
    newest = key.split()[0]
    tag = _tag(text, kind, newest)
    return base64.urlsafe_b64encode(tag + _masked(text, tag, newest)).decode().rstrip("=")


def verify(cursor: str, kind: str, key: bytes) -> Any:
    """The position in a cursor.

    Raises:
        BadRequest: the cursor is of another deployment or another kind of list, or its key is gone.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    tag, masked = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    for each in key.split():
        text = _masked(masked, tag, each)
        if hmac.compare_digest(tag, _tag(text, kind, each)):
            return json.loads(text)
    raise BadRequest("this cursor is of another list; use the one in the page before")


# The construction of RFC 5297 (SIV) with HMAC-SHA-256 from the standard library: the tag
# authenticates the text, and the stream that masks it begins with the tag. No nonce can repeat.


def _tag(text: bytes, kind: str, key: bytes) -> bytes:
    tagging = hmac.digest(key, b"tag", hashlib.sha256)
    return hmac.digest(tagging, kind.encode() + b"\n" + text, hashlib.sha256)[:_TAG_BYTES]


def _masked(text: bytes, tag: bytes, key: bytes) -> bytes:
    """The text, masked; the masked text, unmasked."""
    masking = hmac.digest(key, b"mask", hashlib.sha256)
    blocks = (
        hmac.digest(masking, tag + number.to_bytes(4, "big"), hashlib.sha256)
        for number in range(-(-len(text) // _BLOCK_BYTES))
    )
    return bytes(a ^ b for a, b in zip(text, b"".join(blocks), strict=False))
