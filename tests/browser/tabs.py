"""Tabs of a real browser, which notice what goes wrong in their pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect, sync_playwright

MAX_BYTES = 200_000  # of a page with all its files, as they are sent
_TIMEOUT_MS = 120_000  # a busy machine is slow, and no failure


@contextmanager
def running_chromium() -> Iterator[Chromium]:
    """Debian's chromium."""
    path = shutil.which("chromium")
    assert path, "chromium is not installed: make chromium installs it"
    expect.set_options(timeout=_TIMEOUT_MS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@dataclass
class Tabs:
    """Opens tabs that share nothing. `errors` are those that the pages of all of them logged, among
    them what their policies forbade; refusals, which stories provoke, are none.
    """

    chromium: Chromium
    errors: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, *, width: int = 1280, **how: Any) -> Page:
        """A tab. `how` are the options of a browser context: color_scheme, timezone_id …"""
        context = self.chromium.new_context(viewport={"width": width, "height": 900}, **how)
        context.set_default_timeout(_TIMEOUT_MS)
        self._contexts.append(context)
        page = context.new_page()
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        return page

    def close(self) -> None:
        """Close all."""
        for context in self._contexts:
            context.close()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and "status of 4" not in message.text:
            self.errors.append(f"{message.location['url']}: {message.text}")
