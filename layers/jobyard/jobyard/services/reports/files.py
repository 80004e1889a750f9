"""The files of a report: written while the jobs are read once, in order."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobyard.domain.batches.batch import Batch
from jobyard.domain.batches.report import OUTCOME_LETTERS, OUTCOME_WORDS, OUTCOMES, FailureGroup
from jobyard.domain.batches.report_text import ReportedJob, StoredObject
from jobyard.domain.jobs.failures import failure_description
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState
from jobyard.domain.mail_text import MAX_LISTED_JOBS, MailText
from jobyard.domain.manifests.findings import without_zeros
from jobyard.services.batches import rows
from jobyard.services.batches.job_csv import safe_cells, stored_version
from jobyard.services.batches.uploads import MultipartUpload, WrittenObject
from jobyard.services.reports.context import ReportContext
from jobyard.services.reports.reported_jobs import ReportedJobs
from jobyard.store import jobs, reports

_NAMES = ("jobs.csv", "failures.csv", "report.json", "outcomes")
_CONTENT_TYPES = {
    "report.html": "text/html; charset=utf-8",
    "mail.txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class _Utf8Writer:
    """A file for `csv.writer`, which writes text, over a file of bytes."""

    file: MultipartUpload

    def write(self, text: str) -> int:
        return self.file.write(encoded(text))


class _JsonReport:
    """The file report.json: an object with an id, an array, and what follows the array.

    The array may be begun in the file of one slice and continued in the next ones.
    """

    def __init__(self, file: MultipartUpload) -> None:
        self._file = file
        self._separator = ",\n"

    def begin_array(self, origin_id: str, id_name: str, name: str) -> None:
        self._write(f'{{"{id_name}": "{origin_id}", "{name}": [')
        self._separator = "\n"

    def add(self, item: Mapping[str, Any]) -> None:
        """Add `item` to the array."""
        self._write(self._separator + json.dumps(item))
        self._separator = ",\n"

    def end_array(self, **rest: Mapping[str, Any]) -> None:
        """End the array, then write `rest`, and end the object."""
        self._write("\n],\n")
        self._write(",\n".join(f'"{name}": {json.dumps(value)}' for name, value in rest.items()))
        self._write("}\n")

    def _write(self, text: str) -> None:
        self._file.write(text.encode())


def encoded(text: str) -> bytes:
    """`text` as UTF-8. Characters that UTF-8 cannot encode, such as lone surrogates, become `?`."""
    return text.encode(errors="replace")


class Files:
    """The files of a report, or of a slice of it, while they are written: CSV of all jobs, CSV of
    failures, JSON and outcomes. None of them is readable before `finish`.
    """

    def __init__(self, prefix: str, context: ReportContext) -> None:
        self._prefix, self._context = prefix, context
        bucket = context.settings.work_bucket
        self._uploads = {
            name: MultipartUpload(context.s3, bucket, f"{prefix}/{name}") for name in _NAMES
        }
        self.all = csv.writer(_Utf8Writer(self._uploads["jobs.csv"]))
        self.failures = csv.writer(_Utf8Writer(self._uploads["failures.csv"]))
        self.json = _JsonReport(self._uploads["report.json"])
        self.outcomes = self._uploads["outcomes"]

    def __enter__(self) -> "Files":
        return self

    def __exit__(self, *_: object) -> None:
        for upload in self._uploads.values():
            upload.abort()

    def add(self, written: Mapping[str, WrittenObject]) -> None:
        """Add the files of a slice."""
        for name, upload in self._uploads.items():
            upload.add(written[name])

    def finish(self) -> dict[str, WrittenObject]:
        """Complete the uploads. Returns the written files by name."""
        return {name: upload.finish() for name, upload in self._uploads.items()}

    def publish(self, mail: MailText) -> dict[str, str]:
        """Complete the uploads and write the page and the mail's text. Returns the keys by name."""
        keys = {name: written.key for name, written in self.finish().items()}
        for name, text in {
            "report.html": mail.as_html(),
            "mail.txt": mail.as_text(),
        }.items():
            keys[name] = f"{self._prefix}/{name}"
            self._context.s3.put_object(
                Bucket=self._context.settings.work_bucket,
                Key=keys[name],
                Body=encoded(text),
                ContentType=_CONTENT_TYPES[name],
            )
        return keys


@dataclass
class Summary:
    """The counts of some of the jobs. `counts` are by outcome, `code_counts` by failure code.

    `shown` are the jobs that the mail lists, `stored` the first of `stored_count` objects.
    `changed` counts the jobs whose outcome differs from the last report, `unrecorded` those without
    a record.
    """

    counts: dict[str, int] = field(default_factory=dict)
    code_counts: dict[str, int] = field(default_factory=dict)
    shown: list[ReportedJob] = field(default_factory=list)
    changed: int = 0
    failed: int = 0
    unrecorded: int = 0
    stored: list[StoredObject] = field(default_factory=list)
    stored_count: int = 0

    def groups(self) -> tuple[FailureGroup, ...]:
        """The failures by code, the largest group first."""
        ordered = sorted(self.code_counts, key=lambda code: (-self.code_counts[code], code))
        return tuple(
            FailureGroup(code, failure_description(code), self.code_counts[code])
            for code in ordered
        )

    def add(self, after: "Summary") -> None:
        """Add the summary of the next jobs."""
        for total, more in (
            (self.counts, after.counts),
            (self.code_counts, after.code_counts),
        ):
            for name, count in more.items():
                total[name] = total.get(name, 0) + count
        self.shown += after.shown[: MAX_LISTED_JOBS - len(self.shown)]
        self.changed += after.changed
        self.failed += after.failed
        self.unrecorded += after.unrecorded
        self.stored += after.stored[: MAX_LISTED_JOBS - len(self.stored)]
        self.stored_count += after.stored_count

    def add_stored(self, row: rows.Row, job: JobRecord) -> None:
        """Add the object that a job stored, if it did."""
        ark, version = stored_version(job)
        if not ark:
            return
        self.stored_count += 1
        if len(self.stored) < MAX_LISTED_JOBS:
            local_ids = "; ".join(row.get("local", ()))
            self.stored.append(StoredObject(str(row.get("name", "")), ark, version, local_ids))


def write_jobs(
    reported: ReportedJobs, chunks: range, files: Files, context: ReportContext
) -> Summary:
    """Write the jobs of some chunks into the files, in order, and count them.

    The first chunk's files begin with their headers. In an update, jobs are compared with the last
    report.
    """
    summary = Summary()
    update = reported.is_update
    earlier = _reported_outcomes(reported, chunks, context) if update else iter(())
    if not chunks.start:
        files.all.writerow(reported.columns)
        files.failures.writerow(reported.columns)
        files.json.begin_array(reported.origin_id, *reported.names)
    for row, job in _jobs_of(reported, chunks, context):
        summary.unrecorded += not job.version
        letter = OUTCOME_LETTERS[job.state]
        files.outcomes.write(letter.encode())
        outcome = OUTCOMES[letter]
        summary.counts[outcome] = summary.counts.get(outcome, 0) + 1
        cells = reported.cells(row, job)
        safe = safe_cells(cells)
        files.all.writerow(safe)
        texts = dict(zip(reported.columns, cells, strict=True))
        files.json.add({**texts, **reported.numbers(row, job)})
        if job.state is JobState.FAILED:
            files.failures.writerow(safe)
            summary.failed += 1
            group = reported.group(job)
            summary.code_counts[group] = summary.code_counts.get(group, 0) + 1
        before = next(earlier, "") if update else ""
        if before != letter:
            summary.add_stored(row, job)
        if update and before != letter:
            summary.changed += 1
        is_listed = before != letter if update else job.state is JobState.FAILED
        if is_listed and len(summary.shown) < MAX_LISTED_JOBS:
            summary.shown.append(
                ReportedJob(
                    job.address.job_id,
                    reported.title(row),
                    OUTCOME_WORDS[outcome],
                    OUTCOME_WORDS[OUTCOMES[before]] if before else "",
                    job.failure_message if job.state is JobState.FAILED else "",
                )
            )
    return summary


def _reported_outcomes(
    reported: ReportedJobs, chunks: range, context: ReportContext
) -> Iterator[str]:
    """The outcomes of these chunks' jobs in the last report, a letter each."""
    first = chunks.start * reported.chunk_size
    body = context.s3.get_object(
        Bucket=context.settings.work_bucket,
        Key=reports.get(reported.origin_id, reported.last_report).files["outcomes"],
        Range=f"bytes={first}-{first + len(chunks) * reported.chunk_size - 1}",
    )["Body"]
    for block in body.iter_chunks():
        yield from block.decode()


def _jobs_of(
    reported: ReportedJobs, chunks: range, context: ReportContext
) -> Iterator[tuple[rows.Row, JobRecord]]:
    """Every job of these chunks with its row, in order."""
    if not chunks:
        return
    s3, settings, origin_id = context.s3, context.settings, reported.origin_id
    index = rows.chunks_between(s3, settings, origin_id, chunks.start, chunks.stop - 1)
    for chunk, found in rows.rows_by_chunk(s3, settings, origin_id, index):
        recorded = {job.address.position: job for job in jobs.of_chunk(origin_id, chunk.number)}
        for position, row in enumerate(found):
            job = recorded.get(position)
            if job is None:
                job = reported.unrecorded(JobAddress(origin_id, chunk.number, position))
            yield row, job


def findings_of(batch: Batch, context: ReportContext) -> Iterator[dict[str, Any]]:
    """The findings of a batch's manifest, in manifest order."""
    if not batch.findings:
        return
    body = context.s3.get_object(
        Bucket=context.settings.work_bucket, Key=rows.findings_key(batch.batch_id)
    )["Body"]
    for line in body.iter_lines():
        yield without_zeros(json.loads(line))
