"""The lock files, pyproject.toml and the vendor layer have the same versions."""

import re
import tomllib

import pytest

from cli.local.artifacts import pinned
from cli.local.emulator import ROOT

LOCKS = [
    str(path.relative_to(ROOT))
    for pattern in ("requirements/*.txt", "layers/*/requirements.txt")
    for path in sorted(ROOT.glob(pattern))
]


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


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_with_the_hashes_of_its_files(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]

    assert len(entries) == len(pinned(text))
    for entry in entries:
        assert re.match(r"\S+==\S+ \\\n(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+", entry), entry


def test_what_installs_a_lock_requires_hashes() -> None:
    makefiles = sorted(ROOT.glob("layers/*/Makefile"))
    for path in (ROOT / "requirements/install", ROOT / "Makefile", *makefiles):
        commands = re.sub(r"\\\n", " ", path.read_text())
        for line in commands.splitlines():
            if "--requirement" in line:
                assert line.count("--require-hashes") == 1, path


def _locked(path: str) -> dict[str, str]:
    return {_plain(name): version for name, version in pinned((ROOT / path).read_text())}


def _plain(name: str) -> str:
    """A package name in its normalized form; source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()
