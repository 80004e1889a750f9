"""Archive a batch: hide it, write it to the archive part by part, delete it part by part.

Its tombstone has the phase. While archiving, nothing is deleted, and parts may be written again.
While removing, records are deleted only after they were read back from the archive. So any worker
can continue where another one stopped.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from jobyard.domain.archive import Inventory, Phase, Tombstone, archive_folder, record_line
from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.report import DeliveryState
from jobyard.domain.jobs.job import OPEN_JOB_STATES, JobAddress, JobRecord, JobState
from jobyard.services.batches import rows
from jobyard.services.retention.archive import NotArchivable
from jobyard.services.retention.work_slice import (
    Bookmark,
    RetentionContext,
    WorkSlice,
    retention_of,
)
from jobyard.store import batches, chunks, jobs, operations, reports, usage

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

JOBS_PER_PART = 5000  # some megabytes
_BYTES_A_SECOND = 20_000_000  # that are compressed and written, as a cautious estimate
_BATCH_PART = "batch.jsonl.gz"
_UNDELIVERED = {DeliveryState.QUEUED, DeliveryState.SENDING}


class TooEarly(Exception):
    """A batch may not be archived yet. `repaired_at` is when one of its jobs last changed."""

    def __init__(self, reason: str, repaired_at: datetime | None = None) -> None:
        super().__init__(reason)
        self.repaired_at = repaired_at


def due_at(batch: Batch) -> datetime | None:
    """When a batch is due for archiving; None while it is open."""
    return batch.kept_until(retention_of(batch.job_type))


def start_archiving(suggested: Batch, context: RetentionContext) -> bool:
    """Hide a batch and begin to archive it, if it is due. Returns whether it was due.

    Raises:
        StaleState: someone else changed it at the same time.
    """
    now = context.now()
    batch = batches.get(suggested.batch_id, now)
    due = due_at(batch)
    if due is None or due > now or _is_in_use(batch):
        return False
    # Each try has a folder of its own, so that nothing in it is written twice.
    attempt = f"v{batch.version}"
    folder = archive_folder(batch.job_type, batch.submitted_at, batch.batch_id, attempt)
    batches.start_archiving(batch, now, folder)
    return True


def _is_in_use(batch: Batch) -> bool:
    """Whether something may still be written for an ended batch: it is being repaired, or its
    report is not delivered yet.
    """
    if operations.is_any_running(batch.batch_id):
        return True
    if any(each.delivery.state in _UNDELIVERED for each in reports.of_batch(batch.batch_id)):
        return True
    return any(
        record.count(JobState.SCHEDULED) + record.count(JobState.RUNNING)
        for record in chunks.of_batch(batch.batch_id)
    )


def archive_next_part(
    bookmark: Bookmark, after_batch: Bookmark, context: RetentionContext
) -> WorkSlice:
    """Archive the next part of a batch, or remove it; `after_batch` is the bookmark after it.

    A batch that cannot be archived is shown again, and counts as failed. If removing has begun, it
    stays a leftover, and counts as failed in each run.
    """
    tombstone = batches.tombstone(bookmark["batch"])
    if tombstone is None or tombstone.phase is Phase.REMOVED:
        return WorkSlice(after_batch)
    work = _BatchArchiving(tombstone, bookmark, after_batch, context)
    try:
        return work.archive_part() if tombstone.phase is Phase.ARCHIVING else work.remove_part()
    except TooEarly as reason:
        batches.cancel_archiving(tombstone, reason.repaired_at)
        return WorkSlice(after_batch)
    except NotArchivable as reason:
        if tombstone.phase is Phase.ARCHIVING:
            batches.cancel_archiving(tombstone, tombstone.batch.repaired_at)
        elif bookmark["go"] != "leftovers":
            return WorkSlice(after_batch)
        return WorkSlice(after_batch, failures=[(tombstone.batch.batch_id, str(reason))])


class _BatchArchiving:
    """One slice of archiving a batch. The bookmark's `at` is the number of the next part; it
    counts from 0 in each of the two phases.
    """

    def __init__(
        self,
        tombstone: Tombstone,
        bookmark: Bookmark,
        after_batch: Bookmark,
        context: RetentionContext,
    ) -> None:
        self.tombstone, self.batch = tombstone, tombstone.batch
        self.bookmark, self.after_batch, self.context = bookmark, after_batch, context
        self.archive = context.archive(tombstone.folder)
        # If the bookmark is older than the tombstone's phase, its `at` is from the previous phase.
        self.at = int(bookmark.get("at", 0)) if bookmark.get("phase") == tombstone.phase else 0
        self.parts = -(-self.batch.chunk_count // self._chunks) if self.batch.chunk_count else 0

    @property
    def _chunks(self) -> int:
        """How many chunks a part holds."""
        return max(1, JOBS_PER_PART // self.batch.chunk_size)

    def _next_part(self) -> WorkSlice:
        """The result: continue with the next part."""
        self.at += 1
        return self._result()

    def _result(self) -> WorkSlice:
        """The result: continue with part `at`."""
        return WorkSlice({**self.bookmark, "phase": self.tombstone.phase.value, "at": self.at})

    # Into the archive

    def archive_part(self) -> WorkSlice:
        """Write the next part: jobs, then files, then the records of the batch as a whole.

        Raises:
            TooEarly: the batch is being repaired. NotArchivable: something is missing.
        """
        if self.at < self.parts:
            if self.at == 0 and operations.is_any_running(self.batch.batch_id):
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
        last = min(first + self._chunks, self.batch.chunk_count) - 1
        settings, s3, batch_id = self.context.settings, self.context.s3, self.batch.batch_id
        found_operations = [*operations.of_batch(batch_id)]
        counts = {each.chunk: each for each in chunks.of_batch(batch_id, first=first, last=last)}
        try:
            found_chunks = rows.chunks_between(s3, settings, batch_id, first, last)
        except s3.exceptions.NoSuchKey as error:
            raise NotArchivable("the index of its rows is missing") from error
        for chunk in found_chunks:
            try:
                found = rows.rows_of(s3, settings, batch_id, chunk)
            except s3.exceptions.NoSuchKey as error:
                raise NotArchivable("its rows are missing") from error
            for position, row in enumerate(found):
                job_id = JobAddress(batch_id, chunk.number, position).job_id
                yield record_line("row", row, job_id=job_id)
            for job in jobs.of_chunk(batch_id, chunk.number):
                self._check_unchanged(job)
                yield _job_line(job)
            if chunk.number in counts:
                yield record_line("chunk", counts[chunk.number])
            for operation in found_operations:
                if chunk.number not in operation.chunks:
                    continue
                for outcome in rows.outcomes_of(s3, settings, operation, chunk.number):
                    yield record_line("outcome", outcome, operation_id=operation.operation_id)

    def _check_unchanged(self, job: JobRecord) -> None:
        """Check that a job did not change after its batch had ended, or long enough ago.

        Raises:
            TooEarly: it is open, or changed too recently.
        """
        if job.state in OPEN_JOB_STATES and self.batch.state is BatchState.FAILED:
            raise TooEarly("one of its jobs is open", self.context.now())
        if job.at + retention_of(self.batch.job_type) > self.tombstone.archived_at:
            raise TooEarly("one of its jobs changed after its report", job.at)

    def _files(self) -> Iterator[tuple[str, int]]:
        """The keys and sizes of the objects in the work bucket that are archived as they are.

        Rows, index and outcomes are left out because the parts have them; the indexes of passes
        because they derive from the index.
        """
        batch_id = self.batch.batch_id
        opened = bool(self.batch.entries)
        left_out = {rows.rows_key(batch_id), rows.index_key(batch_id)} if opened else set()
        pages = self.context.s3.get_paginator("list_objects_v2")
        for prefix in (f"work/{batch_id}/", f"reports/{batch_id}/"):
            for page in pages.paginate(Bucket=self.context.settings.work_bucket, Prefix=prefix):
                for found in page.get("Contents", ()):
                    key = found["Key"]
                    if key not in left_out and not key.startswith(f"work/{batch_id}/passes/"):
                        yield key, found["Size"]

    def _part_name(self, key: str) -> str:
        """The part of a file: files/reports/0001/jobs.csv.gz for reports/BATCH/0001/jobs.csv."""
        kind, _, rest = key.split("/", 2)
        return f"files/{kind}/{rest}.gz"

    def _batch_lines(self) -> Iterator[bytes]:
        """The records of the batch as a whole."""
        batch_id = self.batch.batch_id
        yield record_line("batch", self.batch)
        for report in reports.of_batch(batch_id):
            yield record_line("report", report)
        for operation in operations.of_batch(batch_id):
            yield record_line("operation", operation)
        for part, used in usage.parts_of(batch_id):
            yield record_line("usage", used, part=part)

    def _seal(self, keys: list[str]) -> WorkSlice:
        """Write the inventory of the stored parts. From now on their records may be deleted."""
        self.archive.write(_BATCH_PART, self._batch_lines())
        names = [_BATCH_PART, *(_jobs_part(number) for number in range(self.parts))]
        names += [self._part_name(key) for key in keys]
        parts = tuple(self.archive.part(name) for name in names)
        inventory = Inventory(self.batch.batch_id, _summary(self.batch), self.context.now(), parts)
        if inventory.counts.get("row", 0) != self.batch.entries:
            found = inventory.counts.get("row", 0)
            raise NotArchivable(f"only {found} of its {self.batch.entries} rows were found")
        self.archive.seal(inventory)
        after = replace(self.tombstone, phase=Phase.REMOVING)
        return WorkSlice(
            {**self.bookmark, "phase": Phase.REMOVING.value, "at": 0},
            items=[batches.tombstone_item(self.tombstone, after)],
        )

    # Out of the tables

    def remove_part(self) -> WorkSlice:
        """Delete the next part's records: jobs, then the rest, then the batch itself.

        Raises:
            NotArchivable: the archive does not have what its inventory lists.
        """
        if self.at < self.parts:
            self._remove_jobs(self.at)
            return self._next_part()
        if self.at == self.parts:
            self._remove_batch_records()
            return self._next_part()
        if not self._remove_objects():
            return self._result()
        item = batches.tombstone_item(self.tombstone, self.tombstone.reduced())
        return WorkSlice(self.after_batch, processed=1, items=[item])

    def _remove_jobs(self, part: int) -> None:
        batch_id, first = self.batch.batch_id, part * self._chunks
        last = min(first + self._chunks, self.batch.chunk_count) - 1
        counts = [*chunks.of_batch(batch_id, first=first, last=last)]
        found = [
            job for number in range(first, last + 1) for job in jobs.of_chunk(batch_id, number)
        ]
        lines = [_job_line(job) for job in found]
        self.archive.ensure(
            [_jobs_part(part)], lines + [record_line("chunk", each) for each in counts]
        )
        jobs.remove(found)
        chunks.remove(counts)

    def _remove_batch_records(self) -> None:
        batch_id = self.batch.batch_id
        found_reports = [*reports.of_batch(batch_id)]
        found_operations = [*operations.of_batch(batch_id)]
        usage_parts = [*usage.parts_of(batch_id)]
        lines = [record_line("report", each) for each in found_reports]
        lines += [record_line("operation", each) for each in found_operations]
        lines += [record_line("usage", each, part=part) for part, each in usage_parts]
        self.archive.ensure([_BATCH_PART], [record_line("batch", self.batch), *lines])
        reports.remove(found_reports)
        operations.remove(batch_id, found_operations)
        usage.remove(batch_id, [part for part, _ in usage_parts])

    def _remove_objects(self) -> bool:
        """Delete all versions of the batch's objects in the work bucket, while time remains.
        Returns whether none is left.

        Raises:
            NotArchivable: a file has changed since it was archived.
        """
        inventory = self.archive.inventory()
        for key, size in self._files():
            part = inventory.part(self._part_name(key))
            if part is None or part != self.archive.part(part.name) or part.length != size:
                raise NotArchivable(f"{key} has changed since it was archived")
        batch_id, bucket = self.batch.batch_id, self.context.settings.work_bucket
        pages = self.context.s3.get_paginator("list_object_versions")
        for prefix in (f"work/{batch_id}/", f"reports/{batch_id}/", f"operations/{batch_id}/"):
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


def _summary(batch: Batch) -> dict[str, object]:
    """What the inventory says about the batch."""
    names = ("state", "job_type", "collection", "submitter", "filename", "entries")
    return {
        "batch_id": batch.batch_id,
        **{name: getattr(batch, name) for name in names},
        "submitted_at": batch.submitted_at,
        "ended_at": batch.ended_at,
        "reported": dict(batch.reported_counts),
    }
