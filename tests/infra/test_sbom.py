"""`make sbom` lists what all layers ship. Its programs are stubs that note how they are called."""

import subprocess
from pathlib import Path

from cli.local.emulator import ROOT

STUB = '#!/bin/sh\nmkdir -p .venv-shipped\necho "$(basename "$0") $*" >> calls\n'


def test_the_bill_of_materials_lists_the_locks_of_all_layers(tmp_path: Path) -> None:
    locks = sorted(each.relative_to(ROOT) for each in ROOT.glob("layers/*/requirements.txt"))
    for name in ("Makefile", "pyproject.toml", *locks):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    for name in (
        ".venv-supply/bin/python",
        ".venv-supply/bin/cyclonedx-py",
        "requirements/install",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)

    subprocess.run(["make", "sbom"], cwd=tmp_path, check=True, capture_output=True)

    ready, _, installed, written = (tmp_path / "calls").read_text().splitlines()
    assert ready == "install supply"
    assert installed.startswith("python -m pip --python .venv-shipped install")
    assert {"--no-deps", "--require-hashes"} <= {*installed.split()}
    shipped = [each.strip() for each in installed.split("--requirement ")[1:]]
    assert sorted(shipped) == sorted(map(str, locks))
    assert written.startswith("cyclonedx-py environment .venv-shipped --pyproject pyproject.toml")
    assert written.endswith("--output-format JSON --output-file sbom.json")
    assert "sbom.json" in (ROOT / ".gitignore").read_text().splitlines()
    assert "cyclonedx-bom==" in (ROOT / "requirements" / "supply.txt").read_text()
