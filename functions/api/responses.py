"""Adds to every response: security headers, an ETag, and gzip if it is large."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any

from gateway.headers import (
    SECURITY_HEADERS,
    LambdaResponse,
    accepts_gzip,
    etag_of,
    matches_etag,
)

COMPRESSION_THRESHOLD = 4096  # bytes; smaller bodies take longer to compress than to send
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
