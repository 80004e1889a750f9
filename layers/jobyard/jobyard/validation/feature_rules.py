"""Rules about a feature by itself: its schema, its geometry, and rules that the project added."""

from collections.abc import Iterator, Mapping
from itertools import islice

import shapely
from jsonschema import Draft202012Validator, SchemaError
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.rules import (
    GeometryRule,
    NamedRule,
    Rule,
    RuleCheck,
    RuleSet,
    SchemaRule,
)
from jobyard.domain.datasets.validation_report import RuleFailure
from jobyard.domain.errors import InvalidRule
from jobyard.domain.manifests.findings import quoted, quoted_all
from jobyard.domain.plurals import plural
from jobyard.validation.geometries import geometry_of, reason_of, rounded
from jobyard.validation.named import NAMED_RULES

_MAX_SCHEMA_ERRORS = 20  # of a feature
_OF_FEATURES = (SchemaRule, GeometryRule, NamedRule)


def check_rules(rules: RuleSet) -> None:
    """Check what only the packages that apply rules can check.

    Raises:
        InvalidRule: a schema is not one, a reference in it leads nowhere, or no rule of a name was
            added.
    """
    for rule in rules.rules:
        if isinstance(rule, NamedRule) and rule.check not in NAMED_RULES:
            raise InvalidRule(rule.name, f"checks are {quoted_all(sorted(NAMED_RULES))}")
        if isinstance(rule, SchemaRule):
            _check_schema(rule)


def _check_schema(rule: SchemaRule) -> None:
    try:
        Draft202012Validator.check_schema(rule.schema)
    except SchemaError as error:
        raise InvalidRule(f"{rule.name}.schema", error.message) from error
    resource = DRAFT202012.create_resource(rule.schema)
    resolver = Registry().with_resource("", resource).resolver()
    for reference in _references(rule.schema):
        try:
            resolver.lookup(reference)
        except Unresolvable as error:
            allowed = f"{quoted(reference)} refers to nothing in the schema"
            raise InvalidRule(f"{rule.name}.schema", allowed) from error


def _references(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            if name in ("$ref", "$dynamicRef") and isinstance(each, str):
                yield each
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


class FeatureRules:
    """The rules of a dataset that are about single features."""

    def __init__(self, rules: RuleSet, precision: int) -> None:
        self._rules = [each for each in rules.rules if isinstance(each, _OF_FEATURES)]
        self._precision = precision
        self._validators = {
            rule.name: Draft202012Validator(rule.schema, registry=Registry())
            for rule in self._rules
            if isinstance(rule, SchemaRule)
        }

    def failures_of(self, feature: Feature | None) -> list[RuleFailure]:
        """How a feature breaks the rules, in their order; empty for one that is deleted."""
        if feature is None:
            return []
        applying = (rule for rule in self._rules if rule.applies_to(feature))
        return [each for rule in applying for each in self._failures(rule, feature)]

    def _failures(self, rule: Rule, feature: Feature) -> Iterator[RuleFailure]:
        if isinstance(rule, SchemaRule):
            yield from self._schema_failures(rule, feature)
        elif isinstance(rule, GeometryRule):
            yield from _geometry_failures(rule, feature, self._precision)
        elif isinstance(rule, NamedRule):
            code = RuleCheck.RULE_BROKEN.value
            problems = NAMED_RULES[rule.check](feature, rule.parameters, self._precision)
            for message, position in problems:
                yield RuleFailure(rule.name, code, feature.feature_id, message, (), position)

    def _schema_failures(self, rule: SchemaRule, feature: Feature) -> Iterator[RuleFailure]:
        code = RuleCheck.SCHEMA_BROKEN.value
        errors = self._validators[rule.name].iter_errors(feature.properties)
        try:
            for error in islice(errors, _MAX_SCHEMA_ERRORS):
                where = error.json_path.removeprefix("$").removeprefix(".")
                message = f"{where}: {error.message}" if where else error.message
                yield RuleFailure(rule.name, code, feature.feature_id, message)
        except RecursionError:
            message = "the schema refers to itself without end"
            yield RuleFailure(rule.name, code, feature.feature_id, message)


def _geometry_failures(
    rule: GeometryRule, feature: Feature, precision: int
) -> Iterator[RuleFailure]:
    def failure(
        check: RuleCheck, message: str, position: tuple[float, float] | None = None
    ) -> RuleFailure:
        return RuleFailure(rule.name, check.value, feature.feature_id, message, (), position)

    if feature.geometry is None:
        if rule.is_required:
            yield failure(RuleCheck.GEOMETRY_MISSING, "it has no geometry, which is required")
        return
    kind = feature.geometry["type"]
    if rule.types and kind not in rule.types:
        allowed = quoted_all(sorted(rule.types))
        yield failure(RuleCheck.GEOMETRY_TYPE, f"its geometry is a {kind}; allowed are {allowed}")
    geometry, problem = geometry_of(feature)
    if geometry is None:
        yield failure(RuleCheck.GEOMETRY_INVALID, problem)
    elif not geometry.is_valid:
        message, position = reason_of(geometry)
        yield failure(RuleCheck.GEOMETRY_INVALID, message, position)
    else:
        stored = rounded(geometry, precision)
        if not shapely.is_valid(stored):
            message, position = reason_of(stored)
            message = (
                f"it is valid as it is written, but not at the dataset's precision of "
                f"{plural(precision, 'decimal')}: {message}"
            )
            yield failure(RuleCheck.GEOMETRY_INVALID_ROUNDED, message, position)
