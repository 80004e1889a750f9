"""What differs between two versions of a dataset, feature by feature."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jobyard.domain.datasets.feature import GEOMETRY, Feature, is_same
from jobyard.domain.datasets.geometry import DEFAULT_PRECISION, has_heights, is_same_geometry
from jobyard.domain.natural_order import natural_key


class ChangeKind(StrEnum):
    """What happened to a feature."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two versions of a feature differ: the names of properties, sorted, and the geometry."""

    properties: tuple[str, ...] = ()
    in_geometry: bool = False

    def __bool__(self) -> bool:
        return self.in_geometry or bool(self.properties)

    def __and__(self, other: "Difference") -> "Difference":
        """What is in both."""
        properties = tuple(each for each in self.properties if each in other.properties)
        return Difference(properties, self.in_geometry and other.in_geometry)

    def without(self, names: Collection[str]) -> "Difference":
        """The rest, if some properties do not count."""
        properties = tuple(each for each in self.properties if each not in names)
        return Difference(properties, self.in_geometry)

    @property
    def names(self) -> list[str]:
        """The names of the properties, and last `geometry` if that differs."""
        return [*self.properties, *([GEOMETRY] if self.in_geometry else [])]


def difference_between(
    before: Feature, after: Feature, precision: int = DEFAULT_PRECISION
) -> Difference:
    """Where two features differ. A property that is null differs from one that is missing."""
    one, other = before.properties, after.properties
    names = sorted(
        name
        for name in one.keys() | other.keys()
        if name not in one or name not in other or not is_same(one[name], other[name])
    )
    is_same_place = is_same_geometry(before.geometry, after.geometry, precision)
    return Difference(tuple(names), not is_same_place)


@dataclass(frozen=True, slots=True)
class FeatureChange:
    """A feature that differs. `before` is None if it is inserted, `after` if it is deleted.

    `difference` is empty unless it is an update.
    """

    feature_id: str
    before: Feature | None
    after: Feature | None
    difference: Difference = Difference()

    @property
    def kind(self) -> ChangeKind:
        """Whether the feature is inserted, updated or deleted."""
        if self.before is None:
            return ChangeKind.INSERT
        return ChangeKind.DELETE if self.after is None else ChangeKind.UPDATE

    @property
    def dropped_properties(self) -> list[str]:
        """The names of properties that the feature had before, and does not have now."""
        if self.after is None:
            return []
        had = () if self.before is None else self.before.properties
        return [each for each in had if each not in self.after.properties]

    @property
    def drops_heights(self) -> bool:
        """Whether positions had heights before, and have none now."""
        if self.before is None or self.after is None or self.after.geometry is None:
            return False
        return has_heights(self.before.geometry) and not has_heights(self.after.geometry)

    def document(self) -> dict[str, Any]:
        """The change as JSON, without the features."""
        return {
            "id": self.feature_id,
            "op": self.kind.value,
            "properties": self.difference.names,
        }


def change_of(
    feature_id: str,
    before: Feature | None,
    after: Feature | None,
    precision: int = DEFAULT_PRECISION,
) -> FeatureChange | None:
    """What happened to a feature; None if nothing did."""
    if before is None or after is None:
        return None if before is after else FeatureChange(feature_id, before, after)
    difference = difference_between(before, after, precision)
    return FeatureChange(feature_id, before, after, difference) if difference else None


def changes_between(
    before: Mapping[str, Feature],
    after: Mapping[str, Feature],
    precision: int = DEFAULT_PRECISION,
) -> list[FeatureChange]:
    """The changes from one version of a dataset to another, in the order of ids."""
    found = (
        change_of(each, before.get(each), after.get(each), precision)
        for each in in_order(before.keys() | after.keys())
    )
    return [change for change in found if change]


def in_order(feature_ids: Collection[str]) -> list[str]:
    """Ids in the order that people expect, 9 before 10."""
    return sorted(feature_ids, key=lambda each: (natural_key(each), each))
