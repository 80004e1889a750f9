"""Reads datasets at a revision. Readers take the head first, and see what was committed until then.

A base has the features at one revision. What was committed since is laid over it; for an earlier
revision, what was there before the commits until the base.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property

from jobyard.domain.datasets.base_format import (
    BaseIndex,
    ChunkLocation,
    features_in_chunk,
    ids_in,
)
from jobyard.domain.datasets.change_file import ChangeLine, parse_change, read_change_file
from jobyard.domain.datasets.commit import Commit, CommittedChange
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.extent import Box, Boxes, Extent, boxes_of, do_boxes_intersect
from jobyard.domain.datasets.feature import Feature
from jobyard.services.datasets import files
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.files import ByteRange
from jobyard.services.datasets.overlay import Overlay
from jobyard.store import commits, datasets, versions
from jobyard.store.versions import FeatureVersion

_FEW = 50  # ids that are looked up one by one
_MAX_CACHED_CHUNKS = 16  # up to 1 MiB of text each


def head(name: str) -> Dataset:
    """The dataset, at its head.

    Raises:
        NotFound: there is none.
    """
    return datasets.get(name)


class RevisionReader:
    """Reads a dataset at one revision, any number of times.

    It keeps the index, what was changed since the base, and the chunks it read last. With `area`
    only what is in these boxes is read.
    """

    def __init__(
        self, dataset: Dataset, revision: int, context: DatasetContext, area: Boxes | None = None
    ) -> None:
        """Raises:
        BadRequest: the dataset has no such revision.
        """
        dataset.check_revision(revision)
        self._dataset, self._revision, self._context = dataset, revision, context
        self._area = area
        self._chunks: OrderedDict[ChunkLocation, list[Feature]] = OrderedDict()

    @cached_property
    def _index(self) -> BaseIndex:
        key = files.index_key(self._dataset.base)
        return BaseIndex.from_bytes(files.read(key, self._context))

    @cached_property
    def _overlay(self) -> Overlay:
        return Overlay(self._dataset, self._revision, self._context, self._area)

    def features_at(self, feature_ids: Collection[str]) -> dict[str, Feature]:
        """The features with these ids, by id; without those that do not exist at the revision."""
        wanted = dict.fromkeys(feature_ids)
        if self._area is None and (len(wanted) > _FEW or "_overlay" in self.__dict__):
            changed = self._overlay.of(wanted)
        else:
            changed = {
                feature_id: feature
                for feature_id in wanted
                for feature in self._version_of(feature_id)
            }
        based = self._in_base([each for each in wanted if each not in changed])
        found = {each: changed.get(each) or based.get(each) for each in wanted}
        return {feature_id: feature for feature_id, feature in found.items() if feature}

    def _version_of(self, feature_id: str) -> Iterator[Feature | None]:
        """The feature at the revision, None if there was none; nothing if the base has it."""
        name = self._dataset.name
        for found in versions.of_feature(name, feature_id, until=self._revision, limit=1):
            yield _line_of(found, self._context).after
            return
        if self._revision < self._dataset.base_revision:
            later = versions.first_after(name, feature_id, self._revision)
            if later and later.revision <= self._dataset.base_revision:
                yield _line_of(later, self._context).before

    def features_in(self, extent: Extent) -> Iterator[Feature]:
        """The features in an extent, in no order."""
        if extent.feature_ids:
            yield from self.features_at(extent.feature_ids).values()
            return
        for feature in self.features_near(extent.area):
            if extent.includes(feature):
                yield feature

    def features_near(self, boxes: Sequence[Box]) -> Iterator[Feature]:
        """The features whose boxes intersect one of `boxes`, in no order."""
        overlay = self._overlay
        for features in self._read_chunks(self._index.chunks_in(boxes)):
            for feature in features:
                if feature.feature_id not in overlay and do_boxes_intersect(
                    boxes_of(feature.geometry), boxes
                ):
                    yield feature
        yield from overlay.near(boxes)

    def boxes_near(self, boxes: Sequence[Box]) -> list[Box]:
        """Where features are, roughly, without reading them: a box for each chunk of the base whose
        box intersects one of `boxes`.
        """
        return self._index.chunk_boxes(boxes)

    def all_features(self) -> Iterator[Feature]:
        """All features: first those of the base in its order, then those that changed since."""
        overlay = self._overlay
        for segment in self._index.segments:
            ranges = (ByteRange(segment.file, each.start, each.end) for each in segment.chunks)
            for data in files.read_ranges(ranges, self._context):
                for feature in features_in_chunk(data):
                    if feature.feature_id not in overlay:
                        yield feature
        yield from overlay.all()

    def _in_base(self, feature_ids: Collection[str]) -> dict[str, Feature]:
        """The features of the base with these ids."""
        wanted = set(feature_ids)
        found = {}
        for features in self._read_chunks(
            sorted({*chunk_locations(self._index, wanted, self._context).values()})
        ):
            for feature in features:
                if feature.feature_id in wanted:
                    found[feature.feature_id] = feature
        return found

    def _read_chunks(self, locations: Iterable[ChunkLocation]) -> Iterator[list[Feature]]:
        """The features of chunks, chunk by chunk. Chunks that follow each other are read together,
        and the last ones are kept."""
        missing: list[ChunkLocation] = []
        kept = []
        for location in locations:
            if location in self._chunks:
                self._chunks.move_to_end(location)
                kept.append(self._chunks[location])
            else:
                missing.append(location)
        yield from kept
        ranges = (ByteRange(*self._index.byte_range_of(each)) for each in missing)
        for location, data in zip(missing, files.read_ranges(ranges, self._context), strict=True):
            features = features_in_chunk(data)
            self._chunks[location] = features
            if len(self._chunks) > _MAX_CACHED_CHUNKS:
                self._chunks.popitem(last=False)
            yield features


def chunk_locations(
    index: BaseIndex, feature_ids: Collection[str], context: DatasetContext
) -> dict[str, ChunkLocation]:
    """Where the base has features, by id; without those that it does not have."""
    wanted = set(feature_ids)
    blocks = {block for each in wanted if (block := index.block_of(each))}
    ranges = (ByteRange(index.ids_file, each.start, each.end) for each in sorted(blocks))
    return {
        feature_id: location
        for data in files.read_ranges(ranges, context)
        for feature_id, location in ids_in(data)
        if feature_id in wanted
    }


def features_at(
    dataset: Dataset, revision: int, feature_ids: Collection[str], context: DatasetContext
) -> dict[str, Feature]:
    """The features with these ids at a revision, by id; without those that do not exist."""
    return RevisionReader(dataset, revision, context).features_at(feature_ids)


def features_in(
    dataset: Dataset, revision: int, extent: Extent, context: DatasetContext
) -> Iterator[Feature]:
    """The features in an extent at a revision, in no order."""
    area = None if extent.feature_ids else extent.area
    return RevisionReader(dataset, revision, context, area).features_in(extent)


def all_features(dataset: Dataset, revision: int, context: DatasetContext) -> Iterator[Feature]:
    """All features at a revision, those that are close to each other mostly in a row."""
    return RevisionReader(dataset, revision, context).all_features()


def changes_since(
    dataset: Dataset, since: int, until: int, context: DatasetContext
) -> Iterator[CommittedChange]:
    """What the commits after the revision `since` changed, up to `until`, in their order."""
    dataset.check_revision(until)
    for made in commits.between(dataset.name, since + 1, until):
        yield from changes_of(made, context)


def changes_of(made: Commit, context: DatasetContext) -> Iterator[CommittedChange]:
    """What a commit changed."""
    _, lines = read_change_file(files.blocks_of(made.file, context))
    return (line.committed(made.revision, made.at, made.origin) for line in lines)


def feature_history(
    dataset: Dataset, feature_id: str, context: DatasetContext, *, until: int, limit: int
) -> Iterator[CommittedChange]:
    """Up to `limit` changes of a feature up to the revision `until`, the last one first."""
    for found in versions.of_feature(
        dataset.name, feature_id, until=min(until, dataset.revision), limit=limit
    ):
        made = commits.find(dataset.name, found.revision)
        if made is not None:
            line = _line_of(found, context)
            yield line.committed(made.revision, made.at, made.origin)


def _line_of(found: FeatureVersion, context: DatasetContext) -> ChangeLine:
    data = files.read_range(ByteRange(found.file, found.start, found.end), context)
    return parse_change(data, found.start)
