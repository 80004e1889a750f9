"""Conflicts of an edit job with what became live meanwhile, and how a worker decides them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from jobyard.domain.datasets.base_format import feature_of
from jobyard.domain.datasets.changes import ChangeKind, Difference, FeatureChange, change_of
from jobyard.domain.datasets.feature import GEOMETRY, Feature, is_same
from jobyard.domain.datasets.geojson_checks import FeatureFinding
from jobyard.domain.datasets.geometry import is_same_geometry
from jobyard.domain.edits.merge import MergeConflict, with_changes
from jobyard.domain.edits.upload import (
    Choice,
    Upload,
    UploadCheck,
    UploadedChanges,
    upload_finding,
)


@dataclass(frozen=True, slots=True)
class ConflictVersions:
    """A conflict with the three versions of its feature: what both began with, mine, and theirs."""

    conflict: MergeConflict
    base: Feature | None
    mine: Feature | None
    theirs: Feature | None

    @property
    def feature_id(self) -> str:
        """The feature that both changed."""
        return self.conflict.feature_id

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What its worker may choose."""
        both_insert = self.conflict.mine is self.conflict.theirs is ChangeKind.INSERT
        return tuple(Choice) if both_insert else (Choice.MINE, Choice.THEIRS)

    def as_chosen(self, choice: Choice, precision: int) -> Feature | None:
        """The feature if all that is in conflict is mine or theirs. What only one of both changed
        is kept in either case.
        """
        winner, other = (
            (self.mine, self.theirs) if choice is Choice.MINE else (self.theirs, self.mine)
        )
        change = change_of(self.feature_id, self.base, winner, precision)
        if winner is None or other is None or change is None:
            return winner
        return with_changes(other, change)

    def has_only_values_of(self, feature: Feature | None, precision: int) -> bool:
        """Whether each value of a feature is mine or theirs, so that nobody has to review it."""
        if feature is None or self.mine is None or self.theirs is None:
            sides = (self.as_chosen(each, precision) for each in Choice)
            return any(change_of("", feature, each, precision) is None for each in sides)
        one, other = self.mine, self.theirs
        names = feature.properties.keys() | one.properties.keys() | other.properties.keys()
        return all(
            _is_value_of(name, feature, one) or _is_value_of(name, feature, other) for name in names
        ) and any(
            is_same_geometry(feature.geometry, side.geometry, precision) for side in (one, other)
        )

    def document(self) -> dict[str, Any]:
        """The conflict as JSON, with the features as GeoJSON."""
        versions = {"base": self.base, "mine": self.mine, "theirs": self.theirs}
        return {
            **self.conflict.document(),
            "choices": [each.value for each in self.choices],
            **{name: each and each.document() for name, each in versions.items()},
        }


def _is_value_of(name: str, feature: Feature, other: Feature) -> bool:
    mine, theirs = feature.properties, other.properties
    if name not in mine or name not in theirs:
        return (name in mine) == (name in theirs)
    return is_same(mine[name], theirs[name])


def conflict_from(document: Mapping[str, Any]) -> ConflictVersions:
    """The conflict that `ConflictVersions.document` describes."""
    mine, theirs = document["kind"].split("_")
    names = document["properties"]
    difference = Difference(tuple(each for each in names if each != GEOMETRY), GEOMETRY in names)
    conflict = MergeConflict(document["id"], ChangeKind(mine), ChangeKind(theirs), difference)
    features = (document[name] for name in ("base", "mine", "theirs"))
    base, my_version, their_version = (each and feature_of(each) for each in features)
    return ConflictVersions(conflict, base, my_version, their_version)


def decided(
    conflicts: Sequence[ConflictVersions],
    upload: Upload,
    precision: int,
    new_ids: Mapping[str, str] = MappingProxyType({}),
) -> UploadedChanges:
    """The decisions of an upload, as changes against theirs. Each conflict is decided by a choice,
    by a feature that is uploaded, or by an id in `deleted`. `new_ids` are those of features that
    are renumbered.
    """
    changes: list[FeatureChange] = []
    findings: list[FeatureFinding] = []
    known, deleted = {each.feature_id for each in conflicts}, set(upload.deleted)
    for conflict in conflicts:
        feature_id = conflict.feature_id
        choice = upload.choices.get(feature_id)
        if choice is not None and choice not in conflict.choices:
            message = "renumber: only what both inserted can have two ids"
            findings.append(upload_finding(UploadCheck.CHOICE_BAD, feature_id, message))
        elif choice == Choice.RENUMBER:
            changes += _renumbered(conflict, new_ids[feature_id], precision)
        elif choice or feature_id in upload.features or feature_id in deleted:
            after = (
                conflict.as_chosen(Choice(choice), precision)
                if choice
                else upload.features.get(feature_id)
            )
            change = change_of(feature_id, conflict.theirs, after, precision)
            changes += [change] if change else []
        else:
            message = "the conflict is not decided: upload the feature, delete it, or choose"
            findings.append(upload_finding(UploadCheck.CONFLICT_OPEN, feature_id, message))
    for name in _unknown(upload, known):
        message = "it is in no conflict: change it in another edit job"
        findings.append(upload_finding(UploadCheck.OUTSIDE_PACKAGE, name, message))
    return UploadedChanges(changes, findings)


def _renumbered(conflict: ConflictVersions, new_id: str, precision: int) -> Iterator[FeatureChange]:
    """Mine as an inserted feature with another id; theirs stays."""
    if conflict.mine is not None:
        change = change_of(new_id, None, replace(conflict.mine, feature_id=new_id), precision)
        if change:
            yield change


def _unknown(upload: Upload, known: set[str]) -> Iterable[str]:
    named = [*upload.features, *upload.deleted, *upload.choices]
    return [each for each in dict.fromkeys(named) if each not in known]
