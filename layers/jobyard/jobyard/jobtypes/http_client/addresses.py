"""Which URLs may be called at all, and which addresses may be at the other end.

A Lambda's own neighbourhood answers plain HTTP: its Runtime API on 127.0.0.1:9001 hands out other
people's events and takes forged results, X-Ray listens on 169.254.79.129. So a URL is judged by its
looks first, as a manifest's check does, and then by the address its host really has, at the moment
of connecting.
"""

from dataclasses import dataclass

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.urls import PORTS, RUNTIME_API_PORT, BadUrl, WebUrl, is_public, read
from jobyard.jobtypes.http_client.refusal import FetchRefused


@dataclass(frozen=True)
class Target(WebUrl):
    """A URL that may be called. `listed` when the deployment lets its host be private."""

    listed: bool = False


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
    try:
        found = read(url)
    except BadUrl as error:
        raise _not_allowed(f"the URL {error}") from error
    listed = found.place in allowed_hosts
    if not (listed or found.port in PORTS):
        ports = ", ".join(map(str, sorted(PORTS)))
        raise _not_allowed(f"port {found.port} of {found.host} is not one of {ports}")
    return Target(found.scheme, found.host, found.port, found.target, listed)


def may_connect(target: Target, address: str) -> bool:
    """Whether the target's host may be at this address."""
    return target.listed or is_public(address)


def _not_allowed(message: str) -> FetchRefused:
    return FetchRefused(Failure.ADDRESS_NOT_ALLOWED, message)
