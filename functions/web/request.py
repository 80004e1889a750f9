"""A request for a page: who sends it, its parameters, its form, and contexts for services."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode
from zoneinfo import ZoneInfo

from aws_lambda_powertools.event_handler.api_gateway import BaseRouter

from gateway.errors import PayloadTooLarge, ValidationFailed
from gateway.pagination import Pagination
from jobyard.domain.access import is_allowed
from jobyard.domain.errors import BadRequest, InvalidRule
from jobyard.domain.schedules.wall_clock import zone_named
from jobyard.domain.text import REASON_BYTES, clean
from jobyard.services.context import Actor, CommandContext, QueryContext
from web.site import Site

_UTC = ZoneInfo("UTC")
_PARAMETERS = 100  # of an address; more are ignored
_FIELDS = 1100  # of a form: up to 1,000 jobs are selected
_FORM_BYTES = 512 * 1024
_KEY_LENGTH = 64
_STARTS = ("cursor", "from")  # parameters that say where a page of a list begins
_HIDDEN_FIELDS = frozenset({"csrf", "key"})  # of every form


@dataclass(frozen=True)
class PageRequest:
    """A request for a page, by `actor` in their session `session_id`."""

    site: Site
    event: Mapping[str, Any]
    actor: Actor
    session_id: str

    @property
    def method(self) -> str:
        """GET or POST."""
        return str(self.event["requestContext"]["http"]["method"])

    @property
    def is_poll(self) -> bool:
        """Whether an open page polls for what has changed."""
        return "x-poll" in self.event["headers"]

    @property
    def path(self) -> str:
        """The path, decoded."""
        return str(self.event["rawPath"])

    @property
    def address(self) -> str:
        """Path and query, to link to this page."""
        query = self.event.get("rawQueryString", "")
        return f"{self.path}?{query}" if query else self.path

    @property
    def request_id(self) -> str:
        """The id of the request in the logs."""
        return str(self.event["requestContext"]["requestId"])

    @cached_property
    def query(self) -> dict[str, str]:
        """The parameters of the address, the last of each name."""
        pairs = parse_qsl(self.event.get("rawQueryString", ""), keep_blank_values=True)
        return dict(pairs[:_PARAMETERS])

    def query_values(self, name: str) -> list[str]:
        """All values of a parameter of the address."""
        pairs = parse_qsl(self.event.get("rawQueryString", ""), keep_blank_values=True)
        return [value for each, value in pairs[:_PARAMETERS] if each == name]

    @cached_property
    def body(self) -> bytes:
        """The body.

        Raises:
            BadRequest: it is not as the gateway sends it.
        """
        body = self.event.get("body") or ""
        if not self.event.get("isBase64Encoded"):
            return str(body).encode(errors="replace")
        try:
            return base64.b64decode(body)
        except ValueError as error:
            raise BadRequest("the form did not arrive complete; send it again") from error

    @cached_property
    def form(self) -> dict[str, list[str]]:
        """The fields of the posted form.

        Raises:
            PayloadTooLarge: it has more than any form of ours. Without the rest, the request would
                be another one than was sent.
        """
        if len(self.body) > _FORM_BYTES:
            raise PayloadTooLarge(f"the form is larger than {_FORM_BYTES // 1024} kB; shorten it")
        text = self.body.decode(errors="replace")
        try:
            pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS)
        except ValueError as error:
            raise PayloadTooLarge(
                f"the form has more than {_FIELDS} fields; select fewer"
            ) from error
        fields: dict[str, list[str]] = {}
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
        return fields

    def field(self, name: str) -> str:
        """A field of the form, without space around it; "" if it is missing."""
        return self.form.get(name, [""])[-1].strip()

    def text(self, name: str, limit: int) -> str:
        """A field as one line of text; "" if it is missing.

        Raises:
            ValidationFailed: it has more than `limit` bytes. Services would cut it.
        """
        text = " ".join(self.field(name).split())
        if len(text.encode(errors="replace")) > limit:
            raise ValidationFailed(
                [(name, f"The {name} may have up to {limit} bytes; shorten it.")]
            )
        return clean(text, limit)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The reader's time zone, which a script stores in a cookie; UTC until then."""
        try:
            return zone_named(unquote(cookies_of(self.event).get("zone", "UTC")))
        except InvalidRule:
            return _UTC

    @property
    def key(self) -> str:
        """The idempotency key of a form: the same for a repeat, so that a double click is harmless.

        It contains a digest of the fields. When a person goes back, the browser shows the old page
        with its old key, and a form with other fields is another request.
        """
        key = self.field("key")[:_KEY_LENGTH] or self.request_id
        fields = sorted(
            (name, each) for name, each in self.form.items() if name not in _HIDDEN_FIELDS
        )
        digest = hashlib.sha256(repr(fields).encode(errors="backslashreplace")).hexdigest()
        return "\n".join((self.actor.sub, f"{self.method} {self.path}", key, digest))

    @cached_property
    def query_context(self) -> QueryContext:
        """The context of a read."""
        return QueryContext(self.site.settings, self.site.s3, self.actor, self.site.now())

    def command_context(self) -> CommandContext:
        """The context of a change, with the form's reason.

        Raises:
            ValidationFailed: the reason is too long.
        """
        site = self.site
        return CommandContext(
            site.settings,
            site.s3,
            site.machines,
            site.now,
            self.actor,
            self.key,
            self.text("reason", REASON_BYTES),
            on_skipped=site.log_skipped,
            account_of=site.account_of,
            signing_key=site.cursor_key,
        )

    def is_post_to(self, address: str) -> bool:
        """Whether this is a form that was sent to the path `address`."""
        return self.method == "POST" and unquote(self.path) == unquote(address)

    def may(self, kind: str, event: str) -> bool:
        """Whether the person's roles allow an entry of the access table."""
        return is_allowed(kind, event, self.actor.roles)

    def pagination(self, *kind: str) -> Pagination:
        """The pagination of a list. `kind` names the list and its filters."""
        return Pagination("\n".join(("page", *kind)), self.site.cursor_key)


def page_links(request: PageRequest, cursor: str | None, **joined: str) -> dict[str, str]:
    """The addresses of the next and of the first page of a list, with the filters of the request.

    The next is "" on the last page, the first "" on the first. `joined` are parameters of more
    than one value as one.
    """
    query = request.query | joined
    kept = {name: value for name, value in query.items() if name not in _STARTS and value}
    first = f"{request.path}?{urlencode(kept)}" if kept else request.path
    following = f"{request.path}?{urlencode(kept | {'cursor': cursor})}" if cursor else ""
    return {
        "next_address": following,
        "first_address": first if any(request.query.get(each) for each in _STARTS) else "",
    }


def cookies_of(event: Mapping[str, Any]) -> dict[str, str]:
    """The cookies of a request, by name; the first of each name.

    AWS passes them in a list, the emulator in the header. `http.cookies` is not used: it stops at
    the first cookie that it cannot parse, and on localhost other programs' cookies are sent too.
    """
    given = event.get("cookies") or event["headers"].get("cookie", "").split(";")
    found: dict[str, str] = {}
    for each in given:
        name, _, value = each.strip().partition("=")
        found.setdefault(name, value)
    return found


def current_request(router: BaseRouter) -> PageRequest:
    """The request that is being handled."""
    request: PageRequest = router.context["request"]
    return request
