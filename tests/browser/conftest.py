"""A real browser at the pages of a deployment on moto."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.browser.site_server import Site, serving
from tests.functions.web.browser import Browser

AXE = Path(__file__).parent / "axe" / "axe.min.js"
Open = Callable[..., Page]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """Debian's chromium."""
    path = shutil.which("chromium")
    assert path, "chromium is not installed: make chromium installs it"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def site(browser: Browser) -> Iterator[Site]:
    """The pages of an empty deployment, on localhost."""
    with serving(browser) as served:
        yield served


@pytest.fixture
def open_page(site: Site, chromium: Chromium) -> Iterator[Open]:
    """Opens an address as a person with a role. A page that logs an error fails the test.

    `how` are the options of a browser context: width, color_scheme, java_script_enabled …
    """
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_as(role: str, address: str, *, width: int = 1280, **how: Any) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": 900}, **how)
        contexts.append(context)
        context.add_cookies(site.cookies(role))  # type: ignore[arg-type]
        page = context.new_page()
        page.on(
            "console",
            lambda message: errors.append(message.text) if message.type == "error" else None,
        )
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(site.url + address)
        return page

    yield open_as
    for context in contexts:
        context.close()
    assert [each for each in errors if "status of 4" not in each] == []


def violations(page: Page) -> list[str]:
    """What axe finds wrong with a page: rule, help and the first element of each."""
    page.add_script_tag(path=AXE)
    found = page.evaluate(
        "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
    )
    return [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:200]}" for each in found]
