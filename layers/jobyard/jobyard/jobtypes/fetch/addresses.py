"""Which URLs may be called at all, and which addresses may be at the other end.

A Lambda's own neighbourhood answers plain HTTP: its Runtime API on 127.0.0.1:9001 hands out other
people's events and takes forged results, X-Ray listens on 169.254.79.129. So a URL is judged by its
looks first, and then by the address its host really has, at the moment of connecting.
"""

import ipaddress
import re
from dataclasses import dataclass

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from jobyard.domain.failures import Failure
from jobyard.jobtypes.fetch.refusal import FetchRefused

PORTS = frozenset({80, 443, 8080, 8443})  # where files are served; others only from listed hosts
RUNTIME_API_PORT = 9001  # Lambda's: never called, not even when listed

_DEFAULT_PORTS = {"http": 80, "https": 443}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_AUTHORITY = re.compile(r"[^:/?#\\]*://([^/?#\\]*)")

# Ranges that carry an IPv4 address inside, or that Python calls global though nobody serves there.
_DISGUISES = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",  # IETF protocol assignments, RFC 6890
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "::/96",  # IPv4-compatible, RFC 4291 2.5.5.1
        "::ffff:0:0/96",  # IPv4-mapped, RFC 4291 2.5.5.2
        "::ffff:0:0:0/96",  # IPv4-translated, RFC 2765
        "64:ff9b::/96",  # NAT64, RFC 6052
        "64:ff9b:1::/48",  # NAT64 local use, RFC 8215
        "2001::/32",  # Teredo, RFC 4380
        "2002::/16",  # 6to4, RFC 3056
        "3fff::/20",  # documentation, RFC 9637
        "fec0::/10",  # site-local, RFC 3879
    )
)


@dataclass(frozen=True)
class Target:
    """A URL that may be called. `listed` when the deployment lets its host be private."""

    scheme: str
    host: str
    port: int
    path: str  # with the query
    listed: bool

    @property
    def url(self) -> str:
        """The URL in its plain form, without a fragment."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def refuse_runtime_api(allowed_hosts: frozenset[str]) -> None:
    """Check the deployment's list of hosts that may be private.

    Raises:
        ValueError: an entry is not `host:port`, or names the port of Lambda's Runtime API.
    """
    for entry in allowed_hosts:
        host, _, port = entry.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"allowed host {entry!r} is not of the form host:port")
        if int(port) == RUNTIME_API_PORT:
            raise ValueError(f"allowed host {entry!r}: port {RUNTIME_API_PORT} is never allowed")


def target(url: str, allowed_hosts: frozenset[str]) -> Target:
    """Read a URL and judge it by its looks.

    Raises:
        FetchRefused: ADDRESS_NOT_ALLOWED, it is not one we may call.
    """
    authority = _AUTHORITY.match(url)
    if authority and not authority[1].isascii():
        raise _not_allowed("a host with other than ASCII letters must be written as xn--…")
    if _CONTROL.search(url):
        raise _not_allowed("the URL has control characters")
    try:
        parts = parse_url(url)
    except LocationParseError as error:
        raise _not_allowed("the URL cannot be read") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise _not_allowed("only http and https URLs can be fetched")
    if parts.auth is not None:
        raise _not_allowed("a URL may not carry a user name or password")
    if not parts.host:
        raise _not_allowed("the URL names no host")
    host = parts.host.strip("[]")
    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    listed = f"{parts.host}:{port}" in allowed_hosts
    if port == RUNTIME_API_PORT or not (listed or port in PORTS):
        raise _not_allowed(
            f"port {port} of {host} is not one of {', '.join(map(str, sorted(PORTS)))}"
        )
    return Target(parts.scheme, host, port, parts.request_uri, listed)


def may_connect(target: Target, address: str) -> bool:
    """Whether the target's host may be at this address."""
    return target.listed or is_public(address)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, and nothing in disguise."""
    ip = ipaddress.ip_address(address)
    if any(ip.version == net.version and ip in net for net in _DISGUISES):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _not_allowed(message: str) -> FetchRefused:
    return FetchRefused(Failure.ADDRESS_NOT_ALLOWED, message)
