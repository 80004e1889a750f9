"""The slices of a large report: each call writes the next missing one.

A slice's files stay in the staging folder until the report's files are assembled from them. A
slice is recorded once; a second writer continues with the first one's. Each report has slices of
its own: the folder's name has the time at which reporting began.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from jobyard.domain.batches.report_text import ReportedJob, StoredObject
from jobyard.services.batches.uploads import WrittenObject
from jobyard.services.reports.context import ReportContext
from jobyard.services.reports.files import Files, Summary, write_jobs
from jobyard.services.reports.reported_jobs import ReportedJobs

_ALREADY_WRITTEN = {409, 412}  # statuses of S3 if another has written the object, or is writing it


@dataclass(frozen=True)
class Slice:
    """The counts of some of the jobs, and their files by name."""

    summary: Summary
    files: Mapping[str, WrittenObject]

    def text(self) -> bytes:
        """The slice as JSON, for S3."""
        files = {name: [*written] for name, written in self.files.items()}
        return json.dumps({"summary": asdict(self.summary), "files": files}).encode()

    @classmethod
    def of(cls, text: bytes) -> "Slice":
        """The slice stored as `text`."""
        document = json.loads(text)
        found = document["summary"]
        shown = [ReportedJob(**each) for each in found.pop("shown")]
        stored = [StoredObject(**each) for each in found.pop("stored", ())]
        files = {name: WrittenObject(*written) for name, written in document["files"].items()}
        return cls(Summary(**found, shown=shown, stored=stored), files)


class Slices:
    """The slices of a report, in order."""

    def __init__(self, reported: ReportedJobs, context: ReportContext) -> None:
        self._reported, self._context = reported, context
        self._slice_chunks = max(1, context.slice_jobs // (reported.chunk_size or 1))
        self._count = -(-reported.chunk_count // self._slice_chunks)

    @property
    def is_single(self) -> bool:
        """Whether one slice has all jobs; then none is stored."""
        return self._count <= 1

    def write_next(self) -> bool:
        """Write the first missing slice. Returns False when none is missing."""
        if self.is_single:
            return False
        for number in range(self._count):
            if self._find(number) is None:
                self._write(number)
                return True
        return False

    def written(self) -> Iterator[Slice]:
        """The slices, in order. All of them have to be written."""
        for number in range(self._count):
            found = self._find(number)
            if found is None:
                raise RuntimeError(f"slice {number} of {self._reported.origin_id} is missing")
            yield found

    def _folder(self, number: int) -> str:
        reported = self._reported
        began = f"{reported.began_at.timestamp():.3f}"
        name = f"{reported.last_report + 1:04d}-{began}-{self._slice_chunks}"
        return f"staging/reports/{reported.origin_id}/{name}/{number:05d}"

    def _find(self, number: int) -> Slice | None:
        s3, bucket = self._context.s3, self._context.settings.work_bucket
        try:
            response = s3.get_object(Bucket=bucket, Key=f"{self._folder(number)}/slice.json")
        except s3.exceptions.NoSuchKey:
            return None
        return Slice.of(response["Body"].read())

    def _write(self, number: int) -> None:
        reported, context = self._reported, self._context
        first = number * self._slice_chunks
        chunks = range(first, min(first + self._slice_chunks, reported.chunk_count))
        with Files(self._folder(number), context) as files:
            summary = write_jobs(reported, chunks, files, context)
            found = Slice(summary, files.finish())
        try:
            context.s3.put_object(
                Bucket=context.settings.work_bucket,
                Key=f"{self._folder(number)}/slice.json",
                Body=found.text(),
                IfNoneMatch="*",
            )
        except context.s3.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] not in _ALREADY_WRITTEN:
                raise


def write_all(
    reported: ReportedJobs, slices: Slices, files: Files, context: ReportContext
) -> Summary:
    """Write all jobs into the files of a report: now, or from their slices."""
    if slices.is_single:
        return write_jobs(reported, range(reported.chunk_count), files, context)
    summary = Summary()
    for each in slices.written():
        files.add(each.files)
        summary.add(each.summary)
    return summary
