"""The rules of a dataset, which are data: what each is about, and what breaking it is called.

`jobyard.validation` applies them. Source: docs/datasets.md, which has an example of each kind.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NoReturn

from jobyard.domain.datasets.feature import Feature, value_key
from jobyard.domain.datasets.geometry import COLLECTION, SINGLE_OF
from jobyard.domain.datasets.json_schema import InvalidSchema, check_schema
from jobyard.domain.errors import InvalidRule
from jobyard.domain.manifests.findings import FindingCheck, quoted, quoted_all

MAX_RULES = 100
MAX_RULES_BYTES = 65_536  # of all rules of a dataset, as JSON
MAX_RULE_NAME = 64  # letters
MAX_RULES_DEPTH = 64  # of lists and objects within each other
GEOMETRY_TYPES = ("Point", "LineString", "Polygon", *SINGLE_OF, COLLECTION)
# The rules that this project added in code, in `jobyard.validation.named`.
NAMED_CHECKS = ("no_spikes",)


class RuleCheck(FindingCheck):
    """How a feature can break a rule, by the code of its failures."""

    SCHEMA_BROKEN = "SCHEMA_BROKEN", "error", "The properties do not fit the JSON schema."
    GEOMETRY_MISSING = "GEOMETRY_MISSING", "error", "A feature that must have a place has none."
    GEOMETRY_TYPE = "GEOMETRY_TYPE", "error", "The geometry is of a type that is not allowed."
    GEOMETRY_INVALID = (
        "GEOMETRY_INVALID",
        "error",
        "The geometry is not valid: its rings cross, or its parts overlap.",
    )
    GEOMETRY_INVALID_ROUNDED = (
        "GEOMETRY_INVALID_ROUNDED",
        "error",
        "The geometry is valid only as it is written, not at the precision of the dataset.",
    )
    OVERLAP = "OVERLAP", "error", "Two areas overlap by more than the precision."
    GAP = "GAP", "error", "Areas enclose a gap that is wider than the precision."
    VALUE_REPEATED = "VALUE_REPEATED", "error", "Two features have a value that must be unique."
    REFERENCE_MISSING = "REFERENCE_MISSING", "error", "The feature that a property names is gone."
    RULE_BROKEN = "RULE_BROKEN", "error", "A rule that the project added is broken."
    AREA_SKIPPED = (
        "AREA_SKIPPED",
        "warning",
        "An area is invalid, so it was not checked whether others overlap it.",
    )


@dataclass(frozen=True, slots=True)
class Layer:
    """The features of a dataset whose property has one of some values."""

    name: str
    property_name: str
    values: frozenset[str]  # by `value_key`

    def has(self, feature: Feature) -> bool:
        """Whether a feature is in the layer."""
        if self.property_name not in feature.properties:
            return False
        return value_key(feature.properties[self.property_name]) in self.values


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule for the features of some layers; for all features if it names no layer."""

    name: str
    layers: tuple[Layer, ...]

    def applies_to(self, feature: Feature) -> bool:
        """Whether the rule is about a feature."""
        return not self.layers or any(layer.has(feature) for layer in self.layers)


@dataclass(frozen=True, slots=True)
class SchemaRule(Rule):
    """The properties fit a JSON schema, of the draft of 2020-12."""

    schema: Mapping[str, Any] | bool


@dataclass(frozen=True, slots=True)
class GeometryRule(Rule):
    """Geometries are valid, of one of some types (any, if there are none), and perhaps required."""

    types: frozenset[str]
    is_required: bool


@dataclass(frozen=True, slots=True)
class NoOverlapRule(Rule):
    """Areas do not overlap: those of one layer, or those of a layer with those of another one."""


@dataclass(frozen=True, slots=True)
class NoGapRule(Rule):
    """Areas enclose no gap. One larger than `largest` square degrees is meant, such as a lake."""

    largest: float | None


@dataclass(frozen=True, slots=True)
class UniqueRule(Rule):
    """No two features have the same values of `properties`. Null is no value."""

    properties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReferenceRule(Rule):
    """A property names a feature of a layer (of any, if None), by its property (None: its id).

    It may be null, or missing.
    """

    property_name: str
    to_layer: Layer | None
    to_property: str | None


@dataclass(frozen=True, slots=True)
class NamedRule(Rule):
    """A rule that the project added in code, by its name there, with its parameters."""

    check: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of a dataset, checked, and their version: a digest of their documents."""

    rules: tuple[Rule, ...] = ()
    documents: tuple[Mapping[str, Any], ...] = ()

    @property
    def version(self) -> str:
        """16 hexadecimal digits; the same rules always have the same version."""
        return sha256(value_key(list(self.documents)).encode()).hexdigest()[:16]


def read_rules(documents: object) -> RuleSet:
    """The rules that a list of JSON objects describes.

    Raises:
        InvalidRule: a rule is not one; `where` says which and what of it.
    """
    if not isinstance(documents, Sequence) or isinstance(documents, str):
        raise InvalidRule("rules", "a list of objects is expected, one for each rule")
    if len(documents) > MAX_RULES:
        raise InvalidRule("rules", f"at most {MAX_RULES} rules are allowed")
    if _is_deeper(documents, MAX_RULES_DEPTH):
        raise InvalidRule("rules", f"rules are nested up to {MAX_RULES_DEPTH} levels deep")
    if len(json.dumps(documents).encode()) > MAX_RULES_BYTES:
        raise InvalidRule("rules", f"at most {MAX_RULES_BYTES:,} bytes of rules are allowed")
    layers: dict[str, Layer] = {}
    rules: list[Rule] = []
    for index, document in enumerate(documents):
        fields = _Fields(f"rules[{index}]", document, layers)
        kind = fields.text("rule")
        if kind == "layer":
            layer = _layer(fields)
            if layer.name in layers:
                fields.refuse("name", f"another layer is named {quoted(layer.name)}")
            layers[layer.name] = layer
        elif kind in _KINDS:
            rules.append(_KINDS[kind](fields))
            if any(each.name == rules[-1].name for each in rules[:-1]):
                fields.refuse("name", f"another rule is named {quoted(rules[-1].name)}")
        else:
            fields.refuse("rule", f"a rule is one of {quoted_all(['layer', *_KINDS])}")
        fields.refuse_others()
    return RuleSet(tuple(rules), tuple(documents))


def _is_deeper(value: object, most: int) -> bool:
    """Whether lists and objects of a JSON value are nested more than `most` levels deep."""
    level: list[object] = [value]
    for _ in range(most + 1):
        inner = [each for each in level if isinstance(each, Mapping | list)]
        level = [
            item
            for each in inner
            for item in (each.values() if isinstance(each, Mapping) else each)
        ]
        if not inner:
            return False
    return True


class _Fields:
    """The fields of one rule as they are read. `refuse_others` refuses what was not read."""

    def __init__(self, where: str, document: object, layers: Mapping[str, Layer]) -> None:
        self._where = where
        if not isinstance(document, Mapping):
            raise InvalidRule(where, "a rule is an object")
        self._document = document
        self._layers = layers
        self._read: set[str] = set()

    def refuse(self, name: str, allowed: str) -> NoReturn:
        """Refuse the value of a field."""
        raise InvalidRule(f"{self._where}.{name}", allowed)

    def refuse_others(self) -> None:
        """Refuse a field that the kind of rule does not have."""
        for name in self._document:
            if name not in self._read:
                allowed = quoted_all(sorted(self._read))
                raise InvalidRule(self._where, f"there is no {quoted(str(name))}, only {allowed}")

    def value(self, name: str) -> Any:
        """The value of a field; None if it is missing."""
        self._read.add(name)
        return self._document.get(name)

    def optional_text(self, name: str) -> str | None:
        """A text of some letters."""
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, str) or not 0 < len(value) <= MAX_RULE_NAME:
            self.refuse(name, f"it is a text of 1 to {MAX_RULE_NAME} letters")
        return str(value)

    def text(self, name: str) -> str:
        """A text that is required."""
        value = self.optional_text(name)
        if value is None:
            self.refuse(name, f"it is required, a text of 1 to {MAX_RULE_NAME} letters")
        return str(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty if it is missing."""
        values = self.value(name)
        if values is None:
            return ()
        if not _is_list_of_texts(values):
            self.refuse(name, f"it is a list of texts of 1 to {MAX_RULE_NAME} letters")
        return tuple(values)

    def layer(self, name: str) -> Layer | None:
        """A layer by its name."""
        value = self.optional_text(name)
        return None if value is None else self._layer_named(name, value)

    def layers(self, most: int = MAX_RULES) -> tuple[Layer, ...]:
        """The layers that the rule is about."""
        names = self.texts("layers")
        if len(names) > most:
            self.refuse("layers", f"at most {most} layers are allowed")
        return tuple(self._layer_named("layers", each) for each in names)

    def _layer_named(self, field: str, name: str) -> Layer:
        if name not in self._layers:
            known = quoted_all(sorted(self._layers)) if self._layers else "none"
            self.refuse(field, f"no layer {quoted(name)} is defined before the rule, only {known}")
        return self._layers[name]

    def name(self, default: str) -> str:
        """The name of the rule."""
        return self.optional_text("name") or default[:MAX_RULE_NAME]


def _is_list_of_texts(values: object) -> bool:
    return (
        isinstance(values, Sequence)
        and not isinstance(values, str)
        and all(isinstance(each, str) and 0 < len(each) <= MAX_RULE_NAME for each in values)
    )


def _layer(fields: _Fields) -> Layer:
    values = fields.value("values")
    if not isinstance(values, list) or not values:
        fields.refuse("values", "it is a list of at least one value")
    keys = frozenset(value_key(each) for each in values)
    return Layer(fields.text("name"), fields.text("property"), keys)


def _schema(fields: _Fields) -> Rule:
    schema = fields.value("schema")
    if not isinstance(schema, Mapping | bool):
        fields.refuse("schema", "it is a JSON schema, an object")
    try:
        check_schema(schema)
    except InvalidSchema as error:
        fields.refuse("schema", str(error))
    return SchemaRule(fields.name("schema"), fields.layers(), schema)


def _geometry(fields: _Fields) -> Rule:
    types = fields.texts("types")
    if not set(types) <= set(GEOMETRY_TYPES):
        fields.refuse("types", f"types are of {quoted_all(GEOMETRY_TYPES)}")
    is_required = fields.value("required")
    if is_required not in (None, True, False):
        fields.refuse("required", "it is true or false")
    name, layers = fields.name("geometry"), fields.layers()
    return GeometryRule(name, layers, frozenset(types), is_required is True)


def _no_overlap(fields: _Fields) -> Rule:
    return NoOverlapRule(fields.name("no_overlap"), fields.layers(most=2))


def _no_gap(fields: _Fields) -> Rule:
    largest = fields.value("largest")
    if largest is not None and (isinstance(largest, bool) or not isinstance(largest, int | float)):
        fields.refuse("largest", "it is a number of square degrees")
    return NoGapRule(fields.name("no_gap"), fields.layers(), largest)


def _unique(fields: _Fields) -> Rule:
    properties = fields.texts("properties")
    if not properties:
        fields.refuse("properties", "at least one property is required")
    name = fields.name(f"unique {' '.join(properties)}")
    return UniqueRule(name, fields.layers(), properties)


def _reference(fields: _Fields) -> Rule:
    property_name = fields.text("property")
    name = fields.name(f"reference {property_name}")
    to = fields.layer("to_layer"), fields.optional_text("to_property")
    return ReferenceRule(name, fields.layers(), property_name, *to)


def _named(fields: _Fields) -> Rule:
    check = fields.text("check")
    if check not in NAMED_CHECKS:
        fields.refuse("check", f"checks are {quoted_all(NAMED_CHECKS)}")
    parameters = fields.value("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        fields.refuse("parameters", "they are an object")
    return NamedRule(fields.name(check), fields.layers(), check, parameters or {})


_KINDS: Mapping[str, Callable[[_Fields], Rule]] = {
    "schema": _schema,
    "geometry": _geometry,
    "no_overlap": _no_overlap,
    "no_gap": _no_gap,
    "unique": _unique,
    "reference": _reference,
    "named": _named,
}


# Of a dataset that is loaded: what people change has to be valid, but for what they inherit.
DEFAULT_RULES = read_rules([{"rule": "geometry"}])
