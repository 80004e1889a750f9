"""Removes from a folder of installed packages what validation never reads.

    python3 trim.py FOLDER

The layer's Makefile and the local deployment both run it, so that both layers are the same.
"""

import shutil
import sys
from pathlib import Path

# Neither our code nor what it imports needs these; tests/infra checks it.
UNUSED = (
    "*.dist-info/RECORD",
    "**/__pycache__",
    "**/tests",
    "attr*/**/*.pyi",
    "bin",
    "jsonschema/benchmarks",
    "numpy/**/*.pyi",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/f2py",
    "numpy/random/lib",
    "shapely/**/*.pxd",
)


def trim(folder: Path) -> None:
    """Trim the packages in `folder`."""
    for pattern in UNUSED:
        for path in list(folder.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()


if __name__ == "__main__":
    trim(Path(sys.argv[1]))
