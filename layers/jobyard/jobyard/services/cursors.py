"""Cursors: where a page ends, in a form nobody can read meaning into or change."""

import base64
import hashlib
import hmac
import json
from typing import Any

from jobyard.domain.errors import BadRequest
from jobyard.store import key_values

_TAG_BYTES = 16


def key(candidate: str) -> bytes:
    """What this deployment's cursors are sealed with; `candidate` is random, for the first time."""
    return key_values.get_or_create_secret("cursors", candidate).encode()


def sealed(place: Any, kind: str, key: bytes) -> str:
    """`place` (JSON) as a cursor of lists of this `kind`."""
    text = json.dumps(place, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_tag(text, kind, key) + text).decode().rstrip("=")


def opened(cursor: str, kind: str, key: bytes) -> Any:
    """The place a cursor stands for.

    Raises:
        BadRequest: the cursor was not made here, or for another kind of list.
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
