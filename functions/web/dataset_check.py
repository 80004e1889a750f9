"""The check of a file of features before it is sent: of its first megabytes, in one request."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobyard.domain.datasets.compression import DamagedFile, decompressed
from jobyard.domain.datasets.geojson import FeatureReader
from jobyard.domain.datasets.geojson_checks import FeatureFinding, GeoJsonCheck
from jobyard.domain.datasets.geometry import DEFAULT_PRECISION
from jobyard.domain.manifests.findings import BoundedFindings
from web.manifest_check import MAX_SHOWN_FINDINGS, CompressedContent


@dataclass(frozen=True)
class CheckedFeatures:
    """What a check found. `is_whole` if all of the file was checked.

    `findings` are documents; `features` is the number of those in what was checked that can be
    loaded, `checked` the bytes of it.
    """

    findings: tuple[dict[str, Any], ...]
    errors: int
    warnings: int
    features: int
    checked: int
    is_whole: bool


def check_features(
    compressed: bytes, *, is_cut: bool, is_late: Callable[[], bool] = lambda: False
) -> CheckedFeatures:
    """Check a file of GeoJSON, or of gzip of it, that was compressed again; or its beginning if it
    `is_cut`. It is cut where `is_late` is true.

    Raises:
        BadRequest: the content is not gzip.
    """
    content = CompressedContent(compressed, is_late, is_cut=is_cut)
    kept = BoundedFindings(MAX_SHOWN_FINDINGS)
    reading = FeatureReader(decompressed(content.blocks()), DEFAULT_PRECISION)
    found = []
    try:
        for _, findings in reading:
            known = (each for each in findings if not _is_of_cut(each.code, content))
            found += [each.document() for each in kept.take(known)]
            if is_late():  # a block of gzip may be a thousand times as long
                content.is_cut = True
                break
    except DamagedFile as error:
        if not content.is_cut:
            check = GeoJsonCheck.GEOJSON_BAD
            damage = FeatureFinding(check.level, check.value, 0, 0, f"it cannot be read: {error}")
            found += [each.document() for each in kept.take([damage])]
    errors = kept.counts["error"]
    found += [each.document() for each in kept.rest()]
    return CheckedFeatures(
        findings=tuple(found),
        errors=errors,
        warnings=kept.counts["warning"],
        features=reading.count,
        checked=content.size,
        is_whole=not content.is_cut,
    )


def _is_of_cut(code: str, content: CompressedContent) -> bool:
    """Whether a finding is only that the rest of the file is missing."""
    return content.is_cut and code == GeoJsonCheck.GEOJSON_BAD
