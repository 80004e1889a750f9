"""Cookies within one chain of redirects. Each is sent only to the server that set it.

Many sites set a cookie, redirect to the same address, and send the file only if they get the cookie
back. All cookies are dropped at the end of the chain. No other host, port or scheme gets one,
whatever its Domain attribute says.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from jobyard.domain.urls import WebUrl
from jobyard.jobtypes.http_client.addresses import server_of

_MAX_COOKIES = 50  # in a chain
_MAX_LINE_BYTES = 4096  # of a cookie with its attributes (RFC 6265, 6.1)
_MAX_SENT_BYTES = 8192  # of the Cookie field of a request
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@dataclass
class Cookies:
    """The cookies set in a chain, oldest first."""

    _cookies: dict[tuple[tuple[str, str, int], str, bytes], bytes] = field(default_factory=dict)

    def take(self, url: WebUrl, lines: Iterable[bytes], now: datetime) -> None:
        """Store the cookies in the Set-Cookie fields of a response."""
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
        key = (server_of(url), path, name)
        self._cookies.pop(key, None)
        if not _is_expired(attributes, now) and len(self._cookies) < _MAX_COOKIES:
            self._cookies[key] = value

    def header(self, url: WebUrl) -> bytes:
        """The Cookie field of a request; b"" if there is nothing to send."""
        found = [
            (path, name, value)
            for (server, path, name), value in self._cookies.items()
            if server == server_of(url) and _path_matches(_path(url), path)
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


def _path(url: WebUrl) -> str:
    return url.target.partition("?")[0]


def _path_matches(path: str, folder: str) -> bool:
    """Whether a cookie of `folder` is sent with a request for `path` (RFC 6265, 5.1.4)."""
    return path == folder or path.startswith(folder if folder.endswith("/") else f"{folder}/")


def _domain_matches(host: str, domain: str) -> bool:
    """Whether a host may set a cookie for a domain: itself, or a parent of it (RFC 6265, 5.1.3)."""
    domain = domain.lower().removeprefix(".")
    return not domain or host == domain or host.endswith(f".{domain}")


def _is_expired(attributes: dict[str, str], now: datetime) -> bool:
    """Whether the cookie has expired. A server deletes a cookie by setting an expired one."""
    age = attributes.get("max-age", "")
    if re.fullmatch("-?[0-9]{1,15}", age):
        return int(age) <= 0
    ends = http_date(attributes.get("expires", ""))
    return ends is not None and ends <= now


def http_date(text: str) -> datetime | None:
    """The time in a header field, in UTC; None if it is not a date."""
    try:
        found = parsedate_to_datetime(text)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
