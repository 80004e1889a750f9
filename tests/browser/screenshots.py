"""Pictures of every page of a full deployment, at three widths, in light and dark.

Usage: python -m tests.browser.screenshots FOLDER [NAME ...]
"""

import sys
from pathlib import Path

import pytest

from tests.browser.site_server import serving
from tests.browser.tabs import running_chromium
from tests.browser.volume import store_volume
from tests.functions.api.api_client import NOW
from tests.moto_deployment import deployed, empty_site

WIDTHS = (390, 1280, 1920)
SCHEMES = ("light", "dark")


def take(folder: Path, names: list[str]) -> int:
    """Write a picture of each page that is named, of all without names; their number."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = 0
    with (
        deployed() as deployment,
        pytest.MonkeyPatch.context() as patch,
        empty_site(deployment, patch) as browser,
    ):
        addresses = store_volume().addresses
        with serving(browser) as site, running_chromium() as chromium:
            for scheme in SCHEMES:
                for width in WIDTHS:
                    context = chromium.new_context(
                        viewport={"width": width, "height": 900}, color_scheme=scheme
                    )
                    context.add_cookies(site.cookies("admin"))  # type: ignore[arg-type]
                    page = context.new_page()
                    page.clock.set_fixed_time(NOW)
                    for name, address in addresses.items():
                        if names and name not in names:
                            continue
                        page.goto(site.url + address)
                        path = folder / f"{name}-{width}-{scheme}.png"
                        page.screenshot(path=path, full_page=True)
                        taken += 1
                    context.close()
    return taken


if __name__ == "__main__":
    sys.stdout.write(f"{take(Path(sys.argv[1]), sys.argv[2:])} pictures in {sys.argv[1]}\n")
