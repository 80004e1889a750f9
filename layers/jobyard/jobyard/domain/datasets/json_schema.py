"""Checks JSON schemas of rules: they are ones, and checking a feature by them has a bounded cost.

Of the draft of 2020-12, all that describes values is allowed. References stay within the schema and
form no circle; with all of them followed, a schema has a bounded number of parts.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, NoReturn
from urllib.parse import unquote

from jobyard.domain.datasets.patterns import InvalidPattern, Pattern
from jobyard.domain.manifests.findings import quoted, quoted_all

DRAFT = "https://json-schema.org/draft/2020-12/schema"
MAX_SCHEMA_PARTS = 1_000  # schemas within a schema, each as often as something refers to it
MAX_SCHEMA_DEPTH = 32  # of them within each other
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_PART = frozenset(
    {"additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"}
)
_PARTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_NAMED_PARTS = frozenset({"$defs", "dependentSchemas", "properties"})


class InvalidSchema(ValueError):
    """A JSON value is no schema, or one that is not allowed; the message says where and why."""


def check_schema(schema: object) -> None:
    """Check a schema.

    Raises:
        InvalidSchema.
    """
    _Check(schema).part(schema, "", 0, frozenset())


class _Check:
    """A pass over a schema, with all its references followed."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._parts = 0

    def part(self, schema: object, where: str, depth: int, followed: frozenset[str]) -> None:
        """Check a schema at `where`, within `depth` others. `followed` are the references that lead
        to it.
        """
        self._parts += 1
        if self._parts > MAX_SCHEMA_PARTS:
            _refuse(
                "", f"it has more than {MAX_SCHEMA_PARTS:,} parts, with its references followed"
            )
        if depth > MAX_SCHEMA_DEPTH:
            _refuse(
                "", f"schemas are nested up to {MAX_SCHEMA_DEPTH} deep, with references followed"
            )
        if isinstance(schema, bool):
            return
        if not isinstance(schema, Mapping):
            _refuse(where, "a schema is an object, true or false")
        for name, value in schema.items():
            self._keyword(name, value, f"{where}/{name}", depth + 1, followed)

    def _keyword(
        self, name: str, value: object, place: str, depth: int, followed: frozenset[str]
    ) -> None:
        if name in _PART:
            self.part(value, place, depth, followed)
        elif name in _PARTS:
            self._list(value, place, depth, followed)
        elif name in _NAMED_PARTS:
            for key, each in _object(value, place).items():
                self.part(each, f"{place}/{key}", depth, followed)
        elif name == "$ref":
            self._reference(value, place, depth, followed)
        elif name == "pattern":
            _check_pattern(value, place)
        elif name not in _VALUES:
            _refuse(place, f"it is not among {quoted_all(sorted(_KNOWN))}")
        else:
            is_allowed, allowed = _VALUES[name]
            if not is_allowed(value):
                _refuse(place, allowed)

    def _list(self, value: object, place: str, depth: int, followed: frozenset[str]) -> None:
        if not isinstance(value, list) or not value:
            _refuse(place, "it is a list of at least one schema")
        for index, each in enumerate(value):
            self.part(each, f"{place}/{index}", depth, followed)

    def _reference(self, value: object, place: str, depth: int, followed: frozenset[str]) -> None:
        if not isinstance(value, str) or not (value == "#" or value.startswith("#/")):
            _refuse(place, 'it is "#/" and a path within the schema: no other document is read')
        if value in followed:
            _refuse(place, f"{quoted(value)} leads back to itself: references form no circle")
        self.part(self._found(value, place), value, depth, followed | {value})

    def _found(self, reference: str, place: str) -> object:
        """What a reference leads to."""
        found = self._root
        for part in unquote(reference).split("/")[1:]:  # as the package does: %2F is a / too
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and name in found:
                found = found[name]
            elif isinstance(found, list) and _is_index(name, found):
                found = found[int(name)]
            else:
                _refuse(place, f"{quoted(reference)} refers to nothing in the schema")
        return found


def _is_index(text: str, found: list[object]) -> bool:
    return text.isdecimal() and len(text) < 6 and int(text) < len(found)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_factor(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_type(value: object) -> bool:
    return _are_names(value if isinstance(value, list) else [value], _TYPES) and value != []


def _are_names(value: object, allowed: Collection[str] = ()) -> bool:
    """Whether it is a list of different texts; of some of `allowed`, if there are any."""
    return (
        isinstance(value, list)
        and all(isinstance(each, str) and (not allowed or each in allowed) for each in value)
        and len(set(value)) == len(value)
    )


def _is_map_of_names(value: object) -> bool:
    return isinstance(value, Mapping) and all(map(_are_names, value.values()))


_COUNT = _is_count, "it is a whole number, 0 or more"
_NUMBER = _is_number, "it is a number"
_FLAG = (lambda value: isinstance(value, bool)), "it is true or false"
_TEXT = (lambda value: isinstance(value, str)), "it is a text"
_Values = Mapping[str, tuple[Callable[[object], bool], str]]
# What a keyword without a schema in it may have as its value.
_VALUES: _Values = {
    **dict.fromkeys(("maxContains", "maxItems", "maxLength", "maxProperties"), _COUNT),
    **dict.fromkeys(("minContains", "minItems", "minLength", "minProperties"), _COUNT),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"), _NUMBER),
    **dict.fromkeys(("deprecated", "readOnly", "uniqueItems", "writeOnly"), _FLAG),
    **dict.fromkeys(("$comment", "description", "format", "title"), _TEXT),
    **dict.fromkeys(("const", "default"), (lambda _: True, "")),
    **dict.fromkeys(("enum", "examples"), (lambda value: isinstance(value, list), "it is a list")),
    "$schema": (lambda value: value == DRAFT, f"the draft is that of 2020-12, {DRAFT}"),
    "dependentRequired": (_is_map_of_names, "it is an object with lists of names"),
    "multipleOf": (_is_factor, "it is a number above 0"),
    "required": (_are_names, "it is a list of names, each once"),
    "type": (_is_type, f"it is one of {quoted_all(_TYPES)}, or a list of some"),
}
_KNOWN = {*_PART, *_PARTS, *_NAMED_PARTS, *_VALUES, "$ref", "pattern"}


def _check_pattern(value: object, place: str) -> None:
    if not isinstance(value, str):
        _refuse(place, "it is a text")
    try:
        Pattern(value)
    except InvalidPattern as error:
        _refuse(place, str(error))


def _object(value: object, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        _refuse(place, "it is an object")
    return value


def _refuse(place: str, allowed: str) -> NoReturn:
    raise InvalidSchema(f"{place or '/'}: {allowed}")
