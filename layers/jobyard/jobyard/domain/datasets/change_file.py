"""The change file of a commit: a line about the commit, then a line for each changed feature.

A line can be read alone, so that the version of a feature points to its bytes.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobyard.domain.datasets.base_format import feature_of, to_json
from jobyard.domain.datasets.changes import ChangeKind, FeatureChange
from jobyard.domain.datasets.commit import Author, CommitOrigin, CommittedChange
from jobyard.domain.datasets.extent import Box, Boxes, boxes_around, boxes_of
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.errors import BadRequest

MAX_CHANGES = 50_000  # of a commit
MAX_CHANGE_BYTES = 1024**3  # of a change file


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """A change as its line has it, which is at `start` to `end` in its file.

    `boxes` are around the feature before and after.
    """

    feature_id: str
    kind: ChangeKind
    before: Feature | None
    after: Feature | None
    boxes: Boxes
    start: int
    end: int

    def committed(self, revision: int, at: datetime, origin: CommitOrigin) -> CommittedChange:
        """The change as a part of its commit."""
        return CommittedChange(
            self.feature_id,
            self.kind,
            self.before,
            self.after,
            revision,
            at,
            origin,
            self.end - self.start,
        )


def change_lines(
    dataset: str, revision: int, origin: CommitOrigin, changes: Iterable[FeatureChange]
) -> Iterator[bytes]:
    """The lines of a change file. The same changes give the same bytes.

    Raises:
        BadRequest: a feature is changed twice, or there are too many changes.
    """
    yield to_json({"dataset": dataset, "revision": revision, **origin_document(origin)}) + b"\n"
    seen: set[str] = set()
    size = 0
    for change in changes:
        if change.feature_id in seen:
            raise BadRequest(f"a commit changes feature {change.feature_id!r} once, not twice")
        if len(seen) == MAX_CHANGES:
            raise BadRequest(f"a commit has up to {MAX_CHANGES:,} changes: commit them in parts")
        seen.add(change.feature_id)
        line = _line_of(change)
        size += len(line)
        if size > MAX_CHANGE_BYTES:
            limit = f"{MAX_CHANGE_BYTES:,} bytes"
            raise BadRequest(f"the features of a commit have up to {limit}: commit them in parts")
        yield line


def _line_of(change: FeatureChange) -> bytes:
    before, after = change.before, change.after
    boxes = boxes_around(
        box for each in (before, after) if each is not None for box in boxes_of(each.geometry)
    )
    document = {
        "id": change.feature_id,
        "op": change.kind.value,
        "boxes": boxes,
        "before": before and _feature_document(before),
        "after": after and _feature_document(after),
    }
    return to_json(document) + b"\n"


def _feature_document(feature: Feature) -> dict[str, Any]:
    return {
        "id": feature.feature_id,
        "geometry": feature.geometry,
        "properties": feature.properties,
    }


def read_change_file(blocks: Iterable[bytes]) -> tuple[CommitOrigin, Iterator[ChangeLine]]:
    """What a commit comes from, and its changes, one by one. `blocks` are the bytes of the file."""
    lines = _lines(blocks)
    header = next(lines)
    return parse_origin(json.loads(header)), _changes(lines, len(header))


def _changes(lines: Iterator[bytes], start: int) -> Iterator[ChangeLine]:
    for line in lines:
        yield parse_change(line, start)
        start += len(line)


def parse_change(line: bytes, start: int = 0) -> ChangeLine:
    """The change of a line that begins at `start`."""
    document = json.loads(line)
    before, after = document["before"], document["after"]
    return ChangeLine(
        document["id"],
        ChangeKind(document["op"]),
        before and feature_of(before),
        after and feature_of(after),
        tuple(Box(*each) for each in document["boxes"]),
        start,
        start + len(line),
    )


def origin_document(origin: CommitOrigin) -> dict[str, Any]:
    """What a commit comes from, as JSON."""
    return {
        "edit_id": origin.edit_id,
        "attempt": origin.attempt,
        "authors": origin.authors,
        "comment": origin.comment,
    }


def parse_origin(document: Any) -> CommitOrigin:
    """What a commit comes from, of a document that has it."""
    authors = tuple(Author(*each) for each in document["authors"])
    return CommitOrigin(document["edit_id"], document["attempt"], authors, document["comment"])


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a text, each with its end."""
    rest: list[bytes] = []
    for block in blocks:
        *complete, last = block.split(b"\n")
        for line in complete:
            yield b"".join((*rest, line, b"\n"))
            rest = []
        rest.append(last)
