"""Cursors of lists: the position after a page, signed so that nobody can change it."""

import base64
import hashlib
import hmac
import json
from typing import Any

from jobyard.domain.errors import BadRequest
from jobyard.store import key_values

_SIGNATURE_BYTES = 16


def key(candidate: str) -> bytes:
    """The key that signs this deployment's cursors. `candidate` is a random one, which is stored if
    there is none yet.
    """
    return key_values.get_or_create_secret("cursors", candidate).encode()


def sign(position: Any, kind: str, key: bytes) -> str:
    """`position` (JSON) as a cursor of lists of this `kind`."""
    text = json.dumps(position, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_signature(text, kind, key) + text).decode().rstrip("=")


def verify(cursor: str, kind: str, key: bytes) -> Any:
    """The position in a cursor.

    Raises:
        BadRequest: the cursor is of another deployment or another kind of list.
    """
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raw = b""
    signature, text = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(text, kind, key)):
        raise BadRequest("this cursor is of another list; use the one in the page before")
    return json.loads(text)


def _signature(text: bytes, kind: str, key: bytes) -> bytes:
    return hmac.digest(key, kind.encode() + b"\n" + text, hashlib.sha256)[:_SIGNATURE_BYTES]
