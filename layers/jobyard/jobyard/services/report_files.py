"""The files of a report, written while going through a batch's jobs once, in manifest order."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from jobyard.domain import letters
from jobyard.domain.batch import Batch
from jobyard.domain.chunks import Chunk
from jobyard.domain.failures import Failure
from jobyard.domain.job import JobRecord, JobState, Place, unrecorded
from jobyard.domain.letters import SHOWN, Told, ToldJob
from jobyard.domain.report import OUTCOME_LETTERS, OUTCOME_WORDS, FailureGroup, safe_cell
from jobyard.domain.urls import without_secrets
from jobyard.jobtypes import TYPES
from jobyard.services import rows
from jobyard.services.mailing import Reporting
from jobyard.store import jobs, reports

_IN_MEMORY = 4 * 1024 * 1024  # a larger spool lies on the worker's disk

COLUMNS = (
    "job_id",
    "line",
    "name",
    "url",
    "state",
    "word",
    "step",
    "failure_code",
    "failure_message",
    "attempts",
    "requeues",
    "ended_at",
    "result",
)


@dataclass(frozen=True)
class _Encoded:
    """What a csv writer writes to, when the file takes bytes."""

    spool: IO[bytes]

    def write(self, text: str) -> int:
        return self.spool.write(text.encode())


class Files:
    """The files of a report while they are written: CSV of all jobs and of failures, JSON."""

    def __init__(self) -> None:
        self._spools: dict[str, IO[bytes]] = {
            name: SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 closed in __exit__
            for name in ("jobs.csv", "failures.csv", "report.json", "outcomes")
        }
        self.all = csv.writer(_Encoded(self._spools["jobs.csv"]))
        self.failures = csv.writer(_Encoded(self._spools["failures.csv"]))
        self.json = self._spools["report.json"]
        self.outcomes = self._spools["outcomes"]
        self.json.write(b"{")

    def __enter__(self) -> "Files":
        return self

    def __exit__(self, *_: object) -> None:
        for spool in self._spools.values():
            spool.close()

    def upload(self, prefix: str, told: Told, reporting: Reporting) -> dict[str, str]:
        """Put the files, the page and the mail's text where they stay; the keys by name."""
        bucket = reporting.settings.work_bucket
        keys: dict[str, str] = {}
        for name, spool in self._spools.items():
            spool.seek(0)
            keys[name] = f"{prefix}/{name}"
            reporting.s3.put_object(Bucket=bucket, Key=keys[name], Body=spool)
        written = {"report.html": letters.page(told), "mail.txt": letters.text(told)}
        for name, words in written.items():
            keys[name] = f"{prefix}/{name}"
            reporting.s3.put_object(
                Bucket=bucket,
                Key=keys[name],
                Body=words.encode(),
                ContentType="text/html; charset=utf-8" if name.endswith("html") else "text/plain",
            )
        return keys


@dataclass
class Summary:
    counts: dict[str, int]
    code_counts: dict[str, int]
    shown: list[ToldJob]
    changed: int = 0
    failed: int = 0

    def groups(self) -> tuple[FailureGroup, ...]:
        """The failures by code, the largest group first."""
        ordered = sorted(self.code_counts, key=lambda code: (-self.code_counts[code], code))
        return tuple(
            FailureGroup(code, Failure(code).sentence, self.code_counts[code]) for code in ordered
        )


def summarise(batch: Batch, files: Files, reporting: Reporting, *, update: bool) -> Summary:
    """Go through all jobs once, in manifest order, writing files and counting."""
    summary = Summary({}, {}, [])
    told_before = _outcomes_told(batch, reporting) if update else iter(())
    files.all.writerow(COLUMNS)
    files.failures.writerow(COLUMNS)
    files.json.write(f'"batch_id": "{batch.batch_id}", "jobs": ['.encode())
    separator = b"\n"
    for row, job in _all_jobs(batch, reporting):
        letter = OUTCOME_LETTERS[job.state]
        files.outcomes.write(letter.encode())
        word = OUTCOME_WORDS[letter] if letter == "w" else job.state.value
        summary.counts[word] = summary.counts.get(word, 0) + 1
        cells = _cells(batch, row, job)
        files.all.writerow(safe_cell(cell) for cell in cells)
        typed = dict(zip(COLUMNS, cells, strict=True)) | {
            "line": row.get("line"),
            "attempts": job.attempted,
            "requeues": job.requeues,
            "result": dict(job.data),
        }
        files.json.write(separator + json.dumps(typed).encode())
        separator = b",\n"
        if job.state is JobState.FAILED:
            files.failures.writerow(safe_cell(cell) for cell in cells)
            summary.failed += 1
            code = job.failure_code
            summary.code_counts[code] = summary.code_counts.get(code, 0) + 1
        before = next(told_before, "") if update else ""
        is_news = before != letter if update else job.state is JobState.FAILED
        summary.changed += update and before != letter
        if is_news and len(summary.shown) < SHOWN:
            summary.shown.append(
                ToldJob(
                    job.place.job_id,
                    str(row.get("name", "")),
                    OUTCOME_WORDS[letter],
                    OUTCOME_WORDS.get(before, ""),
                    job.failure_message if job.state is JobState.FAILED else "",
                )
            )
    return summary


def _outcomes_told(batch: Batch, reporting: Reporting) -> Iterator[str]:
    key = reports.get(batch.batch_id, batch.last_report).files["outcomes"]
    body = reporting.s3.get_object(Bucket=reporting.settings.work_bucket, Key=key)["Body"]
    for block in body.iter_chunks():
        yield from block.decode()


def _all_jobs(batch: Batch, reporting: Reporting) -> Iterator[tuple[rows.Row, JobRecord]]:
    """Every job of the batch with its row, in manifest order. A cancelled batch's rows that never
    ran are cancelled."""
    cancelled = batch.is_cancelled
    settings = reporting.settings
    lines = reporting.s3.get_object(
        Bucket=settings.work_bucket, Key=rows.index_key(batch.batch_id)
    )["Body"]
    for line in lines.iter_lines():
        chunk = Chunk.of_line(line)
        recorded = {job.place.position: job for job in jobs.of_chunk(batch.batch_id, chunk.chunk)}
        for position, row in enumerate(rows.rows_of(reporting.s3, settings, batch.batch_id, chunk)):
            job = recorded.get(position)
            if job is None:
                job = unrecorded(Place(batch.batch_id, chunk.chunk, position), batch.submitted_at)
                job = replace(job, state=JobState.CANCELLED) if cancelled else job
            yield row, job


def _cells(batch: Batch, row: rows.Row, job: JobRecord) -> tuple[str, ...]:
    last = job.attempts[-1] if job.attempts else None
    ended = last.ended_at.isoformat() if last and last.ended_at else ""
    return (
        job.place.job_id,
        str(row.get("line", "")),
        str(row.get("name", "")),
        without_secrets(str(row.get("url", ""))),
        job.state.value,
        word_of(batch, job.state),
        last.step if last else "",
        job.failure_code if job.state is JobState.FAILED else "",
        job.failure_message if job.state is JobState.FAILED else "",
        str(job.attempted),
        str(job.requeues),
        ended,
        json.dumps(dict(job.data), sort_keys=True) if job.data else "",
    )


def word_of(batch: Batch, state: JobState) -> str:
    """The word the users of the batch's job type know a job state by."""
    return TYPES[batch.job_type].words.get(state.value, state.value)


def findings_of(batch: Batch, reporting: Reporting) -> Iterator[dict[str, Any]]:
    if not batch.findings:
        return
    body = reporting.s3.get_object(
        Bucket=reporting.settings.work_bucket, Key=rows.findings_key(batch.batch_id)
    )["Body"]
    for line in body.iter_lines():
        yield json.loads(line)


def finding_line(finding: dict[str, Any]) -> str:
    where = f"line {finding['line']}" if finding["line"] else "the manifest"
    if finding["column"]:
        where += f", column {finding['column']}"
    return f"{where}: {finding['level']}: {finding['message']} ({finding['code']})"
