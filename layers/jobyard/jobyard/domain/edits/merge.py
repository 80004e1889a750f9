"""Merges what two people changed in the same version of a dataset, property by property."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from jobyard.domain.datasets.changes import (
    ChangeKind,
    Difference,
    FeatureChange,
    change_of,
    difference_between,
    in_order,
)
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geometry import DEFAULT_PRECISION

Features = Mapping[str, Feature]


@dataclass(frozen=True, slots=True)
class MergeConflict:
    """A feature that both changed, so that a person has to decide.

    `difference` is where mine and theirs differ; of a feature that one side deleted, what the other
    changed.
    """

    feature_id: str
    mine: ChangeKind
    theirs: ChangeKind
    difference: Difference

    def document(self) -> dict[str, Any]:
        """The conflict as JSON. `update_delete` means that mine updates what theirs deleted."""
        return {
            "id": self.feature_id,
            "kind": f"{self.mine.value}_{self.theirs.value}",
            "properties": self.difference.names,
        }


@dataclass(frozen=True, slots=True)
class Resolution:
    """A property that both changed, and whose latest value counts. None stands for no value."""

    feature_id: str
    name: str
    mine: Any
    theirs: Any

    def document(self) -> dict[str, Any]:
        """The resolution as JSON."""
        return {
            "id": self.feature_id,
            "property": self.name,
            "mine": self.mine,
            "theirs": self.theirs,
        }


@dataclass(frozen=True, slots=True)
class Merge:
    """The result of a merge: my changes against theirs, and what remains for people.

    `same` are the ids of features that are the same after the changes of both. `new_ids` are my
    inserted features that got another id, since theirs has a feature of that id.
    """

    changes: tuple[FeatureChange, ...]
    conflicts: tuple[MergeConflict, ...] = ()
    same: tuple[str, ...] = ()
    resolutions: tuple[Resolution, ...] = ()
    new_ids: Mapping[str, str] | None = None

    def applied_to(self, theirs: Features) -> dict[str, Feature]:
        """Theirs with my changes, in the order of theirs; what is inserted comes last."""
        merged = dict(theirs)
        for change in self.changes:
            if change.after is None:
                merged.pop(change.feature_id, None)
            else:
                merged[change.feature_id] = change.after
        return merged


def merge(
    base: Features,
    mine: Features,
    theirs: Features,
    *,
    precision: int = DEFAULT_PRECISION,
    latest: Collection[str] = (),
    renumbers: bool = False,
) -> Merge:
    """Merge what I changed since `base` into theirs, which changed too.

    `latest` are properties whose latest value counts, which is mine. With `renumbers`, features
    that both inserted under one id with other values are kept both: mine get new ids.
    """
    new_ids = _new_ids(base, mine, theirs, precision) if renumbers else {}
    mine = {
        new_ids.get(each, each): replace(feature, feature_id=new_ids.get(each, each))
        for each, feature in mine.items()
    }
    changes: list[FeatureChange] = []
    conflicts: list[MergeConflict] = []
    resolutions: list[Resolution] = []
    same: list[str] = []
    for feature_id in in_order(base.keys() | mine.keys()):
        before, now = base.get(feature_id), theirs.get(feature_id)
        my_change = change_of(feature_id, before, mine.get(feature_id), precision)
        if my_change is None:
            continue
        their_change = change_of(feature_id, before, now, precision)
        merged = my_change.after
        if their_change is not None:
            both = _differing(my_change, their_change, precision)
            difference = both.without(latest)
            if difference or (merged is None) != (now is None):
                conflicts.append(_conflict(my_change, their_change, difference))
                continue
            resolutions += _resolutions(feature_id, both, merged, now)
            merged = with_changes(now, my_change)
        change = change_of(feature_id, now, merged, precision)
        if change:
            changes.append(change)
        elif change_of(feature_id, my_change.after, now, precision) is None:
            same.append(feature_id)
    return Merge(tuple(changes), tuple(conflicts), tuple(same), tuple(resolutions), new_ids)


def _differing(mine: FeatureChange, theirs: FeatureChange, precision: int) -> Difference:
    """What both changed, and not alike. Of an inserted feature all is changed."""
    if mine.after is None or theirs.after is None:
        return Difference()
    difference = difference_between(mine.after, theirs.after, precision)
    if mine.before is None:
        return difference
    return difference & mine.difference & theirs.difference


def _conflict(mine: FeatureChange, theirs: FeatureChange, difference: Difference) -> MergeConflict:
    if mine.after is None or theirs.after is None:
        difference = theirs.difference if mine.after is None else mine.difference
    return MergeConflict(mine.feature_id, mine.kind, theirs.kind, difference)


def _resolutions(
    feature_id: str, both: Difference, mine: Feature | None, theirs: Feature | None
) -> list[Resolution]:
    if mine is None or theirs is None:
        return []
    return [
        Resolution(feature_id, name, mine.properties.get(name), theirs.properties.get(name))
        for name in both.properties
    ]


def with_changes(feature: Feature | None, change: FeatureChange) -> Feature | None:
    """A feature with the properties and the geometry that a change to it sets."""
    if feature is None or change.after is None or change.before is None:
        return change.after
    after = change.after
    properties = dict(feature.properties)
    for name in change.difference.properties:
        if name in after.properties:
            properties[name] = after.properties[name]
        else:
            properties.pop(name, None)
    geometry = after.geometry if change.difference.in_geometry else feature.geometry
    return Feature(feature.feature_id, geometry, properties)


def _new_ids(base: Features, mine: Features, theirs: Features, precision: int) -> dict[str, str]:
    """New ids for my inserted features whose ids theirs has, with other values."""
    repeated = [
        each
        for each in in_order(mine.keys() & theirs.keys())
        if each not in base and change_of(each, mine[each], theirs[each], precision)
    ]
    taken = base.keys() | mine.keys() | theirs.keys()
    numbers = count(max((int(each) for each in taken if each.isdecimal()), default=0) + 1)
    new_ids = {}
    for each in repeated:
        if each.isdecimal():
            new_ids[each] = str(next(numbers))
        else:
            new_ids[each] = next(
                new for number in count(2) if (new := f"{each}-{number}") not in taken
            )
    return new_ids
