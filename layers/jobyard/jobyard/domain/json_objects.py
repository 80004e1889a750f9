"""JSON objects without repeated keys: JSON does not define which value of such a key counts."""

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
