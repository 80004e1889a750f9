"""Cookies within one chain of redirects, each only for the origin that set it.

Many sites set a cookie, redirect to the same address, and give the file only if the cookie comes
back. Cookies are dropped at the end of the chain, and no other host, port or scheme gets one,
whatever its Domain says.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from jobyard.domain.urls import WebUrl

_MAX_COOKIES = 50  # of a chain
_MAX_LINE_BYTES = 4096  # of one, with its attributes; more is not kept (RFC 6265, 6.1)
_MAX_SENT_BYTES = 8192  # of all that are sent at once
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")

_Origin = tuple[str, str, int]


@dataclass
class Cookies:
    """The cookies that the servers of a chain have set, oldest first."""

    _cookies: dict[tuple[_Origin, str, bytes], bytes] = field(default_factory=dict)

    def take(self, url: WebUrl, lines: Iterable[bytes], now: datetime) -> None:
        """Store the cookies of a response, from its Set-Cookie fields."""
        for line in lines:
            self._take(url, line, now)

    def _take(self, url: WebUrl, line: bytes, now: datetime) -> None:
        pair, *rest = line.split(b";")
        name, equals, value = (part.strip() for part in pair.partition(b"="))
        if not (equals and name) or len(line) > _MAX_LINE_BYTES or _CONTROL.search(line):
            return
        attributes = _attributes(rest)
        if "secure" in attributes and url.scheme != "https":
            return
        if not _domain_matches(url.host, attributes.get("domain", "")):
            return
        path = attributes.get("path", "")
        if not path.startswith("/"):
            path = _path(url).rpartition("/")[0] or "/"
        key = (_origin(url), path, name)
        self._cookies.pop(key, None)
        if not _is_expired(attributes, now) and len(self._cookies) < _MAX_COOKIES:
            self._cookies[key] = value

    def header(self, url: WebUrl) -> bytes:
        """The Cookie field of a request; b"" if there is nothing to send."""
        found = [
            (path, name, value)
            for (origin, path, name), value in self._cookies.items()
            if origin == _origin(url) and _path_matches(_path(url), path)
        ]
        found.sort(key=lambda each: -len(each[0]))
        sent = b""
        for _, name, value in found:
            candidate = sent + (b"; " if sent else b"") + name + b"=" + value
            if len(candidate) <= _MAX_SENT_BYTES:
                sent = candidate
        return sent


def _attributes(parts: Iterable[bytes]) -> dict[str, str]:
    found = {}
    for part in parts:
        name, _, value = part.decode("latin-1").partition("=")
        found[name.strip().lower()] = value.strip()
    return found


def _origin(url: WebUrl) -> _Origin:
    return (url.scheme, url.host, url.port)


def _path(url: WebUrl) -> str:
    return url.target.partition("?")[0]


def _path_matches(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")


def _domain_matches(host: str, domain: str) -> bool:
    """Whether a host may set cookies for a domain: its own, or a parent of it."""
    domain = domain.lower().removeprefix(".")
    return not domain or host == domain or host.endswith(f".{domain}")


def _is_expired(attributes: dict[str, str], now: datetime) -> bool:
    """Whether the cookie has expired, which is how a server deletes one."""
    age = attributes.get("max-age", "")
    if re.fullmatch("-?[0-9]{1,15}", age):
        return int(age) <= 0
    ends = http_date(attributes.get("expires", ""))
    return ends is not None and ends <= now


def http_date(text: str) -> datetime | None:
    """The time in a header field that is a date; None if it is not one."""
    try:
        found = parsedate_to_datetime(text)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
