"""The order in which people expect names that have numbers."""

import re

_DIGITS = re.compile(r"0*([0-9]+)")
_ZERO = ord("0")


def natural(text: str) -> str:
    """What sorts as `text` does to people: without its case, and `No. 9` before `No. 10`.

    Each number has its length before it, so that a longer one is a larger one.
    """

    def lengthened(found: re.Match[str]) -> str:
        digits = found[1]
        return f"{chr(_ZERO + len(digits))}{digits}"

    return _DIGITS.sub(lengthened, text.casefold())
