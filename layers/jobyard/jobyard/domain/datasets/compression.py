"""The content of a file of GeoJSON, which may be compressed with gzip."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 31  # of zlib: gzip with the largest window
_BLOCK = 1_048_576


class DamagedFile(ValueError):
    """A compressed file is cut off or damaged."""


def decompressed(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The content of a file in blocks of 1 MiB at most; as it is, if it is not gzip.

    Raises:
        DamagedFile: it cannot be decompressed; what is before that was yielded.
    """
    parts = iter(blocks)
    first = next(parts, b"")
    parts = chain([first], parts)
    return _members(parts) if first.startswith(_GZIP) else parts


def _members(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The content of gzip, which may be several members in a row."""
    member = zlib.decompressobj(wbits=_GZIP_WINDOW)
    try:
        for part in parts:
            rest = part
            while rest:
                if member.eof:
                    member = zlib.decompressobj(wbits=_GZIP_WINDOW)
                yield member.decompress(rest, _BLOCK)
                rest = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error as error:
        raise DamagedFile(str(error)) from error
    if not member.eof:
        raise DamagedFile("it is compressed, and cut off")
