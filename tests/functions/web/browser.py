"""A browser without scripts: keeps cookies, follows redirects, sends forms as the gateway does."""

import base64
import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from jobyard.services.context import Actor
from tests.functions.api.api_client import Lambda
from tests.people import sub_of
from web.session_cookie import Session, session_cookie

URL = "https://jobyard.example.org"
_VOID = frozenset({"br", "input", "link", "meta", "wbr"})
_requests = count(1)


class _Reader(HTMLParser):
    """Collects the text of a page and its forms."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.forms: list[dict[str, Any]] = []
        self.alerts: list[str] = []
        self._alert_depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if self._alert_depth and tag not in _VOID:
            self._alert_depth += 1
        if given.get("role") == "alert":
            self._alert_depth = 1
        if tag == "form":
            self.forms.append({"action": given.get("action", ""), "fields": {}})
        is_sent = given.get("type") not in {"checkbox", "radio"} or "checked" in given
        if tag in {"input", "button"} and self.forms and given.get("name") and is_sent:
            self.forms[-1]["fields"][given["name"]] = given.get("value", "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element of a picture, which has no text."""

    def handle_endtag(self, tag: str) -> None:
        self._alert_depth = max(0, self._alert_depth - 1)

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.text.append(data.strip())
            if self._alert_depth:
                self.alerts.append(data.strip())


@dataclass(frozen=True)
class Page:
    """A response as a browser sees it; `headers` have lower-case names. `sent_bytes` is the size of
    its body as it was sent."""

    status: int
    headers: Mapping[str, str]
    html: str
    cookies: tuple[str, ...]
    sent_bytes: int = 0

    @property
    def location(self) -> str:
        """Where a redirect leads; "" if it is none."""
        return self.headers.get("location", "")

    @property
    def text(self) -> str:
        """The text of the page, in one line."""
        return " ".join(self._reader.text)

    @property
    def alert(self) -> str:
        """The text of the page's alerts."""
        return " ".join(self._reader.alerts)

    @property
    def forms(self) -> dict[str, dict[str, str]]:
        """The hidden and named fields of each form, by its action."""
        return {each["action"]: each["fields"] for each in self._reader.forms}

    @cached_property
    def _reader(self) -> _Reader:
        reader = _Reader()
        reader.feed(self.html)
        return reader


@dataclass
class Browser:
    """A browser at the pages of `site`, an application of `web.handler`."""

    function: Any
    cookies: dict[str, str] = field(default_factory=dict)
    secure: bool = True

    def sign_in(self, role: str, *, name: str = "", groups: tuple[str, ...] = ()) -> "Browser":
        """Sign in as a person with this role, without the sign-in page."""
        site = self.function.SITE
        actor = Actor(sub_of(name or role), name or role, frozenset({role, *groups}))
        until = site.now().replace(year=site.now().year + 1)
        made = session_cookie(Session("session-1", actor, until), site.signer(), secure=self.secure)
        self.cookies[made.name] = made.value
        return self

    def get(self, address: str, **headers: str) -> Page:
        """The response to a GET."""
        return self.send("GET", address, headers=headers)

    def post(self, address: str, fields: Mapping[str, Any], **headers: str) -> Page:
        """The response to a form, sent by one of our pages unless the headers say otherwise."""
        given = {"sec-fetch-site": "same-origin"} | headers
        return self.send("POST", address, fields=fields, headers=given)

    def submit(self, page: Page, action: str, **fields: str) -> Page:
        """The response to a form of a page, with the given fields filled in."""
        return self.post(action, page.forms[action] | fields)

    def send(
        self,
        method: str,
        address: str,
        *,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Page:
        """The response to a request. Keeps the cookies that it sets."""
        path = urlsplit(address)
        event: dict[str, Any] = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path.path,
            "rawQueryString": path.query,
            "cookies": [f"{name}={value}" for name, value in self.cookies.items()],
            "headers": {name.replace("_", "-"): text for name, text in (headers or {}).items()},
            "requestContext": {
                "requestId": f"request-{next(_requests)}",
                "stage": "$default",
                "http": {"method": method, "path": path.path},
            },
            "isBase64Encoded": False,
        }
        if path.query:
            event["queryStringParameters"] = {
                name: ",".join(values)
                for name, values in parse_qs(path.query, keep_blank_values=True).items()
            }
        if fields is not None:
            body = urlencode(fields, doseq=True).encode()
            event["body"], event["isBase64Encoded"] = base64.b64encode(body).decode(), True
            event["headers"]["content-type"] = "application/x-www-form-urlencoded"
        given = self.function.handler(event, Lambda())
        body = given.get("body") or ""
        sent_bytes = len(body)
        if given.get("isBase64Encoded"):
            raw = base64.b64decode(body)
            sent_bytes = len(raw)
            is_gzip = given["headers"].get("Content-Encoding") == "gzip"
            body = (gzip.decompress(raw) if is_gzip else raw).decode(errors="replace")
        cookies = tuple(given.get("cookies", ()))
        for each in cookies:
            name, _, rest = each.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        lower = {name.lower(): text for name, text in given["headers"].items()}
        return Page(given["statusCode"], lower, body, cookies, sent_bytes)
