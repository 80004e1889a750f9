"""Web URLs: parsing, and checks that need only the text.

Manifests, callbacks, redirects and the HTTP client check URLs by the same rules, so that a URL is
refused as early as possible. Every function is linear in the length of its text.
"""

import ipaddress
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass

URL_LENGTH = 8_000  # characters of a URL that servers and proxies should support (RFC 9110, 4.1)
PORTS = frozenset({80, 443, 8080, 8443})  # allowed on any host; others only on listed hosts
RUNTIME_API_PORT = 9001  # of Lambda's runtime API: never called, even on a listed host
DEFAULT_PORTS = {"http": 80, "https": 443}
NO_SCHEME = "must begin with https:// or http://"
_BAD_IPV6 = "has no valid IPv6 address between its brackets"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
# Scheme, host and port that need no further check, as in most URLs; too short to exceed a limit.
PLAIN_SERVER = (
    r"https?://(?:[A-Za-z](?:[A-Za-z0-9-]{0,59}[A-Za-z0-9])?\.){1,3}[A-Za-z]{2,60}"
    r"(?::(?:80|443|8080|8443))?"
)
_PLAIN = re.compile(rf"{PLAIN_SERVER}(?:[/?][!-\"$-~]*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_TO_ENCODE = re.compile(r"[^!$-;=?-Z_a-z~]")  # in a path or query; a "%" is kept

# Ranges that embed an IPv4 address, or that Python calls global though no public server is in them.
_NOT_PUBLIC = tuple(
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


class BadUrl(ValueError):
    """The text of a URL shows that it may not be fetched.

    The message completes a sentence that begins with the URL: "has no valid host …".
    """


@dataclass(frozen=True)
class WebUrl:
    """A parsed http or https URL.

    `host` is in lower case, an IPv6 address without brackets. `target` is the path and the query in
    ASCII without spaces, never empty.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The host as in a URL, with the port unless it is the scheme's default."""
        return self._host if self.port == DEFAULT_PORTS[self.scheme] else self.host_and_port

    @property
    def host_and_port(self) -> str:
        """`host:port`, as in a deployment's list of allowed hosts."""
        return f"{self._host}:{self.port}"

    @property
    def text(self) -> str:
        """The URL in its normal form, without a fragment."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse(url: str) -> WebUrl:
    """Parse an http or https URL.

    Raises:
        BadUrl: it is not valid, or may not be fetched on any deployment.
    """
    if len(url) > URL_LENGTH:
        raise BadUrl(f"is longer than {URL_LENGTH} characters")
    if _CONTROL.search(url):
        raise BadUrl("contains a control character")
    found = _SCHEME.match(url)
    scheme = found[1].lower() if found else ""
    if scheme not in DEFAULT_PORTS or not found:
        raise BadUrl(NO_SCHEME)
    rest = url[found.end() :]
    if not rest.startswith("//"):
        raise BadUrl("has no valid host: https://host/path is expected")
    authority, target = _split(rest[2:])
    if target.startswith("\\"):  # some programs read it as a part of the host, others of the path
        raise BadUrl("has a backslash after its host: write it as /")
    if "@" in authority:
        raise BadUrl("may not contain a user name or password: others would see them")
    host, port = _host_and_port(authority, scheme)
    return WebUrl(scheme, host, port, _request_target(target))


def error_in(url: str) -> str:
    """Why no deployment can fetch a web URL; "" if its text shows no error."""
    if _is_plain(url):
        return ""
    if len(url.split()) != 1:
        return "contains a space: write it as %20" if url else "is empty"
    try:
        parse(url)
    except BadUrl as error:
        return str(error)
    return ""


def warning_in(url: str, allowed_hosts: Collection[str] = ()) -> str:
    """Why a URL without errors can probably not be fetched; "" if nothing suggests that.

    `allowed_hosts` are the deployment's, as `host:port`: they may be private and use any port.
    """
    if _is_plain(url):
        return ""
    try:
        found = parse(url)
    except BadUrl:
        return ""
    if "#" in url:
        return "contains a #, and what follows is not requested: write %23 if it is in the name"
    if found.host_and_port in allowed_hosts:
        return ""
    exception = f"unless the deployment lists {found.host_and_port}"
    if found.port not in PORTS:
        ports = ", ".join(map(str, sorted(PORTS)))
        return f"has port {found.port}: only {ports} are allowed {exception}"
    address = address_in(found.host)
    if address and not is_public(address):
        return f"has an address that is not public: it is refused {exception}"
    if not address and "." not in found.host.rstrip("."):
        return f"has a host without a dot, which is not public: it is refused {exception}"
    return ""


def callback_error(url: str, allowed_hosts: Collection[str] = ()) -> str:
    """Why a callback to a URL would fail; "" if nothing suggests that. See `warning_in`."""
    return error_in(url) or warning_in(url.partition("#")[0], allowed_hosts)


def https_error(url: str, allowed_hosts: Collection[str]) -> str:
    """Why the deployment does not call a service at a URL; "" if it does. It has to be https, but
    for the hosts that the deployment allows by name.
    """
    if error := callback_error(url, allowed_hosts):
        return error
    try:
        parsed = parse(url)
    except BadUrl as error:
        return str(error)
    if parsed.scheme != "https" and parsed.host_and_port not in allowed_hosts:
        return "has to begin with https://"
    return ""


def _is_plain(url: str) -> bool:
    return len(url) <= URL_LENGTH and _PLAIN.fullmatch(url) is not None


def address_in(host: str) -> str:
    """The IP address in a host, in any notation that resolvers accept; "" if it is a name."""
    if ":" in host:
        return host
    if not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return ""
    try:
        return socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))
    except OSError:
        return ""


def is_public(address: str) -> bool:
    """Whether an IP address is public, and embeds no other address."""
    ip = ipaddress.ip_address(address)
    if any(ip.version == net.version and ip in net for net in _NOT_PUBLIC):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def percent_encoded(raw: bytes) -> str:
    """The text of a URL in a header, with bytes that are not printable ASCII percent-encoded."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"%{byte:02X}" for byte in raw)


def _split(rest: str) -> tuple[str, str]:
    """The authority, and the path and query without the fragment."""
    found = re.search(r"[/?#\\]", rest)
    end = found.start() if found else len(rest)
    return rest[:end], rest[end:].partition("#")[0]


def _host_and_port(authority: str, scheme: str) -> tuple[str, int]:
    if not authority.isascii():
        raise BadUrl("has a host with characters that are not ASCII: write it as xn--…")
    if authority.startswith("["):
        inside, bracket, after = authority[1:].partition("]")
        host, port = inside, after[1:]
        if not bracket or after[:1] not in {"", ":"}:
            raise BadUrl(_BAD_IPV6)
        _check_ipv6(inside)
    else:
        host, _, port = authority.partition(":")
        _check_name(host)
    if port and not (port.isdecimal() and len(port) <= 5 and 0 < int(port) <= 65_535):
        raise BadUrl("has a port that is not a number from 1 to 65535")
    number = int(port) if port else DEFAULT_PORTS[scheme]
    if number == RUNTIME_API_PORT:
        raise BadUrl(f"has port {number}, which is never called")
    return host.lower(), number


def _check_ipv6(text: str) -> None:
    if "%" in text:
        raise BadUrl("has an IPv6 address with a zone, which is valid on one machine only")
    try:
        ipaddress.IPv6Address(text)
    except ValueError as error:
        raise BadUrl(_BAD_IPV6) from error


def _check_name(host: str) -> None:
    name = host.removesuffix(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, name.split("."))):
        raise BadUrl("has no valid host: https://host/path is expected")
    if _NUMBER.fullmatch(name.rpartition(".")[2]) and not address_in(host):
        raise BadUrl("has a host that ends in a number and is not an IP address")


def _request_target(target: str) -> str:
    path, mark, query = target.partition("?")
    if not path.startswith("/"):
        path = f"/{path}"
    return _percent_encoded_target(_without_dots(path) + mark + query)


def _without_dots(path: str) -> str:
    """A path with its `.` and `..` resolved (RFC 3986, 5.2.4)."""
    if "/." not in path:
        return path
    parts: list[str] = []
    names = path.split("/")[1:]
    for name in names:
        if name == "..":
            del parts[-1:]
        elif name != ".":
            parts.append(name)
    if names[-1] in {".", ".."}:
        parts.append("")
    return "/" + "/".join(parts)


def _percent_encoded_target(target: str) -> str:
    return _TO_ENCODE.sub(
        lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), target
    )
