"""Validates changed features by the rules of their dataset, as they will be at head."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from jobyard.domain.datasets.changes import in_order
from jobyard.domain.datasets.extent import Box
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geometry import is_same_geometry
from jobyard.domain.datasets.rules import RuleSet
from jobyard.domain.datasets.validation_report import MAX_FAILURES, RuleFailure, ValidationReport
from jobyard.validation.area_rules import AreaRules
from jobyard.validation.changed_features import ChangedFeatures
from jobyard.validation.feature_rules import FeatureRules
from jobyard.validation.value_rules import value_failures


def validate(
    changed: Mapping[str, Feature | None],
    before: Mapping[str, Feature],
    neighbours: Callable[[Box], Iterable[Feature]],
    everything: Callable[[], Iterable[Feature]],
    rules: RuleSet,
    precision: int,
) -> ValidationReport:
    """What the rules say about changed features (None: deleted), and about what is around them.

    `before` are those of them that exist at head, `neighbours` gives the features at head whose
    boxes touch a box, `everything` all of them. A failure that was there before is inherited: the
    values or geometries that it is about are the same.
    """
    changes = ChangedFeatures(changed, before, neighbours, everything, precision)
    areas = AreaRules(rules, changes)
    failures: list[RuleFailure] = []
    inherited: list[RuleFailure] = []
    more = 0
    found = chain(_feature_failures(rules, changes), value_failures(rules, changes), areas.found())
    for failure, is_inherited in found:
        listed = inherited if is_inherited else failures
        if len(listed) < MAX_FAILURES:
            listed.append(failure)
        else:
            more += 1
    skipped = tuple(in_order(areas.skipped)[:MAX_FAILURES])
    return ValidationReport(tuple(failures), tuple(inherited), rules.version, more, skipped)


def _feature_failures(
    rules: RuleSet, changes: ChangedFeatures
) -> Iterator[tuple[RuleFailure, bool]]:
    checks = FeatureRules(rules, changes.precision)
    for feature_id in in_order(changes.changed):
        after, before = changes.changed[feature_id], changes.before.get(feature_id)
        failures = checks.failures_of(after)
        if not failures:
            continue
        earlier = checks.failures_of(before)
        is_same_place = (
            after is not None
            and before is not None
            and is_same_geometry(before.geometry, after.geometry, changes.precision)
        )
        for failure in failures:
            is_about_place = failure.position is not None
            yield failure, failure in earlier and (is_same_place or not is_about_place)
