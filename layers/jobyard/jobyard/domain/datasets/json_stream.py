"""A JSON document as a stream: values are decoded one by one, and each error has a place.

Decoding is fast and forgets places; only for an error is the text of a value read once more.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from json.decoder import JSONDecodeError, JSONDecoder
from typing import Any, NoReturn

from jobyard.domain.datasets.geojson_checks import GeoJsonCheck
from jobyard.domain.json_objects import RepeatedKey, object_of
from jobyard.domain.manifests.findings import Check, FindingCheck, quoted

MAX_VALUE_LETTERS = 8 * 1024**2  # of one value that is decoded at once
MAX_DEPTH = 32
DEPTH_MESSAGE = f"lists and objects may be nested {MAX_DEPTH} levels deep"
_NEAR_END = 16  # letters: an error this close to the end may be one of a text that is cut off
_DISCARD_LETTERS = 65_536  # letters that were read and are forgotten together
_BLANKS = re.compile(r"[ \t\r\n]*")
_TOKEN = re.compile(r'[ \t\r\n]*("(?:[^"\\]|\\.)*"|[\[\]{},:]|[^ \t\r\n\[\]{},:"]+)', re.DOTALL)
_CONSTANTS = frozenset({"NaN", "Infinity", "-Infinity"})
_CUT_OFF = "the file ends too early: it is cut off"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")

Path = tuple[str | int, ...]  # the keys and indexes that lead to a value


class JsonError(ValueError):
    """A document or a value of it cannot be read.

    `line` and `column` count from 1. If it is final, nothing after it can be read either.
    """

    def __init__(
        self, check: FindingCheck, line: int, column: int, message: str, is_final: bool = True
    ) -> None:
        super().__init__(message)
        self.check = check
        self.line = line
        self.column = column
        self.message = message
        self.is_final = is_final


class _NotANumber(ValueError):
    """NaN or Infinity, which JSON does not have."""


def _refuse_constant(name: str) -> NoReturn:
    raise _NotANumber(name)


_decode = JSONDecoder(object_pairs_hook=object_of, parse_constant=_refuse_constant).raw_decode
_decode_anything = JSONDecoder().raw_decode


class JsonStream:
    """Reads a JSON document. Only the value that was decoded last is in memory."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._pieces = _texts(blocks)
        self._text = ""
        self._line, self._column = 1, 1  # of the first letter of `_text`
        self._start = 0  # of the last value
        self._at = 0  # the next letter

    def skip_byte_order_mark(self) -> bool:
        """Skip a byte order mark; whether there was one. To be called first."""
        if not self._more() or not self._text.startswith("\ufeff"):
            return False
        self._text = self._text[1:]
        return True

    def peek(self) -> str:
        """The next letter that is not blank; "" at the end."""
        while True:
            blanks = _BLANKS.match(self._text, self._at)
            self._at = blanks.end() if blanks else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            self._forget()
            if not self._more():
                return ""

    def members(self) -> Iterator[str]:
        """The keys of the object that begins here. After each, its value has to be read."""
        self._take("{", "an object, {…}, is expected")
        letter = self.peek()
        if letter == "}":
            self._at += 1
            return
        while letter != "}":
            if self.peek() != '"':
                self._fail(self._at, "a key in quotes is expected")
            key = self.value()
            self._take(":", "a colon is expected after a key")
            yield key
            letter = self._take(",}", "a comma or } is expected")

    def elements(self) -> Iterator[None]:
        """A turn for each element of the list that begins here, which then has to be read."""
        self._take("[", "a list, […], is expected")
        letter = self.peek()
        if letter == "]":
            self._at += 1
            return
        while letter != "]":
            yield
            letter = self._take(",]", "a comma or ] is expected")

    def value(self) -> Any:
        """The value that begins here.

        Raises:
            JsonError: it cannot be read.
        """
        self.peek()
        if self._at > _DISCARD_LETTERS:
            self._forget()
        self._start = self._at
        decode = _decode
        refused: RepeatedKey | _NotANumber | None = None
        while True:
            try:
                value, end = decode(self._text, self._at)
            except JSONDecodeError as error:
                self._continue_after(error)
            except (RepeatedKey, _NotANumber) as error:
                refused = error
                decode = _decode_anything  # it finds the end of the value
            except RecursionError:
                self._refuse(GeoJsonCheck.TOO_DEEP, *self.place(), DEPTH_MESSAGE)
            except ValueError:
                place = self._place_at(self._offset_of_long_number())
                self._refuse(GeoJsonCheck.NUMBER_BAD, *place, "a number has too many digits")
            else:
                # A number at the end of a block may continue in the next one.
                if end < len(self._text) or not self._more():
                    self._at = end
                    if refused is not None:
                        raise self._refusal(refused)
                    return value

    def place(self, path: Path = ()) -> tuple[int, int]:
        """The line and column where the last value begins, or what is at `path` within it.

        A path to a key that is missing leads to the object that lacks it.
        """
        found: dict[Path, int] = {(): self._start}
        ways = {path[:length] for length in range(1, len(path) + 1)}
        if path:
            places = self._places()
            found |= {at: offset for at, offset, is_key in places if at in ways and not is_key}
        while path not in found:
            path = path[:-1]
        return self._place_at(found[path])

    def here(self) -> tuple[int, int]:
        """The line and column of the next letter."""
        self.peek()
        return self._place_at(self._at)

    def text_has(self, letters: str) -> bool:
        """Whether the text of the last value has some letters, written in any case."""
        return letters in self._text[self._start : self._at].lower()

    def _take(self, letters: str, message: str) -> str:
        letter = self.peek()
        if not letter or letter not in letters:
            self._fail(self._at, message if letter else _CUT_OFF)
        self._at += 1
        return letter

    def _continue_after(self, error: JSONDecodeError) -> None:
        """Read more if a value is cut off.

        Raises:
            JsonError: it is not.
        """
        is_cut_off = "Unterminated" in error.msg or error.pos >= len(self._text) - _NEAR_END
        if is_cut_off and len(self._text) - self._at > MAX_VALUE_LETTERS:
            message = f"a feature or value is longer than {MAX_VALUE_LETTERS:,} characters"
            self._refuse(GeoJsonCheck.FEATURE_TOO_LARGE, *self.place(), message)
        if not is_cut_off or not self._more():
            is_end = error.pos >= len(self._text)
            self._fail(error.pos, "the file ends too early: it is cut off" if is_end else error.msg)

    def _refusal(self, refused: RepeatedKey | _NotANumber) -> JsonError:
        """The error of a value that is JSON but for a repeated key or a NaN."""
        if isinstance(refused, RepeatedKey):
            offset, key = self._repeated_key()
            message = f"the key {quoted(key)} is repeated"
            check = GeoJsonCheck.KEY_REPEATED
        else:
            offset = next(at for _, at, _ in self._places() if self._token_at(at) in _CONSTANTS)
            message = f"{refused} is not a number of JSON"
            check = GeoJsonCheck.NUMBER_BAD
        return JsonError(check, *self._place_at(offset), message, is_final=False)

    def _repeated_key(self) -> tuple[int, str]:
        seen: set[tuple[int, Path]] = set()
        owners: dict[int, int] = {}  # the offset of the object at each depth
        for path, offset, is_key in self._places():
            if not is_key:
                owners[len(path)] = offset
                continue
            key = owners[len(path) - 1], path
            if key in seen:
                return offset, str(path[-1])
            seen.add(key)
        raise AssertionError("a key was repeated")

    def _offset_of_long_number(self) -> int:
        limit = 1_000  # digits; Python refuses to read more than some 4,000 as an integer
        places = (at for _, at, _ in self._places() if len(self._token_at(at)) > limit)
        return next((at for at in places if self._text[at] != '"'), self._start)

    def _token_at(self, offset: int) -> str:
        token = _TOKEN.match(self._text, offset)
        return token[1] if token else ""

    def _places(self) -> Iterator[tuple[Path, int, bool]]:
        """The path and offset of each key and value in the last value; whether it is a key."""
        path: list[str | int] = []
        open_brackets: list[str] = []
        expects_key = False
        for token in _TOKEN.finditer(self._text, self._start):
            word, offset = token[1], token.start(1)
            if word == ":":
                continue
            if word == ",":
                expects_key = open_brackets[-1] == "{"
                path[-1] = path[-1] if expects_key else int(path[-1]) + 1
            elif word in "}]":
                open_brackets.pop()
                path.pop()
            elif expects_key:
                path[-1] = json.loads(word)
                expects_key = False
                yield tuple(path), offset, True
                continue
            else:
                yield tuple(path), offset, False
                if word in "{[":
                    open_brackets.append(word)
                    path.append(0)
                    expects_key = word == "{"
            if not open_brackets:
                return

    def _more(self) -> bool:
        """Read more, at least as much as is kept, so that long values are not decoded often."""
        wanted = len(self._text) - self._at
        pieces = []
        try:
            for piece in self._pieces:
                pieces.append(piece)
                wanted -= len(piece)
                if piece and wanted <= 0:
                    break
        except UnicodeDecodeError as error:
            self._text += "".join(pieces)
            byte = error.object[error.start]
            message = f"byte 0x{byte:02x} is not UTF-8 text: save the file as UTF-8"
            self._refuse(Check.INVALID_UTF8, *self._place_at(len(self._text)), message)
        self._text += "".join(pieces)
        return bool(pieces)

    def _forget(self) -> None:
        """Forget the letters that were read."""
        self._line, self._column = self._place_at(self._at)
        self._text = self._text[self._at :]
        self._start = self._at = 0

    def _place_at(self, offset: int) -> tuple[int, int]:
        line_ends = self._text.count("\n", 0, offset)
        if not line_ends:
            return self._line, self._column + offset
        return self._line + line_ends, offset - self._text.rfind("\n", 0, offset)

    def _fail(self, offset: int, message: str) -> NoReturn:
        self._refuse(GeoJsonCheck.GEOJSON_BAD, *self._place_at(offset), f"not JSON: {message}")

    def _refuse(self, check: FindingCheck, line: int, column: int, message: str) -> NoReturn:
        raise JsonError(check, line, column, message)


def _texts(blocks: Iterable[bytes]) -> Iterator[str]:
    """The text of `blocks`.

    Raises:
        UnicodeDecodeError: it is not UTF-8; what is before it was yielded.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    start = b""
    for block in blocks:
        if len(start) < 2:
            start += block[:2]
            if start.startswith(_UTF_16) or b"\0" in start:
                message = "this is UTF-16 text: save the file as UTF-8"
                raise JsonError(Check.INVALID_UTF8, 1, 1, message)
        try:
            yield decoder.decode(block)
        except UnicodeDecodeError as error:
            yield error.object[: error.start].decode()
            raise
    decoder.decode(b"", final=True)
