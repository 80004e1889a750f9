"""Schemas of rules: what is accepted is one for the package too, and has a bounded cost."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jobyard.domain.datasets.json_schema import MAX_SCHEMA_PARTS, InvalidSchema, check_schema
from jobyard.domain.datasets.rules import read_rules
from jobyard.domain.errors import InvalidRule

GOOD = [
    True,
    {},
    {"type": ["string", "null"], "minLength": 2, "maxLength": 9, "pattern": "^[A-Z]{2}\\d+$"},
    {"type": "object", "required": ["a"], "properties": {"$ref": {"const": {"$ref": 1}}}},
    {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "t", "examples": [1]},
    {"properties": {"a/b": {"$ref": "#/$defs/x~1y"}}, "$defs": {"x/y": {"enum": [1, "a", None]}}},
    {"if": {"required": ["a"]}, "then": {"not": False}, "dependentRequired": {"a": ["b"]}},
    {"properties": {"n": {"multipleOf": 0.5, "minimum": -1}, "l": {"prefixItems": [{}]}}},
]
# A schema, and what the refusal says.
BAD: list[tuple[Any, str]] = [
    ([], "/: a schema is an object"),
    ({"type": "strng"}, "/type: it is one of"),
    ({"type": []}, "/type: it is one of"),
    ({"properties": {"a": {"minimum": "1"}}}, "/properties/a/minimum: it is a number"),
    ({"maxLength": -1}, "/maxLength: it is a whole number"),
    ({"multipleOf": 0}, "/multipleOf: it is a number above 0"),
    ({"required": ["a", "a"]}, "/required: it is a list of names"),
    ({"requird": ["a"]}, "/requird: it is not among"),
    ({"allOf": []}, "/allOf: it is a list of at least one schema"),
    ({"$ref": "https://example.org/a.json"}, "no other document is read"),
    ({"$ref": "#anchor"}, "no other document is read"),
    ({"$dynamicRef": "#a"}, "/$dynamicRef: it is not among"),
    ({"$id": "https://example.org/a"}, "/$id: it is not among"),
    ({"patternProperties": {"(a+)+$": {}}}, "/patternProperties: it is not among"),
    ({"$ref": "#/$defs/a"}, "refers to nothing"),
    ({"$ref": "#/$defs/a%2Fb", "$defs": {"a/b": {}}}, "refers to nothing"),
    ({"$ref": "#/allOf/" + "9" * 5_000, "allOf": [{}]}, "refers to nothing"),
    ({"properties": {"a": {"$ref": "#"}}}, "references form no circle"),
    ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "form no circle"),
    ({"const": {"type": 7}, "$ref": "#/const"}, "#/const/type: it is one of"),
    ({"pattern": "(a"}, "/pattern: a group is not closed"),
    ({"pattern": "(?=a)"}, "/pattern: of groups"),
    ({"$schema": "http://json-schema.org/draft-07/schema#"}, "the draft is that of 2020-12"),
]


def fan_out(levels: int) -> dict[str, Any]:
    """A short schema with 2 ** levels parts."""
    double = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return {"$ref": "#/$defs/d0", "$defs": {**double, f"d{levels}": {"type": "object"}}}


@pytest.mark.parametrize("schema", GOOD, ids=str)
def test_a_schema_is_accepted(schema: Any) -> None:
    check_schema(schema)
    Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(("schema", "message"), BAD, ids=str)
def test_what_is_no_schema_is_refused_with_its_place(schema: Any, message: str) -> None:
    with pytest.raises(InvalidSchema) as refused:
        check_schema(schema)

    assert message in str(refused.value)


@pytest.mark.parametrize("levels", [10, 30])
def test_references_that_multiply_are_refused(levels: int) -> None:
    check_schema(fan_out(3))

    with pytest.raises(InvalidSchema, match=f"more than {MAX_SCHEMA_PARTS:,} parts|nested up to"):
        check_schema(fan_out(levels))


@pytest.mark.parametrize("nested", [{"not": None}, {"enum": None}, {"allOf": None}])
def test_rules_nested_without_end_are_refused(nested: dict[str, Any]) -> None:
    (name,) = nested
    schema: Any = {}
    for _ in range(5_000):
        schema = {name: schema if name == "not" else [schema]}

    with pytest.raises(InvalidRule, match="levels deep"):
        read_rules([{"rule": "schema", "schema": schema}])


OTHERS = ["items", "allOf", "enum", "maximum", "uniqueItems", "$ref"]
KEYWORDS = [*GOOD[2], *GOOD[6], *GOOD[7], *OTHERS]
VALUES = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.5, "", "string", "a", "#/not", "[a-"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYWORDS), inner),
    max_leaves=8,
)


@given(VALUES)
def test_whatever_is_accepted_is_a_schema_for_the_package(schema: Any) -> None:
    try:
        check_schema(schema)
    except InvalidSchema:
        return

    Draft202012Validator.check_schema(schema)
    list(Draft202012Validator(schema).iter_errors({}))
