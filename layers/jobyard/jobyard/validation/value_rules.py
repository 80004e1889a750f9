"""Rules about values across a dataset: unique ones, and references to other features."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from jobyard.domain.datasets.feature import Feature, value_key
from jobyard.domain.datasets.rules import ReferenceRule, RuleCheck, RuleSet, UniqueRule
from jobyard.domain.datasets.validation_report import MAX_OTHERS, RuleFailure
from jobyard.domain.manifests.findings import quoted, quoted_all
from jobyard.domain.plurals import plural
from jobyard.validation.changed_features import ChangedFeatures

Found = Iterator[tuple[RuleFailure, bool]]  # failures, and whether each is inherited


class _ValueScan(Protocol):
    """A rule that is checked against the values of the features that do not change."""

    @property
    def needs_all(self) -> bool:
        """Whether it has to see the features that do not change."""

    def see(self, feature: Feature) -> None:
        """See a feature that does not change."""

    def found(self) -> Found:
        """The failures."""


def value_failures(rules: RuleSet, changes: ChangedFeatures) -> Found:
    """The failures of rules about values. All features are read once, if a rule needs them."""
    scans: list[_ValueScan] = []
    for rule in rules.rules:
        if isinstance(rule, UniqueRule):
            scans.append(_UniqueScan(rule, changes))
        elif isinstance(rule, ReferenceRule):
            scans.append(_ReferenceScan(rule, changes))
    if any(scan.needs_all for scan in scans):
        for feature in changes.unchanged():
            for scan in scans:
                scan.see(feature)
    for scan in scans:
        yield from scan.found()


class _UniqueScan:
    """Finds the features that share a value with a changed one.

    Only a new value makes it read all features, so a repeat that is older may not be listed.
    """

    def __init__(self, rule: UniqueRule, changes: ChangedFeatures) -> None:
        self._rule = rule
        self._before = {name: self._key(each) for name, each in changes.before.items()}
        self._holders: dict[str, list[str]] = defaultdict(list)
        self._others: dict[str, list[str]] = defaultdict(list)
        self._values: dict[str, Any] = {}
        for feature_id, feature in changes.changed.items():
            key = "" if feature is None else self._key(feature)
            if key and feature:
                self._holders[key].append(feature_id)
                self._values[key] = [feature.properties[name] for name in rule.properties]

    @property
    def needs_all(self) -> bool:
        return any(
            self._before.get(each) != key for key, ids in self._holders.items() for each in ids
        )

    def see(self, feature: Feature) -> None:
        key = self._key(feature)
        if key in self._holders and len(self._others[key]) <= MAX_OTHERS:
            self._others[key].append(feature.feature_id)

    def found(self) -> Found:
        for key, holders in self._holders.items():
            others = self._others.get(key, [])
            if len(holders) + len(others) < 2:
                continue
            new = [each for each in holders if self._before.get(each) != key]
            first = (new or holders)[0]
            rest = [each for each in holders if each != first] + others
            names = ", ".join(self._rule.properties)
            value = ", ".join(map(value_key, self._values[key]))
            message = f"{names} must be unique, but {value} is also that of {quoted_all(rest)}"
            yield self._failure(first, message, rest), not new

    def _failure(self, feature_id: str, message: str, others: Sequence[str]) -> RuleFailure:
        code = RuleCheck.VALUE_REPEATED.value
        return RuleFailure(self._rule.name, code, feature_id, message, tuple(others))

    def _key(self, feature: Feature) -> str:
        """The key of the values that must be unique; "" if one of them is null or missing."""
        if not self._rule.applies_to(feature):
            return ""
        values = [feature.properties.get(name) for name in self._rule.properties]
        return "" if None in values else value_key(values)


class _ReferenceScan:
    """Finds changed features that name nothing, and features that name what is deleted."""

    def __init__(self, rule: ReferenceRule, changes: ChangedFeatures) -> None:
        self._rule = rule
        after = [each for each in changes.changed.values() if each is not None]
        targets = {key for key in map(self._target_key, after) if key}
        before = ((name, self._target_key(each)) for name, each in changes.before.items())
        self._gone = {key: name for name, key in before if key and key not in targets}
        self._wanted: dict[str, list[str]] = defaultdict(list)
        for feature in after:
            key = self._source_key(feature)
            if key and key not in targets:
                self._wanted[key].append(feature.feature_id)
        self._before = {name: self._source_key(each) for name, each in changes.before.items()}
        self._present: set[str] = set()  # keys that a feature still has
        self._orphans: dict[str, list[str]] = defaultdict(list)

    @property
    def needs_all(self) -> bool:
        return bool(self._gone) or any(
            self._is_new(each, key) for key, ids in self._wanted.items() for each in ids
        )

    def see(self, feature: Feature) -> None:
        target = self._target_key(feature)
        if target in self._wanted or target in self._gone:
            self._present.add(target)
        source = self._source_key(feature)
        if source in self._gone and len(self._orphans[source]) <= MAX_OTHERS:
            self._orphans[source].append(feature.feature_id)

    def found(self) -> Found:
        if not self.needs_all:
            return
        code, name = RuleCheck.REFERENCE_MISSING.value, self._rule.name
        for key, ids in self._wanted.items():
            if key in self._present:
                continue
            for each in ids:
                message = f"{self._rule.property_name} is {key}, but there is no such feature"
                is_new = self._is_new(each, key)
                yield RuleFailure(name, code, each, message), not is_new
        for key, ids in self._orphans.items():
            if key in self._present:
                continue
            shown = quoted_all(ids)
            message = f"it is gone as {key}, but {quoted(self._rule.property_name)} of {shown} "
            message += f"still names it: {plural(len(ids), 'feature')} at least"
            yield RuleFailure(name, code, self._gone[key], message, tuple(ids)), False

    def _is_new(self, feature_id: str, key: str) -> bool:
        return self._before.get(feature_id) != key or key in self._gone

    def _source_key(self, feature: Feature) -> str:
        """The key of what a feature names; "" if it names nothing."""
        value = feature.properties.get(self._rule.property_name)
        if value is None or not self._rule.applies_to(feature):
            return ""
        return self._by_id(value) if self._rule.to_property is None else value_key(value)

    def _target_key(self, feature: Feature) -> str:
        """The key by which a feature is named; "" if it cannot be."""
        if self._rule.to_layer is not None and not self._rule.to_layer.has(feature):
            return ""
        if self._rule.to_property is None:
            return value_key(feature.feature_id)
        value = feature.properties.get(self._rule.to_property)
        return "" if value is None else value_key(value)

    def _by_id(self, value: Any) -> str:
        """The key of a value that is an id: 1 and "1" name the same feature."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return value_key(value_key(value)) if is_number else value_key(value)
