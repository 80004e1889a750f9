"""Every function starts with nothing on its path but what Lambda will have there."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.local import artifacts
from cli.local.emulator import ROOT
from tests.infra.reading import Resources, of_type, written

PROGRAM = """
import sys
sys.path[:0] = {path!r}
import importlib, os
os.environ.clear()
os.environ.update({environment!r})
importlib.import_module({module!r})
print(*sorted(name for name in sys.modules if name.split(".")[0] == "aws_xray_sdk"))
"""

HANDLERS = (
    "ingest.opening",
    "execute.chunk",
    "execute.job",
    "report.settling",
    "report.reporting",
    "report.tick",
    "report.delivery",
    "api.handler",
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The path of a function: its code, and its two layers."""
    build = tmp_path_factory.mktemp("build")
    vendor = artifacts.vendor_layer(ROOT / "layers" / "vendor", build)
    return [str(folder) for folder in (ROOT / "functions", ROOT / "layers" / "jobyard", vendor)]


@pytest.fixture(scope="module")
def environment(template: dict[str, Any], resources: Resources) -> dict[str, str]:
    """A function's environment in a deployment for which nothing was set."""
    functions = of_type(resources, "AWS::Lambda::Function")
    variables = functions["OpenFunction"]["Properties"]["Environment"]["Variables"]
    defaults = {f"${{{name}}}": str(one["Default"]) for name, one in template["Parameters"].items()}
    given = {name: written(value) for name, value in variables.items()}
    region = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    return {name: defaults.get(value, value) for name, value in given.items()} | region


@pytest.mark.parametrize("module", HANDLERS)
def test_a_function_starts_from_its_layers_alone_and_without_the_x_ray_sdk(
    module: str, path: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    program = PROGRAM.format(path=path, environment=environment, module=module)

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
