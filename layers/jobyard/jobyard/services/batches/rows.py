"""The rows of a batch and the indexes of its chunks, in the work bucket. The rows are its queue.

An index has a line for each chunk: its number and the range of bytes that its rows have.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.chunks import INDEX_LINE_BYTES, Chunk
from jobyard.domain.batches.operation import JobOutcome, Operation
from jobyard.domain.errors import NotFound
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Row = dict[str, Any]
_READ_BYTES = 1024 * 1024  # of the rows of several chunks that are read at once


def rows_key(batch_id: str) -> str:
    """The key of a batch's normalised rows: one line of JSON per job."""
    return f"work/{batch_id}/rows.jsonl"


def files_key(batch_id: str) -> str:
    """The key of the files of a batch with one object: one line of JSON per file."""
    return f"work/{batch_id}/files.jsonl"


def findings_key(batch_id: str) -> str:
    """The key of the findings of a batch's manifest: one line of JSON per finding."""
    return f"work/{batch_id}/findings.jsonl"


def index_key(batch_id: str) -> str:
    """The key of the index of all chunks of a batch."""
    return f"work/{batch_id}/index.jsonl"


def pass_key(batch_id: str, run: str, number: int) -> str:
    """The key of the index of the chunks of one pass of a run."""
    return f"work/{batch_id}/passes/{run}-{number:04d}.jsonl"


def _outcomes_key(operation: Operation, chunk: int) -> str:
    """The key of an operation's outcomes in a chunk: one line of JSON per job."""
    return f"operations/{operation.batch_id}/{operation.operation_id}/{chunk:08d}.jsonl"


def outcomes_of(
    s3: "S3Client", settings: Settings, operation: Operation, chunk: int
) -> list[JobOutcome]:
    """The outcomes of an operation in a chunk; empty before its first pass."""
    key = _outcomes_key(operation, chunk)
    try:
        body = s3.get_object(Bucket=settings.work_bucket, Key=key)["Body"]
    except s3.exceptions.NoSuchKey:
        return []
    return [JobOutcome(*json.loads(line)) for line in body.read().splitlines()]


def outcomes_version(
    s3: "S3Client", settings: Settings, operation: Operation, first_chunk: int
) -> str:
    """A text that changes when an operation has outcomes in another chunk, of up to 1,000 chunks
    with outcomes from `first_chunk` on. It takes one request.
    """
    start = _outcomes_key(operation, first_chunk)
    listed = s3.list_objects_v2(
        Bucket=settings.work_bucket,
        Prefix=f"{start.rpartition('/')[0]}/",
        StartAfter=start.removesuffix(".jsonl"),
    )
    return repr([(each["Key"], each["ETag"]) for each in listed.get("Contents", ())])


def put_outcomes(
    s3: "S3Client",
    settings: Settings,
    operation: Operation,
    chunk: int,
    outcomes: Iterable[JobOutcome],
) -> None:
    """Write the outcomes of an operation in a chunk."""
    lines = (json.dumps([each.job_id, each.outcome, each.message]) for each in outcomes)
    body = "".join(f"{line}\n" for line in lines).encode()
    s3.put_object(Bucket=settings.work_bucket, Key=_outcomes_key(operation, chunk), Body=body)


def chunk_of(s3: "S3Client", settings: Settings, batch: Batch, number: int) -> Chunk:
    """Chunk `number`, read from the batch's index.

    Raises:
        NotFound: the batch has no such chunk.
    """
    if number >= batch.chunk_count:
        raise NotFound(f"batch {batch.batch_id} has no chunk {number}")
    first = number * INDEX_LINE_BYTES
    response = s3.get_object(
        Bucket=settings.work_bucket,
        Key=index_key(batch.batch_id),
        Range=f"bytes={first}-{first + INDEX_LINE_BYTES - 1}",
    )
    return Chunk.from_index_line(response["Body"].read())


def chunks_of(
    s3: "S3Client", settings: Settings, origin_id: str, numbers: Iterable[int]
) -> Iterator[Chunk]:
    """The chunks with these numbers, in order, read from the index of all chunks."""
    lines = s3.get_object(Bucket=settings.work_bucket, Key=index_key(origin_id))["Body"]
    wanted = set(numbers)
    for line in lines.iter_lines():
        chunk = Chunk.from_index_line(line)
        if chunk.number in wanted:
            yield chunk


def chunks_between(
    s3: "S3Client", settings: Settings, origin_id: str, first: int, last: int
) -> list[Chunk]:
    """The chunks from `first` to `last`, inclusive, read from the index of all chunks."""
    response = s3.get_object(
        Bucket=settings.work_bucket,
        Key=index_key(origin_id),
        Range=f"bytes={first * INDEX_LINE_BYTES}-{(last + 1) * INDEX_LINE_BYTES - 1}",
    )
    return [Chunk.from_index_line(text) for text in response["Body"].read().splitlines()]


def rows_of(s3: "S3Client", settings: Settings, batch_id: str, chunk: Chunk) -> list[Row]:
    """The rows of a chunk, in order."""
    ((_, found),) = rows_by_chunk(s3, settings, batch_id, [chunk])
    return found


def rows_by_chunk(
    s3: "S3Client", settings: Settings, batch_id: str, chunks: Iterable[Chunk]
) -> Iterator[tuple[Chunk, list[Row]]]:
    """Chunks that follow each other, in order, each with its rows. A call reads several of them."""
    for group in _read_groups(chunks):
        first, end = group[0].start, group[-1].end
        response = s3.get_object(
            Bucket=settings.work_bucket,
            Key=rows_key(batch_id),
            Range=f"bytes={first}-{end - 1}",
        )
        body = response["Body"].read()
        for chunk in group:
            lines = body[chunk.start - first : chunk.end - first].splitlines()
            yield chunk, [json.loads(line) for line in lines]


def _read_groups(chunks: Iterable[Chunk]) -> Iterator[Sequence[Chunk]]:
    """The chunks in groups of at most `_READ_BYTES`; a larger chunk is alone."""
    group: list[Chunk] = []
    for chunk in chunks:
        if group and chunk.end - group[0].start > _READ_BYTES:
            yield group
            group = []
        group.append(chunk)
    if group:
        yield group


def names_in(row: Row) -> str:
    """The names in a row by which a person looks for it, a line each."""
    local = row.get("local", "")
    texts = [local] if isinstance(local, str) else [*local]
    return "\n".join([str(row.get("name", "")), str(row.get("primary", "")), *map(str, texts)])


def row_of(s3: "S3Client", settings: Settings, batch: Batch, address: JobAddress) -> Row:
    """The row of one job.

    Raises:
        NotFound: the batch has no such job.
    """
    if not batch.has_job(address.chunk, address.position):
        raise NotFound(f"batch {batch.batch_id} has no job {address.job_id}")
    chunk = chunk_of(s3, settings, batch, address.chunk)
    return rows_of(s3, settings, batch.batch_id, chunk)[address.position]


def put_index(s3: "S3Client", settings: Settings, key: str, chunks: Iterable[Chunk]) -> str:
    """Write an index. Returns its version id, "null" in a bucket without versions."""
    body = b"".join(chunk.index_line() for chunk in chunks)
    response = s3.put_object(Bucket=settings.work_bucket, Key=key, Body=body)
    return response.get("VersionId", "null")
