"""Adds to every response: security headers, an ETag, and gzip if it is large."""

import base64
import gzip
import hashlib
from collections.abc import Mapping
from typing import Any

LambdaResponse = dict[str, Any]  # as Lambda returns it to the gateway

COMPRESSION_THRESHOLD = 4096  # bytes; smaller bodies take longer to compress than to send
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}
PRIVATE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def finish(event: Mapping[str, Any], response: LambdaResponse) -> LambdaResponse:
    """The response to send. It is 304 without a body if the client has this version already."""
    headers = PRIVATE_HEADERS | response["headers"] | SECURITY_HEADERS
    body: str = response.get("body") or ""
    if event["requestContext"]["http"]["method"] == "GET" and response["statusCode"] == 200:
        tag = etag_of(body)
        headers["ETag"] = tag
        if matches_etag(event["headers"].get("if-none-match", ""), tag):
            kept = {name: text for name, text in headers.items() if name != "Content-Type"}
            return _response(304, kept, "")
    size = len(body.encode())
    if size < COMPRESSION_THRESHOLD:
        return _response(response["statusCode"], headers, body)
    headers["Vary"] = "Accept-Encoding"
    if not accepts_gzip(event["headers"].get("accept-encoding", "")):
        return _response(response["statusCode"], headers, body)
    compressed = gzip.compress(body.encode(), compresslevel=6, mtime=0)
    headers["Content-Encoding"] = "gzip"
    return _response(
        response["statusCode"], headers, base64.b64encode(compressed).decode(), encoded=True
    )


def _response(
    status: int, headers: Mapping[str, str], body: str, *, encoded: bool = False
) -> LambdaResponse:
    return {
        "statusCode": int(status),
        "headers": dict(headers),
        "body": body,
        "isBase64Encoded": encoded,
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
