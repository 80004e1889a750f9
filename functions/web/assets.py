"""Static files. Their addresses change with their content, so browsers keep them for good."""

import hashlib
import mimetypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).with_name("static")
IMMUTABLE = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class Asset:
    """A static file: its content, its media type and the digest in its address."""

    content: bytes
    media_type: str
    digest: str


@cache
def asset(name: str) -> Asset | None:
    """The static file called `name`, a path in the folder; None if there is none."""
    if name not in _names():
        return None
    content = (_FOLDER / name).read_bytes()
    media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Asset(content, media_type, hashlib.sha256(content).hexdigest()[:12])


def static_address(name: str) -> str:
    """The address of a static file.

    Raises:
        LookupError: there is none of that name.
    """
    found = asset(name)
    if found is None:
        raise LookupError(f"there is no static file {name!r}")
    return f"/static/{found.digest}/{name}"


@cache
def _names() -> frozenset[str]:
    return frozenset(
        path.relative_to(_FOLDER).as_posix() for path in _FOLDER.rglob("*") if path.is_file()
    )
