"""Geometries of Shapely, made from those of features."""

import re
from collections.abc import Iterator

import numpy as np
import shapely
import shapely.geometry
from shapely.errors import ShapelyError
from shapely.geometry.base import BaseGeometry

from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geometry import COLLECTION

_AREAS = ("Polygon", "MultiPolygon")
_REASON = re.compile(r"(?P<reason>[^\[]*)\[(?P<x>[-+.e\d]+) (?P<y>[-+.e\d]+)")


def geometry_of(feature: Feature) -> tuple[BaseGeometry | None, str]:
    """The geometry of a feature without heights; None if it has none or has too few points.

    The second is what is wrong with it then.
    """
    if feature.geometry is None:
        return None, ""
    try:
        return shapely.force_2d(shapely.geometry.shape(dict(feature.geometry))), ""
    except (ShapelyError, ValueError) as error:  # a line of one point, a ring of three
        return None, str(error)


def rounded(geometry: BaseGeometry, precision: int) -> BaseGeometry:
    """The geometry with positions of `precision` decimals; it may be invalid."""
    return shapely.transform(geometry, lambda positions: np.round(positions, precision))


def area_of(feature: Feature, precision: int) -> BaseGeometry | None:
    """The area of a feature as it is stored, perhaps invalid; None if its geometry has none."""
    geometry, _ = geometry_of(feature)
    if geometry is None:
        return None
    parts = shapely.get_parts(geometry) if geometry.geom_type == COLLECTION else [geometry]
    areas = [rounded(each, precision) for each in parts if each.geom_type in _AREAS]
    if len(areas) < 2:
        return areas[0] if areas else None
    if all(each.is_valid for each in areas):
        return shapely.union_all(areas)
    return shapely.GeometryCollection(areas)


def repaired(geometry: BaseGeometry) -> BaseGeometry:
    """A valid geometry of the same area, without what has none."""
    return shapely.make_valid(geometry, method="structure", keep_collapsed=False)


def reason_of(geometry: BaseGeometry) -> tuple[str, tuple[float, float] | None]:
    """Why a geometry is invalid, and where."""
    found = _REASON.match(shapely.is_valid_reason(geometry))
    if found is None:
        return shapely.is_valid_reason(geometry), None
    x, y = float(found["x"]), float(found["y"])
    return f"{found['reason'].strip()} at {x:g}, {y:g}", (x, y)


def wide_parts(geometry: BaseGeometry, width: float) -> Iterator[BaseGeometry]:
    """The polygons of a geometry that are wider than `width`, as a strip of their area would be."""
    for part in shapely.get_parts(geometry, return_index=False):
        if part.geom_type == COLLECTION:
            yield from wide_parts(part, width)
        elif part.geom_type == "Polygon" and 2 * part.area > width * part.length:
            yield part
