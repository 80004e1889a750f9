"""Datasets of POINTS points: their load, a commit of ten features, and look-ups.

A file of GeoJSON is loaded through the real service, which writes to the emulator. Seconds are of a
process of its own, and so is its memory: `bytes_per_feature` is how much more it needs at most for
each further feature, of POINTS against FEW. `small_commit_units` are the write units of a commit of
ten features to the larger dataset; they must not depend on its size. Reads of S3 are requests,
those of a reader that has nothing yet: the index is one.
"""

import json
import multiprocessing
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.devices import Stack, counted, emulator_with_tables
from benchmarks.output import Figures, main, say
from benchmarks.processes import peak_mb
from jobyard.domain.datasets.base_format import BaseIndex
from jobyard.domain.datasets.changes import change_of
from jobyard.domain.datasets.commit import CommitOrigin
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.extent import Box, Extent
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.load import DatasetFile, LoadRequest
from jobyard.services.batches.uploads import MultipartUpload
from jobyard.services.datasets import files, readers
from jobyard.services.datasets.commit import commit
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.datasets.load import load

POINTS = 1_000_000
FEW = 10_000
_CHANGED = 10
_LINES = 10_000  # of the file, written together
_REGION = Extent(boxes=(Box(-10.0, 36.0, 0.0, 40.0),))  # 1 in 1,600 of all points


@dataclass(frozen=True)
class _Loaded:
    """How long a load took, and the most memory of its process."""

    seconds: float
    mb: float


def measure() -> Figures:
    """Load of many points, a commit of ten features at either size, and the reads of look-ups."""
    with emulator_with_tables() as endpoint:
        few = _load("few", FEW, endpoint)
        many = _load("many", POINTS, endpoint)
        say(f"{POINTS:,} points in {many.seconds:.1f} s, {many.mb:.0f} MB at most")
        stack = Stack(endpoint)
        context = DatasetContext(stack.settings, stack.s3, stack.now)
        dataset = readers.head("many")
        content = files.read(files.index_key(dataset.base), context)
        index = BaseIndex.from_bytes(content)
        with reads_of(stack) as lookup:
            readers.features_at(dataset, 1, [str(POINTS // 2)], context)
        with reads_of(stack) as region:
            inside = sum(1 for _ in readers.features_in(dataset, 1, _REGION, context))
        say(f"{inside} features in a region, {region[0]} reads")
        units = {name: _commit(name, context) for name in ("few", "many")}
    return {
        "points": POINTS,
        "load_s": round(many.seconds, 1),
        "load_mb": round(many.mb, 1),
        "bytes_per_feature": round((many.mb - few.mb) * 1e6 / max(POINTS - FEW, 1)),
        "segments": len(index.segments),
        "index_kb": round(len(content) / 1000, 1),
        "lookup_reads": lookup[0],
        "region_features": inside,
        "region_reads": region[0],
        "small_commit_units_of_few": units["few"],
        "small_commit_units": units["many"],
    }


def _load(name: str, points: int, endpoint: str) -> _Loaded:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_loaded, (name, points, endpoint))


def _loaded(name: str, points: int, endpoint: str) -> _Loaded:
    """Load a dataset, in a new process."""
    stack = Stack(endpoint)
    context = DatasetContext(stack.settings, stack.s3, stack.now)
    stack.s3.put_bucket_versioning(
        Bucket=stack.settings.intake_bucket, VersioningConfiguration={"Status": "Enabled"}
    )
    key = f"datasets/{name}.geojson"
    upload = MultipartUpload(stack.s3, stack.settings.intake_bucket, key)
    for block in _geojson(points):
        upload.write(block)
    written = upload.finish()
    file = DatasetFile(key, written.version, written.size)
    request = LoadRequest(f"l-{name}", name, name, file, "anna", "id", stack.now())
    began = time.perf_counter()
    state = load(request.document(), context)
    assert state == {"state": "loaded"}, state
    return _Loaded(time.perf_counter() - began, peak_mb())


def _geojson(points: int) -> Iterator[bytes]:
    chance = random.Random(7)
    yield b'{"type":"FeatureCollection","features":[\n'
    for start in range(0, points, _LINES):
        lines = [
            json.dumps(_point(number, chance).document())
            for number in range(start, min(start + _LINES, points))
        ]
        yield (",\n" if start else "").encode() + ",\n".join(lines).encode()
    yield b"\n]}"


def _point(number: int, chance: random.Random) -> Feature:
    at = [round(chance.uniform(-180, 180), 6), round(chance.uniform(-90, 90), 6)]
    properties = {"name": f"point {number}", "kind": number % 7}
    return Feature(str(number), {"type": "Point", "coordinates": at}, properties)


def _commit(name: str, context: DatasetContext) -> float:
    """The write units of a commit of some features."""
    dataset: Dataset = readers.head(name)
    before = readers.features_at(dataset, 1, [str(each) for each in range(_CHANGED)], context)
    found = [
        change_of(each, feature, Feature(each, feature.geometry, {"name": "changed"}))
        for each, feature in before.items()
    ]
    with counted() as calls:
        commit(name, 1, [each for each in found if each], CommitOrigin("e1"), context)
    return float(sum(calls.written.values()))


@contextmanager
def reads_of(stack: Stack) -> Iterator[list[int]]:
    """Count the reads of S3 in the block."""
    found = [0]

    def count(**_: Any) -> None:
        found[0] += 1

    events = stack.s3.meta.events
    events.register("after-call.s3.GetObject", count)
    try:
        yield found
    finally:
        events.unregister("after-call.s3.GetObject", count)


if __name__ == "__main__":
    main("datasets", measure)
