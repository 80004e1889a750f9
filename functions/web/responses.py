"""Responses: pages, redirects, files, with the headers that keep a page from harm."""

import base64
import gzip
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.shared.cookies import Cookie

from gateway.headers import (
    SECURITY_HEADERS,
    LambdaResponse,
    accepts_gzip,
    matches_etag,
)
from jobyard.services.snapshots import misses_act, shared_snapshot
from web import assets
from web.digests import digest_of
from web.lazy import Lazy
from web.poll_interval import PART_AGE
from web.renderer import render
from web.request import PageRequest
from web.site import Site

COMPRESSION_THRESHOLD = 1024  # bytes
HTML = "text/html; charset=utf-8"
_OF_ADDRESSES = "%/:?#[]@!$&'()*+,;=~"  # what stays as it is in an address (RFC 3986)


def content_security_policy(sign_in_url: str, upload_origin: str = "") -> str:
    """The policy of a page. Scripts and styles come from our own files only.

    Browsers apply form-action to redirects too, so signing out needs the sign-in page's address.
    `upload_origin` is where a page uploads manifests to, "" if it does not.
    """
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            f"connect-src 'self' {upload_origin}".rstrip(),
            f"form-action 'self' {sign_in_url} {upload_origin}".rstrip(),
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


def page(
    template: str,
    request: PageRequest,
    values: Mapping[str, Any],
    *,
    status: int = 200,
    poll_s: int = 0,
    upload_origin: str = "",
    etag: str = "",
) -> Response[str]:
    """A page; 304 to a poll if the reader has it already, which is known before it is rendered.

    A browser that opens the page gets it again: its forms need new keys.

    `values` are what the template shows. `poll_s` says in how many seconds the page asks again for
    what has changed; 0 is never. `etag` is its ETag, "" for that of its values.
    """
    headers = _headers(poll_s)
    if upload_origin:
        policy = content_security_policy(request.site.settings.sign_in_url, upload_origin)
        headers["Content-Security-Policy"] = policy
    if status == HTTPStatus.OK and request.method == "GET":
        headers["ETag"] = etag or _etag(request, _digest(template, values))
        if _is_known(headers["ETag"], request):
            return Response(304, body="", headers=headers)
    body = render(template, request, {**values, "poll_s": poll_s, "etag": headers.get("ETag", "")})
    return Response(status, HTML, body, headers)


def versioned_page(
    template: str,
    request: PageRequest,
    version: str,
    values_of: Callable[[], Mapping[str, Any]],
    *,
    poll_s: int,
    upload_origin: str = "",
) -> Response[str]:
    """A page whose values change with its `version`, and are read only if the reader does not have
    that version: see `page`.
    """
    etag = _etag(request, _digest(template, {"version": version}))
    if _is_known(etag, request):
        return Response(304, body="", headers=_headers(poll_s) | {"ETag": etag})
    values = values_of()
    return page(template, request, values, poll_s=poll_s, upload_origin=upload_origin, etag=etag)


def shared_page(
    template: str,
    request: PageRequest,
    values_of: Callable[[], Mapping[str, Any]],
    *,
    poll_s: int,
    is_final: Callable[[Mapping[str, Any]], bool] = lambda _: False,
    version: str = "",
    least_age: timedelta = timedelta(),
    upload_origin: str = "",
) -> Response[str]:
    """A page that is the same for all with the same roles; `values_of` reads its values.

    Readers share the digest of the values, so a poll that finds nothing new reads one item, if
    another reader's poll was seconds ago. What people did is in it at once. Who opens the page, or
    does not have it as it is now, always gets the values of now. Values that are final are not
    polled for. The digest counts for one `version` of what is shown, and for `least_age` or longer.
    """

    def shown(values: Mapping[str, Any]) -> Response[str]:
        following_s = 0 if is_final(values) else poll_s
        return page(template, request, values, poll_s=following_s, upload_origin=upload_origin)

    if not request.is_poll:
        return shown(values_of())
    read: list[Mapping[str, Any]] = []

    def compute() -> dict[str, str]:
        read.append(values_of())
        return {"digest": _digest(template, read[0])}

    context = request.query_context
    found = shared_snapshot(
        _shared_name(request, version),
        context,
        compute,
        least_age=least_age,
        is_outdated=lambda at: misses_act(at, context.now),
    )
    etag = _etag(request, found.document["digest"])
    if not read and _is_known(etag, request):
        return Response(304, body="", headers=_headers(poll_s) | {"ETag": etag})
    return shown(read[0] if read else values_of())


def own_part(
    name: str, request: PageRequest, values_of: Callable[[], Mapping[str, Any] | None]
) -> Lazy:
    """A part of a page that is the reader's own, which would be too much to read for each poll.

    A poll reads its digest only, which counts for `PART_AGE`, or until somebody does something.
    """
    read: list[Mapping[str, Any] | None] = []

    def compute() -> dict[str, str]:
        read.append(values_of())
        return {"digest": digest_of(read[0])}

    if not request.is_poll:
        return Lazy(compute()["digest"], lambda: read[0])
    context = request.query_context
    found = shared_snapshot(
        f"page.{digest_of((name, request.actor))}",
        context,
        compute,
        least_age=PART_AGE,
        is_outdated=lambda at: misses_act(at, context.now),
    )
    return Lazy(found.document["digest"], lambda: read[0] if read else values_of())


def _shared_name(request: PageRequest, version: str) -> str:
    """The name of what the readers of a page share. Depositors see their own batches only."""
    owner = "" if request.may("batch", "view") else request.actor.sub
    shown = (request.address, request.actor.roles, owner, version)
    return f"page.{digest_of(shown)}"


def _headers(poll_s: int) -> dict[str, str]:
    return {"X-Next-Poll": str(poll_s), "Cache-Control": "no-cache, private"}


def _is_known(etag: str, request: PageRequest) -> bool:
    """Whether the poll of an open page names the ETag of what it shows."""
    known = request.event["headers"].get("if-none-match", "") if request.is_poll else ""
    return matches_etag(known, etag)


def _digest(template: str, values: Mapping[str, Any]) -> str:
    """A digest of what a page shows. Dataclasses and collections show all of their values."""
    return digest_of((template, assets.static_address("app.css"), sorted(values.items())))


def _etag(request: PageRequest, digest: str) -> str:
    """The ETag of a page for its reader."""
    return f'W/"{digest_of((digest, request.actor, request.address, str(request.zone)))}"'


def see_other(address: str, cookies: Sequence[Cookie] = ()) -> Response[str]:
    """A redirect after a form was accepted: the browser gets `address`."""
    headers = {"Location": quote(address, safe=_OF_ADDRESSES), "Cache-Control": "no-store"}
    return Response(303, "text/plain", "", headers, list(cookies))


def file(found: assets.Asset, *, immutable: bool) -> Response[bytes]:
    """A static file, which browsers may keep for good if its address has its digest."""
    policy = assets.IMMUTABLE if immutable else "no-cache"
    return Response(200, found.media_type, found.content, {"Cache-Control": policy})


def finish(event: Mapping[str, Any], response: LambdaResponse, site: Site) -> LambdaResponse:
    """The response to send: with security headers, and compressed if it is large."""
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": content_security_policy(site.settings.sign_in_url),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Vary": "Cookie, Accept-Encoding",
        **response["headers"],
        **SECURITY_HEADERS,
        "Referrer-Policy": "same-origin",  # forms need the Origin header
    }
    finished = {**response, "headers": headers}
    raw = _raw_body(response)
    if event["requestContext"]["http"]["method"] == "HEAD":
        return {**finished, "body": "", "isBase64Encoded": False}
    if len(raw) < COMPRESSION_THRESHOLD:
        return finished
    if not accepts_gzip(event["headers"].get("accept-encoding", "")):
        return finished
    headers["Content-Encoding"] = "gzip"
    compressed = gzip.compress(raw, compresslevel=6, mtime=0)
    return {**finished, "body": base64.b64encode(compressed).decode(), "isBase64Encoded": True}


def _raw_body(response: LambdaResponse) -> bytes:
    body: str = response.get("body") or ""
    return base64.b64decode(body) if response.get("isBase64Encoded") else body.encode()
