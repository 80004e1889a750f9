"""A request for a page: who sends it, its parameters, its form, and contexts for services."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode
from zoneinfo import ZoneInfo

from aws_lambda_powertools.event_handler.api_gateway import BaseRouter

from gateway.pages import Pages
from jobyard.domain.access import is_allowed
from jobyard.domain.errors import InvalidRule
from jobyard.domain.schedules.wall_clock import zone_named
from jobyard.services.context import Actor, CommandContext, QueryContext
from web.site import Site

_UTC = ZoneInfo("UTC")
_FIELDS = 100  # of a form; more are ignored
_KEY_LENGTH = 64


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
        return dict(pairs[:_FIELDS])

    @cached_property
    def form(self) -> dict[str, list[str]]:
        """The fields of the posted form."""
        body = self.event.get("body") or ""
        if self.event.get("isBase64Encoded"):
            body = base64.b64decode(body).decode(errors="replace")
        fields: dict[str, list[str]] = {}
        for name, value in parse_qsl(body, keep_blank_values=True)[:_FIELDS]:
            fields.setdefault(name, []).append(value)
        return fields

    def field(self, name: str) -> str:
        """A field of the form, without space around it; "" if it is missing."""
        return self.form.get(name, [""])[-1].strip()

    @cached_property
    def zone(self) -> ZoneInfo:
        """The reader's time zone, which a script stores in a cookie; UTC until then."""
        try:
            return zone_named(unquote(cookies_of(self.event).get("zone", "UTC")))
        except InvalidRule:
            return _UTC

    @property
    def key(self) -> str:
        """A key that a repeat of the form shares, so that a double click is harmless."""
        key = self.field("key")[:_KEY_LENGTH] or self.request_id
        return "\n".join((self.actor.sub, f"{self.method} {self.path}", key))

    @cached_property
    def query_context(self) -> QueryContext:
        """The context of a read."""
        return QueryContext(self.site.settings, self.site.s3, self.actor, self.site.now())

    def command_context(self) -> CommandContext:
        """The context of a change, with the form's reason."""
        site = self.site
        return CommandContext(
            site.settings,
            site.s3,
            site.machines,
            site.now,
            self.actor,
            self.key,
            self.field("reason"),
            on_skipped=site.log_skipped,
            account_of=site.account_of,
        )

    def may(self, kind: str, event: str) -> bool:
        """Whether the person's roles allow an entry of the access table."""
        return is_allowed(kind, event, self.actor.roles)

    def pages(self, *kind: str) -> Pages:
        """The pages of a list. `kind` names the list and its filters."""
        return Pages("\n".join(("page", *kind)), self.site.cursor_key)


def page_links(request: PageRequest, cursor: str | None) -> dict[str, str]:
    """The addresses of the next and of the first page of a list; "" where there is no such page.

    They keep the filters of the request.
    """
    kept = {name: value for name, value in request.query.items() if name != "cursor" and value}
    first = f"{request.path}?{urlencode(kept)}" if kept else request.path
    following = f"{request.path}?{urlencode(kept | {'cursor': cursor})}" if cursor else ""
    return {
        "next_address": following,
        "first_address": first if request.query.get("cursor") else "",
    }


def cookies_of(event: Mapping[str, Any]) -> dict[str, str]:
    """The cookies of a request, by name; the first of each name.

    AWS has them in a list, the emulator in the header. http.cookies stops at the first cookie that
    it does not understand, and on a laptop other programs' cookies are sent too.
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
