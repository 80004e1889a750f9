"""Which URLs a manifest may name, and what a URL tells about the file behind it.

Web URLs are judged as the fetcher judges them. Private and loopback hosts pass with a warning:
whether they may be called, the deployment decides.
"""

import re
from collections.abc import Collection
from urllib.parse import unquote, urlsplit

from jobyard.domain import urls

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


_HOSTS = 1_000  # told of once; any more are told of row by row


def s3_place(url: str) -> tuple[str, str]:
    """Bucket and key of an `s3://bucket/key` URL. The key is literal: nothing is unquoted."""
    bucket, _, key = url[len("s3://") :].partition("/")
    return bucket, key


def fault(url: str) -> str:
    """Why no file can be fetched from `url`, "" if nothing speaks against it."""
    if url.startswith("s3://"):
        bucket, key = s3_place(url)
        if not _BUCKET.fullmatch(bucket):
            return "has no valid bucket: s3://bucket/key is expected"
        return "" if key else "has no key: s3://bucket/key is expected"
    found = urls.fault(url)
    return "must begin with https://, http:// or s3://" if found == urls.NO_SCHEME else found


def name_in(url: str) -> str:
    """The last part of the path of `url`, unquoted; "" if it has none that is UTF-8."""
    if url.startswith("s3://"):
        return s3_place(url)[1].rpartition("/")[2]
    try:
        return unquote(urlsplit(url).path.rpartition("/")[2], errors="strict")
    except UnicodeDecodeError:
        return ""


class UrlWarnings:
    """What speaks against URLs without `fault`, said once for each host.

    `listed` are the `host:port`s that the deployment lets be private and have any port.
    """

    def __init__(self, listed: Collection[str] = ()) -> None:
        self._listed = listed
        self._settled: set[str] = set()

    def of(self, url: str) -> str:
        """Why `url` will hardly be fetched as it stands; "" if nothing says so, or it was said."""
        server = server_of(url)
        if server in self._settled:
            return "" if "#" not in url else urls.doubt(url, self._listed)
        message = urls.doubt(url, self._listed)
        if "#" in url:
            return message
        if server and len(self._settled) < _HOSTS:
            self._settled.add(server)
        return f"{message} (said once for this host)" if message else ""

    def are_settled(self, servers: Collection[str]) -> bool:
        """Whether nothing is left to be said of URLs that begin so and hold no "#"."""
        return self._settled.issuperset(servers)


def server_of(url: str) -> str:
    """`url` up to the slash after its host; "" if there is none, and the whole has to be read."""
    return url[: url.find("/", len("https://")) + 1]
