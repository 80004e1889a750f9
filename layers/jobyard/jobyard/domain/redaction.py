"""Redaction: URLs and texts without passwords, signatures and tokens, for messages and logs.

Every function is linear in the length of its text.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from jobyard.domain.text import clean
from jobyard.domain.urls import URL_LENGTH

HIDDEN = "***"  # replaces a secret
_SHOWN_BYTES = 300  # of a URL in a message

# Query fields whose values are credentials, as in signed URLs of S3, Azure and Google.
_SECRET_NAMES = frozenset(
    {"sig", "auth", "authorization", "pwd", "pw", "passwd", "pass", "sid", "jwt", "awsaccesskeyid"}
)
_SECRET_ENDINGS = (
    "signature",
    "token",
    "secret",
    "secretkey",
    "password",
    "passphrase",
    "credential",
    "apikey",
    "accesskey",
    "sessionid",
    "sessid",
)
# As people and browsers read an authority: also after too many slashes or a repeated scheme.
_AUTHORITY = re.compile(r"://[/\\]*(?:[^/?#\s\\:]|:(?!//))*")
_FIELD = re.compile(r"([?&;#])([^=&?;#\s]+)=((?:[^&;#\s]|;(?![^=&?;#\s]+=))*)")
_SEPARATORS = re.compile(r"[-_.\[\]\s]")
_WORD = re.compile(r"\S+")


def without_secrets(url: str) -> str:
    """A URL without its user name and password, and without signatures and tokens in its query.

    The rest of the query is kept, since two files may differ only there.
    """
    if "@" in url:
        url = _without_user(url)
    if "=" in url:
        url = _FIELD.sub(_without_value, url)
    return url


def text_without_secrets(text: str) -> str:
    """Text that may contain URLs, such as a library's error message, without their secrets."""
    if "://" not in text:
        return text
    return _WORD.sub(lambda word: without_secrets(word[0]) if "://" in word[0] else word[0], text)


def parameters_without_secrets(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of jobs, as JSON has them, for readers: URLs without their secrets, and within
    objects, such as the headers of a call, no value whose name is that of a secret. The names of
    the parameters themselves say nothing: `secret` is the name of one.
    """
    return {name: _value_without_secrets(value) for name, value in parameters.items()}


def redacted(url: str, limit: int = _SHOWN_BYTES) -> str:
    """A URL for a message or a log: without secrets, on one line, of at most `limit` bytes."""
    return clean(without_secrets(url[: 2 * URL_LENGTH]), limit)


def _value_without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return text_without_secrets(value)
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if each and _names_secret(name) else _value_without_secrets(each)
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_value_without_secrets(each) for each in value]
    return value


def _without_user(url: str) -> str:
    last_at = url.rindex("@")
    if "://" not in url:  # the scheme is missing or malformed
        return f"{HIDDEN}{url[last_at:]}" if ":" in url[:last_at] else url
    pieces = []
    position = 0
    while found := _AUTHORITY.search(url, position):
        start, end = found.start() + len("://"), found.end()
        authority = url[start:end]
        if "@" in authority:
            start += authority.rindex("@")
            pieces += [url[position : found.start()], "://", HIDDEN, url[start:end]]
        elif end < last_at and _has_invalid_port(authority):
            # A password with a space, "/", "?" or "#" that was not percent-encoded.
            pieces += [url[position : found.start()], "://", HIDDEN]
            end = last_at
        else:
            pieces.append(url[position:end])
        position = end
    return "".join((*pieces, url[position:]))


def _has_invalid_port(authority: str) -> bool:
    _, colon, port = authority.rpartition("]")[2].partition(":")
    return bool(colon) and not port.isdecimal()


def _without_value(found: "re.Match[str]") -> str:
    separator, name, value = found.groups()
    if value and _names_secret(unquote(name)):
        return f"{separator}{name}={HIDDEN}"
    return str(found[0])


def _names_secret(name: str) -> bool:
    plain_name = _SEPARATORS.sub("", name).lower()
    return plain_name in _SECRET_NAMES or plain_name.endswith(_SECRET_ENDINGS)
