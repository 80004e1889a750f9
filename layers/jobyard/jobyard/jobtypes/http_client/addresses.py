"""Which URLs may be called, and which addresses may be connected to.

Some services next to a Lambda speak plain HTTP. Its Runtime API on 127.0.0.1:9001 returns other
people's events and accepts forged results; X-Ray listens on 169.254.79.129. So the text of a URL is
checked first, as in a manifest. The address of its host is checked when we connect.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.urls import PORTS, RUNTIME_API_PORT, BadUrl, WebUrl, is_public, parse
from jobyard.jobtypes.http_client.refusal import FetchRefused

Network = IPv4Network | IPv6Network

# Of the worker itself, and of what AWS puts next to it.
_OWN_NETWORKS = tuple(
    map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10"))
)


@dataclass(frozen=True)
class Target(WebUrl):
    """A URL that may be called. `listed`: the deployment allows its host to be private.

    Any port may be called at addresses in `networks`.
    """

    listed: bool = False
    networks: tuple[Network, ...] = ()


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


def networks_of(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks in CIDR notation.

    Raises:
        ValueError: one is malformed, or has addresses of the worker itself.
    """
    networks = tuple(map(ip_network, texts))
    for network in networks:
        for own in _OWN_NETWORKS:
            if network.version == own.version and network.overlaps(own):
                raise ValueError(
                    f"network {network} has addresses in {own}, which are never called"
                )
    return networks


def parse_target(
    url: str, allowed_hosts: frozenset[str], networks: tuple[Network, ...] = ()
) -> Target:
    """Parse a URL and check its text.

    Raises:
        FetchRefused: ADDRESS_NOT_ALLOWED, we may not call it.
    """
    try:
        found = parse(url)
    except BadUrl as error:
        raise _not_allowed(f"the URL {error}") from error
    listed = found.host_and_port in allowed_hosts
    if found.port == RUNTIME_API_PORT or not (listed or networks or found.port in PORTS):
        ports = ", ".join(map(str, sorted(PORTS)))
        raise _not_allowed(f"port {found.port} of {found.host} is not one of {ports}")
    return Target(found.scheme, found.host, found.port, found.target, listed, networks)


def server_of(url: WebUrl) -> tuple[str, str, int]:
    """The server of a URL: scheme, host and port. Connections and cookies belong to one server."""
    return (url.scheme, url.host, url.port)


def may_connect(target: Target, address: str) -> bool:
    """Whether we may connect to this address of the target's host."""
    if target.listed or any(ip_address(address) in network for network in target.networks):
        return True
    return target.port in PORTS and is_public(address)


def _not_allowed(message: str) -> FetchRefused:
    return FetchRefused(Failure.ADDRESS_NOT_ALLOWED, message)
