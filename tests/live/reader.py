"""A person who reads the deployed pages, with an HTTP client instead of a browser."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

import httpx

from cli.local.demo_users import PASSWORD
from cli.local.emulator import Emulator


@contextmanager
def signed_in(running: Emulator, username: str) -> Iterator[httpx.Client]:
    """A client of the pages with a demo user's session. The sign-in page is another origin."""
    with httpx.Client(base_url=running.web_url, trust_env=False, timeout=60) as reader:
        departure = reader.get("/sign-in")
        form = reader.get(departure.headers["Location"])
        answered = reader.post(
            f"{running.endpoint}/login",
            data=hidden_fields(form.text) | {"username": username, "password": PASSWORD},
        )
        back = reader.get(answered.headers["Location"])
        assert (back.status_code, back.headers["Location"]) == (303, "/"), back.text
        yield reader


def hidden_fields(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms by name."""
    found = re.findall(r'<input type="hidden" name="([\w-]+)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}
