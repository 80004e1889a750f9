"""Deposits of small files, from upload to report, compared with a bare loop of the same requests.

Ours: a batch of DEPOSITS rows over FILES files, each row an object of its own with a local
identifier, on the local stack with its four workers. The time runs from just before the PutObject
of the manifest to when its batch is seen completed. Worker CPU is user and system time of
/proc/PID/stat of every process below the emulator, Open, Settle and Report included.

The peer is a simple loop: AT_ONCE threads of one process. For each row it GETs the file with
urllib3, hashes it, and makes the same writes as a deposit with boto3, under the same conditions:
content and object manifest to S3, identifier and version to DynamoDB. The jobs' records are
inserted and updated AT_ONCE per call. It checks nothing and retries nothing. Its CPU is that of its
process, from the first request to the last.

Both deposit the same rows, alternating, after one warm-up each. The files are new in every run.
"""

import base64
import hashlib
import json
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import urllib3
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks.output import Figures, main, rounded, say
from benchmarks.processes import cpu_of_children_s, cpu_s
from benchmarks.stacks import LocalStack, local_stack, reported_at, send
from cli.local import clients, emulator
from jobyard.domain.manifests.entry import Entry
from jobyard.domain.manifests.profiles import SINGLE_FILE_BATCH
from jobyard.domain.manifests.writer import manifest as written

DEPOSITS = 2_000
FILES = 455
RUNS = 3
AT_ONCE = 25
_MIN_BYTES, _MAX_BYTES = 1_024, 128 * 1_024  # of a file
_BUCKET = "bench-bare"
_TABLES = ("JobsTable", "IdentifiersTable", "ObjectsTable")
_REFUSED = frozenset({"PreconditionFailed", "ConditionalCheckFailedException"})


class DepositFailed(Exception):
    """The bare loop did not write what it should."""


@dataclass(frozen=True)
class Row:
    """A deposit: its file's URL and its local identifier."""

    url: str
    local: str


@dataclass(frozen=True)
class RunResult:
    """Deposits per second, and milliseconds of CPU per deposit: of the depositor's processes (the
    workers or the bare loop), and of the emulator."""

    rate: float
    cpu_ms: float
    emulator_ms: float


def measure() -> Figures:
    """Deposits of small files per second, and their CPU, compared with a bare loop."""
    ours: list[RunResult] = []
    bare: list[RunResult] = []
    with local_stack() as local, _file_server(local.files_port):
        address = f"http://{emulator.HOST}:{local.files_port}"
        local.client("s3").create_bucket(Bucket=_BUCKET)
        for run in range(RUNS + 1):
            rows = [
                Row(f"{address}/{run}/{n % FILES}.bin", f"run-{run}-{n}") for n in range(DEPOSITS)
            ]
            ours.append(_ours(local, rows, f"run-{run}"))
            bare.append(_bare(local, rows))
            if run:
                _say_run(run, ours[-1], bare[-1])
    ours_ms, bare_ms = (rounded([each.cpu_ms for each in ran[1:]], 2) for ran in (ours, bare))
    return {
        "deposits": DEPOSITS,
        "files": FILES,
        "runs": RUNS,
        "cpu_ratio": round(ours_ms / bare_ms, 3),
        "deposits_per_s": rounded([each.rate for each in ours[1:]], 1),
        "worker_cpu_ms": ours_ms,
        "bare_cpu_ms": bare_ms,
        "bare_deposits_per_s": rounded([each.rate for each in bare[1:]], 1),
        "emulator_cpu_ms": rounded([each.emulator_ms for each in ours[1:]], 2),
        "bare_emulator_cpu_ms": rounded([each.emulator_ms for each in bare[1:]], 2),
    }


def _ours(local: LocalStack, rows: list[Row], name: str) -> RunResult:
    """Deposit these rows as a batch, from its upload to its report."""
    entries = (
        Entry(line, "file", row.url, f"{line}.bin", local=(row.local,), title=f"File {line}")
        for line, row in enumerate(rows, start=1)
    )
    body, pid = b"".join(written(entries, SINGLE_FILE_BATCH)), local.emulator.pid
    server, workers = cpu_s(pid), cpu_of_children_s(pid)
    sent = send(local, body, f"{name}.checkm", "deposit")
    rate = len(rows) / (reported_at(local, sent, len(rows)) - sent.at)
    return RunResult(
        rate,
        (cpu_of_children_s(pid) - workers) * 1000 / len(rows),
        (cpu_s(pid) - server) * 1000 / len(rows),
    )


def _bare(local: LocalStack, rows: list[Row]) -> RunResult:
    """Deposit these rows with the bare loop, in a new process."""
    server = cpu_s(local.emulator.pid)
    tables = {noun: local.tables[noun] for noun in _TABLES}
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seconds, cpu = pool.apply(bare_loop, (rows, local.emulator.endpoint, tables))
    used = (cpu_s(local.emulator.pid) - server) * 1000 / len(rows)
    return RunResult(len(rows) / seconds, cpu * 1000 / len(rows), used)


def bare_loop(rows: list[Row], endpoint: str, tables: Mapping[str, str]) -> tuple[float, float]:
    """Deposit these rows. Returns seconds and CPU seconds.

    Raises:
        DepositFailed: a statement was refused.
    """
    bare = _Bare(endpoint, tables)
    began, busy = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for first in range(0, len(rows), AT_ONCE):
            chunk = rows[first : first + AT_ONCE]
            bare.write(bare.insert, chunk)
            list(pool.map(bare.deposit, chunk))
            bare.write(bare.update, chunk)
    return time.perf_counter() - began, time.process_time() - busy


class _Bare:
    """The requests of a deposit, and nothing else.

    The statements write the attributes that the store writes: `s` is the state, `v` the version,
    `b` the body.
    """

    def __init__(self, endpoint: str, tables: Mapping[str, str]) -> None:
        config = Config(s3={"addressing_style": "path"}, max_pool_connections=2 * AT_ONCE)
        self._s3 = boto3.client("s3", **_account(endpoint), config=config)
        self._dynamodb = boto3.client("dynamodb", **_account(endpoint), config=config)
        self._http = urllib3.PoolManager(maxsize=AT_ONCE)
        self._tables = tables

    def deposit(self, row: Row) -> None:
        """Fetch, hash and store one file, with its identifier and version."""
        body = self._http.request("GET", row.url).data
        sha256 = hashlib.sha256(body).hexdigest()
        ark = _ark(row)
        self._put(f"content/sha256/{sha256[:2]}/{sha256[2:4]}/{sha256}", body)
        self._unless_refused(
            lambda: self._dynamodb.put_item(
                TableName=self._tables["IdentifiersTable"],
                Item={"identifier": {"S": f"bare#{row.local}"}, "ark": {"S": ark}},
                ConditionExpression="attribute_not_exists(identifier)",
            )
        )
        manifest = {
            "ark": ark,
            "version": 1,
            "files": [{"name": "file", "size": len(body), "sha-256": sha256, "url": row.url}],
        }
        self._put(f"objects/{ark}/v1.json", json.dumps(manifest).encode())
        self._unless_refused(
            lambda: self._dynamodb.put_item(
                TableName=self._tables["ObjectsTable"],
                Item={
                    "ark": {"S": ark},
                    "version": {"N": "1"},
                    "job_id": {"S": row.local},
                    "body": {"S": json.dumps(manifest)},
                },
                ConditionExpression="attribute_not_exists(ark)",
            )
        )

    def _put(self, key: str, body: bytes) -> None:
        self._unless_refused(
            lambda: self._s3.put_object(Bucket=_BUCKET, Key=key, Body=body, IfNoneMatch="*")
        )

    def _unless_refused(self, write: Callable[[], object]) -> None:
        try:
            write()
        except ClientError as error:
            if error.response["Error"]["Code"] not in _REFUSED:
                raise

    def write(self, statement: Callable[[Row], dict[str, Any]], rows: list[Row]) -> None:
        """Run a statement for each row, in one call."""
        answers = self._dynamodb.batch_execute_statement(Statements=list(map(statement, rows)))
        if refused := [each["Error"] for each in answers["Responses"] if "Error" in each]:
            raise DepositFailed(str(refused[0]))

    def insert(self, row: Row) -> dict[str, Any]:
        """The statement that inserts the record of a running job."""
        return {
            "Statement": f'INSERT INTO "{self._tables["JobsTable"]}" VALUE '
            "{'chunk_id':?,'position':?,'s':?,'v':?,'b':?}",
            "Parameters": [
                {"S": f"bare-{row.local}"},
                {"N": "0"},
                {"S": "running"},
                {"N": "1"},
                {"S": json.dumps({"t": time.time(), "url": row.url})},
            ],
        }

    def update(self, row: Row) -> dict[str, Any]:
        """The statement that writes that the job succeeded."""
        return {
            "Statement": f'UPDATE "{self._tables["JobsTable"]}" SET "s"=? SET "v"=? SET "b"=? '
            'WHERE "chunk_id"=? AND "position"=? AND "v"=? AND "s"=?',
            "Parameters": [
                {"S": "succeeded"},
                {"N": "2"},
                {"S": json.dumps({"t": time.time(), "url": row.url, "steps": [0] * 100})},
                {"S": f"bare-{row.local}"},
                {"N": "0"},
                {"N": "1"},
                {"S": "running"},
            ],
        }


def _ark(row: Row) -> str:
    digest = hashlib.sha256(row.local.encode()).digest()[:15]
    return f"ark:/99999/b{base64.b32encode(digest).decode().lower()}"


def _account(endpoint: str) -> dict[str, str]:
    return {
        "endpoint_url": endpoint,
        "region_name": clients.REGION,
        "aws_access_key_id": clients.KEY,
        "aws_secret_access_key": clients.KEY,
    }


def _say_run(run: int, ours: RunResult, bare: RunResult) -> None:
    say(
        f"run {run}: {ours.rate:.0f} deposits/s with {ours.cpu_ms:.2f} ms of CPU each "
        f"(emulator {ours.emulator_ms:.2f}); the loop {bare.rate:.0f} with {bare.cpu_ms:.2f} "
        f"(emulator {bare.emulator_ms:.2f})"
    )


@contextmanager
def _file_server(port: int) -> Iterator[None]:
    """Serve files at /RUN/NUMBER.bin from another process."""
    serving = multiprocessing.get_context("spawn").Process(target=_serve, args=(port,))
    serving.start()
    try:
        while emulator.port_owner(port) is None:
            time.sleep(0.02)
        yield
    finally:
        serving.terminate()
        serving.join()


class _Files(BaseHTTPRequestHandler):
    """Serves files generated from their paths. With HTTP/1.1, so that connections are reused."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_HEAD(self) -> None:
        self._answer(send_body=False)

    def do_GET(self) -> None:
        self._answer(send_body=True)

    def _answer(self, *, send_body: bool) -> None:
        body = content_of(self.path)
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        self.wfile.write(head + body if send_body else head)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def content_of(path: str) -> bytes:
    """The file at `path`, of 1 to 128 KiB; always the same."""
    number = int(path.rpartition("/")[2].removesuffix(".bin"))
    size = int(_MIN_BYTES * (_MAX_BYTES / _MIN_BYTES) ** (number / max(FILES - 1, 1)))
    return hashlib.shake_128(path.encode()).digest(size)


def _serve(port: int) -> None:
    server = ThreadingHTTPServer((emulator.HOST, port), _Files)
    threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main("small_deposits", measure)
