"""Packs functions and layers into zip files, which a deployment names by their content."""

import hashlib
import io
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from jobyard.domain.errors import JobyardError


class ArtifactError(JobyardError):
    """A layer cannot be built from the installed packages."""


def zipped(folder: Path, prefix: str = "") -> bytes:
    """A reproducible zip of `folder`: the same content gives the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_dir() or inside.parts[0].startswith("."):
                continue
            entry = zipfile.ZipInfo(f"{prefix}{inside.as_posix()}", (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
    return packed.getvalue()


def packed(source: Path, build: Path, prefix: str = "") -> bytes:
    """A zip of `source` with byte code. `build` keeps it until the source or Python changes."""
    path = build / f"{source.name}-{_content_key(source)}.zip"
    return _kept(path, lambda: zipped(compiled(source, build / source.name), prefix))


def packed_packages(layer: Path, build: Path) -> bytes:
    """A zip of a layer of packages for this machine, which `build` keeps; see `packages_layer`."""
    folder = packages_layer(layer, build)
    return _kept(folder.with_name(f"{folder.name}.zip"), lambda: zipped(folder, "python/"))


def _kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of `path`, made if it does not exist; older versions of it are deleted."""
    if not path.exists():
        content = make()
        for stale in path.parent.glob(f"{path.name.rpartition('-')[0]}-*.zip"):
            stale.unlink()
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(content)
        unfinished.replace(path)
    return path.read_bytes()


def _content_key(folder: Path) -> str:
    """A digest of the files in `folder` and of what they are packed by."""
    digest = hashlib.sha256(f"{sys.version}\n{Path(__file__).read_text()}".encode())
    for path in sorted(folder.rglob("*")):
        if "__pycache__" not in path.parts and path.is_file():
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()}\n{len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:16]


def copied(source: Path, target: Path) -> Path:
    """A copy of `source` at `target`, which is replaced, without byte code."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    return target


def compiled(source: Path, target: Path) -> Path:
    """A copy of `source` at `target`, which is replaced, with byte code and compiled templates.

    Byte code halves a worker's start. Python does not check it against the source, so it is newly
    compiled. It depends on the process and its hash seed, and a layer is named by its content.
    So it is compiled in a process of its own with a fixed seed.
    """
    copied(source, target)
    _compile_templates(target)
    _compile(target)
    return target


def _compile_templates(folder: Path) -> None:
    """Compile the templates of the pages, if the folder has them, as functions/Makefile does."""
    if (folder / "web" / "template_environment.py").exists():
        subprocess.run(
            [sys.executable, "-m", "web.template_environment"],
            cwd=folder,
            env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            check=True,
        )


_MODE = "--invalidation-mode=unchecked-hash"


def _compile(folder: Path) -> None:
    # Two processes. Files that do not compile, such as a package's templates, stay as they are.
    subprocess.run(
        [sys.executable, "-m", "compileall", "-qq", "-j2", _MODE, str(folder)],
        env={"PYTHONHASHSEED": "0"},
        check=False,
    )


def packages_layer(layer: Path, build: Path) -> Path:
    """The folder of a layer of packages for this machine, built from what is installed.

    It is built once for each set of requirements and each Python. For AWS, the layer's Makefile
    builds it for Lambda's platform.

    Raises:
        ArtifactError: an installed package does not have the pinned version.
    """
    requirements = (layer / "requirements.txt").read_text()
    recipe = [Path(__file__), *sorted(each for each in layer.iterdir() if each.is_file())]
    key = hashlib.sha256(
        "\n".join([sys.version, *(file.read_text() for file in recipe)]).encode()
    ).hexdigest()[:16]
    done = build / f"{layer.name}-{key}"
    if done.exists():
        return done
    unfinished = build / f"{layer.name}-{key}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    for name, version in pinned(requirements):
        _copy_installed(name, version, unfinished)
    subprocess.run([sys.executable, str(layer / "trim.py"), str(unfinished)], check=True)
    _compile(unfinished)
    for stale in build.glob(f"{layer.name}-*"):
        if stale.is_dir() and stale != unfinished:
            shutil.rmtree(stale)
    unfinished.rename(done)
    return done


def pinned(requirements: str) -> list[tuple[str, str]]:
    """(name, version) of each line of a lock file, in order."""
    return re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", requirements, re.MULTILINE)


def _copy_installed(name: str, version: str, target: Path) -> None:
    installed = metadata.distribution(name)
    if installed.version != version:
        raise ArtifactError(
            f"{name} {installed.version} is installed, the layer's requirements.txt pins "
            f"{version}: run `make local`, which installs it"
        )
    for file in installed.files or ():
        if ".." in file.parts or file.suffix == ".pyc":
            continue  # console scripts, and byte code that contains paths
        copy = target / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(str(installed.locate_file(file))), copy)
