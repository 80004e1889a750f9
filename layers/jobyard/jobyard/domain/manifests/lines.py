"""Bytes into lines of text: line ends, encoding, characters and lengths, whatever the format.

How a stream is cut into spans depends on its bytes alone, never on the blocks they arrive in.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jobyard.domain.manifests.findings import Check, Finding

LINE_BYTES = 65_536  # longer lines are an error, so that no line can fill the memory
_PIECE = 98_304  # bytes looked at together: more than a line may have, little for a cache
_STEP = LINE_BYTES // 2  # a line longer than LINE_BYTES covers one such step without a line end
_SLICE = 1_048_576
_FEW = 1_000  # lines of a span that needs explaining: bounds the findings held at once

_CONTROLS = bytes({*range(32), 127} - {9, 10})
FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\ufffd]")
_BEYOND_ASCII = re.compile(b"\xc2[\x80-\x9f]|\xef\xbf\xbd")  # C1 controls and U+FFFD in UTF-8
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NO_TEXT = {  # how a file begins that is no manifest whatever its name, and what to do
    b"\xff\xfe": "this is UTF-16 text: save the manifest as UTF-8",
    b"\xfe\xff": "this is UTF-16 text: save the manifest as UTF-8",
    b"PK\x03\x04": "this is a spreadsheet or another zip file: save it as CSV (in UTF-8)",
    b"\xd0\xcf\x11\xe0": "this is an old spreadsheet or document: save it as CSV (in UTF-8)",
    b"%PDF-": "this is a PDF: a manifest is text in UTF-8",
    b"\x1f\x8b": "this is a compressed file: submit what is in it",
}
_WIDE = re.compile(rb"(?:[\t-~]\0){2}|(?:\0[\t-~]){2}")  # UTF-16 without its mark


@dataclass(slots=True)
class Span:
    """Whole lines of text, the first of them line `first`; only the very last may lack its end.

    What is wrong with the characters is in `findings`, and stands repaired in `text`: U+FFFD for
    what cannot be read, an empty line for one that is too long.
    """

    first: int
    text: str
    findings: list[Finding] = field(default_factory=list)
    is_text: bool = True  # False if the whole file is none: then nothing follows

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + self.text.removesuffix("\n").count("\n")

    def lines(self) -> list[str]:
        """The lines without their ends."""
        return self.text.removesuffix("\n").split("\n")


def spans(blocks: Iterable[bytes]) -> Iterator[Span]:
    """The text of `blocks`, span by span. A byte order mark is remarked on and left out."""
    number = 1
    for piece in _pieces(blocks):
        findings: list[Finding] = []
        what = _no_text(piece) if number == 1 else ""
        if what:
            yield Span(1, "", [Check.INVALID_UTF8.at(1, 1, what)], is_text=False)
            return
        if number == 1 and piece.startswith(BYTE_ORDER_MARK):
            piece = piece[len(BYTE_ORDER_MARK) :]
            message = "the file begins with a byte order mark, which is ignored: save as plain UTF-8"
            findings.append(Check.BYTE_ORDER_MARK.at(1, 1, message))
        if _is_clean(piece):
            yield Span(number, piece.decode(), findings)
        else:
            yield from _repaired(number, piece, findings)
        number += piece.count(b"\n")


def _no_text(beginning: bytes) -> str:
    """What to do about a file that begins so, "" if it may be text."""
    for sign, message in _NO_TEXT.items():
        if beginning.startswith(sign):
            return message
    return _NO_TEXT[b"\xff\xfe"] if _WIDE.match(beginning) else ""


def _pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The bytes of `blocks` cut at line ends, CRLF and CR made LF, over-long lines cut short."""
    buffer = bytearray()
    kept = b""  # the beginning of a line that is too long, while the rest of it goes by
    for block in _with_line_feeds(blocks):
        buffer += block
        if kept:
            end = buffer.find(b"\n")
            if end < 0:
                buffer.clear()
                continue
            buffer[:end] = kept
            kept = b""
        while len(buffer) >= _PIECE:
            end = buffer.rfind(b"\n", 0, _PIECE) + 1
            if not end:
                end = buffer.find(b"\n", _PIECE)
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
        for start in range(0, len(block), _SLICE):
            part = block[start : start + _SLICE]
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
        # Also true of a short last line: then the lines are gone through one by one, to be sure.
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
    raws = piece.split(b"\n")
    end = raws.pop()  # b"" unless the stream ends without a line end
    raws = [raw + b"\n" for raw in raws]
    if end:
        raws.append(end)
    for start in range(0, len(raws), _FEW):
        texts = []
        for number, raw in enumerate(raws[start : start + _FEW], first + start):
            text, found = _read(number, raw)
            texts.append(text)
            findings += found
        yield Span(first + start, "".join(texts), findings)
        findings = []


def _read(number: int, raw: bytes) -> tuple[str, list[Finding]]:
    """The text of a line, repaired, and what was wrong with it: one finding of each kind."""
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
        message = f"byte 0x{line[error.start]:02x} is not UTF-8 text: save the manifest as UTF-8"
        findings.append(Check.INVALID_UTF8.at(number, column, message))
        return line.decode(errors="replace") + ending, findings
    bad = FORBIDDEN.search(text)
    if bad is None:
        return text + ending, findings
    if bad[0] == "\ufffd":
        message = "U+FFFD stands for a character that was lost: restore it and save as UTF-8"
        findings.append(Check.REPLACEMENT_CHARACTER.at(number, bad.start() + 1, message))
    else:
        message = f"control character U+{ord(bad[0]):04X} is not allowed: remove it"
        findings.append(Check.CONTROL_CHARACTER.at(number, bad.start() + 1, message))
    return FORBIDDEN.sub("\ufffd", text) + ending, findings
