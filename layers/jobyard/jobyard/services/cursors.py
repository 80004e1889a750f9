"""Cursors: the end of a page, sealed so that nobody can read or change it."""

import base64
import hashlib
import hmac
import json
from typing import Any

from jobyard.domain.errors import BadRequest
from jobyard.store import key_values

_TAG_BYTES = 16


def key(candidate: str) -> bytes:
    """The key that seals this deployment's cursors; `candidate` is a random one, for the first
    time.
    """
    return key_values.get_or_create_secret("cursors", candidate).encode()


def sign(place: Any, kind: str, key: bytes) -> str:
    """`place` (JSON) as a cursor of lists of this `kind`."""
    text = json.dumps(place, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_tag(text, kind, key) + text).decode().rstrip("=")


def verify(cursor: str, kind: str, key: bytes) -> Any:
    """The place in a cursor.

    Raises:
        BadRequest: the cursor is not of this deployment, or of another kind of list.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    tag, text = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(text, kind, key)):
        raise BadRequest("the cursor is not one of this list; take it from the page before")
    return json.loads(text)


def _tag(text: bytes, kind: str, key: bytes) -> bytes:
    return hmac.digest(key, kind.encode() + b"\n" + text, hashlib.sha256)[:_TAG_BYTES]
