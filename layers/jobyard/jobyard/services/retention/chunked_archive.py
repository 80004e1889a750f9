"""Archive a batch, a campaign or an edit job: hide it, write it to the archive part by part, delete
it part by part.

Its tombstone has the phase. While archiving, nothing is deleted, and parts may be written again.
While removing, records are deleted only after they were read back from the archive. So any worker
can continue where another one stopped.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from jobyard.domain.archive import Inventory, Phase, record_line
from jobyard.domain.jobs.job import JobAddress, JobRecord
from jobyard.services.batches import rows
from jobyard.services.retention.archive import NotArchivable
from jobyard.services.retention.work_slice import Bookmark, RetentionContext, WorkSlice
from jobyard.store import chunks, jobs, operations, reports, usage
from jobyard.store.transactions import TransactItem

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

JOBS_PER_PART = 5000  # some megabytes
_BYTES_A_SECOND = 20_000_000  # that are compressed and written, as a cautious estimate


class TooEarly(Exception):
    """It may not be archived yet. `repaired_at` is when one of its jobs last changed."""

    def __init__(self, reason: str, repaired_at: datetime | None = None) -> None:
        super().__init__(reason)
        self.repaired_at = repaired_at


class ArchivedOrigin(Protocol):
    """A batch, campaign or edit job with a tombstone."""

    @property
    def origin_id(self) -> str:
        """Its id."""

    @property
    def folder(self) -> str:
        """Its folder in the archive."""

    @property
    def phase(self) -> Phase:
        """How far its retention is."""

    @property
    def part(self) -> str:
        """The part of the archive with its own record."""

    @property
    def chunk_size(self) -> int:
        """How many jobs a chunk has."""

    @property
    def chunk_count(self) -> int:
        """How many chunks there are."""

    @property
    def row_count(self) -> int:
        """How many rows there are; 0 if none were written."""

    @property
    def reported_ids(self) -> Sequence[str]:
        """The ids whose reports are its: its own, and those of its children."""

    @property
    def folders(self) -> Sequence[str]:
        """Where its files in the work bucket are."""

    def lines(self) -> Iterator[bytes]:
        """Its own records, as lines of the archive."""

    def remove_records(self) -> None:
        """Removes its own records but the tombstone."""

    def summary(self) -> Mapping[str, Any]:
        """What the inventory says about it."""

    def check_unchanged(self, job: JobRecord, now: datetime) -> None:
        """Checks that a job did not change after the end, or long enough ago. Raises TooEarly."""

    def in_phase(self, phase: Phase) -> TransactItem:
        """The item of a transaction that brings its tombstone into a phase."""

    def cancel(self, repaired_at: datetime | None) -> None:
        """Shows it again. Raises StaleState: its records are being removed."""

    @property
    def repaired_at(self) -> datetime | None:
        """When one of its jobs was last repaired, as it is stored."""


def archive_next_part(
    origin: ArchivedOrigin | None,
    bookmark: Bookmark,
    after_origin: Bookmark,
    context: RetentionContext,
) -> WorkSlice:
    """Archive the next part of an origin, or remove it; `after_origin` is the bookmark after it.
    None: it has no tombstone any more.

    One that cannot be archived is shown again, and counts as failed. If removing has begun, it
    stays a leftover, and counts as failed in each run.
    """
    if origin is None or origin.phase is Phase.REMOVED:
        return WorkSlice(after_origin)
    work = _Archiving(origin, bookmark, after_origin, context)
    try:
        return work.archive_part() if origin.phase is Phase.ARCHIVING else work.remove_part()
    except TooEarly as reason:
        origin.cancel(reason.repaired_at)
        return WorkSlice(after_origin)
    except NotArchivable as reason:
        if origin.phase is Phase.ARCHIVING:
            origin.cancel(origin.repaired_at)
        elif "leftovers" not in bookmark["go"]:
            return WorkSlice(after_origin)
        return WorkSlice(after_origin, failures=[(origin.origin_id, str(reason))])


class _Archiving:
    """One slice of archiving an origin. The bookmark's `at` is the number of the next part; it
    counts from 0 in each of the two phases.
    """

    def __init__(
        self,
        origin: ArchivedOrigin,
        bookmark: Bookmark,
        after_origin: Bookmark,
        context: RetentionContext,
    ) -> None:
        self.origin, self.origin_id = origin, origin.origin_id
        self.bookmark, self.after_origin, self.context = bookmark, after_origin, context
        self.archive = context.archive(origin.folder)
        # If the bookmark is older than the tombstone's phase, its `at` is from the previous phase.
        self.at = int(bookmark.get("at", 0)) if bookmark.get("phase") == origin.phase else 0
        self.parts = -(-origin.chunk_count // self._chunks) if origin.chunk_count else 0

    @property
    def _chunks(self) -> int:
        """How many chunks a part holds."""
        return max(1, JOBS_PER_PART // self.origin.chunk_size)

    def _next_part(self) -> WorkSlice:
        """The result: continue with the next part."""
        self.at += 1
        return self._result()

    def _result(self) -> WorkSlice:
        """The result: continue with part `at`."""
        return WorkSlice({**self.bookmark, "phase": self.origin.phase.value, "at": self.at})

    # Into the archive

    def archive_part(self) -> WorkSlice:
        """Write the next part: jobs, then files, then the records of the origin as a whole.

        Raises:
            TooEarly: it is being repaired. NotArchivable: something is missing.
        """
        if self.at < self.parts:
            if self.at == 0 and operations.is_any_running(self.origin_id):
                raise TooEarly("an operation has begun")
            self.archive.write(_jobs_part(self.at), self._jobs_lines(self.at))
            return self._next_part()
        files = [*self._files()]
        left = files[self.at - self.parts :]
        if not left:
            return self._seal([key for key, _ in files])
        packed = 0
        for key, size in left:
            if packed + size > _BYTES_A_SECOND and (packed or not self._is_enough_for(size)):
                break
            self.archive.copy(self._part_name(key), key)
            packed += size
            self.at += 1
        return self._result()

    def _is_enough_for(self, size: int) -> bool:
        return self.context.remaining() >= size / _BYTES_A_SECOND

    def _jobs_lines(self, part: int) -> Iterator[bytes]:
        """Rows, records, counts and outcomes of a part's chunks, chunk by chunk."""
        first = part * self._chunks
        last = min(first + self._chunks, self.origin.chunk_count) - 1
        settings, s3, origin_id = self.context.settings, self.context.s3, self.origin_id
        found_operations = [*operations.of_batch(origin_id)]
        counts = {each.chunk: each for each in chunks.of_batch(origin_id, first=first, last=last)}
        try:
            found_chunks = rows.chunks_between(s3, settings, origin_id, first, last)
        except s3.exceptions.NoSuchKey as error:
            raise NotArchivable("the index of its rows is missing") from error
        for chunk in found_chunks:
            try:
                found = rows.rows_of(s3, settings, origin_id, chunk)
            except s3.exceptions.NoSuchKey as error:
                raise NotArchivable("its rows are missing") from error
            for position, row in enumerate(found):
                job_id = JobAddress(origin_id, chunk.number, position).job_id
                yield record_line("row", row, job_id=job_id)
            for job in jobs.of_chunk(origin_id, chunk.number):
                self.origin.check_unchanged(job, self.context.now())
                yield _job_line(job)
            if chunk.number in counts:
                yield record_line("chunk", counts[chunk.number])
            for operation in found_operations:
                if chunk.number not in operation.chunks:
                    continue
                for outcome in rows.outcomes_of(s3, settings, operation, chunk.number):
                    yield record_line("outcome", outcome, operation_id=operation.operation_id)

    def _files(self) -> Iterator[tuple[str, int]]:
        """The keys and sizes of the objects in the work bucket that are archived as they are.

        Rows, index and outcomes are left out because the parts have them; the indexes of passes
        because they derive from the index.
        """
        origin_id = self.origin_id
        opened = bool(self.origin.row_count)
        left_out = {rows.rows_key(origin_id), rows.index_key(origin_id)} if opened else set()
        pages = self.context.s3.get_paginator("list_objects_v2")
        for prefix in self.origin.folders:
            for page in pages.paginate(Bucket=self.context.settings.work_bucket, Prefix=prefix):
                for found in page.get("Contents", ()):
                    key = found["Key"]
                    if key not in left_out and not key.startswith(f"work/{origin_id}/passes/"):
                        yield key, found["Size"]

    def _part_name(self, key: str) -> str:
        """The part of a file: files/reports/0001/jobs.csv.gz for reports/BATCH/0001/jobs.csv. Those
        of children have the child's id too.
        """
        kind, of, rest = key.split("/", 2)
        return f"files/{kind}/{rest}.gz" if of == self.origin_id else f"files/{key}.gz"

    def _origin_lines(self) -> Iterator[bytes]:
        """The records of the origin as a whole."""
        origin_id = self.origin_id
        yield from self.origin.lines()
        for each in self.origin.reported_ids:
            for report in reports.of_batch(each):
                yield record_line("report", report)
        for operation in operations.of_batch(origin_id):
            yield record_line("operation", operation)
        for part, used in usage.parts_of(origin_id):
            yield record_line("usage", used, part=part)

    def _seal(self, keys: list[str]) -> WorkSlice:
        """Write the inventory of the stored parts. From now on their records may be deleted."""
        self.archive.write(self.origin.part, self._origin_lines())
        names = [self.origin.part, *(_jobs_part(number) for number in range(self.parts))]
        names += [self._part_name(key) for key in keys]
        parts = tuple(self.archive.part(name) for name in names)
        inventory = Inventory(self.origin_id, self.origin.summary(), self.context.now(), parts)
        if inventory.counts.get("row", 0) != self.origin.row_count:
            found = inventory.counts.get("row", 0)
            raise NotArchivable(f"only {found} of its {self.origin.row_count} rows were found")
        self.archive.seal(inventory)
        return WorkSlice(
            {**self.bookmark, "phase": Phase.REMOVING.value, "at": 0},
            items=[self.origin.in_phase(Phase.REMOVING)],
        )

    # Out of the tables

    def remove_part(self) -> WorkSlice:
        """Delete the next part's records: jobs, then the rest, then the origin itself.

        Raises:
            NotArchivable: the archive does not have what its inventory lists.
        """
        if self.at < self.parts:
            self._remove_jobs(self.at)
            return self._next_part()
        if self.at == self.parts:
            self._remove_origin_records()
            return self._next_part()
        if not self._remove_objects():
            return self._result()
        return WorkSlice(
            self.after_origin, processed=1, items=[self.origin.in_phase(Phase.REMOVED)]
        )

    def _remove_jobs(self, part: int) -> None:
        origin_id, first = self.origin_id, part * self._chunks
        last = min(first + self._chunks, self.origin.chunk_count) - 1
        counts = [*chunks.of_batch(origin_id, first=first, last=last)]
        found = [
            job for number in range(first, last + 1) for job in jobs.of_chunk(origin_id, number)
        ]
        lines = [_job_line(job) for job in found]
        self.archive.ensure(
            [_jobs_part(part)], lines + [record_line("chunk", each) for each in counts]
        )
        jobs.remove(found)
        chunks.remove(counts)

    def _remove_origin_records(self) -> None:
        origin_id = self.origin_id
        ids = self.origin.reported_ids
        found_reports = [report for each in ids for report in reports.of_batch(each)]
        found_operations = [*operations.of_batch(origin_id)]
        usage_parts = [*usage.parts_of(origin_id)]
        lines = [record_line("report", each) for each in found_reports]
        lines += [record_line("operation", each) for each in found_operations]
        lines += [record_line("usage", each, part=part) for part, each in usage_parts]
        self.archive.ensure([self.origin.part], [*self.origin.lines(), *lines])
        reports.remove(found_reports)
        operations.remove(origin_id, found_operations)
        usage.remove(origin_id, [part for part, _ in usage_parts])
        self.origin.remove_records()

    def _remove_objects(self) -> bool:
        """Delete all versions of the origin's objects in the work bucket, while time remains.
        Returns whether none is left.

        Raises:
            NotArchivable: a file has changed since it was archived.
        """
        inventory = self.archive.inventory()
        for key, size in self._files():
            part = inventory.part(self._part_name(key))
            if part is None or part != self.archive.part(part.name) or part.length != size:
                raise NotArchivable(f"{key} has changed since it was archived")
        origin_id, bucket = self.origin_id, self.context.settings.work_bucket
        pages = self.context.s3.get_paginator("list_object_versions")
        for prefix in (*self.origin.folders, f"operations/{origin_id}/"):
            for page in pages.paginate(Bucket=bucket, Prefix=prefix):
                found: list[ObjectIdentifierTypeDef] = [
                    {"Key": each["Key"], "VersionId": each["VersionId"]}
                    for each in (*page.get("Versions", ()), *page.get("DeleteMarkers", ()))
                ]
                if found:
                    answer = self.context.s3.delete_objects(
                        Bucket=bucket, Delete={"Objects": found, "Quiet": True}
                    )
                    for refused in answer.get("Errors", ()):
                        raise RuntimeError(json.dumps(refused))
                    if self.context.remaining() <= 0:
                        return False
        return True


def _jobs_part(number: int) -> str:
    return f"jobs-{number:05d}.jsonl.gz"


def _job_line(job: JobRecord) -> bytes:
    return record_line("job", job, job_id=job.address.job_id)
