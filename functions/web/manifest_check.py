"""The check of a manifest before it is sent: of its first megabytes, in one request."""

import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from jobyard.domain.errors import BadRequest
from jobyard.domain.manifests.findings import BoundedFindings, Check
from jobyard.domain.manifests.reader import ManifestReader

MAX_CHECKED_BYTES = 48 * 1024 * 1024  # of the manifest itself; more would take too long
MAX_SHOWN_FINDINGS = 100  # of each level
_BLOCK = 64 * 1024


@dataclass(frozen=True)
class CheckedManifest:
    """What a check found. `is_whole` if all of the manifest was checked.

    `findings` are documents; `jobs` and `rows` are the numbers in what was checked, `checked` the
    bytes of it.
    """

    findings: tuple[dict[str, Any], ...]
    errors: int
    warnings: int
    rows: int
    jobs: int
    profile: str | None
    checked: int
    is_whole: bool


def check(
    compressed: bytes,
    filename: str,
    *,
    is_cut: bool,
    allowed_hosts: Collection[str],
    is_late: Callable[[], bool] = lambda: False,
) -> CheckedManifest:
    """Check a manifest, or its beginning if it `is_cut`: then its last line may be half a line and
    is left out. It is cut where `is_late` is true: a short file may be many millions of rows.

    Raises:
        BadRequest: the content is not gzip.
    """
    content = CompressedContent(compressed, is_late, is_cut=is_cut)
    kept = BoundedFindings(MAX_SHOWN_FINDINGS)
    reading = ManifestReader(content.blocks(), filename=filename, allowed_hosts=allowed_hosts)
    found = []
    for _, findings in reading:
        known = (each for each in findings if each.code != Check.EOF_MISSING or not content.is_cut)
        found += [each.document() for each in kept.take(known)]
    errors = kept.counts["error"]
    found += [each.document() for each in kept.rest()]
    return CheckedManifest(
        findings=tuple(found),
        errors=errors,
        warnings=kept.counts["warning"],
        rows=reading.row_count,
        jobs=min(reading.row_count, 1) if reading.is_one_object else reading.row_count,
        profile=reading.profile,
        checked=content.size,
        is_whole=not content.is_cut,
    )


class CompressedContent:
    """The decompressed content, up to `MAX_CHECKED_BYTES`; `size` counts what was read."""

    def __init__(
        self, compressed: bytes, is_late: Callable[[], bool] = lambda: False, *, is_cut: bool
    ) -> None:
        self.size = 0
        self.is_cut = is_cut
        self._is_late = is_late
        self._compressed = compressed

    def blocks(self) -> Iterator[bytes]:
        """The blocks; if the content is cut, they end with a line end."""
        last = b""
        for block in self._decompressed():
            if last:
                yield last
            last = block
        if self.is_cut:
            last = last[: last.rfind(b"\n") + 1]
        if last:
            yield last

    def _decompressed(self) -> Iterator[bytes]:
        reader = zlib.decompressobj(wbits=31)  # gzip
        data = self._compressed
        while data and not reader.eof:
            try:
                block = reader.decompress(data, _BLOCK)
            except zlib.error as error:
                message = "the file did not arrive in one piece; choose it again"
                raise BadRequest(message) from error
            data = reader.unconsumed_tail
            self.size += len(block)
            is_enough = bool(data) and (self.size >= MAX_CHECKED_BYTES or self._is_late())
            self.is_cut = self.is_cut or is_enough
            yield block
            if is_enough:
                return
