"""The layers of packages, built once for all stacks that tests deploy.

A build copies and compiles thousands of files, which takes longer than the rest of a deployment.
"""

import fcntl
from pathlib import Path

from cli.local import artifacts
from cli.local.emulator import ROOT

LAYERS = ("vendor", "geometry")


def build_layers(kept: Path) -> Path:
    """Build the layers of the project in the folder `kept`, or wait until another process has."""
    kept.mkdir(exist_ok=True)
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in LAYERS:
            artifacts.packages_zip(ROOT / "layers" / name, kept)
    return kept


def with_layers(build: Path, kept: Path) -> Path:
    """The folder `build` of a stack, to which it adds the layers in `kept`."""
    build.mkdir(parents=True, exist_ok=True)
    for name in LAYERS:
        for made in kept.glob(f"{name}-*"):
            (build / made.name).symlink_to(made)
    return build
