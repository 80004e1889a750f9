"""What templates and static files promise each other, and what the policy of the pages forbids."""

import gzip
import re
from pathlib import Path

import pytest

from cli.local.emulator import ROOT
from jobyard.domain.edits.edit_job import EDIT
from jobyard.domain.edits.fixup import FIXUP
from jobyard.domain.edits.review import REVIEW
from jobyard.domain.jobs.job import StepStatus
from jobyard.domain.lifecycles import LIFECYCLES
from jobyard.domain.schedules.schedule import ScheduleLabel

WEB = ROOT / "functions" / "web"
STATIC = WEB / "static"
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
STYLES = (STATIC / "app.css").read_text()
PARTS = "\n".join(path.read_text() for path in TEMPLATES)
STATES = sorted(
    {
        state.name
        for lifecycle in (*LIFECYCLES.values(), EDIT, FIXUP, REVIEW)
        for state in lifecycle.states
    }
    | {status.value for status in StepStatus}
    | {label.value.lower().replace(" ", "_") for label in ScheduleLabel}
)
# Grey, as without a class.
UNCOLOURED = {"abandoned", "archived", "cancelled", "deleted", "ended", "replaced", "skipped"}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_have_no_inline_styles_or_scripts(path: Path) -> None:
    text = path.read_text()

    assert not re.search(r"\sstyle=|\son[a-z]+=|javascript:|<style", text)
    assert all(" src=" in tag for tag in re.findall(r"<script[^>]*>", text))
    assert "|safe" not in text


@pytest.mark.parametrize("state", STATES)
def test_every_state_has_an_icon_and_a_colour(state: str) -> None:
    icons = (WEB / "templates" / "parts" / "states.html").read_text()

    assert f'"{state}": "' in icons
    assert state in UNCOLOURED or re.search(rf"\.s-{state}\b", STYLES)


def test_every_icon_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "icons.svg").read_text()))
    icons = (WEB / "templates" / "parts" / "states.html").read_text()
    named = set(re.findall(r'\bicon\("([\w-]+)"', PARTS)) | set(re.findall(r': "([\w-]+)"', icons))

    assert named - sprite == set()


def test_the_style_sheet_is_small() -> None:
    assert len((STATIC / "app.css").read_bytes()) <= 20 * 1024
    assert len((STATIC / "pictures.css").read_bytes()) <= 4 * 1024


def test_static_files_are_small() -> None:
    """Compressed, as they are sent. The bound of a page with everything is 200 kB."""
    names = ("app.css", "icons.svg", "forms.js", "live.js", "upload.js", "vendor/htmx.min.js")
    sizes = {name: len(gzip.compress((STATIC / name).read_bytes(), 6)) for name in names}

    assert max(sizes["forms.js"], sizes["live.js"], sizes["upload.js"]) <= 3_000
    assert sum(sizes.values()) <= 40_000


def test_vendored_files_have_their_version_and_licence() -> None:
    vendor = STATIC / "vendor"

    assert "htmx.org 4.0.1" in (vendor / "VERSION").read_text()
    assert "Zero-Clause BSD" in (vendor / "htmx.LICENSE").read_text()
    assert "ISC License" in (STATIC / "icons.LICENSE").read_text()
