"""The import contracts in pyproject.toml name what there is now."""

import tomllib
from pathlib import Path

from cli.local.emulator import ROOT
from jobyard.jobtypes import TYPES


def test_the_contract_of_job_types_names_each_of_them() -> None:
    settings = tomllib.loads(Path(ROOT, "pyproject.toml").read_text())["tool"]["importlinter"]
    (independent,) = (each for each in settings["contracts"] if each["type"] == "independence")

    assert set(independent["modules"]) == {
        f"jobyard.jobtypes.{name.replace('-', '_')}" for name in TYPES
    }
