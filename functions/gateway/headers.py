"""Headers of requests and responses: ETags, encodings, and those that every response has."""

import hashlib
from typing import Any

LambdaResponse = dict[str, Any]  # as Lambda returns it to the gateway

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}


def etag_of(body: str) -> str:
    """The ETag of a body; weak, because it is the same with and without compression."""
    return f'W/"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'


def matches_etag(if_none_match: str, tag: str) -> bool:
    """Whether an If-None-Match header names `tag`, weakly compared (RFC 9110, 13.1.2)."""
    tags = [each.strip().removeprefix("W/") for each in if_none_match.split(",")]
    return "*" in tags or tag.removeprefix("W/") in tags


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header allows gzip (RFC 9110, 12.5.3)."""
    weights = {}
    for each in accept_encoding.lower().replace(" ", "").split(","):
        name, _, weight = each.partition(";q=")
        weights[name] = weight
    weight = weights.get("gzip", weights.get("*", "0"))
    return weight.strip("0.") != "" or weight == ""
