"""Loads a dataset from an uploaded file of GeoJSON, as the machine does it.

The file is read as a stream, and its features are kept on the worker's disk until all are known to
be right: after one error nothing is made. Memory grows by some 250 bytes a feature, for its id, its
curve position and its boxes. A load that is repeated writes the same files.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from tempfile import TemporaryFile
from typing import IO, Any

from jobyard.domain.datasets.base_format import KeyedLine, keyed_line
from jobyard.domain.datasets.compression import DamagedFile, decompressed
from jobyard.domain.datasets.dataset import FIRST_REVISION, Dataset
from jobyard.domain.datasets.extent import Box, Boxes
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.geojson import FeatureReader
from jobyard.domain.datasets.load import (
    CONTENT_BYTES,
    FEATURES_BYTES,
    UPLOAD_BYTES,
    DatasetFile,
    LoadRequest,
    LoadResult,
    LoadState,
)
from jobyard.domain.datasets.rules import DEFAULT_RULES
from jobyard.domain.errors import StaleState
from jobyard.domain.manifests.findings import BoundedFindings
from jobyard.domain.plurals import plural
from jobyard.services.datasets import base, files
from jobyard.services.datasets.context import DatasetContext
from jobyard.store import datasets

MAX_LISTED = 100  # findings of a level in a result
MISSING_OBJECT = frozenset({"NoSuchKey", "NoSuchVersion", "404", "405"})  # 405: a delete marker
_BLOCK = 1024 * 1024


class FileRefused(Exception):
    """A file cannot be loaded; the message says why."""


def load(document: Mapping[str, Any], context: DatasetContext) -> dict[str, Any]:
    """Load the dataset of a request, given as its document. Returns the state of the load.

    The result is stored before the dataset is made, so that one that died in between finds the
    rest to be done. A result `loaded` counts once the dataset exists.
    """
    request = LoadRequest.of_document(document)
    folder = files.base_folder(request.name, FIRST_REVISION, request.load_id)
    existing = datasets.find_any(request.name)
    if existing is not None and existing.load_id == request.load_id:
        return {"state": LoadState.LOADED.value}
    result = LoadResult(LoadState.REFUSED, already_exists(request.name, existing))
    if existing is None:
        result = _read_and_make(request, folder, context)
    if result.state is LoadState.REFUSED:
        _store_result(request, result, context)
    return {"state": result.state.value}


def already_exists(name: str, existing: Dataset | None = None) -> str:
    """What to do instead of loading a dataset a second time."""
    if existing is not None and existing.deletion:
        return f"{existing.description}; load the file under another name"
    return (
        f"there is a dataset {name} already: change it with edit jobs, or load the file under "
        "another name"
    )


def _read_and_make(request: LoadRequest, folder: str, context: DatasetContext) -> LoadResult:
    with TemporaryFile() as spool:
        features = SpooledFeatures(spool)
        try:
            result = _read(request, features, context)
        except FileRefused as error:
            return LoadResult(LoadState.REFUSED, str(error))
        if result.state is LoadState.REFUSED:
            return result
        index = base.write_base(features.in_curve_order(), folder, context)
    _store_result(request, result, context)
    dataset = Dataset(
        name=request.name,
        title=request.title,
        created_at=request.at,
        created_by=request.actor,
        created_by_sub=request.sub,
        base=folder,
        features=index.feature_count,
        boxes=index.boxes,
        precision=request.precision,
        missing_is_null=request.missing_is_null,
        rules=DEFAULT_RULES.documents,
        rules_version=DEFAULT_RULES.version,
        load_id=request.load_id,
    )
    try:
        datasets.put_new(dataset)
    except StaleState:
        return replace(result, state=LoadState.REFUSED, message=already_exists(request.name))
    return result


def _read(request: LoadRequest, features: "SpooledFeatures", context: DatasetContext) -> LoadResult:
    """Read all features of the file, and check them."""
    blocks = uploaded_blocks(request.file, UPLOAD_BYTES, context)
    reading = FeatureReader(_bounded(decompressed(blocks)), request.precision)
    kept = BoundedFindings(MAX_LISTED)
    listed = []
    try:
        for found, findings in reading:
            listed += [each.document() for each in kept.take(findings)]
            if not reading.errors:
                features.add(found)
    except DamagedFile as error:
        raise FileRefused(f"the file cannot be read: {error}") from error
    state = LoadState.REFUSED if reading.errors else LoadState.LOADED
    message = f"the file has {plural(reading.errors, 'error')}" if reading.errors else ""
    return LoadResult(
        state, message, reading.count, reading.errors, reading.warnings, tuple(listed)
    )


def _bounded(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The blocks of a file, which may be small only as long as it is compressed.

    Raises:
        FileRefused: they are too many bytes.
    """
    size = 0
    for block in blocks:
        size += len(block)
        if size > CONTENT_BYTES:
            raise FileRefused(
                f"the file has more than {CONTENT_BYTES // 1024**2} MiB, decompressed"
            )
        yield block


def uploaded_blocks(file: DatasetFile, max_bytes: int, context: DatasetContext) -> Iterator[bytes]:
    """The bytes of an uploaded file.

    Raises:
        FileRefused: it was removed.
    """
    try:
        body = context.s3.get_object(
            Bucket=context.settings.intake_bucket, Key=file.key, VersionId=file.version_id
        )["Body"]
    except context.s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in MISSING_OBJECT:
            raise
        raise FileRefused("the file was removed before it was read: upload it again") from error
    yield from islice(body.iter_chunks(_BLOCK), 1 + max_bytes // _BLOCK)


def _store_result(request: LoadRequest, result: LoadResult, context: DatasetContext) -> None:
    key = files.load_key(request.name, request.load_id)
    files.write(key, [json.dumps(result.document()).encode()], context)


class SpooledFeatures:
    """Features on a disk, with what their order needs in memory."""

    def __init__(self, spool: IO[bytes]) -> None:
        self._spool = spool
        self._size = 0
        self._keys, self._starts = array("Q"), array("Q")
        self._boxes = array("d")  # the first box of each
        self._second_boxes: dict[int, Box] = {}
        self._ids: list[str] = []

    def add(self, features: Iterable[Feature]) -> None:
        """Add features.

        Raises:
            FileRefused: they are too many bytes.
        """
        for placed in map(keyed_line, features):
            first, *second = placed.boxes or (Box(1, 1, 0, 0),)
            if second:
                self._second_boxes[len(self._ids)] = second[0]
            self._keys.append(placed.key)
            self._starts.append(self._size)
            self._boxes.extend(first)
            self._ids.append(placed.feature_id)
            self._spool.write(placed.line)
            self._size += len(placed.line)
            if self._size > FEATURES_BYTES:
                limit = f"{FEATURES_BYTES // 1024**2} MiB"
                raise FileRefused(f"the features of a dataset have up to {limit}: divide the file")

    def in_curve_order(self) -> Iterator[KeyedLine]:
        """The features in the order of the curve, and of their ids at one position."""
        numbers = range(len(self._ids))
        for number in sorted(numbers, key=lambda each: (self._keys[each], self._ids[each])):
            self._spool.seek(self._starts[number])
            line = self._spool.readline()
            yield KeyedLine(self._keys[number], self._ids[number], self._boxes_of(number), line)

    def _boxes_of(self, number: int) -> Boxes:
        first = Box(*self._boxes[4 * number : 4 * number + 4])
        if first.west > first.east:
            return ()
        second = self._second_boxes.get(number)
        return (first, second) if second else (first,)
