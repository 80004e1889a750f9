"""JSON values as strangers send them: objects without repeated keys, whose value JSON does not
define, and values that are not nested deeply.
"""

from typing import Any


class RepeatedKey(ValueError):
    """An object has the key `key` twice."""

    def __init__(self, key: str) -> None:
        super().__init__(f"an object has the key {key!r:.40} twice")
        self.key = key


def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object with these keys and values; `json.loads` calls it for each object.

    Raises:
        RepeatedKey: it has a key twice.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise RepeatedKey(key)
            seen.add(key)
    return values


def is_deeper(value: Any, levels: int) -> bool:
    """Whether objects and lists of a JSON value are nested more deeply than `levels`."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        members = [each.values() if isinstance(each, dict) else each for each in level]
        level = [each for group in members for each in group if isinstance(each, dict | list)]
    return bool(level)
