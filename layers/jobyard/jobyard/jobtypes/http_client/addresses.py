"""Which URLs may be called, and which addresses may be connected to.

Some services next to a Lambda speak plain HTTP. Its Runtime API on 127.0.0.1:9001 returns other
people's events and accepts forged results; X-Ray listens on 169.254.79.129. So the text of a URL is
checked first, as in a manifest. The address of its host is checked when we connect.
"""

from dataclasses import dataclass

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.urls import PORTS, RUNTIME_API_PORT, BadUrl, WebUrl, is_public, parse
from jobyard.jobtypes.http_client.refusal import FetchRefused


@dataclass(frozen=True)
class Target(WebUrl):
    """A URL that may be called. `listed`: the deployment allows its host to be private."""

    listed: bool = False


def refuse_runtime_api(allowed_hosts: frozenset[str]) -> None:
    """Check the deployment's list of hosts that may be private.

    Raises:
        ValueError: an entry is not `host:port`, or has the port of Lambda's Runtime API.
    """
    for entry in allowed_hosts:
        host, _, port = entry.rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"allowed host {entry!r} is not of the form host:port")
        if int(port) == RUNTIME_API_PORT:
            raise ValueError(f"allowed host {entry!r}: port {RUNTIME_API_PORT} is never allowed")


def parse_target(url: str, allowed_hosts: frozenset[str]) -> Target:
    """Parse a URL and check its text.

    Raises:
        FetchRefused: ADDRESS_NOT_ALLOWED, we may not call it.
    """
    try:
        found = parse(url)
    except BadUrl as error:
        raise _not_allowed(f"the URL {error}") from error
    listed = found.host_and_port in allowed_hosts
    if not (listed or found.port in PORTS):
        ports = ", ".join(map(str, sorted(PORTS)))
        raise _not_allowed(f"port {found.port} of {found.host} is not one of {ports}")
    return Target(found.scheme, found.host, found.port, found.target, listed)


def server_of(url: WebUrl) -> tuple[str, str, int]:
    """The server of a URL: scheme, host and port. Connections and cookies belong to one server."""
    return (url.scheme, url.host, url.port)


def may_connect(target: Target, address: str) -> bool:
    """Whether we may connect to this address of the target's host."""
    return target.listed or is_public(address)


def _not_allowed(message: str) -> FetchRefused:
    return FetchRefused(Failure.ADDRESS_NOT_ALLOWED, message)
