"""The static files, and that templates name only those that exist."""

import re
from pathlib import Path

import pytest

from web import assets
from web.navigation import _LINKS
from web.template_environment import environment

TEMPLATES = Path(assets.__file__).with_name("templates")
NAMES = sorted(path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html"))
ICONS = Path(assets.__file__).with_name("static") / "icons.svg"


@pytest.mark.parametrize("name", NAMES)
def test_a_template_names_only_icons_and_files_that_exist(name: str) -> None:
    text = (TEMPLATES / name).read_text()
    icons = set(re.findall(r'<symbol id="([^"]+)"', ICONS.read_text()))

    used = set(re.findall(r'icon\("([^"]+)"', text)) | set(re.findall(r'image="([^"]+)"', text))
    files = re.findall(r"static\(['\"]([^'\"]+)['\"]\)", text)

    assert used - icons == set()
    assert [each for each in files if assets.asset(each) is None] == []


def test_the_navigation_names_only_icons_that_exist() -> None:
    icons = set(re.findall(r'<symbol id="([^"]+)"', ICONS.read_text()))

    assert {icon for _, _, icon, _ in _LINKS} - icons == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_template_has_no_inline_style_or_script(name: str) -> None:
    text = (TEMPLATES / name).read_text()

    assert re.findall(r"\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\ssrc=)", text) == []
    assert environment().get_template(name) is not None


def test_the_styles_and_scripts_of_a_page_are_small() -> None:
    sizes = {name: len(assets.asset(name).content) for name in assets._names()}  # type: ignore[union-attr]

    assert sum(sizes.values()) < 200_000
