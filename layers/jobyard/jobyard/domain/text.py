"""Text that comes from outside, made fit to be stored, logged, mailed and shown on a terminal.

Names of files, reason phrases, headers, URLs and error messages are chosen by strangers. Whatever
is quoted of them passes `clean` where it enters, so that nothing downstream has to think of it.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

MESSAGE_BYTES = 500  # of a failure's, a step's or a refusal's message, in UTF-8
REASON_BYTES = 500  # of the reason a person gives, in UTF-8
FILENAME_BYTES = 255  # of a file's name, in UTF-8
NAME_BYTES = 128  # of the name of who did something, in UTF-8
VALUE_BYTES = 2048  # of a text among what a job found, in UTF-8
REPLACEMENT = "\ufffd"  # stands for what cannot be shown
_MORE = "…"

# Cc controls (ESC, CR, LF …), Cf formats that reorder or hide what follows, Cs lone surrogates,
# Zl and Zp line and paragraph separators. Of Cf only what joins letters of a script is kept.
_BAD = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")
_PLAIN = re.compile(r"[ -~]*")


def clean(text: str, limit: int = MESSAGE_BYTES) -> str:
    """`text` on one line, valid UTF-8, of at most `limit` bytes.

    What is not to be shown becomes U+FFFD, each letter one, so that the length still tells. Text
    that is too long ends in an ellipsis. Cleaning twice changes nothing more.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text  # nearly all of it is like that, and a job's record has dozens
    text = text[: limit + 1]  # a letter has a byte at least: what follows is cut in any case
    if not _PLAIN.fullmatch(text):
        text = "".join(REPLACEMENT if _is_bad(letter) else letter for letter in text)
    return truncate(text, limit)


def clean_fields(record: object, **limits: int) -> None:
    """Clean fields of a frozen dataclass that is being made, each to so many bytes."""
    for name, limit in limits.items():
        text = getattr(record, name)
        cleaned = clean(text, limit)
        if cleaned is not text:
            object.__setattr__(record, name, cleaned)


def clean_values(value: Any, limit: int = VALUE_BYTES) -> Any:
    """A JSON value with all of its texts, names of fields too, cleaned one by one."""
    if isinstance(value, str):
        return clean(value, limit)
    if isinstance(value, Mapping):
        return {clean(str(name), limit): clean_values(each, limit) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [clean_values(each, limit) for each in value]
    return value


def _is_bad(letter: str) -> bool:
    return unicodedata.category(letter) in _BAD and letter not in _JOINERS


def is_clean(text: str) -> bool:
    """Whether `clean` would leave `text` as it is, but for its length."""
    return _PLAIN.fullmatch(text) is not None or not any(map(_is_bad, text))


def truncate(text: str, limit: int) -> str:
    """`text` cut to `limit` bytes of UTF-8 between letters; what was cut ends in an ellipsis.

    `text` has no lone surrogates.
    """
    coded = text.encode()
    if len(coded) <= limit:
        return text
    return coded[: limit - len(_MORE.encode())].decode(errors="ignore") + _MORE
