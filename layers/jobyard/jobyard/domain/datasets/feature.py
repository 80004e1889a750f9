"""A feature of a dataset, and when two of its values are the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GEOMETRY = "geometry"  # how lists of changed properties name the geometry
MAX_ID_LETTERS = 128
MAX_SAFE_NUMBER = 2**53 - 1  # beyond it, programs that read numbers as floats see another id

Geometry = Mapping[str, Any]  # as in GeoJSON: `type`, and `coordinates` or `geometries`


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature. `geometry` is None if it has no place; its rings are wound as RFC 7946 says."""

    feature_id: str
    geometry: Geometry | None
    properties: Mapping[str, Any]

    def document(self) -> dict[str, Any]:
        """The feature as GeoJSON."""
        return {
            "type": "Feature",
            "id": self.feature_id,
            "geometry": self.geometry,
            "properties": self.properties,
        }


def is_id(text: str) -> bool:
    """Whether a text can be the id of a feature."""
    return 0 < len(text) <= MAX_ID_LETTERS and text.isprintable()


def value_key(value: Any) -> str:
    """A text that is equal for JSON values that are the same, and only for these.

    Booleans differ from numbers, 1 is 1.0, and the order of keys does not count.
    """
    return json.dumps(_with_whole_numbers(value), sort_keys=True, separators=(",", ":"))


def is_same(value: Any, other: Any) -> bool:
    """Whether two JSON values are the same, by `value_key`."""
    if type(value) is type(other) and isinstance(value, str | bool | None):
        return bool(value == other)
    return value_key(value) == value_key(other)


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, list):
        return [_with_whole_numbers(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _with_whole_numbers(each) for name, each in value.items()}
    return value
