"""Packages are complete, and the same for the same content."""

import io
import zipfile
from pathlib import Path

import pytest
from jinja2 import ModuleLoader

from cli.local import artifacts
from cli.local.emulator import ROOT
from web.template_environment import TEMPLATES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "inner").mkdir(parents=True)
    (made / "inner" / "module.py").write_text("NAME = 'module'\n")
    return made


def test_the_same_content_makes_the_same_zip(folder: Path, tmp_path: Path) -> None:
    first = artifacts.zip_of(folder)
    again = artifacts.zip_of(artifacts.copy_tree(folder, tmp_path / "copy"))

    assert first == again


def test_a_layer_is_below_the_folder_that_lambda_imports_from(folder: Path) -> None:
    packed = zipfile.ZipFile(io.BytesIO(artifacts.zip_of(folder, "python/")))

    assert packed.namelist() == ["python/inner/module.py"]


def test_a_layer_has_up_to_date_byte_code_only(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "compiled"
    artifacts.compile_tree(folder, target)
    (folder / "inner" / "module.py").rename(folder / "inner" / "renamed.py")

    artifacts.compile_tree(folder, target)

    names = {path.name.split(".")[0] for path in target.rglob("*") if path.is_file()}
    assert names == {"renamed"}
    assert len(list(target.rglob("*.pyc"))) == 1


def test_the_functions_have_each_template_compiled(tmp_path: Path) -> None:
    functions = artifacts.compile_tree(ROOT / "functions", tmp_path / "functions")

    there = {path.name for path in (functions / "web" / "compiled_templates").glob("*.py")}
    assert there == {
        ModuleLoader.get_module_filename(path.relative_to(TEMPLATES).as_posix())
        for path in TEMPLATES.rglob("*.html")
    }
    byte_code = (functions / "web" / "compiled_templates" / "__pycache__").glob("*.pyc")
    assert {path.name.split(".")[0] for path in byte_code} == {Path(name).stem for name in there}


def test_a_package_is_kept_until_its_source_changes(folder: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    build.mkdir()
    first = artifacts.code_zip(folder, build, "python/")
    (kept,) = build.glob("*.zip")
    made = kept.stat().st_mtime_ns

    again = artifacts.code_zip(folder, build, "python/")

    assert (again, kept.stat().st_mtime_ns) == (first, made)
    (folder / "inner" / "module.py").write_text("NAME = 'changed'\n")
    changed = zipfile.ZipFile(io.BytesIO(artifacts.code_zip(folder, build, "python/")))
    assert changed.read("python/inner/module.py") == b"NAME = 'changed'\n"
    assert not kept.exists()
    assert len([*build.glob("*.zip")]) == 1


def test_the_vendor_layer_is_built_once(layers: Path) -> None:
    (first,) = (each for each in layers.glob("vendor-*") if each.is_dir())
    made = first.stat().st_mtime_ns

    again = artifacts.packages_layer(ROOT / "layers" / "vendor", layers)

    assert (again, again.stat().st_mtime_ns) == (first, made)
    assert (first / "pynamodb" / "models.py").exists()
    services = (ROOT / "layers/vendor/services.txt").read_text().split()
    data = first / "botocore" / "data"
    assert sorted(path.name for path in data.iterdir() if path.is_dir()) == sorted(services)


def test_a_layer_is_not_built_from_an_unpinned_version(tmp_path: Path) -> None:
    layer = artifacts.copy_tree(ROOT / "layers" / "vendor", tmp_path / "vendor")
    (layer / "requirements.txt").write_text("pynamodb==1.0.0\n")

    with pytest.raises(artifacts.ArtifactError, match=r"pynamodb .* pins 1\.0\.0"):
        artifacts.packages_layer(layer, tmp_path / "build")
