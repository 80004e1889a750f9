"""Changed features are validated by rules as they will be at head; what was broken is inherited."""

from collections.abc import Iterable
from typing import Any

import pytest

from jobyard.domain.datasets.extent import Box, boxes_of, do_boxes_intersect
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.rules import NAMED_CHECKS, read_rules
from jobyard.domain.datasets.validation_report import ValidationReport, report_from
from jobyard.domain.errors import InvalidRule
from jobyard.validation.named import NAMED_RULES
from jobyard.validation.validate import validate

Square = tuple[float, float, float, float]  # west, south, east, north


def feature(feature_id: str, place: Any = None, **properties: Any) -> Feature:
    """A feature. Its place is a square, a list of positions of a ring, a geometry, or None."""
    if isinstance(place, tuple):
        west, south, east, north = place
        place = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    if isinstance(place, list):
        place = {"type": "Polygon", "coordinates": [place]}
    return Feature(feature_id, place, properties)


def validated(
    rules: list[dict[str, Any]],
    live: Iterable[Feature] = (),
    *,
    changed: Iterable[Feature] = (),
    deleted: Iterable[str] = (),
    precision: int = 7,
) -> ValidationReport:
    """The report of a change to features that are live."""
    head = {each.feature_id: each for each in live}
    changes: dict[str, Feature | None] = {each.feature_id: each for each in changed}
    changes |= dict.fromkeys(deleted)

    def neighbours(box: Box) -> list[Feature]:
        return [
            each for each in head.values() if do_boxes_intersect(boxes_of(each.geometry), [box])
        ]

    before = {each: head[each] for each in changes if each in head}
    checked = read_rules(rules)
    return validate(changes, before, neighbours, head.values, checked, precision)


def broken(report: ValidationReport) -> list[tuple[str, str, tuple[str, ...]]]:
    """The failures that count, in short."""
    return [(each.code, each.feature_id, each.others) for each in report.failures]


def inherited(report: ValidationReport) -> list[tuple[str, str, tuple[str, ...]]]:
    """The failures that were there before, in short."""
    return [(each.code, each.feature_id, each.others) for each in report.inherited]


NAME = {"rule": "schema", "schema": {"required": ["name"], "$ref": "#/$defs/n", "$defs": {"n": {}}}}
VALID = {"rule": "geometry"}
NO_OVERLAP = {"rule": "no_overlap"}
NO_GAP = {"rule": "no_gap"}
UNIQUE = {"rule": "unique", "properties": ["code"]}
BOW_TIE = [[0, 0], [2, 2], [2, 0], [0, 2], [0, 0]]


def test_all_errors_of_a_schema_are_failures_with_their_place() -> None:
    schema = {
        "properties": {"name": {"type": "string"}, "tags": {"items": {"type": "integer"}}},
        "required": ["code"],
    }

    report = validated(
        [{"rule": "schema", "name": "names", "schema": schema}],
        changed=[feature("1", name=3, tags=[1, "x"])],
    )

    assert {each.message for each in report.failures} == {
        "name: 3 is not of type 'string'",
        "tags[1]: 'x' is not of type 'integer'",
        "'code' is a required property",
    }
    assert {each.rule for each in report.failures} == {"names"}


def test_a_failure_that_was_there_before_is_inherited_and_does_not_count() -> None:
    live = [feature("1", (0, 0, 1, 1), size=1), feature("2", BOW_TIE, name="b")]

    report = validated(
        [NAME, VALID],
        live,
        changed=[feature("1", (0, 0, 1, 1), size=2), feature("2", BOW_TIE, name="c")],
    )

    assert report.is_valid
    assert [code for code, *_ in inherited(report)] == ["SCHEMA_BROKEN", "GEOMETRY_INVALID"]


def test_an_invalid_geometry_that_is_changed_and_still_invalid_counts() -> None:
    moved = [[0, 0], [2, 2], [2, 0], [0, 3], [0, 0]]

    report = validated([VALID], [feature("2", BOW_TIE)], changed=[feature("2", moved)])

    assert broken(report) == [("GEOMETRY_INVALID", "2", ())]
    assert report.failures[0].position == pytest.approx((1.2, 1.2))


def test_a_geometry_that_only_rounding_breaks_names_the_precision() -> None:
    """QGIS#58169."""
    ring = [[0, 0], [10, 0], [10, 10], [5, 0.04], [0, 10], [0, 0]]

    report = validated([VALID], changed=[feature("1", ring)], precision=1)

    assert broken(report) == [("GEOMETRY_INVALID_ROUNDED", "1", ())]
    assert "not at the dataset's precision of 1 decimal" in report.failures[0].message


def test_a_place_may_be_required_and_of_some_types_only() -> None:
    rule = {"rule": "geometry", "types": ["Polygon"], "required": True}
    point = {"type": "Point", "coordinates": [1, 2, 3]}

    report = validated([rule], changed=[feature("1"), feature("2", point)])

    assert broken(report) == [("GEOMETRY_MISSING", "1", ()), ("GEOMETRY_TYPE", "2", ())]


def test_overlaps_with_a_neighbour_and_between_changes_are_found_once() -> None:
    live = [feature("1", (0, 0, 1, 1)), feature("9", (5, 5, 6, 6))]
    changed = [feature("2", (0.5, 0, 2, 1)), feature("3", (1.5, 0, 3, 1))]

    report = validated([NO_OVERLAP], live, changed=changed)

    assert broken(report) == [("OVERLAP", "2", ("1",)), ("OVERLAP", "2", ("3",))]
    assert report.failures[0].position is not None


def test_the_areas_of_a_collection_are_areas_too() -> None:
    squares = [feature("", (x, 0, x + 1, 1)).geometry for x in (0, 1)]  # they share a border
    point = {"type": "Point", "coordinates": [9, 9]}
    several = feature("1", {"type": "GeometryCollection", "geometries": [*squares, point]})
    bow = [[0, 0], [2, 2], [2, 0], [0, 1], [0, 0]]
    invalid = {"type": "GeometryCollection", "geometries": [feature("", bow).geometry, squares[1]]}

    overlapping = validated([NO_OVERLAP], [several], changed=[feature("2", (1.5, 0, 3, 1))])
    adjacent = validated([NO_OVERLAP], [several], changed=[feature("2", (2, 0, 3, 1))])
    skipped = validated([NO_OVERLAP], [feature("1", invalid)], changed=[feature("2", (1, 0, 3, 1))])

    assert broken(overlapping) == [("OVERLAP", "2", ("1",))]
    assert adjacent.is_valid
    assert skipped.is_valid
    assert skipped.skipped == ("1",)


def test_areas_that_share_a_border_do_not_overlap_even_where_rounding_moved_it() -> None:
    slanted = [[1, 0], [2, 0], [2, 1], [1, 1], [1 - 4e-8, 0.5], [1, 0]]

    report = validated([NO_OVERLAP], [feature("1", (0, 0, 1, 1))], changed=[feature("2", slanted)])

    assert report.is_valid


def test_an_overlap_of_two_geometries_that_did_not_change_is_inherited() -> None:
    live = [feature("1", (0, 0, 1, 1)), feature("2", (0.5, 0, 2, 1), name="a")]

    renamed = validated([NO_OVERLAP], live, changed=[feature("2", (0.5, 0, 2, 1), name="b")])
    grown = validated([NO_OVERLAP], live, changed=[feature("2", (0.4, 0, 2, 1))])

    assert (broken(renamed), inherited(renamed)) == ([], [("OVERLAP", "2", ("1",))])
    assert broken(grown) == [("OVERLAP", "2", ("1",))]


def test_layers_say_which_areas_may_not_overlap() -> None:
    rules = [
        {"rule": "layer", "name": "lakes", "property": "kind", "values": ["lake", "pond"]},
        {"rule": "layer", "name": "roads", "property": "kind", "values": ["road"]},
        {"rule": "no_overlap", "layers": ["lakes", "roads"]},
    ]
    live = [feature("1", (0, 0, 1, 1), kind="lake"), feature("2", (0, 0, 1, 1), kind="wood")]

    report = validated(
        rules,
        live,
        changed=[feature("3", (0, 0, 1, 1), kind="road"), feature("4", (0, 0, 1, 1), kind="pond")],
    )

    assert broken(report) == [("OVERLAP", "3", ("1",)), ("OVERLAP", "3", ("4",))]


def test_topology_skips_an_invalid_area_and_says_so() -> None:
    live = [feature("1", BOW_TIE)]

    report = validated([NO_OVERLAP], live, changed=[feature("2", (0, 0, 1, 1))])

    assert report.is_valid
    assert report.skipped == ("1",)


RING = {  # eight squares around one of (1, 1, 2, 2)
    f"{x}{y}": feature(f"{x}{y}", (x, y, x + 1, y + 1))
    for x in range(3)
    for y in range(3)
    if (x, y) != (1, 1)
}


def test_a_gap_that_a_change_opens_is_found_and_one_that_was_there_is_inherited() -> None:
    middle = feature("11", (1, 1, 2, 2))
    live = [*RING.values(), middle]

    shrunk = validated([NO_GAP], live, changed=[feature("11", (1, 1, 2, 1.5))])
    deleted = validated([NO_GAP], live, deleted=["11"])
    renamed = validated([NO_GAP], RING.values(), changed=[feature("01", (0, 1, 1, 2), name="new")])
    moved = validated([NO_GAP], RING.values(), changed=[feature("01", (-1, 1, 1, 2))])

    assert [(code, name) for code, name, _ in broken(shrunk)] == [("GAP", "11")]
    assert [(code, name) for code, name, _ in broken(deleted)] == [("GAP", "11")]
    assert (broken(renamed), [name for _, name, _ in inherited(renamed)]) == ([], ["01"])
    assert (broken(moved), len(moved.inherited)) == ([], 1)


def test_a_large_gap_may_be_meant_and_an_invalid_area_leaves_none() -> None:
    lake = {"rule": "no_gap", "largest": 0.9}
    bow_tie = [[1, 1], [2, 1], [1, 2], [2, 2], [1, 1]]
    live = [*RING.values(), feature("11", (1, 1, 2, 2))]

    meant = validated([lake], live, deleted=["11"])
    crossed = validated([NO_GAP], live, changed=[feature("11", bow_tie)])

    assert meant.is_valid
    assert [code for code, *_ in broken(crossed)] == ["GAP", "GAP"]  # east and west of the crossing


def test_two_inserts_of_one_unique_value_are_a_failure() -> None:
    """geodiff#210: theirs is live already, mine comes with the same value under another id."""
    live = [feature("theirs", code=7)]

    report = validated(
        [UNIQUE], live, changed=[feature("mine", code=7.0), feature("other", code="7")]
    )

    assert broken(report) == [("VALUE_REPEATED", "mine", ("theirs",))]


def test_values_are_exchanged_without_a_failure_and_null_is_no_value() -> None:
    live = [feature("1", code="a"), feature("2", code="b"), feature("3", code=None)]

    report = validated(
        [UNIQUE],
        live,
        changed=[feature("1", code="b"), feature("2", code="a"), feature("4", code=None)],
    )

    assert report.is_valid


def test_a_repeated_value_that_was_there_before_is_inherited() -> None:
    live = [feature("1", code="a"), feature("2", code="a")]

    report = validated([UNIQUE], live, changed=[feature("1", code="a", x=1), feature("3", code=1)])

    assert (broken(report), inherited(report)) == ([], [("VALUE_REPEATED", "1", ("2",))])


def test_a_reference_to_nothing_and_the_deletion_of_what_is_named_are_failures() -> None:
    rule = {"rule": "reference", "property": "state"}
    live = [feature("6"), feature("7"), feature("c1", state="6"), feature("c2", state=7)]

    lost = validated([rule], live, deleted=["6"])
    wrong = validated([rule], live, changed=[feature("c2", state="8"), feature("c3", state=6)])
    both = validated([rule], live, deleted=["6", "c1"])

    assert broken(lost) == [("REFERENCE_MISSING", "6", ("c1",))]
    assert broken(wrong) == [("REFERENCE_MISSING", "c2", ())]
    assert both.is_valid


def test_a_reference_may_be_to_a_property_of_a_layer() -> None:
    rules = [
        {"rule": "layer", "name": "states", "property": "kind", "values": ["state"]},
        {"rule": "reference", "property": "in", "to_layer": "states", "to_property": "code"},
    ]
    live = [feature("1", kind="state", code="CA"), feature("2", kind="county", code="NV")]

    report = validated(
        rules, live, changed=[feature("3", **{"in": "CA"}), feature("4", **{"in": "NV"})]
    )

    assert broken(report) == [("REFERENCE_MISSING", "4", ())]


def test_a_rule_that_a_project_added_is_named() -> None:
    spike = [[0, 0], [1, 0], [1, 1], [0.001, 1], [0, 9], [0, 0]]
    rule = {"rule": "named", "check": "no_spikes", "parameters": {"degrees": 2}}

    report = validated([rule], changed=[feature("1", spike), feature("2", (0, 0, 1, 1))])

    assert broken(report) == [("RULE_BROKEN", "1", ())]
    assert report.failures[0].position == (0, 9)


def test_changes_far_apart_read_only_what_is_around_them() -> None:
    asked: list[Box] = []
    far = {f"{x}": feature(f"{x}", (x, 0, x + 1, 1)) for x in range(0, 100, 10)}

    def neighbours(box: Box) -> list[Feature]:
        asked.append(box)
        return []

    report = validate(dict(far), {}, neighbours, list, read_rules([NO_OVERLAP]), 7)

    assert report.is_valid
    assert sum((box.east - box.west) * (box.north - box.south) for box in asked) <= 40


def test_a_report_is_the_same_after_it_was_stored() -> None:
    report = validated(
        [NAME, NO_OVERLAP], [feature("1", (0, 0, 2, 2))], changed=[feature("2", (1, 1, 3, 3))]
    )

    assert report_from(report.document()) == report
    assert len(report.rules_version) == 16


@pytest.mark.parametrize(
    ("rule", "where"),
    [
        (
            {"rule": "schema", "schema": {"$ref": "https://example.org/schema.json"}},
            "rules[0].schema",
        ),
        (
            {"rule": "schema", "schema": {"items": {"$dynamicRef": "other.json#a"}}},
            "rules[0].schema",
        ),
        ({"rule": "schema", "schema": {"$schema": "http://example.org/own"}}, "rules[0].schema"),
        ({"rule": "schema", "schema": {"$ref": "#/$defs/nothing"}}, "rules[0].schema"),
        ({"rule": "schema", "schema": {"type": "text"}}, "rules[0].schema"),
        ({"rule": "no_overlap", "layers": ["lakes"]}, "rules[0].layers"),
        ({"rule": "unique", "properties": []}, "rules[0].properties"),
        ({"rule": "unique", "properties": ["x"], "propertys": 1}, "rules[0]"),
        ({"rule": "no_gap", "largest": True}, "rules[0].largest"),
        ({"rule": "named", "check": "nothing"}, "rules[0].check"),
        ({"rule": "geometries"}, "rules[0].rule"),
        ("no_gap", "rules[0]"),
    ],
)
def test_a_rule_that_is_none_is_refused_with_its_place(rule: Any, where: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        read_rules([rule])

    assert refused.value.where == where


def test_a_pattern_and_a_repetition_take_time_in_proportion_to_a_value() -> None:
    """Python's own expressions would take hours for the first one, and the package for the list."""
    code = {"pattern": "^(a+)+$"}
    listed = {"uniqueItems": True}
    schema = {"properties": {"code": code, "long": code, "list": listed, "twice": listed}}
    values = {"code": "a" * 5_000 + "!", "long": "a" * 20_000}
    lists = {"list": [*range(5_000), "x", None], "twice": [[1], 0, False, [1.0]]}

    report = validated(
        [{"rule": "schema", "schema": schema}], changed=[feature("1", **values, **lists)]
    )

    places = [each.message.partition(":")[0] for each in report.failures]
    assert places == ["code", "long", "twice"]


def test_an_integer_beyond_all_floats_is_checked_like_others() -> None:
    schema = {"properties": {"half": {"multipleOf": 0.5}, "seven": {"multipleOf": 7.0}}}
    beyond = 10**400

    report = validated(
        [{"rule": "schema", "schema": schema}], changed=[feature("1", half=beyond, seven=beyond)]
    )

    assert [each.message.partition(":")[0] for each in report.failures] == ["seven"]


def test_the_checks_in_code_are_those_that_rules_may_name() -> None:
    assert set(NAMED_CHECKS) == set(NAMED_RULES)
