"""Checks of the URLs in a manifest, and the file names in them.

Web URLs are checked like those that the HTTP client gets. A private or loopback host is a warning,
since a deployment may allow it.
"""

import re
from collections.abc import Collection
from urllib.parse import unquote, urlsplit

from jobyard.domain import urls

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_MAX_HOSTS = 1_000  # hosts with one warning each; further hosts have one for each row


def bucket_and_key(url: str) -> tuple[str, str]:
    """The bucket and the key of an `s3://bucket/key` URL. The key is literal, not unquoted."""
    bucket, _, key = url[len("s3://") :].partition("/")
    return bucket, key


def error_in(url: str) -> str:
    """Why no file can be fetched from `url`; "" if its text shows no error."""
    if url.startswith("s3://"):
        bucket, key = bucket_and_key(url)
        if not _BUCKET.fullmatch(bucket):
            return "has no valid bucket: s3://bucket/key is expected"
        return "" if key else "has no key: s3://bucket/key is expected"
    found = urls.error_in(url)
    return "must begin with https://, http:// or s3://" if found == urls.NO_SCHEME else found


def file_name_in(url: str) -> str:
    """The last part of the path of `url`, unquoted; "" if it is empty or not UTF-8."""
    if url.startswith("s3://"):
        return bucket_and_key(url)[1].rpartition("/")[2]
    try:
        return unquote(urlsplit(url).path.rpartition("/")[2], errors="strict")
    except UnicodeDecodeError:
        return ""


class UrlWarnings:
    """Warnings about URLs without errors, one for each host.

    `allowed_hosts` are the deployment's, as in `urls.warning_in`.
    """

    def __init__(self, allowed_hosts: Collection[str] = ()) -> None:
        self._allowed_hosts = allowed_hosts
        self._checked: set[str] = set()

    def of(self, url: str) -> str:
        """Why `url` can probably not be fetched; "" if it can, or its host was reported."""
        server = server_of(url)
        if server in self._checked:
            return "" if "#" not in url else urls.warning_in(url, self._allowed_hosts)
        message = urls.warning_in(url, self._allowed_hosts)
        if "#" in url:
            return message
        if server and len(self._checked) < _MAX_HOSTS:
            self._checked.add(server)
        return f"{message} (reported once for this host)" if message else ""

    def are_checked(self, servers: Collection[str]) -> bool:
        """Whether URLs on these servers, without a "#", have no warning left to report."""
        return self._checked.issuperset(servers)


def server_of(url: str) -> str:
    """`url` up to the slash after its host; "" if it has none."""
    return url[: url.find("/", len("https://")) + 1]
