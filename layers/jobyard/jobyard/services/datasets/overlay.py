"""What commits changed since a base, or before it: it is laid over the base to see a revision."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from jobyard.domain.datasets.change_file import ChangeLine, parse_change, read_change_file
from jobyard.domain.datasets.commit import Commit
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.extent import Box, Boxes, boxes_of, do_boxes_intersect
from jobyard.domain.datasets.feature import Feature
from jobyard.services.datasets import files
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.files import ByteRange
from jobyard.store import commits

_SMALL = 1024 * 1024  # bytes of a change file that is read at once
_READERS = 8  # small change files that are read at the same time
_READ_AHEAD = 32  # small change files that are in memory


class ChangedFeature(NamedTuple):
    """Where a change file has a feature as it is at the revision. Without bytes there is none."""

    byte_range: ByteRange
    boxes: Boxes
    exists: bool


class Overlay:
    """The features that differ from the base at a revision; with `area`, those in these boxes.

    It keeps where they are, some 300 bytes each. The features are read when they are needed.
    """

    def __init__(
        self,
        dataset: Dataset,
        revision: int,
        context: DatasetContext,
        area: Boxes | None = None,
    ) -> None:
        base = dataset.base_revision
        self._is_forward = revision >= base
        self._context = context
        self._entries: dict[str, ChangedFeature] = {}
        later = [*commits.between(dataset.name, min(base, revision) + 1, max(base, revision))]
        wanted = [each for each in later if area is None or do_boxes_intersect(each.boxes, area)]
        if not self._is_forward:
            wanted.reverse()
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(wanted), _READ_AHEAD):
                together = wanted[start : start + _READ_AHEAD]
                for made, blocks in zip(together, pool.map(self._blocks, together), strict=True):
                    self._note_all(made, blocks)

    def _blocks(self, made: Commit) -> Iterable[bytes]:
        """The change file of a commit. A small one is read at once, next to others."""
        blocks = files.blocks_of(made.file, self._context)
        return blocks if made.size > _SMALL else [*blocks]

    def _note_all(self, made: Commit, blocks: Iterable[bytes]) -> None:
        _, lines = read_change_file(blocks)
        for line in lines:
            feature = self._feature_of(line)
            boxes = boxes_of(feature.geometry) if feature else ()
            byte_range = ByteRange(made.file, line.start, line.end)
            self._entries[line.feature_id] = ChangedFeature(byte_range, boxes, feature is not None)

    def _feature_of(self, line: ChangeLine) -> Feature | None:
        return line.after if self._is_forward else line.before

    @property
    def entries(self) -> Mapping[str, ChangedFeature]:
        """Where the features that differ are, by id."""
        return self._entries

    def __contains__(self, feature_id: str) -> bool:
        return feature_id in self._entries

    def of(self, feature_ids: Collection[str]) -> dict[str, Feature | None]:
        """Those of these features that differ, by id; None if one does not exist."""
        found = {each: self._entries[each] for each in feature_ids if each in self._entries}
        features = {each.feature_id: each for each in self.read(found.values())}
        return {each: features.get(each) for each in found}

    def all(self) -> Iterator[Feature]:
        """The features that differ and exist."""
        return self.read(self._entries.values())

    def near(self, boxes: Sequence[Box]) -> Iterator[Feature]:
        """The features that differ and whose boxes intersect one of `boxes`."""
        return self.read(
            entry for entry in self._entries.values() if do_boxes_intersect(entry.boxes, boxes)
        )

    def read(self, entries: Iterable[ChangedFeature]) -> Iterator[Feature]:
        """The features of some entries that exist, in no order."""
        ranges = sorted(each.byte_range for each in entries if each.exists)
        for data in files.read_ranges(ranges, self._context):
            feature = self._feature_of(parse_change(data))
            if feature:
                yield feature
