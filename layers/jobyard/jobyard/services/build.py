"""The build of the code that runs: its version and a digest, which differs after each change."""

from functools import cache
from hashlib import blake2b
from pathlib import Path

from jobyard import VERSION


@cache
def build() -> str:
    """The build of this package, as a version with build metadata: `0.2.0+8f5a6a2e`."""
    return f"{VERSION}+{code_digest(Path(__file__).parents[1])}"


def code_digest(folder: Path) -> str:
    """A digest of the Python files in a folder."""
    digest = blake2b(digest_size=4)
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()
