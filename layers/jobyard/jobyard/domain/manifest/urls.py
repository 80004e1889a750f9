"""Which URLs a manifest may name, and what a URL tells about the file behind it.

Web URLs are judged as the fetcher judges them. Private and loopback hosts pass here: whether they
may be called, the deployment decides, so they are refused when the file is fetched.
"""

import re
from urllib.parse import unquote, urlsplit

from jobyard.domain import urls

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


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
