"""The files of datasets in the work bucket. They are written once and never changed."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from jobyard.domain.datasets.commit import CommitOrigin
from jobyard.services.batches.uploads import MultipartUpload
from jobyard.services.datasets.context import DatasetContext

_BLOCK = 1024 * 1024
_REMOVED_TOGETHER = 1_000  # files; source: S3 API reference, DeleteObjects
_MAX_GAP = 128 * 1024  # bytes between two ranges that are read with them, to save a request
_MAX_RANGE = 8 * 1024 * 1024  # bytes that one request reads, but for a range that is longer


class ByteRange(NamedTuple):
    """Bytes of a file; `end` is exclusive."""

    file: str
    start: int
    end: int


class WrittenFile(NamedTuple):
    """A file and when it was written."""

    key: str
    at: datetime


def root_of(dataset: str) -> str:
    """Where all files of a dataset are, but its exports."""
    return f"datasets/{dataset}/"


def base_prefix(dataset: str) -> str:
    """Where all base files of a dataset are."""
    return f"{root_of(dataset)}base/"


def base_folder(dataset: str, revision: int, token: str) -> str:
    """The folder of base files. `token` tells two of one revision apart."""
    return f"{base_prefix(dataset)}{revision}-{token}"


def change_key(dataset: str, revision: int, origin: CommitOrigin, at: datetime) -> str:
    """The key of a change file that is written at `at`. Of two that are written at once, for the
    same attempt at an edit job, both have the same changes."""
    token = f"{origin.edit_id}-{origin.attempt}-{at:%Y%m%dT%H%M%S%f}"
    return f"{change_prefix(dataset, revision)}{token}.jsonl"


def change_prefix(dataset: str, revision: int) -> str:
    """What the keys of all change files begin with that were written for a revision."""
    return f"{root_of(dataset)}changes/{revision}-"


def load_key(dataset: str, load_id: str) -> str:
    """The key of the result of a load."""
    return f"{root_of(dataset)}loads/{load_id}.json"


def export_key(dataset: str, export_id: str) -> str:
    """The key of an exported file."""
    return f"exports/{dataset}/{export_id}.gz"


def export_result_key(dataset: str, export_id: str) -> str:
    """The key of what is known of an exported file. It exists when the file is complete."""
    return f"exports/{dataset}/{export_id}.json"


def index_key(folder: str) -> str:
    """The key of the index of base files."""
    return f"{folder}/index.json.gz"


def ids_key(folder: str) -> str:
    """The key of the ids of base files."""
    return f"{folder}/ids.jsonl.gz"


def segment_key(folder: str, number: int) -> str:
    """The key of a segment of base files."""
    return f"{folder}/segment-{number:05d}.jsonl.gz"


def read(key: str, context: DatasetContext) -> bytes:
    """A whole file."""
    return b"".join(blocks_of(key, context))


def blocks_of(key: str, context: DatasetContext) -> Iterator[bytes]:
    """A whole file, block by block."""
    found = context.s3.get_object(Bucket=context.settings.work_bucket, Key=key)
    yield from found["Body"].iter_chunks(_BLOCK)


def read_range(wanted: ByteRange, context: DatasetContext) -> bytes:
    """Some bytes of a file."""
    found = context.s3.get_object(
        Bucket=context.settings.work_bucket,
        Key=wanted.file,
        Range=f"bytes={wanted.start}-{wanted.end - 1}",
    )
    data: bytes = found["Body"].read()
    return data


def read_ranges(wanted: Iterable[ByteRange], context: DatasetContext) -> Iterator[bytes]:
    """Several ranges, in their order. Those that follow each other closely are read together."""
    near: list[ByteRange] = []
    for each in wanted:
        if near and not _is_near(near, each):
            yield from _read_together(near, context)
            near = []
        near.append(each)
    if near:
        yield from _read_together(near, context)


def _is_near(near: Sequence[ByteRange], following: ByteRange) -> bool:
    last = near[-1]
    return (
        following.file == last.file
        and 0 <= following.start - last.end <= _MAX_GAP
        and following.end - near[0].start <= _MAX_RANGE
    )


def _read_together(near: Sequence[ByteRange], context: DatasetContext) -> Iterator[bytes]:
    first = near[0]
    data = read_range(ByteRange(first.file, first.start, near[-1].end), context)
    for each in near:
        yield data[each.start - first.start : each.end - first.start]


def write(key: str, blocks: Iterable[bytes], context: DatasetContext) -> int:
    """Write a file; returns its bytes. It exists only when it is complete."""
    with upload_to(key, context) as upload:
        for block in blocks:
            upload.write(block)
        return upload.finish().size


def upload_to(key: str, context: DatasetContext) -> MultipartUpload:
    """A file to be written part by part."""
    return MultipartUpload(context.s3, context.settings.work_bucket, key)


def stored_under(prefix: str, context: DatasetContext) -> Iterator[WrittenFile]:
    """The files whose keys begin with `prefix`."""
    pages = context.s3.get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=context.settings.work_bucket, Prefix=prefix):
        for each in page.get("Contents", ()):
            yield WrittenFile(each["Key"], each["LastModified"])


def remove(keys: Sequence[str], context: DatasetContext) -> None:
    """Remove files. S3 keeps their versions for a while."""
    for start in range(0, len(keys), _REMOVED_TOGETHER):
        objects = [{"Key": each} for each in keys[start : start + _REMOVED_TOGETHER]]
        context.s3.delete_objects(
            Bucket=context.settings.work_bucket,
            Delete={"Objects": objects, "Quiet": True},  # type: ignore[typeddict-item]
        )
