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

_MOST = 50  # of a chain
_LINE_BYTES = 4096  # of one, with its attributes; more is not kept (RFC 6265, 6.1)
_SENT_BYTES = 8192  # of all that are sent at once
_BAD = re.compile(rb"[\x00-\x1f\x7f]")

_Origin = tuple[str, str, int]


@dataclass
class Cookies:
    """The cookies that the servers of a chain have set, oldest first."""

    _kept: dict[tuple[_Origin, str, bytes], bytes] = field(default_factory=dict)

    def take(self, place: WebUrl, lines: Iterable[bytes], now: datetime) -> None:
        """Store the cookies of a response, from its Set-Cookie fields."""
        for line in lines:
            self._take(place, line, now)

    def _take(self, place: WebUrl, line: bytes, now: datetime) -> None:
        pair, *rest = line.split(b";")
        name, equals, value = (part.strip() for part in pair.partition(b"="))
        if not (equals and name) or len(line) > _LINE_BYTES or _BAD.search(line):
            return
        attributes = _attributes(rest)
        if "secure" in attributes and place.scheme != "https":
            return
        if not _is_within(place.host, attributes.get("domain", "")):
            return
        path = attributes.get("path", "")
        if not path.startswith("/"):
            path = _path(place).rpartition("/")[0] or "/"
        key = (_origin(place), path, name)
        self._kept.pop(key, None)
        if not _is_over(attributes, now) and len(self._kept) < _MOST:
            self._kept[key] = value

    def header(self, place: WebUrl) -> bytes:
        """The Cookie field of a request; b"" if there is nothing to send."""
        found = [
            (path, name, value)
            for (origin, path, name), value in self._kept.items()
            if origin == _origin(place) and _is_below(_path(place), path)
        ]
        found.sort(key=lambda each: -len(each[0]))
        sent = b""
        for _, name, value in found:
            longer = sent + (b"; " if sent else b"") + name + b"=" + value
            if len(longer) <= _SENT_BYTES:
                sent = longer
        return sent


def _attributes(parts: Iterable[bytes]) -> dict[str, str]:
    found = {}
    for part in parts:
        name, _, value = part.decode("latin-1").partition("=")
        found[name.strip().lower()] = value.strip()
    return found


def _origin(place: WebUrl) -> _Origin:
    return (place.scheme, place.host, place.port)


def _path(place: WebUrl) -> str:
    return place.target.partition("?")[0]


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")


def _is_within(host: str, domain: str) -> bool:
    """Whether a host may set cookies for a domain: its own, or a parent of it."""
    domain = domain.lower().removeprefix(".")
    return not domain or host == domain or host.endswith(f".{domain}")


def _is_over(attributes: dict[str, str], now: datetime) -> bool:
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
