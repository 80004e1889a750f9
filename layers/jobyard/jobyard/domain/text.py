"""Text from outside, cleaned so that it can be stored, logged, mailed and shown on a terminal.

Names of files, reason phrases, headers, URLs and error messages are chosen by strangers. Such text
passes `clean` where it enters, so code downstream can rely on it.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

MESSAGE_BYTES = 500  # of a failure's, a step's or a refusal's message, in UTF-8
REASON_BYTES = 500  # of the reason a person gives, in UTF-8
FILENAME_BYTES = 255  # of a file's name, in UTF-8
NAME_BYTES = 128  # of an actor's name, in UTF-8
VALUE_BYTES = 2048  # of a text in a job's result, in UTF-8
REPLACEMENT = "\ufffd"  # replaces a character that cannot be shown
_ELLIPSIS = "…"

# Unicode categories: Cc controls (ESC, CR, LF …), Cf formats that reorder or hide what follows, Cs
# lone surrogates, Zl and Zp line and paragraph separators. Of Cf only joiners of letters are kept.
_BAD_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_PLAIN = re.compile(r"[ -~]*")


def clean(text: str, limit: int = MESSAGE_BYTES) -> str:
    """`text` on one line, valid UTF-8, of at most `limit` bytes.

    Each character that cannot be shown becomes U+FFFD. Text that is too long ends in an ellipsis.
    Cleaning twice changes nothing more.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text  # the usual case; a job's record has dozens of texts
    text = text[: limit + 1]  # a character has at least one byte, so the rest is cut in any case
    if not _PLAIN.fullmatch(text):
        text = "".join(REPLACEMENT if _is_bad(letter) else letter for letter in text)
    return truncate(text, limit)


def clean_fields(record: object, **limits: int) -> None:
    """Clean fields of a frozen dataclass in its `__post_init__`. `limits` are bytes by field."""
    for name, limit in limits.items():
        text = getattr(record, name)
        cleaned = clean(text, limit) if text else text
        if cleaned is not text:
            object.__setattr__(record, name, cleaned)


def clean_values(value: Any, limit: int = VALUE_BYTES) -> Any:
    """A JSON value with each of its texts cleaned, the names of its fields too."""
    if isinstance(value, str):
        return clean(value, limit)
    if isinstance(value, Mapping):
        return {clean(str(name), limit): clean_values(each, limit) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [clean_values(each, limit) for each in value]
    return value


def _is_bad(letter: str) -> bool:
    return unicodedata.category(letter) in _BAD_CATEGORIES and letter not in _JOINERS


def is_clean(text: str) -> bool:
    """Whether `clean` would change nothing in `text`, whatever its length."""
    return _PLAIN.fullmatch(text) is not None or not any(map(_is_bad, text))


def truncate(text: str, limit: int) -> str:
    """`text` cut between characters to `limit` bytes of UTF-8; if cut, it ends in an ellipsis.

    `text` has no lone surrogates.
    """
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return encoded[: limit - len(_ELLIPSIS.encode())].decode(errors="ignore") + _ELLIPSIS


def safe_cell(text: str) -> str:
    """`text` as a CSV cell; an apostrophe before what a spreadsheet would take for a formula.

    Source: OWASP, CSV Injection.
    """
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text
