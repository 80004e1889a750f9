"""Digests of values, the same in every process."""

import hashlib
import re

_SET = re.compile(r"frozenset\(\{([^{}]*)\}\)")


def digest_of(value: object) -> str:
    """A digest of a value's repr, with the members of sets in order: that of a set differs from one
    process to the next.
    """
    text = _SET.sub(lambda found: f"{{{sorted(found[1].split(', '))}}}", repr(value))
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:32]
