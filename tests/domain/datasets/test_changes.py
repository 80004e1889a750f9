"""What differs between two versions of a dataset, by typed equality."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.datasets.changes import change_of, changes_between
from jobyard.domain.datasets.feature import Feature, is_same


def feature(feature_id: str, geometry: Any = None, **properties: Any) -> Feature:
    """A feature."""
    return Feature(feature_id, geometry, properties)


def by_id(*features: Feature) -> dict[str, Feature]:
    """Features by their ids."""
    return {each.feature_id: each for each in features}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (0.0, -0.0, True),
        (1, True, False),
        (0, False, False),
        (None, False, False),
        (None, "", False),
        ("1", 1, False),
        ([1, 2], [1.0, 2], True),
        ([1, 2], [2, 1], False),
        ([True], [1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1.0}, True),
        ({"a": None}, {}, False),
        (2**53 + 1, float(2**53), False),
        (1e300, 10**300, False),
        ("e\u0301", "\u00e9", False),
    ],
)
def test_equality_is_typed(one: Any, other: Any, same: bool) -> None:
    assert is_same(one, other) is same
    assert is_same(other, one) is same


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


@given(JSON_VALUES)
def test_a_value_is_the_same_after_a_round_trip(value: Any) -> None:
    if json.dumps(value).find("Infinity") < 0:
        assert is_same(value, json.loads(json.dumps(value)))


def test_changes_name_what_differs_in_the_order_of_ids() -> None:
    point = {"type": "Point", "coordinates": [1, 2]}
    before = by_id(feature("10", a=1), feature("9", a=1, b=None), feature("2"), feature("1", c=1))
    after = by_id(feature("10", a=1.0), feature("9", point, a=2), feature("1", c=1), feature("3"))

    assert [change.document() for change in changes_between(before, after)] == [
        {"id": "2", "op": "delete", "properties": []},
        {"id": "3", "op": "insert", "properties": []},
        {"id": "9", "op": "update", "properties": ["a", "b", "geometry"]},
    ]


def test_a_property_called_geometry_is_not_the_geometry() -> None:
    change = change_of("1", feature("1", geometry=None), Feature("1", None, {"geometry": 1}))

    assert change is not None
    assert change.difference.properties == ("geometry",)
    assert not change.difference.in_geometry


def test_a_property_that_is_missing_now_is_noticed() -> None:
    kept, dropped = feature("1", a=1, b=None), feature("1", a=None)
    change = change_of("1", kept, dropped)

    assert change is not None
    assert change.dropped_properties == ["b"]
    assert [each.dropped_properties for each in changes_between({}, by_id(kept))] == [[]]
    assert [each.dropped_properties for each in changes_between(by_id(kept), {})] == [[]]


def test_dropped_heights_are_noticed() -> None:
    high = feature("1", {"type": "Point", "coordinates": [1, 2, 3]})
    flat = feature("1", {"type": "Point", "coordinates": [1, 2]})
    dropped, gained = change_of("1", high, flat), change_of("1", flat, high)

    assert dropped is not None
    assert dropped.drops_heights
    assert gained is not None
    assert not gained.drops_heights
