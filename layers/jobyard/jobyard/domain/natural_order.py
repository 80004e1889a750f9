"""Natural sort order: names in the order that people expect, `No. 9` before `No. 10`."""

import re

_DIGITS = re.compile(r"0*([0-9]+)")
_ZERO = ord("0")


def natural_key(text: str) -> str:
    """The sort key of `text`: case is ignored, and numbers are compared by value.

    Each number is preceded by its length, so that a longer number sorts after a shorter one.
    """

    def with_length(number: re.Match[str]) -> str:
        digits = number[1]
        return f"{chr(_ZERO + len(digits))}{digits}"

    return _DIGITS.sub(with_length, text.casefold())
