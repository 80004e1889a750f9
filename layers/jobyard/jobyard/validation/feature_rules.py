"""Rules about a feature by itself: its schema, its geometry, and rules that the project added."""

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from typing import Any

import shapely
from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry

from jobyard.domain.datasets.feature import Feature, value_key
from jobyard.domain.datasets.patterns import MAX_MATCHED, Pattern
from jobyard.domain.datasets.rules import (
    MAX_RULES,
    GeometryRule,
    NamedRule,
    Rule,
    RuleCheck,
    RuleSet,
    SchemaRule,
)
from jobyard.domain.datasets.validation_report import RuleFailure
from jobyard.domain.manifests.findings import quoted, quoted_all
from jobyard.domain.plurals import plural
from jobyard.validation.geometries import geometry_of, reason_of, rounded
from jobyard.validation.named import NAMED_RULES

_MAX_SCHEMA_ERRORS = 20  # of a feature
_OF_FEATURES = (SchemaRule, GeometryRule, NamedRule)


def _pattern_errors(
    _: object, pattern: str, instance: object, __: object
) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    if len(instance) > MAX_MATCHED:
        message = f"it is longer than the {MAX_MATCHED:,} letters that a pattern is matched with"
        yield ValidationError(message)
    elif not _compiled(pattern).is_in(instance):
        yield ValidationError(f"{quoted(instance)} does not match {quoted(pattern)}")


def _repetition_errors(
    _: object, is_unique: object, instance: object, __: object
) -> Iterator[ValidationError]:
    if not is_unique or not isinstance(instance, list):
        return
    if len({value_key(each) for each in instance}) < len(instance):
        yield ValidationError("it has an item twice")


def _factor_errors(
    validator: Any, factor: Any, instance: Any, schema: object
) -> Iterator[ValidationError]:
    try:
        yield from Draft202012Validator.VALIDATORS["multipleOf"](
            validator, factor, instance, schema
        )
    except OverflowError:  # an integer beyond all floats
        if Fraction(instance) % Fraction(factor):
            yield ValidationError(f"{instance!r:.80} is not a multiple of {factor!r:.80}")


_compiled = lru_cache(MAX_RULES)(Pattern)
# Patterns and repetitions of the package take time without bound, for some values; its multiples
# raise an error for integers beyond all floats.
_VALIDATOR = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {
        "multipleOf": _factor_errors,
        "pattern": _pattern_errors,
        "uniqueItems": _repetition_errors,
    },
)


class FeatureRules:
    """The rules of a dataset that are about single features."""

    def __init__(self, rules: RuleSet, precision: int) -> None:
        self._rules = [each for each in rules.rules if isinstance(each, _OF_FEATURES)]
        self._precision = precision
        self._validators = {
            rule.name: _VALIDATOR(rule.schema, registry=Registry())
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
        for error in islice(errors, _MAX_SCHEMA_ERRORS):
            where = error.json_path.removeprefix("$").removeprefix(".")
            message = f"{where}: {error.message}" if where else error.message
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
