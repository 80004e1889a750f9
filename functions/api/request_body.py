"""Checks a request's body as a whole, before its fields are validated."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from gateway.errors import PayloadTooLarge, UnsupportedMediaType
from jobyard.domain.errors import BadRequest
from jobyard.domain.json_objects import RepeatedKey, is_deeper, object_of

MAX_BYTES = 256 * 1024
MAX_DEPTH = 50  # nested levels of objects and lists


def check_body(event: Mapping[str, Any]) -> None:
    """Check that the body, if there is one, is a JSON object of an accepted size and form.

    Raises:
        PayloadTooLarge, UnsupportedMediaType: it is too large or of another media type.
        BadRequest: it is not a JSON object, has a key twice, or contains text or numbers that
            cannot be stored.
    """
    body = _bytes_of(event)
    if len(body) > MAX_BYTES:
        raise PayloadTooLarge(f"the body has {len(body)} bytes; {MAX_BYTES} are allowed")
    if not body:
        return
    media_type = event.get("headers", {}).get("content-type", "application/json")
    if media_type.partition(";")[0].strip() != "application/json":
        raise UnsupportedMediaType(f"the body is {media_type!r}; send application/json")
    document = _parsed(body)
    if not isinstance(document, dict):
        raise BadRequest("the body is not a JSON object: send { … }")
    if is_deeper(document, MAX_DEPTH):
        raise BadRequest(f"the body is nested too deeply: {MAX_DEPTH} levels are allowed")


def _parsed(body: bytes) -> Any:
    """The JSON value in a body.

    Raises:
        BadRequest: it is not JSON, or cannot be stored.
    """
    try:
        document = json.loads(body.decode(), parse_constant=_refuse, object_pairs_hook=object_of)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except json.JSONDecodeError as error:
        raise BadRequest(
            f"the body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RepeatedKey as error:
        raise BadRequest(f"the body is ambiguous: {error}") from error
    except UnicodeError as error:
        raise BadRequest("the body contains characters that are not Unicode text") from error
    except ValueError as error:
        raise BadRequest("the body contains a number that is too large") from error
    except RecursionError as error:
        raise BadRequest("the body is nested too deeply") from error
    return document


def _bytes_of(event: Mapping[str, Any]) -> bytes:
    body: str = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return body.encode(errors="surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise BadRequest("the body could not be decoded") from error


def _refuse(constant: str) -> NoReturn:
    raise BadRequest(f"the body contains {constant}, which is not JSON")
