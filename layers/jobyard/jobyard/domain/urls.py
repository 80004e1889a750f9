"""Web URLs: how one is read, why its text alone is refused, and how it is shown without secrets.

Manifests, callbacks, redirects and the fetcher itself judge by the same rules, so that nothing is
accepted that will be refused later for what could be seen before. Every function is linear in the
length of its text.
"""

import ipaddress
import re
import socket
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote

from jobyard.domain.text import clean

URL_LENGTH = 8_000  # characters of a URL: what every server and proxy is to take (RFC 9110, 4.1)
PORTS = frozenset({80, 443, 8080, 8443})  # where files are served; others only on listed hosts
RUNTIME_API_PORT = 9001  # Lambda's: never called, not even when listed
DEFAULT_PORTS = {"http": 80, "https": 443}
NO_SCHEME = "must begin with https:// or http://"
HIDDEN = "***"  # stands for what is not to be told

_SHOWN_BYTES = 300  # of a URL in a message
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
# Scheme, host and port that nothing speaks against, as most URLs have them; too short to be refused
# for their length.
PLAIN_SERVER = (
    r"https?://(?:[A-Za-z](?:[A-Za-z0-9-]{0,59}[A-Za-z0-9])?\.){1,3}[A-Za-z]{2,60}"
    r"(?::(?:80|443|8080|8443))?"
)
_PLAIN = re.compile(rf"{PLAIN_SERVER}(?:[/?][!-\"$-~]*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_TO_QUOTE = re.compile(r"[^!$-;=?-Z_a-z~]")  # in a path or query; a "%" stays as it stands

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

# Names of query fields whose value lets whoever has it in: S3, Azure and Google sign URLs so.
_SECRETS = frozenset(
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
# As people and browsers read one: after too many slashes, and after a scheme that is there twice.
_AUTHORITY = re.compile(r"://[/\\]*(?:[^/?#\s\\:]|:(?!//))*")
_FIELD = re.compile(r"([?&;#])([^=&?;#\s]+)=((?:[^&;#\s]|;(?![^=&?;#\s]+=))*)")
_SEPARATORS = re.compile(r"[-_.\[\]\s]")
_WORD = re.compile(r"\S+")


class BadUrl(ValueError):
    """The URL's text alone shows that nothing may be fetched from it. Its message completes a
    sentence that begins with the URL: "has no host …"."""


@dataclass(frozen=True)
class WebUrl:
    """An http or https URL as a request needs it.

    `host` is in lower case, an IPv6 address without brackets; `target` is the path and the query,
    ASCII without blanks, never empty.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The host as a URL writes it, with the port where it is not the scheme's own."""
        return self._host if self.port == DEFAULT_PORTS[self.scheme] else self.place

    @property
    def place(self) -> str:
        """Host and port, as a deployment's list of hosts writes them."""
        return f"{self._host}:{self.port}"

    @property
    def text(self) -> str:
        """The URL in its plain form, without a fragment."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def read(url: str) -> WebUrl:
    """Read an http or https URL.

    Raises:
        BadUrl: its text alone shows that it is none, or none that may ever be fetched.
    """
    if len(url) > URL_LENGTH:
        raise BadUrl(f"is longer than {URL_LENGTH} characters")
    if _CONTROL.search(url):
        raise BadUrl("holds a control character")
    found = _SCHEME.match(url)
    scheme = found[1].lower() if found else ""
    if scheme not in DEFAULT_PORTS or not found:
        raise BadUrl(NO_SCHEME)
    rest = url[found.end() :]
    if not rest.startswith("//"):
        raise BadUrl("has no valid host: https://host/path is expected")
    authority, target = _split(rest[2:])
    if target.startswith("\\"):  # which programs read as a part of the host, or of the path
        raise BadUrl("has a backslash after its host: write it as /")
    if "@" in authority:
        raise BadUrl("may not carry a user name or password, which others would see")
    host, port = _place(authority, scheme)
    return WebUrl(scheme, host, port, _request_target(target))


def fault(url: str) -> str:
    """Why no file can ever be fetched from a web URL, by its text alone; "" if nothing says so."""
    if _is_plain(url):
        return ""
    if len(url.split()) != 1:
        return "holds a blank: write it as %20" if url else "is empty"
    try:
        read(url)
    except BadUrl as error:
        return str(error)
    return ""


def doubt(url: str, listed: Collection[str] = ()) -> str:
    """Why a URL without `fault` will hardly be fetched as it stands; "" if nothing says so.

    `listed` are the `host:port`s that the deployment lets be private and use any port.
    """
    if _is_plain(url):
        return ""
    try:
        found = read(url)
    except BadUrl:
        return ""
    if "#" in url:
        return "holds a #, and what follows is not asked for: write it as %23 if it is in the name"
    if found.place in listed:
        return ""
    asks = f"unless the deployment lists {found.place}"
    if found.port not in PORTS:
        ports = ", ".join(map(str, sorted(PORTS)))
        return f"has port {found.port}: only {ports} are called {asks}"
    address = address_in(found.host)
    if address and not is_public(address):
        return f"has an address that is not of the open internet: it is refused {asks}"
    if not address and "." not in found.host.rstrip("."):
        return f"has a host without a dot, which the open internet does not know: refused {asks}"
    return ""


def not_called(url: str, listed: Collection[str] = ()) -> str:
    """Why a URL that is to be called, as a callback is, will not be; "" if nothing says so."""
    return fault(url) or doubt(url.partition("#")[0], listed)


def _is_plain(url: str) -> bool:
    return len(url) <= URL_LENGTH and _PLAIN.fullmatch(url) is not None


def address_in(host: str) -> str:
    """The IP address that a host is written as, in any way resolvers read; "" if it is a name."""
    if ":" in host:
        return host
    if not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return ""
    try:
        return socket.inet_ntoa(socket.inet_aton(host.rstrip(".")))
    except OSError:
        return ""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet, and nothing in disguise."""
    ip = ipaddress.ip_address(address)
    if any(ip.version == net.version and ip in net for net in _DISGUISES):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def without_secrets(url: str) -> str:
    """A URL without its user name and password, and without signatures and tokens in its query.

    The rest of the query stays: it may be what tells two files apart.
    """
    if "@" in url:
        url = _without_user(url)
    if "=" in url:
        url = _FIELD.sub(_without_value, url)
    return url


def text_without_secrets(text: str) -> str:
    """Text that may quote URLs, such as an error of a library, without their secrets."""
    if "://" not in text:
        return text
    return _WORD.sub(lambda word: without_secrets(word[0]) if "://" in word[0] else word[0], text)


def shown(url: str, limit: int = _SHOWN_BYTES) -> str:
    """A URL as a message or a log may quote it: without secrets, on one line, of `limit` bytes."""
    return clean(without_secrets(url[: 2 * URL_LENGTH]), limit)


def quoted_bytes(raw: bytes) -> str:
    """A URL as it stands in a header, with what is not ASCII percent-encoded byte by byte."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else f"%{byte:02X}" for byte in raw)


def _split(rest: str) -> tuple[str, str]:
    """The authority, and path and query without the fragment."""
    end = re.search(r"[/?#\\]", rest)
    at = end.start() if end else len(rest)
    return rest[:at], rest[at:].partition("#")[0]


def _place(authority: str, scheme: str) -> tuple[str, int]:
    if not authority.isascii():
        raise BadUrl("has a host with other than ASCII letters: write it as xn--…")
    host, colon, port = authority, "", ""
    if authority.startswith("["):
        inside, bracket, after = authority[1:].partition("]")
        host, colon, port = inside, after[:1], after[1:]
        _check_ipv6(inside if bracket and colon in {"", ":"} else "")
    else:
        host, colon, port = authority.partition(":")
        _check_name(host)
    if port and not (port.isdecimal() and len(port) <= 5 and 0 < int(port) <= 65_535):
        raise BadUrl("has a port that is no number from 1 to 65535")
    number = int(port) if port else DEFAULT_PORTS[scheme]
    if number == RUNTIME_API_PORT:
        raise BadUrl(f"has port {number}, which is never called")
    return host.lower(), number


def _check_ipv6(text: str) -> None:
    if "%" in text:
        raise BadUrl("has an address with a zone, which means another place on every machine")
    try:
        ipaddress.IPv6Address(text)
    except ValueError as error:
        raise BadUrl("has no valid IPv6 address between its brackets") from error


def _check_name(host: str) -> None:
    name = host.removesuffix(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, name.split("."))):
        raise BadUrl("has no valid host: https://host/path is expected")
    if _NUMBER.fullmatch(name.rpartition(".")[2]) and not address_in(host):
        raise BadUrl("has a host that ends in a number and is no address")


def _request_target(target: str) -> str:
    path, mark, query = target.partition("?")
    if not path.startswith("/"):
        path = f"/{path}"
    return _quoted(_without_dots(path) + mark + query)


def _without_dots(path: str) -> str:
    """A path with its `.` and `..` carried out (RFC 3986, 5.2.4)."""
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


def _quoted(target: str) -> str:
    return _TO_QUOTE.sub(
        lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), target
    )


def _without_user(url: str) -> str:
    last = url.rindex("@")
    if "://" not in url:  # its scheme was forgotten, or misspelt
        return f"{HIDDEN}{url[last:]}" if ":" in url[:last] else url
    pieces = []
    at = 0
    while found := _AUTHORITY.search(url, at):
        start, end = found.start() + len("://"), found.end()
        authority = url[start:end]
        if "@" in authority:
            start += authority.rindex("@")
            pieces += [url[at : found.start()], "://", HIDDEN, url[start:end]]
        elif end < last and _ends_in_no_port(authority):
            # A password with a blank, "/", "?" or "#" that was not percent-encoded.
            pieces += [url[at : found.start()], "://", HIDDEN]
            end = last
        else:
            pieces.append(url[at:end])
        at = end
    return "".join((*pieces, url[at:]))


def _ends_in_no_port(authority: str) -> bool:
    _, colon, port = authority.rpartition("]")[2].partition(":")
    return bool(colon) and not port.isdecimal()


def _without_value(found: "re.Match[str]") -> str:
    mark, name, value = found.groups()
    plain = _SEPARATORS.sub("", unquote(name)).lower()
    if value and (plain in _SECRETS or plain.endswith(_SECRET_ENDINGS)):
        return f"{mark}{name}={HIDDEN}"
    return str(found[0])
