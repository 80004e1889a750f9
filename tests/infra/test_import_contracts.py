"""The import contracts in pyproject.toml name what there is now."""

import tomllib
from pathlib import Path

from cli.local.emulator import ROOT
from jobyard import jobtypes


def test_the_contract_of_job_types_names_each_of_them() -> None:
    settings = tomllib.loads(Path(ROOT, "pyproject.toml").read_text())["tool"]["importlinter"]
    (independent,) = (each for each in settings["contracts"] if each["type"] == "independence")

    folders = {each.parent.name for each in Path(jobtypes.__file__).parent.glob("*/__init__.py")}
    assert set(independent["modules"]) == {
        f"jobyard.jobtypes.{name}" for name in folders - {"http_client"}
    }
    assert len(independent["modules"]) == len(jobtypes.TYPES)
