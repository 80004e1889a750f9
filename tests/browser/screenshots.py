"""Pictures of every page, of an empty deployment and of a full one, at three widths, in light and
dark. An admin sees them, or the person after the @ in the name of a page: `worklist@worker`.

Usage: python -m tests.browser.screenshots FOLDER [NAME ...]
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from tests.browser.edit_volume import store_edit_volume
from tests.browser.site_server import Site, serving
from tests.browser.tabs import running_chromium
from tests.browser.volume import store_volume
from tests.functions.api.api_client import NOW
from tests.functions.api.campaign_requests import IMAGE
from tests.moto_deployment import deployed, empty_site

WIDTHS = (390, 1280, 1920)
SCHEMES = ("light", "dark")
EMPTY = {
    f"empty-{path if path[:1].isalpha() else f'home{path}'}": f"/{path.partition('@')[0]}"
    for path in (
        *("", "activity", "batches", "collections", "holds", "objects", "system"),
        *("calendars", "job-management", "campaigns"),
        *("datasets", "planner", "teams", "worklist", "worklist@worker", "@nobody"),
    )
}
_MANIFEST = b"url,size,algorithm,digest\nhttps://files.example.org/1.tif,12,md5,x\nftp://a/b,-1,,\n"

Act = Callable[[Page], None]


@dataclass(frozen=True)
class Camera:
    """Writes pictures of the pages with the given names to a folder; of all, without names."""

    chromium: Chromium
    site: Site
    folder: Path
    names: list[str]

    def take(self, addresses: Mapping[str, str]) -> int:
        """Write the pictures; their number."""
        wanted = [name for name in addresses if not self.names or name in self.names]
        looks = [(scheme, width) for scheme in SCHEMES for width in WIDTHS if wanted]
        for scheme, width in looks:
            context = self.chromium.new_context(
                viewport={"width": width, "height": 900}, color_scheme=scheme
            )
            page = context.new_page()
            page.clock.set_fixed_time(NOW)
            for name in wanted:
                role = name.partition("@")[2] or "admin"
                context.add_cookies(self.site.cookies(role))  # type: ignore[arg-type]
                page.goto(self.site.url + addresses[name])
                if name in ACTS:
                    ACTS[name][1](page)
                    page.evaluate("scrollTo(0, 0)")
                path = self.folder / f"{name}-{width}-{scheme}.png"
                page.screenshot(path=path, full_page=True)
            context.close()
        return len(looks) * len(wanted)


def _check_a_manifest(page: Page) -> None:
    file = {"name": "may.csv", "mimeType": "text/csv", "buffer": _MANIFEST}
    page.set_input_files("#file", file)  # type: ignore[arg-type]
    page.locator("#check .items").wait_for()


def _preview_an_edit(page: Page) -> None:
    page.fill("[name=every]", "2")
    page.click("text=Preview")


def _place_a_second_hold(page: Page) -> None:
    page.fill("[name=name]", "books")
    page.fill("main [name=reason]:visible", "the disks are exchanged")
    page.click("button:has-text('Place the hold')")


def _preview_a_campaign(page: Page) -> None:
    for name, value in IMAGE.items():
        page.fill(f"[name=parameter-{name}]", value)
    targets = "\n".join(f"gw-{number},gw-{number}.example.org" for number in range(900))
    page.fill("[name=targets]", f"id,address\n{targets}")
    page.fill("[name=to]", "2026-12-31")
    page.check("[name=weekdays][value=fri]")
    page.fill("[name=window_from]", "22:00")
    page.fill("[name=window_to]", "02:00")
    page.click("summary:has-text('Rate')")
    page.fill("[name=per_minute]", "2")
    page.click("summary:has-text('What the simulation')")
    page.fill("[name=offline]", "15")
    page.click("button:has-text('Preview')")


def _check_targets(page: Page) -> None:
    page.fill("[name=targets]", "id,address\ngw-1,gw 1\ngw-1,gw-2\n")
    page.locator("[name=targets]").blur()
    page.locator("#check .items").wait_for()


# Pictures of a page after an act: the name of the page in `Volume.addresses`, and the act.
ACTS: Mapping[str, tuple[str, Act]] = {
    "upload-checked": ("upload", _check_a_manifest),
    "batch-cancel": ("batch", lambda page: page.click("#event-cancel-button")),
    "requeue-preview": ("batch", lambda page: page.click("text=Requeue these >> nth=0")),
    "schedule-preview": ("schedule-edit", _preview_an_edit),
    "hold-refused": ("holds", _place_a_second_hold),
    "campaign-preview": ("campaign-new", _preview_a_campaign),
    "campaign-targets": ("campaign-new", _check_targets),
    "campaign-pause": ("campaign", lambda page: page.click("#event-pause-button")),
    "keys": ("batches", lambda page: page.keyboard.press("?")),
}


def take(folder: Path, names: list[str]) -> int:
    """Write a picture of each page that is named, of all without names; their number."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        deployed() as deployment,
        pytest.MonkeyPatch.context() as patch,
        running_chromium() as chromium,
    ):
        with empty_site(deployment, patch) as browser, serving(browser) as site:
            taken = Camera(chromium, site, folder, names).take(EMPTY)
        # Its home page is shared between readers, and here no time passes that makes it old.
        with empty_site(deployment, patch) as browser, serving(browser) as site:
            volume = store_volume(site.browser.function.SITE.settings)
            addresses = {**volume.addresses, **store_edit_volume(site.browser)}
            after_acts = {name: addresses[page] for name, (page, _) in ACTS.items()}
            return taken + Camera(chromium, site, folder, names).take({**addresses, **after_acts})


if __name__ == "__main__":
    sys.stdout.write(f"{take(Path(sys.argv[1]), sys.argv[2:])} pictures in {sys.argv[1]}\n")
