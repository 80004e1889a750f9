"""AWS's tools accept the templates, and the build fits into Lambda."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import ModuleLoader
from samtranslator.yaml_helper import yaml_parse

from cli.local.artifacts import pinned
from cli.local.emulator import ROOT
from cli.local.template_file import read_template
from web.template_environment import TEMPLATES

ENVIRONMENT = ROOT / ".venv-sam"
UNZIPPED = 250 * 2**20  # AWS's limit for a function and its layers

Sam = Callable[..., str]


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Sam:
    """Runs the SAM CLI without the user's AWS settings, and returns its output."""
    program = ENVIRONMENT / "bin" / "sam"
    assert program.exists(), "the SAM CLI is not installed here: run `make sam`"
    home = tmp_path_factory.mktemp("home")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [str(program), *arguments, "--region", "us-east-1"],
            cwd=ROOT,
            env={
                "PATH": f"{ENVIRONMENT / 'bin'}:{os.defpath}",
                "HOME": str(home),
                "SAM_CLI_TELEMETRY": "0",
                "WHEELS": str(ENVIRONMENT / "wheels"),
                "LANG": "C.UTF-8",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def built(sam: Sam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of `sam build`: a folder for each function, layer and nested stack."""
    folder = tmp_path_factory.mktemp("built")
    sam("build", "--build-dir", str(folder))
    return folder


def test_sam_finds_the_template_valid(sam: Sam) -> None:
    """By its transform. `--lint` would run cfn-lint again, which `make lint` does."""
    assert "is a valid SAM Template" in sam("validate")


def test_the_nested_template_is_built(built: Path) -> None:
    template = yaml_parse((built / "template.yaml").read_text())
    nested = template["Resources"]["Monitoring"]["Properties"]["TemplateURL"]

    assert yaml_parse((built / nested).read_text()) == read_template(ROOT, "infra/monitoring.yaml")


def test_what_is_built_fits_into_lambda(built: Path) -> None:
    layers = sum(_size(built / layer) for layer in ("JobyardLayer", "VendorLayer"))

    assert layers + _size(built / "OpenFunction") < UNZIPPED / 4  # a small package starts faster
    assert layers + _size(built / "GeometryLayer") + _size(built / "CheckFunction") < UNZIPPED / 2


@pytest.mark.parametrize(
    ("layer", "name", "compiled"),
    [("vendor", "VendorLayer", "pydantic_core"), ("geometry", "GeometryLayer", "shapely")],
)
def test_a_layer_of_packages_is_for_lambda_and_complete(
    built: Path, layer: str, name: str, compiled: str
) -> None:
    packages = built / name / "python"
    wanted = pinned((ROOT / f"layers/{layer}/requirements.txt").read_text())
    there = {path.name for path in packages.glob("*.dist-info")}

    assert there == {f"{name.replace('-', '_')}-{version}.dist-info" for name, version in wanted}
    assert list(packages.glob(f"{compiled}/*cpython-313-aarch64-linux-gnu.so"))


def test_no_layer_has_the_x_ray_sdk(built: Path) -> None:
    """Active tracing does not need it, and it costs a third of a second at every cold start."""
    assert not (built / "VendorLayer" / "python" / "aws_xray_sdk").exists()


def test_the_jobyard_layer_is_the_package(built: Path) -> None:
    package = ROOT / "layers" / "jobyard" / "jobyard"
    there = {path.relative_to(package) for path in package.rglob("*.py")}
    layered = built / "JobyardLayer" / "python" / "jobyard"

    assert {path.relative_to(layered) for path in layered.rglob("*.py")} == there


def test_the_function_of_the_pages_has_its_templates_compiled(built: Path) -> None:
    there = {path.name for path in (built / "WebFunction/web/compiled_templates").glob("*.py")}

    assert there == {
        ModuleLoader.get_module_filename(path.relative_to(TEMPLATES).as_posix())
        for path in TEMPLATES.rglob("*.html")
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
