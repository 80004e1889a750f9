"""Every function starts with nothing on its path but what Lambda will have there."""

import subprocess
import sys
from pathlib import Path

import pytest
from reading import Resources, of_type, written

from cli.local import artifacts
from cli.local.emulator import ROOT

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
def environment(resources: Resources) -> dict[str, str]:
    """A function's environment, with references for names."""
    functions = of_type(resources, "AWS::Lambda::Function")
    variables = functions["OpenFunction"]["Properties"]["Environment"]["Variables"]
    numbers = {"JOBYARD_CHUNK_SIZE": "100", "JOBYARD_MAX_CONCURRENCY": "40"}
    given = {name: written(value) for name, value in variables.items()} | numbers
    return given | {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}


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
