"""Rings have no spikes: corners so sharp that they come from a slip of the hand."""

from collections.abc import Iterator, Mapping, Sequence
from math import acos, degrees, hypot
from typing import Any

from jobyard.domain.datasets.feature import Feature, Geometry
from jobyard.domain.datasets.geometry import Position, parts_of

_SHARPEST = 1.0  # degrees, unless the parameter `degrees` says otherwise


def problems_of(
    feature: Feature, parameters: Mapping[str, Any], precision: int
) -> Iterator[tuple[str, tuple[float, float]]]:
    """The corners of a feature's rings that are sharper than `degrees` (1 by default)."""
    sharpest = float(parameters.get("degrees", _SHARPEST))
    for ring in _rings(feature.geometry):
        points = [(round(each[0], precision), round(each[1], precision)) for each in ring[:-1]]
        points = [each for index, each in enumerate(points) if each != points[index - 1]]
        for index, corner in enumerate(points):
            before, after = points[index - 1], points[(index + 1) % len(points)]
            angle = _angle(before, corner, after)
            if angle < sharpest:
                yield f"a corner has {angle:.2f} degrees, fewer than {sharpest:g}", corner


def _angle(
    before: tuple[float, float], corner: tuple[float, float], after: tuple[float, float]
) -> float:
    one = before[0] - corner[0], before[1] - corner[1]
    other = after[0] - corner[0], after[1] - corner[1]
    cosine = (one[0] * other[0] + one[1] * other[1]) / (hypot(*one) * hypot(*other))
    return degrees(acos(max(-1.0, min(1.0, cosine))))


def _rings(geometry: Geometry | None) -> Iterator[Sequence[Position]]:
    for kind, coordinates in parts_of(geometry) if geometry else ():
        if kind == "Polygon":
            yield from coordinates
