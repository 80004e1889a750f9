"""Write the rows of a manifest, the index of their chunks, and its findings, while it is read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from jobyard.domain.batches.chunks import Chunk
from jobyard.domain.manifests.entry import row_of
from jobyard.domain.manifests.findings import BoundedFindings, Finding
from jobyard.domain.manifests.reader import ManifestReader

if TYPE_CHECKING:
    pass


class ManifestTooLarge(Exception):
    """The manifest is too large to read on; the message is for its depositor."""


class Findings:
    """The findings of a manifest, up to a bound."""

    def __init__(self) -> None:
        self._lines: list[Finding] = []
        self._kept = BoundedFindings()

    @property
    def count(self) -> int:
        """How many findings there were, kept or not."""
        return self._kept.count

    def add(self, found: Sequence[Finding]) -> None:
        """Add findings, in the manifest's order."""
        self._lines += self._kept.take(found)

    def text(self) -> bytes:
        """The findings, a line each; the last line says how many more there are."""
        findings = (*self._lines, *self._kept.rest())
        return b"".join(json.dumps(finding.document()).encode() + b"\n" for finding in findings)


class _Writer(Protocol):
    def write(self, data: bytes, /) -> int: ...


@dataclass(frozen=True)
class ManifestOutput:
    """What Open writes from a manifest: rows, the index of their chunks, findings."""

    lines: _Writer
    index: _Writer
    findings: Findings


def write_rows(reading: ManifestReader, output: ManifestOutput, chunk_size: int) -> None:
    """Write rows and index while reading; nothing of them is kept in memory. After the first error
    no more rows are written, because the batch will have no jobs.
    """
    number = start = end = held = 0
    for entries, findings in reading:
        output.findings.add(findings)
        for entry in entries if not reading.errors else ():
            line = row_of(entry)
            output.lines.write(line)
            end += len(line)
            held += 1
            if held == chunk_size:
                output.index.write(Chunk(number, start, end).index_line())
                number, start, held = number + 1, end, 0
    if held:
        output.index.write(Chunk(number, start, end).index_line())
