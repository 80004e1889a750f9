"""The closed list of checks of GeoJSON, next to those of text in manifests."""

from dataclasses import dataclass
from typing import Any

from jobyard.domain.manifests.findings import Finding, FindingCheck


@dataclass(frozen=True, slots=True)
class FeatureFinding(Finding):
    """A finding about a feature, or about the file if `feature_id` is ""."""

    feature_id: str = ""

    def document(self) -> dict[str, Any]:
        """The finding as JSON; None for what is not known."""
        return {**Finding.document(self), "feature_id": self.feature_id or None}


class GeoJsonCheck(FindingCheck):
    """A check of GeoJSON, by the code of its findings. After an error no dataset is changed.

    Source: RFC 7946, read strictly.
    """

    GEOJSON_BAD = "GEOJSON_BAD", "error", "The file is not one JSON object, or is cut off."
    COLLECTION_BAD = "COLLECTION_BAD", "error", "The file is not a FeatureCollection."
    CRS_UNSUPPORTED = (
        "CRS_UNSUPPORTED",
        "error",
        "The coordinates are in another system than CRS84, longitude and latitude of WGS 84.",
    )
    FEATURE_BAD = (
        "FEATURE_BAD",
        "error",
        "A feature is not an object with type, geometry and properties.",
    )
    FEATURE_TOO_LARGE = "FEATURE_TOO_LARGE", "error", "A feature is longer than 8 MiB."
    TOO_MANY_FEATURES = "TOO_MANY_FEATURES", "error", "There are more than 1,000,000 features."
    KEY_REPEATED = "KEY_REPEATED", "error", "An object has a key twice."
    NUMBER_BAD = "NUMBER_BAD", "error", "A number is NaN, infinite, or too large."
    TEXT_BAD = "TEXT_BAD", "error", "A text has half of a surrogate pair, which is no character."
    TOO_DEEP = "TOO_DEEP", "error", "Lists and objects are nested more than 32 levels deep."
    ID_BAD = (
        "ID_BAD",
        "error",
        "An id is neither a text nor a number, or is a number beyond 9,007,199,254,740,991.",
    )
    ID_REPEATED = "ID_REPEATED", "error", "Two features have the same id; 1 and `1` are the same."
    ID_MISSING = "ID_MISSING", "warning", "A feature has no id; it gets one."
    GEOMETRY_BAD = (
        "GEOMETRY_BAD",
        "error",
        "A geometry has an unknown type, or coordinates that do not fit its type.",
    )
    POSITION_BAD = (
        "POSITION_BAD",
        "error",
        "A position is not a longitude, a latitude and perhaps a height, within their bounds.",
    )
    RING_OPEN = "RING_OPEN", "error", "A ring does not end where it begins."
    GEOMETRY_EMPTY = (
        "GEOMETRY_EMPTY",
        "warning",
        "A geometry, or a part of one, has no coordinates; it is left out.",
    )
    RING_WOUND = (
        "RING_WOUND",
        "warning",
        "A ring is wound the wrong way; it is turned, which is no edit (the first 20 are listed, "
        "the others counted).",
    )
    RING_DEGENERATE = "RING_DEGENERATE", "warning", "A ring has no area."
    RING_CROSSES = (
        "RING_CROSSES",
        "warning",
        "A ring crosses, touches or repeats a part of itself.",
    )
    RING_NOT_CHECKED = (
        "RING_NOT_CHECKED",
        "warning",
        "A ring has so many lines that it was not checked whether it intersects itself.",
    )
    RING_BROKEN_BY_ROUNDING = (
        "RING_BROKEN_BY_ROUNDING",
        "error",
        "A ring intersects itself, or has no area, only at the precision of the dataset.",
    )
    MEMBER_IGNORED = (
        "MEMBER_IGNORED",
        "warning",
        "A feature or geometry has a member that GeoJSON does not define; it is not kept "
        "(each name is reported once).",
    )
