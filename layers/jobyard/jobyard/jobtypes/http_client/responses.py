"""Reads HTTP/1.x responses as leniently as curl does, but with limits on every size.

Python's http.client parses header fields as those of a mail. It stops at the first line that is not
a field, so a length or an encoding after it is lost. Here such a line is skipped.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

HEADER_LINE_BYTES = 64 * 1024  # at most in a status line or a field
HEAD_BYTES = 256 * 1024  # at most in all lines before the body, including 1xx responses
TRAILER_BYTES = 64 * 1024  # at most in the trailer after a chunked body
BLOCK = 1024 * 1024  # bytes of a body that are returned at once, at most

_CHUNK_LINE_BYTES = 16 * 1024  # at most in the line with a chunk's size and extensions
_FRAMING_BYTES = 64 * 1024  # at most in all such lines, plus
_FRAMING_PER_BYTE = 16  # for each byte of the body

_STATUS = re.compile(
    rb"(?i:HTTP)/[0-9](?:\.([0-9]))?[ \t]+([1-9][0-9]{2})(?:[ \t]+(.*))?", re.DOTALL
)
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)


class Source(Protocol):
    """The source of the bytes: a buffered reader."""

    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


class NotHttp(Exception):
    """The bytes are not an HTTP response. The message completes "the server …"."""


class ConnectionClosed(Exception):
    """The connection ended too early. The message completes "the server …"."""


@dataclass(frozen=True)
class Head:
    """The status line and the header fields of a response, in order. Names are in lower case."""

    status: int
    reason: str
    keeps_alive: bool  # the default of its version: HTTP/1.1 does, HTTP/1.0 does not
    fields: tuple[tuple[str, bytes], ...] = ()

    def values(self, name: str) -> list[bytes]:
        """The value of each field of this name."""
        return [value for each, value in self.fields if each == name]

    def text(self, name: str) -> str:
        """The values of the field, joined by commas; "" if there is none."""
        return ", ".join(value.decode("latin-1") for value in self.values(name))

    def tokens(self, name: str) -> list[str]:
        """The elements of the list in a field, in lower case and without parameters."""
        parts = self.text(name).lower().replace(";", " ").split(",")
        return [part.split()[0] for part in parts if part.strip()]

    @property
    def is_chunked(self) -> bool:
        """Whether the body is chunked."""
        return "chunked" in self.tokens("transfer-encoding")

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this response."""
        tokens = self.tokens("connection")
        return "close" in tokens or not (self.keeps_alive or "keep-alive" in tokens)


def read_head(source: Source) -> Head:
    """Read the status line and the header fields. 1xx responses before them are skipped.

    Raises:
        NotHttp: the bytes are not an HTTP response.
        ConnectionClosed: the connection ended too early.
    """
    lines = _lines(source, HEAD_BYTES)
    while True:
        first = next(lines)
        match = _STATUS.fullmatch(first)
        if not match:
            raise NotHttp("answered with something that is not HTTP")
        minor, status, reason = match.groups()
        fields = _fields(lines)
        if int(status) >= 200:
            text = (reason or b"").decode(errors="replace")
            return Head(int(status), text.strip(), minor != b"0", fields)


def _lines(source: Source, limit: int) -> Iterator[bytes]:
    """The lines, without their line ends."""
    left = limit
    first = True
    while True:
        line = source.readline(min(HEADER_LINE_BYTES, left) + 1)
        if not line.endswith(b"\n"):
            if len(line) > HEADER_LINE_BYTES or len(line) > left:
                raise NotHttp(f"sends more than {limit} bytes of header lines, or one too long")
            raise ConnectionClosed(
                "closed the connection in the middle of its header"
                if line or not first
                else "closed the connection"
            )
        left -= len(line)
        first = False
        if left < 0:
            raise NotHttp(f"sends more than {limit} bytes of header lines")
        yield line.removesuffix(b"\n").removesuffix(b"\r")


def _fields(lines: Iterator[bytes]) -> tuple[tuple[str, bytes], ...]:
    """The fields up to the empty line.

    A line that begins with a blank continues the line before it (RFC 9112, 5.2). A line without a
    colon is skipped.
    """
    fields: list[tuple[str, list[bytes]]] = []
    is_field = False
    for line in lines:
        if not line:
            break
        if b"\0" in line:
            raise NotHttp("sends a header line with a NUL")
        if line[:1] in b" \t":
            if is_field:
                fields[-1][1].append(line.strip())
            continue
        name, colon, value = line.partition(b":")
        name = name.strip()
        is_field = bool(colon and name)
        if is_field:
            fields.append((name.decode("latin-1").lower(), [value.strip()]))
    return tuple((name, b" ".join(filter(None, values))) for name, values in fields)


def sized(source: Source, length: int) -> Iterator[bytes]:
    """A body of `length` bytes.

    Raises:
        ConnectionClosed: the connection ended too early.
    """
    left = length
    while left:
        block = source.read(min(BLOCK, left))
        if not block:
            raise ConnectionClosed(f"closed the connection after {length - left} of {length} bytes")
        left -= len(block)
        yield block


def chunked(source: Source, expected_size: int | None = None) -> Iterator[bytes]:
    """A chunked body. It ends early, with one byte too many, if it exceeds `expected_size`.

    Raises:
        ConnectionClosed, NotHttp
    """
    block = bytearray()
    got = 0
    for piece in _pieces(source, expected_size):
        got += len(piece)
        if len(block) + len(piece) > BLOCK:
            yield bytes(block)
            block.clear()
        block += piece
        if expected_size is not None and got > expected_size:
            yield bytes(block)
            return
    if block:
        yield bytes(block)


def _pieces(source: Source, expected_size: int | None) -> Iterator[bytes]:
    """The content of the chunks, at most one byte more than `expected_size`."""
    left = BLOCK if expected_size is None else expected_size + 1
    framing = _FRAMING_BYTES
    while True:
        size, line_bytes = _chunk(source)
        framing -= line_bytes
        if framing < 0:
            raise NotHttp("sends longer chunk headers than chunks")
        if not size:
            break
        while size:
            piece = source.read(min(size, BLOCK, left))
            if not piece:
                raise ConnectionClosed("closed the connection in the middle of a chunk")
            yield piece
            size -= len(piece)
            framing += _FRAMING_PER_BYTE * len(piece)
            left -= 0 if expected_size is None else len(piece)
        if source.readline(3) not in {b"\r\n", b"\n"}:
            raise ConnectionClosed("sends chunks that cannot be read")
    _skip_trailers(source)


def _chunk(source: Source) -> tuple[int, int]:
    """The size of the next chunk, and the length of the line with that size."""
    line = source.readline(_CHUNK_LINE_BYTES)
    if not line.endswith(b"\n"):
        if len(line) == _CHUNK_LINE_BYTES:
            raise NotHttp("sends a chunk header that is too long")
        raise ConnectionClosed("closed the connection between two chunks")
    match = _CHUNK_SIZE.fullmatch(line.rstrip(b"\r\n"))
    if not match:
        raise ConnectionClosed("sends chunks that cannot be read")
    return int(match[1], 16), len(line)


def _skip_trailers(source: Source) -> None:
    """Skip the trailer, up to an empty line. The file is complete even if the trailer is not."""
    left = TRAILER_BYTES
    while line := source.readline(min(HEADER_LINE_BYTES, left) + 1):
        left -= len(line)
        if left < 0:
            raise NotHttp(f"sends more than {TRAILER_BYTES} bytes after the file")
        if line in {b"\r\n", b"\n"}:
            return


def until_end(source: Source, limit: int | None = None) -> Iterator[bytes]:
    """A body that ends when the connection ends, or after `limit` bytes."""
    left = limit
    while left is None or left > 0:
        block = source.read(BLOCK if left is None else min(BLOCK, left))
        if not block:
            return
        left = None if left is None else left - len(block)
        yield block
