"""A real browser at the pages of a deployment on moto."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from tests.browser.site_server import AXE_PATH, Site, serving
from tests.browser.tabs import Tabs
from tests.functions.web.browser import Browser

Open = Callable[..., Page]


@pytest.fixture
def site(browser: Browser) -> Iterator[Site]:
    """The pages of an empty deployment, on localhost."""
    with serving(browser) as served:
        yield served


@pytest.fixture
def open_page(site: Site, chromium: Chromium) -> Iterator[Open]:
    """Opens an address as a person with a role, or without one as nobody who has signed in. A page
    that logs an error fails the test.

    `how` are the options of a browser context: width, color_scheme, java_script_enabled …
    """
    tabs = Tabs(chromium)

    def open_as(role: str, address: str, **how: Any) -> Page:
        page = tabs.open(**how)
        if role:
            page.context.add_cookies(site.cookies(role))  # type: ignore[arg-type]
        page.goto(site.url + address)
        return page

    yield open_as
    tabs.close()
    assert tabs.errors == []


def violations(page: Page) -> list[str]:
    """What axe finds wrong with a page: rule, help and the first element of each."""
    if page.evaluate("typeof axe") == "undefined":
        page.add_script_tag(url=AXE_PATH)
    found = page.evaluate(
        "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
    )
    return [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}" for each in found]
