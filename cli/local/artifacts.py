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


def zip_of(folder: Path, prefix: str = "") -> bytes:
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


def code_zip(source: Path, cache: Path, prefix: str = "") -> bytes:
    """A zip of `source` with bytecode. `cache` keeps it until the source or Python changes."""
    path = cache / f"{source.name}-{_content_key(source)}.zip"
    return _cached(path, lambda: zip_of(compile_tree(source, cache / source.name), prefix))


def packages_zip(layer: Path, cache: Path) -> bytes:
    """A zip of a layer of packages for this computer, which `cache` keeps; see `packages_layer`."""
    folder = packages_layer(layer, cache)
    return _cached(folder.with_name(f"{folder.name}.zip"), lambda: zip_of(folder, "python/"))


def _cached(path: Path, make: Callable[[], bytes]) -> bytes:
    """The content of the file `path`. If it does not exist, `make` makes it, and older versions of
    it are deleted.
    """
    if not path.exists():
        content = make()
        for stale in path.parent.glob(f"{path.name.rpartition('-')[0]}-*.zip"):
            stale.unlink()
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(content)
        unfinished.replace(path)
    return path.read_bytes()


def _content_key(folder: Path) -> str:
    """A digest of the files in `folder`, of this module and of the version of Python."""
    digest = hashlib.sha256(f"{sys.version}\n{Path(__file__).read_text()}".encode())
    for path in sorted(folder.rglob("*")):
        if "__pycache__" not in path.parts and path.is_file():
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder).as_posix()}\n{len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:16]


def copy_tree(source: Path, target: Path) -> Path:
    """Copy `source` to `target`, which is replaced, without bytecode. Returns `target`."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    return target


def compile_tree(source: Path, target: Path) -> Path:
    """Copy `source` to `target`, which is replaced, and compile its modules and templates.

    Bytecode halves the cold start of a worker. Python does not check it against the source, so it
    is always compiled again. It depends on the hash seed of the process, and a layer is named by a
    digest of its content. So a separate process with a fixed seed compiles it.
    """
    copy_tree(source, target)
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


def packages_layer(layer: Path, cache: Path) -> Path:
    """The folder of a layer of packages for this computer, built from what is installed.

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
    done = cache / f"{layer.name}-{key}"
    if done.exists():
        return done
    unfinished = cache / f"{layer.name}-{key}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    for name, version in pinned(requirements):
        _copy_installed(name, version, unfinished)
    subprocess.run([sys.executable, str(layer / "trim.py"), str(unfinished)], check=True)
    _compile(unfinished)
    for stale in cache.glob(f"{layer.name}-*"):
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
            continue  # console scripts, and bytecode that contains paths
        copy = target / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(str(installed.locate_file(file))), copy)
