"""Merging keeps what both changed, and shows what it cannot decide."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.datasets.changes import changes_between, difference_between
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.edits.merge import Merge, merge


def features(**properties: Any) -> dict[str, Feature]:
    """Features by id, each with the properties given for it; `point` is its place."""
    return {
        name.removeprefix("f"): Feature(
            name.removeprefix("f"),
            {"type": "Point", "coordinates": values["point"]} if "point" in values else None,
            {key: value for key, value in values.items() if key != "point"},
        )
        for name, values in properties.items()
    }


def shown(merged: Merge) -> tuple[list[Any], list[Any], list[str]]:
    """The changes, conflicts and ids of the same, as in JSON."""
    return (
        [change.document() for change in merged.changes],
        [conflict.document() for conflict in merged.conflicts],
        [*merged.same],
    )


def test_different_properties_of_one_feature_are_merged() -> None:
    base, mine, theirs = (
        features(f1={"x": 1, "y": 1}),
        features(f1={"x": 2, "y": 1}),
        features(f1={"x": 1, "y": 2}),
    )

    merged = merge(base, mine, theirs)

    assert shown(merged) == ([{"id": "1", "op": "update", "properties": ["x"]}], [], [])
    assert merged.applied_to(theirs)["1"].properties == {"x": 2, "y": 2}


def test_the_geometry_is_one_property() -> None:
    base = features(f1={"x": 1, "point": [0, 0]})
    mine, theirs = features(f1={"x": 2, "point": [0, 0]}), features(f1={"x": 1, "point": [1, 1]})
    moved = features(f1={"x": 1, "point": [2, 2]})

    merged = merge(base, mine, theirs).applied_to(theirs)["1"]

    assert merged.document() == features(f1={"x": 2, "point": [1, 1]})["1"].document()
    assert shown(merge(base, moved, theirs))[1] == [
        {"id": "1", "kind": "update_update", "properties": ["geometry"]}
    ]


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "kind", "names"),
    [
        ({"x": 1}, {"x": 2}, {"x": 3}, "update_update", ["x"]),
        ({"x": 1}, {"x": 2}, None, "update_delete", ["x"]),
        ({"x": 1}, None, {"x": 2}, "delete_update", ["x"]),
        (None, {"x": 1}, {"x": 2}, "insert_insert", ["x"]),
        ({"x": 1}, {}, {"x": None}, "update_update", ["x"]),
        ({"x": 1}, {"x": True}, {"x": 1.5}, "update_update", ["x"]),
    ],
)
def test_different_changes_of_both_sides_are_a_conflict(
    base: Any, mine: Any, theirs: Any, kind: str, names: list[str]
) -> None:
    sides = [
        features(**({"f1": each} if each is not None else {})) for each in (base, mine, theirs)
    ]

    merged = merge(sides[0], sides[1], sides[2])

    assert shown(merged) == ([], [{"id": "1", "kind": kind, "properties": names}], [])
    assert merged.applied_to(sides[2]) == sides[2]


@pytest.mark.parametrize(
    ("base", "both"),
    [({"x": 1}, {"x": 2}), ({"x": 1}, None), (None, {"x": 1}), ({"x": 1}, {})],
)
def test_the_same_change_on_both_sides_is_none(base: Any, both: Any) -> None:
    before, after = (
        features(**({"f1": each} if each is not None else {})) for each in (base, both)
    )

    assert shown(merge(before, after, after)) == ([], [], ["1"])


def test_a_change_that_theirs_has_already_is_none() -> None:
    base, mine = features(f1={"x": 1, "y": 1}), features(f1={"x": 2, "y": 1})
    theirs = features(f1={"x": 2, "y": 2})

    assert shown(merge(base, mine, theirs)) == ([], [], [])


def test_what_only_one_side_changed_is_taken() -> None:
    base = features(f1={"x": 1}, f2={"x": 1}, f3={"x": 1}, f4={"x": 1})
    mine = features(f1={"x": 2}, f3={"x": 1}, f4={"x": 1}, f5={"x": 1})
    theirs = features(f1={"x": 1}, f2={"x": 1}, f3={"x": 3}, f6={"x": 1})

    merged = merge(base, mine, theirs)

    assert shown(merged) == (
        [
            {"id": "1", "op": "update", "properties": ["x"]},
            {"id": "2", "op": "delete", "properties": []},
            {"id": "5", "op": "insert", "properties": []},
        ],
        [],
        [],
    )
    assert [*merged.applied_to(theirs)] == ["1", "3", "6", "5"]


def test_the_latest_value_counts_where_that_is_declared_and_both_are_kept() -> None:
    base = features(f1={"x": 1, "n": 1})
    mine, theirs = features(f1={"x": 2, "n": 1}), features(f1={"x": 3, "n": 2})

    merged = merge(base, mine, theirs, latest=["x"])

    assert merged.applied_to(theirs)["1"].properties == {"x": 2, "n": 2}
    assert [each.document() for each in merged.resolutions] == [
        {"id": "1", "property": "x", "mine": 2, "theirs": 3}
    ]


def test_features_inserted_under_one_id_get_new_ids_on_request() -> None:
    base = features(f100={"n": 0})
    mine = features(f100={"n": 0}, f101={"n": 1}, f102={"n": 2}, f103={"n": 3}, f104={"n": 4})
    theirs = features(f100={"n": 0}, f101={"n": 8}, f102={"n": 9})

    merged = merge(base, mine, theirs, renumbers=True)

    assert merged.conflicts == ()
    assert merged.new_ids == {"101": "105", "102": "106"}
    result = merged.applied_to(theirs)
    assert {each: result[each].properties["n"] for each in result} == {
        **{"100": 0, "101": 8, "102": 9},
        **{"103": 3, "104": 4, "105": 1, "106": 2},
    }
    assert all(feature.feature_id == each for each, feature in result.items())


def test_an_id_that_is_no_number_gets_a_suffix() -> None:
    mine = {"a": Feature("a", None, {"n": 1}), "a-2": Feature("a-2", None, {"n": 2})}
    theirs = {"a": Feature("a", None, {"n": 3})}

    assert merge({}, mine, theirs, renumbers=True).new_ids == {"a": "a-3"}


PLACES = st.sampled_from([None, *({"type": "Point", "coordinates": [x, 0]} for x in range(3))])
VALUES = st.dictionaries(st.sampled_from("xy"), st.sampled_from([0, 1, True, None]), max_size=2)
VERSIONS = st.dictionaries(st.sampled_from("123"), st.tuples(PLACES, VALUES), max_size=3).map(
    lambda found: {name: Feature(name, *each) for name, each in found.items()}
)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_the_order_of_two_people_does_not_count(base: Any, one: Any, other: Any) -> None:
    here, there = merge(base, one, other), merge(base, other, one)

    assert {each.feature_id: each.difference for each in here.conflicts} == {
        each.feature_id: each.difference for each in there.conflicts
    }
    assert here.same == there.same
    if not here.conflicts:
        results = here.applied_to(other), there.applied_to(one)
        assert changes_between(*results) == []


@given(VERSIONS, VERSIONS, VERSIONS)
def test_nothing_that_one_changed_is_lost_without_being_shown(
    base: Any, mine: Any, theirs: Any
) -> None:
    merged = merge(base, mine, theirs)
    result = merged.applied_to(theirs)
    in_conflict = {each.feature_id for each in merged.conflicts}

    for change in changes_between(base, mine) + changes_between(base, theirs):
        if change.feature_id in in_conflict:
            continue
        after = result.get(change.feature_id)
        if change.after is None:
            assert after is None
        else:
            assert after is not None
            difference = difference_between(change.after, after)
            if change.before is not None:
                difference = difference & change.difference
            assert not difference
