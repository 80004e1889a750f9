"""Rules about how areas lie next to each other: no overlap, and no gap between them.

Only what is around changed features is read, in groups of features that are close together.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import TypeVar

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from jobyard.domain.datasets.changes import in_order
from jobyard.domain.datasets.extent import Box, union
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geometry import is_same_geometry
from jobyard.domain.datasets.rules import NoGapRule, NoOverlapRule, Rule, RuleCheck, RuleSet
from jobyard.domain.datasets.validation_report import RuleFailure
from jobyard.domain.manifests.findings import quoted, quoted_all
from jobyard.validation.changed_features import ChangedFeatures
from jobyard.validation.geometries import area_of, repaired, wide_parts

_MAX_GROUP = 250  # changed features
_SPARSE = 4  # times the area of its features: a group may not be larger, or it reads too much

Found = Iterator[tuple[RuleFailure, bool]]  # failures, and whether each is inherited
Areas = Mapping[str, BaseGeometry]  # by the ids of features
_Value = TypeVar("_Value")


class AreaRules:
    """The rules of a dataset about areas, and the changed features they are about."""

    def __init__(self, rules: RuleSet, changes: ChangedFeatures) -> None:
        self.skipped: set[str] = set()  # features whose area is invalid
        self._changes = changes
        self._overlap = [each for each in rules.rules if isinstance(each, NoOverlapRule)]
        self._gap = [each for each in rules.rules if isinstance(each, NoGapRule)]
        self._width = 10.0**-changes.precision
        self._reported: set[tuple[str, ...]] = set()

    def found(self) -> Found:
        """The failures, group by group."""
        if not self._overlap and not self._gap:
            return
        after = {name: each for name, each in self._changes.changed.items() if each is not None}
        new, old = self._areas(after), self._areas(self._changes.before)
        boxes = {name: _box_around(name, new, old) for name in new.keys() | old.keys()}
        if self._gap:
            boxes = {name: _grown(box) for name, box in boxes.items()}
        names = in_order(boxes)
        tree = shapely.STRtree([shapely.box(*boxes[name]) for name in names])
        for group in _groups(boxes):
            box = union(boxes[name] for name in group)
            near = [names[each] for each in sorted(tree.query(shapely.box(*box)))]
            around = {each.feature_id: each for each in self._changes.unchanged_in(box)}
            neighbourhood = _Neighbourhood(
                group,
                {**around, **_of(after, near)},
                {**around, **_of(self._changes.before, near)},
                {**self._areas(around), **_of(new, near)},
                _of(old, near),
                box,
            )
            for overlap_rule in self._overlap:
                yield from self._overlaps(overlap_rule, neighbourhood)
            for gap_rule in self._gap:
                yield from self._gaps(gap_rule, neighbourhood)

    def _areas(self, features: Mapping[str, Feature]) -> dict[str, BaseGeometry]:
        areas = {name: area_of(each, self._changes.precision) for name, each in features.items()}
        return {name: each for name, each in areas.items() if each is not None}

    def _overlaps(self, rule: NoOverlapRule, near: "_Neighbourhood") -> Found:
        areas = self._valid(rule, near.after, near.areas)
        changed = [name for name in near.group if name in areas]
        names = [*areas]
        tree = shapely.STRtree([*areas.values()])
        ones, others = tree.query([areas[name] for name in changed], predicate="intersects")
        pairs = sorted(
            {
                (min(pair), max(pair))
                for pair in ((changed[a], names[b]) for a, b in zip(ones, others, strict=True))
                if pair[0] != pair[1]
            }
        )
        pairs = [
            pair
            for pair in pairs
            if _is_about(rule, *(near.after[each] for each in pair))
            and (rule.name, *pair) not in self._reported
        ]
        left, right = ([areas[pair[side]] for pair in pairs] for side in (0, 1))
        touching = shapely.touches(left, right) if pairs else ()
        for pair, one, other, touches in zip(pairs, left, right, touching, strict=True):
            parts = [] if touches else [*wide_parts(shapely.intersection(one, other), self._width)]
            if not parts:
                continue
            self._reported.add((rule.name, *pair))
            first, second = pair if pair[0] in near.group else pair[::-1]
            point = max(parts, key=lambda part: part.area).representative_point()
            message = f"it overlaps {quoted(second)}"
            code = RuleCheck.OVERLAP.value
            position = _position(point, self._changes.precision)
            failure = RuleFailure(rule.name, code, first, message, (second,), position)
            yield failure, self._was_there(rule, pair, near)

    def _was_there(self, rule: NoOverlapRule, pair: Sequence[str], near: "_Neighbourhood") -> bool:
        before = [near.before.get(name) for name in pair]
        if before[0] is None or before[1] is None:
            return False
        is_same = all(
            is_same_geometry(
                near.before[name].geometry, near.after[name].geometry, self._changes.precision
            )
            for name in pair
        )
        return is_same and _is_about(rule, before[0], before[1])

    def _gaps(self, rule: NoGapRule, near: "_Neighbourhood") -> Found:
        changed = [
            area
            for name in near.group
            for area in (near.areas.get(name), near.old_areas.get(name))
            if area is not None
        ]
        old = {**near.areas, **near.old_areas}
        holes = [*self._holes(rule, near, near.after, near.areas)]
        holes = [hole for hole in holes if any(shapely.intersects(changed, hole))]
        if not holes:
            return
        before = [*self._holes(rule, near, near.before, _of(old, near.before))]
        for hole in holes:
            key = (rule.name, shapely.to_wkt(hole.normalize(), rounding_precision=9))
            if key in self._reported:
                continue
            self._reported.add(key)
            names = [
                name
                for name in in_order(near.after)
                if name in near.areas and shapely.intersects(near.areas[name], hole)
            ]
            first = next((each for each in names if each in near.group), near.group[0])
            others = tuple(each for each in names if each != first)
            message = f"there is a gap between {quoted_all(names)}"
            code = RuleCheck.GAP.value
            position = _position(hole.representative_point(), self._changes.precision)
            failure = RuleFailure(rule.name, code, first, message, others, position)
            yield failure, any(self._is_same_hole(hole, each) for each in before)

    def _holes(
        self, rule: NoGapRule, near: "_Neighbourhood", features: Mapping[str, Feature], areas: Areas
    ) -> Iterator[BaseGeometry]:
        """The gaps between areas that are wide enough to count, and lie in the box as a whole.

        An invalid area is repaired, so that where it is, there is no gap.
        """
        covering = [
            area if area.is_valid else repaired(area)
            for name, area in areas.items()
            if name in features and rule.applies_to(features[name])
        ]
        whole = shapely.box(*near.box)
        for part in shapely.get_parts(shapely.union_all(covering)):
            if part.geom_type != "Polygon":
                continue
            for ring in part.interiors:
                hole = shapely.Polygon(ring)
                is_meant = rule.largest is not None and hole.area > rule.largest
                if not is_meant and whole.contains(hole) and any(wide_parts(hole, self._width)):
                    yield hole

    def _is_same_hole(self, one: BaseGeometry, other: BaseGeometry) -> bool:
        if not one.intersects(other):
            return False
        return not any(wide_parts(one.symmetric_difference(other), self._width))

    def _valid(
        self, rule: Rule, features: Mapping[str, Feature], areas: Areas
    ) -> dict[str, BaseGeometry]:
        """The valid areas of the features that a rule is about; the others are noted as skipped.

        A predicate on an invalid geometry says False, or anything, instead of failing.
        """
        about = {name: each for name, each in areas.items() if rule.applies_to(features[name])}
        invalid = {name for name, each in about.items() if not each.is_valid}
        self.skipped |= invalid
        return {name: each for name, each in about.items() if name not in invalid}


@dataclass(frozen=True, slots=True)
class _Neighbourhood:
    """A group of changed features, and all features around, before and after the change."""

    group: Sequence[str]
    after: Mapping[str, Feature]
    before: Mapping[str, Feature]
    areas: Areas  # after the change
    old_areas: Areas  # of changed features
    box: Box = field(repr=False)


def _is_about(rule: NoOverlapRule, one: Feature, other: Feature) -> bool:
    """Whether a rule is about a pair of features."""
    if len(rule.layers) < 2:
        return rule.applies_to(one) and rule.applies_to(other)
    first, second = rule.layers
    return (first.has(one) and second.has(other)) or (first.has(other) and second.has(one))


def _of(values: Mapping[str, _Value], names: Iterable[str]) -> dict[str, _Value]:
    return {name: values[name] for name in names if name in values}


def _box_around(name: str, *areas: Areas) -> Box:
    return union(Box(*each[name].bounds) for each in areas if name in each)


def _grown(box: Box) -> Box:
    """A box with as much again on each side, where the features around a gap are."""
    width, height = box.east - box.west, box.north - box.south
    return Box(box.west - width, box.south - height, box.east + width, box.north + height)


def _groups(boxes: Mapping[str, Box]) -> Iterator[list[str]]:
    """The features in groups that are close together."""
    group: list[str] = []
    whole, size = Box(0, 0, 0, 0), 0.0
    for name in _in_strips(boxes):
        box = boxes[name]
        whole, size = (union((whole, box)), size + _size(box)) if group else (box, _size(box))
        if group and (len(group) == _MAX_GROUP or _size(whole) > _SPARSE * size):
            yield group
            group, whole, size = [], box, _size(box)
        group.append(name)
    if group:
        yield group


def _in_strips(boxes: Mapping[str, Box]) -> Iterator[str]:
    """The features from south to north, strip by strip from west to east."""
    names = sorted(in_order(boxes), key=lambda name: boxes[name].west)
    strip = ceil(sqrt(len(names) * _MAX_GROUP))
    for start in range(0, len(names), strip):
        yield from sorted(names[start : start + strip], key=lambda name: boxes[name].south)


def _size(box: Box) -> float:
    return (box.east - box.west) * (box.north - box.south)


def _position(point: BaseGeometry, precision: int) -> tuple[float, float]:
    x, y = np.round(shapely.get_coordinates(point)[0], precision)
    return float(x), float(y)
