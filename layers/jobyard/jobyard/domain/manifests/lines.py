"""Lines of text from bytes: line ends, encoding, characters and lengths, for all formats.

How a stream is split into spans depends only on its bytes, not on the blocks in which they arrive.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jobyard.domain.manifests.findings import Check, Finding

LINE_BYTES = 65_536  # longer lines are an error, which limits the memory for one
_PIECE_BYTES = 98_304  # checked together: more than a line may have, and small for a CPU cache
_STEP = LINE_BYTES // 2  # a line longer than LINE_BYTES has such a step without a line end
_SLICE_BYTES = 1_048_576
_MAX_LINES = 1_000  # lines of a span with findings, which limits the memory for these

_CONTROLS = bytes({*range(32), 127} - {9, 10})
FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\ufffd]")
_BEYOND_ASCII = re.compile(b"\xc2[\x80-\x9f]|\xef\xbf\xbd")  # C1 controls and U+FFFD in UTF-8
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NOT_TEXT = {  # how other files begin, and what to do about them
    b"\xff\xfe": "this is UTF-16 text: save the file as UTF-8",
    b"\xfe\xff": "this is UTF-16 text: save the file as UTF-8",
    b"PK\x03\x04": "this is a spreadsheet or another zip file: save it as CSV (in UTF-8)",
    b"\xd0\xcf\x11\xe0": "this is an old spreadsheet or document: save it as CSV (in UTF-8)",
    b"%PDF-": "this is a PDF: a manifest is text in UTF-8",
    b"\x1f\x8b": "this is a compressed file: submit what is in it",
}
_UTF_16 = re.compile(rb"(?:[\t-~]\0){2}|(?:\0[\t-~]){2}")  # without a byte order mark


@dataclass(slots=True)
class Span:
    """Whole lines of text. `first` is the number of the first line.

    All lines have a line end, except perhaps the last one of the manifest. `findings` are about
    characters and lengths; `text` has U+FFFD for bytes that are not allowed, and an empty line for
    one that is too long.
    """

    first: int
    text: str
    findings: list[Finding] = field(default_factory=list)
    is_text: bool = True  # False if the file is not text; then no span follows

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + self.text.removesuffix("\n").count("\n")

    def lines(self) -> list[str]:
        """The lines without their ends."""
        return self.text.removesuffix("\n").split("\n")


def spans(blocks: Iterable[bytes]) -> Iterator[Span]:
    """The text of `blocks`, span by span. A byte order mark is a warning and is left out."""
    number = 1
    for piece in _pieces(blocks):
        findings: list[Finding] = []
        message = _not_text(piece) if number == 1 else ""
        if message:
            yield Span(1, "", [Check.INVALID_UTF8.at(1, 1, message)], is_text=False)
            return
        if number == 1 and piece.startswith(BYTE_ORDER_MARK):
            piece = piece[len(BYTE_ORDER_MARK) :]
            message = "the file begins with a byte order mark, which is ignored: "
            message += "save it as plain UTF-8"
            findings.append(Check.BYTE_ORDER_MARK.at(1, 1, message))
        if _is_clean(piece):
            yield Span(number, piece.decode(), findings)
        else:
            yield from _repaired(number, piece, findings)
        number += piece.count(b"\n")


def _not_text(start: bytes) -> str:
    """Why a file with this start is not text, and what to do; "" if it may be text."""
    for prefix, message in _NOT_TEXT.items():
        if start.startswith(prefix):
            return message
    return _NOT_TEXT[b"\xff\xfe"] if _UTF_16.match(start) else ""


def _pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of `blocks` in pieces of whole lines.

    CRLF and CR become LF, and lines that are too long are truncated.
    """
    buffer = bytearray()
    kept = b""  # the start of a line that is too long, until its end is found
    for block in _with_line_feeds(blocks):
        buffer += block
        if kept:
            end = buffer.find(b"\n")
            if end < 0:
                buffer.clear()
                continue
            buffer[:end] = kept
            kept = b""
        while len(buffer) >= _PIECE_BYTES:
            end = buffer.rfind(b"\n", 0, _PIECE_BYTES) + 1
            if not end:
                end = buffer.find(b"\n", _PIECE_BYTES)
                if end < 0:
                    kept = bytes(buffer[: LINE_BYTES + 1])
                    buffer.clear()
                    break
                del buffer[LINE_BYTES + 1 : end]
                continue
            yield bytes(buffer[:end])
            del buffer[:end]
    buffer[:0] = kept
    if buffer:
        yield bytes(buffer)


def _with_line_feeds(blocks: Iterable[bytes]) -> Iterator[bytes]:
    carried = b""  # a CR at the end of a block may be half of a CRLF
    for block in blocks:
        for start in range(0, len(block), _SLICE_BYTES):
            part = block[start : start + _SLICE_BYTES]
            if carried:
                part, carried = carried + part, b""
            if b"\r" in part:
                if part.endswith(b"\r"):
                    part, carried = part[:-1], b"\r"
                part = part.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            yield part
    if carried:
        yield b"\n"


def _is_clean(piece: bytes) -> bool:
    if len(piece.translate(None, _CONTROLS)) != len(piece):
        return False
    if any(piece.find(b"\n", at, at + _STEP) < 0 for at in range(0, len(piece), _STEP)):
        # A line may be too long, or the last step is short: check the lines.
        longest = max(map(len, piece.split(b"\n")))
        if longest > LINE_BYTES:
            return False
    if piece.isascii():
        return True
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return _BEYOND_ASCII.search(piece) is None


def _repaired(first: int, piece: bytes, findings: list[Finding]) -> Iterator[Span]:
    """The spans of a piece with errors, whose first line is line `first`.

    `findings` are those of the first span so far.
    """
    lines = piece.split(b"\n")
    end = lines.pop()  # b"" unless the stream ends without a line end
    lines = [line + b"\n" for line in lines]
    if end:
        lines.append(end)
    for start in range(0, len(lines), _MAX_LINES):
        texts = []
        for number, line in enumerate(lines[start : start + _MAX_LINES], first + start):
            text, found = _repaired_line(number, line)
            texts.append(text)
            findings += found
        yield Span(first + start, "".join(texts), findings)
        findings = []


def _repaired_line(number: int, raw: bytes) -> tuple[str, list[Finding]]:
    """The text of a line without its errors, and its finding, if any."""
    line = raw.removesuffix(b"\n")
    ending = "\n" if len(line) < len(raw) else ""
    if len(line) > LINE_BYTES:
        message = f"the line is too long: at most {LINE_BYTES} bytes are allowed"
        return ending, [Check.LINE_TOO_LONG.at(number, LINE_BYTES + 1, message)]
    findings = []
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        column = len(line[: error.start].decode()) + 1
        message = f"byte 0x{line[error.start]:02x} is not UTF-8 text: save the file as UTF-8"
        findings.append(Check.INVALID_UTF8.at(number, column, message))
        return line.decode(errors="replace") + ending, findings
    bad = FORBIDDEN.search(text)
    if bad is None:
        return text + ending, findings
    if bad[0] == "\ufffd":
        message = "U+FFFD replaces a character that was lost: restore it and save as UTF-8"
        findings.append(Check.REPLACEMENT_CHARACTER.at(number, bad.start() + 1, message))
    else:
        message = f"control character U+{ord(bad[0]):04X} is not allowed: remove it"
        findings.append(Check.CONTROL_CHARACTER.at(number, bad.start() + 1, message))
    return FORBIDDEN.sub("\ufffd", text) + ending, findings
