"""Reporting a batch: seconds, peak memory and bytes of disk, by the number of jobs.

A new process calls the report service until the batch is reported, like the state machine. Batch,
report and slices are in the emulator. A laptop cannot hold a million deposits. So `FakeAws` answers
requests for the jobs' records, rows and index and for parts of large files, in the format of AWS
and without delay. Only our own code is measured, including the parsing of responses. The calls to
DynamoDB and S3 for which a Lambda would wait are counted.

The records are of deposits of one file each; every hundredth failed. `call_on_lambda_s` is how long
the longest call would take on Lambda with 512 MB, of its 900 seconds: its CPU time at the CPU share
of that memory, and 20 ms for each call to AWS.
"""

import json
import multiprocessing
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from botocore.awsrequest import AWSResponse, HeadersDict
from botocore.exceptions import BotoCoreError

from benchmarks.output import Figures, main, say
from benchmarks.processes import peak_mb
from cli.local import clients, emulator
from jobyard.domain.batches.batch import Batch, BatchState, ManifestSource
from jobyard.domain.batches.chunks import INDEX_LINE_BYTES, Chunk
from jobyard.domain.history import HistoryEntry
from jobyard.domain.ids import batch_id_of
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import Attempt, JobAddress, JobRecord, JobState, StepRecord, StepStatus
from jobyard.domain.manifests.entry import Entry, row_of
from jobyard.jobtypes import TYPES
from jobyard.services.reports.context import SLICE_JOBS, ReportContext
from jobyard.services.reports.report import report
from jobyard.services.settings import Settings
from jobyard.store import batches, jobs, tables

SIZES = (10_000, 100_000, 1_000_000)
CHUNK_SIZE = 100
FAILED_EVERY = 100
LAMBDA_MB, PROCESSOR_MB = 512, 1769  # source: Lambda developer guide, a vCPU has 1,769 MB
WAIT_S = 0.02  # for a response of DynamoDB or S3; a careful estimate
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
_PLACEHOLDER = "CHUNK"
_WORK = "work"


class WrongReport(Exception):
    """A batch's report has wrong counts."""


@dataclass(frozen=True)
class ReportResult:
    """The measurements of a report. `longest_…` are of the longest invocation."""

    jobs: int
    invocations: int
    seconds: float
    cpu_s: float
    longest_cpu_s: float
    longest_calls: int
    peak_mb: float
    disk_bytes: int
    sent_bytes: int

    @property
    def on_lambda_s(self) -> float:
        """Seconds that the longest invocation would take with 512 MB."""
        return self.longest_cpu_s * PROCESSOR_MB / LAMBDA_MB + self.longest_calls * WAIT_S


def measure() -> Figures:
    """Seconds, memory and disk that the report of a batch takes."""
    with _emulator() as endpoint:
        found = [_in_new_process(size, endpoint) for size in SIZES]
    for each in found:
        say(
            f"{each.jobs:>9,} jobs: {each.invocations:>3} calls, {each.seconds:>6.1f} s "
            f"(CPU {each.cpu_s:.1f} s), {each.peak_mb:.0f} MB, {each.disk_bytes:,} bytes of disk, "
            f"{each.sent_bytes / 1e6:,.0f} MB sent to S3; the longest call "
            f"{each.longest_cpu_s:.1f} s of CPU, {each.longest_calls:,} calls to AWS, "
            f"{each.on_lambda_s:.0f} s on Lambda"
        )
    largest = found[-1]
    return {
        "call_on_lambda_s": round(max(each.on_lambda_s for each in found), 1),
        "peak_mb": round(max(each.peak_mb for each in found), 1),
        "disk_mb": round(max(each.disk_bytes for each in found) / 1e6, 3),
        "seconds": {str(each.jobs): round(each.seconds, 1) for each in found},
        "peak_mb_by_size": {str(each.jobs): round(each.peak_mb, 1) for each in found},
        "invocations": largest.invocations,
        "sent_mb": round(largest.sent_bytes / 1e6),
    }


@contextmanager
def _emulator() -> Iterator[str]:
    """An emulator with tables and a bucket. Yields its endpoint."""
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as folder:
        home = Path(folder)
        started = emulator.start(home, emulator.free_port(), persist=False)
        try:
            _bind(started.endpoint)
            for model in tables.MODELS.values():
                model.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
            clients.client("s3", started.endpoint).create_bucket(Bucket=_WORK)
            yield started.endpoint
        finally:
            emulator.stop(home)


def _bind(endpoint: str) -> None:
    os.environ |= {  # noqa: TID251  # PynamoDB looks for them itself
        "AWS_ACCESS_KEY_ID": clients.KEY,
        "AWS_SECRET_ACCESS_KEY": clients.KEY,
    }
    names = {noun: f"bench-{noun}" for noun in tables.MODELS}
    tables.bind(names, region=clients.REGION, host=endpoint)


def _in_new_process(size: int, endpoint: str) -> ReportResult:
    """Report a batch of `size` jobs in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_report, (size, endpoint, SLICE_JOBS))


def _report(size: int, endpoint: str, slice_jobs: int) -> ReportResult:
    _bind(endpoint)
    s3 = clients.client("s3", endpoint)
    batch = _batch_to_report(size)
    fake = FakeAws(batch)
    fake.attach_to(s3, tables.client())
    ses, now = clients.client("sesv2", endpoint), lambda: NOON + timedelta(hours=1)
    reporting = ReportContext(_settings(), s3, ses, BotoCoreError, now, slice_jobs=slice_jobs)
    cpu: list[float] = []
    calls: list[int] = []
    before, began = _written_bytes(), time.perf_counter()
    progress = None
    while progress is None or progress.next == "report":
        busy = time.process_time()
        fake.calls.clear()
        progress = report(batch.batch_id, reporting)
        cpu.append(time.process_time() - busy)
        calls.append(fake.calls.total())
    seconds = time.perf_counter() - began
    failed = -(-size // FAILED_EVERY)
    batch = batches.get(batch.batch_id, now())
    if batch.reported_counts != {"succeeded": size - failed, "failed": failed}:
        raise WrongReport(f"{size} jobs were reported as {dict(batch.reported_counts)}")
    longest = max(range(len(cpu)), key=lambda n: cpu[n] + calls[n] * WAIT_S)
    return ReportResult(
        size,
        len(cpu),
        seconds,
        sum(cpu),
        cpu[longest],
        calls[longest],
        peak_mb(),
        _written_bytes() - before,
        fake.sent_bytes,
    )


def _written_bytes() -> int:
    """Bytes that this process has written to files, without sockets."""
    text = Path("/proc/self/io").read_text()
    return int(re.findall(r"wchar: (\d+)", text)[0])


# The batch to report


def _batch_to_report(size: int) -> Batch:
    """A batch of `size` ended jobs that is about to be reported."""
    ended = NOON + timedelta(minutes=30)
    history = HistoryEntry("report", "processing", "reporting", ended, "machine", "settle.main")
    return batches.put_new(
        Batch(
            batch_id=batch_id_of(str(size).encode()),
            state=BatchState.REPORTING,
            version=0,
            collection="maps",
            submitter="depositor",
            job_type="deposit",
            filename="maps.checkm",
            submitted_at=NOON,
            source=ManifestSource("intake", "manifests/maps/maps.checkm", "v", 1),
            started_at=NOON,
            entries=size,
            files_count=size,
            chunk_size=CHUNK_SIZE,
            history=(history,),
        )
    )


def _settings() -> Settings:
    named: dict[str, Any] = {name: name for name in Settings.__dataclass_fields__}
    named |= {"work_bucket": _WORK, "chunk_size": CHUNK_SIZE, "max_concurrency": 1}
    named["report_link_days"] = 0
    return Settings(**named)


def _record(address: JobAddress) -> JobRecord:
    """The record of a deposit of one file that has ended."""
    started_at = NOON + timedelta(minutes=address.position % 30)
    ended_at = started_at + timedelta(milliseconds=740)
    failed = address.position % FAILED_EVERY == 0
    steps = [name for name, _ in TYPES["deposit"].steps][: 2 if failed else None]
    message = "GET https://files.example.org/collection/maps/sheet.tif answered 404 Not Found"
    code = Failure.PAYLOAD_NOT_FOUND.value if failed else ""
    failure = (steps[-1], code, message) if failed else ()
    return JobRecord(
        address=address,
        state=JobState.FAILED if failed else JobState.SUCCEEDED,
        version=2,
        cause="main.p1.c1234.t1",
        at=ended_at,
        start_count=1,
        failure_code=code,
        failure_message=message if failed else "",
        steps=tuple(StepRecord(name, StepStatus.COMPLETED, started_at, ended_at) for name in steps),
        attempts=(Attempt(started_at, ended_at, *failure),),
        data={} if failed else {"object": "ark:/99999/fk4" + "b" * 20, "version": 1, "files": 1},
    )


class FakeAws:
    """Answers requests for a batch's jobs and multipart uploads, in place of DynamoDB and S3."""

    def __init__(self, batch: Batch) -> None:
        self.calls: Counter[str] = Counter()
        self.sent_bytes = 0
        self._batch = batch
        self._jobs = tables.JobItem.Meta.table_name
        entry = Entry(
            1_000_000,
            "file",
            "https://files.example.org/collection/maps/0000000/sheet.tif",
            "sheet-0000000.tif",
            "sha-256",
            "e" * 64,
            1_000_000,
            local=("maps:0000000",),
            creator="Survey",
            title="Sheet 0000000",
            date="1871",
        )
        self._row = row_of(entry)
        records = [
            jobs.item_of(_record(JobAddress(_PLACEHOLDER, 0, position))).serialize()
            for position in range(CHUNK_SIZE)
        ]
        self._records = [json.dumps(record) for record in records]

    def attach_to(self, *clients: Any) -> None:
        """Answer requests of these clients from now on."""
        for client in clients:
            events = client.meta.events
            events.register_first("before-send.dynamodb.*", self._dynamodb)
            events.register_first("before-send.s3.*", self._s3)

    def _dynamodb(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        operation = event_name.rpartition(".")[2]
        self.calls[operation] += 1
        request_body = json.loads(request.body)
        if operation != "Query" or request_body["TableName"] != self._jobs:
            return None
        ((chunk_id,),) = (
            each.values() for each in request_body["ExpressionAttributeValues"].values()
        )
        number = int(chunk_id.rpartition("#")[2])
        size = self._batch.job_count(number)
        items = ",".join(self._records[:size]).replace(f"{_PLACEHOLDER}#0", chunk_id)
        body = f'{{"Count":{size},"ScannedCount":{size},"Items":[{items}]}}'
        return _answer(request, body.encode())

    def _s3(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        operation = event_name.rpartition(".")[2]
        self.calls[operation] += 1
        key = request.url.partition("?")[0].partition(f"/{_WORK}/")[2]
        match operation:
            case "GetObject" if key == f"work/{self._batch.batch_id}/index.jsonl":
                return _answer(request, self._index(*_range(request)))
            case "GetObject" if key == f"work/{self._batch.batch_id}/rows.jsonl":
                first, last = _range(request)
                return _answer(request, self._row * ((last + 1 - first) // len(self._row)))
            case "CreateMultipartUpload":
                body = "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
                return _answer(request, f"{body}</InitiateMultipartUploadResult>".encode())
            case "PutObject":
                self.sent_bytes += _length(request)
            case "UploadPart":
                self.sent_bytes += _length(request)
                return _answer(request, b"", {"ETag": '"e"'})
            case "UploadPartCopy":
                return _answer(request, b'<CopyPartResult><ETag>"e"</ETag></CopyPartResult>')
            case "CompleteMultipartUpload":
                return _answer(request, b"<CompleteMultipartUploadResult/>")
        return None

    def _index(self, first: int, last: int) -> bytes:
        lines = []
        for number in range(first // INDEX_LINE_BYTES, (last + 1) // INDEX_LINE_BYTES):
            start = number * CHUNK_SIZE * len(self._row)
            end = start + self._batch.job_count(number) * len(self._row)
            lines.append(Chunk(number, start, end).index_line())
        return b"".join(lines)


class _RawBody(BytesIO):
    """A body as botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.read()


def _answer(request: Any, body: bytes, headers: Mapping[str, str] | None = None) -> AWSResponse:
    headers_sent = HeadersDict({"Content-Length": str(len(body)), **(headers or {})})
    return AWSResponse(request.url, 200, headers_sent, _RawBody(body))


def _header(request: Any, name: str) -> str:
    value = request.headers.get(name, "")
    return value.decode() if isinstance(value, bytes) else str(value)


def _length(request: Any) -> int:
    decoded = _header(request, "X-Amz-Decoded-Content-Length")
    return int(decoded or _header(request, "Content-Length") or 0)


def _range(request: Any) -> tuple[int, int]:
    first, last = _header(request, "Range").removeprefix("bytes=").split("-")
    return int(first), int(last)


if __name__ == "__main__":
    main("report", measure)
