"""The lock files, pyproject.toml and the vendor layer have the same versions."""

import re
import tomllib

import pytest

from cli.local.artifacts import pinned
from cli.local.emulator import ROOT


def test_the_lock_file_has_the_requirements_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    required = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["dev"],
        *project["build-system"]["requires"],
    ]
    locked = _locked("requirements/dev.txt")

    for requirement in required:
        name, _, version = re.sub(r"\[.*?\]", "", requirement).partition("==")
        assert _plain(name) in locked, requirement
        assert version in ("", locked[_plain(name)]), requirement


@pytest.mark.parametrize("layer", ["geometry", "vendor"])
def test_a_layer_has_the_versions_that_are_tested(layer: str) -> None:
    tested = _locked("requirements/dev.txt")

    for name, version in _locked(f"layers/{layer}/requirements.txt").items():
        assert tested[name] == version


def test_templates_are_compiled_with_the_jinja_that_the_pages_run() -> None:
    layer = _locked("layers/vendor/requirements.txt")

    assert _locked("requirements/sam.txt")["jinja2"] == layer["jinja2"]


def _locked(path: str) -> dict[str, str]:
    return {_plain(name): version for name, version in pinned((ROOT / path).read_text())}


def _plain(name: str) -> str:
    """A package name in its normalized form; source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()
