"""Bytes per second from a web server into the archive, compared with a bare loop.

Ours is the download step of a deposit for a file whose sha-256 is in the manifest: the HTTP client
with its checks of addresses, framing and pace; hash, size and limits while it streams; and a
multipart upload to the digest's key, completed only if the hash matches and no other writer was
first. A file with an unknown digest, which is staged in the work bucket and copied, is measured
too.

The peer is a loop: urllib3 reads a megabyte, hashlib hashes it, boto3 uploads a part for every
eight. It checks nothing and does one thing at a time.

A file of FILE_MB is served on the loopback address and sent to the emulator's S3. Each transfer is
a new process, and the kinds alternate. Only the transfer is timed.
"""

import functools
import hashlib
import http.server
import multiprocessing
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import urllib3

from benchmarks.output import Figures, main, rounded, say
from benchmarks.processes import peak_mb
from cli.local import clients, emulator
from jobyard.domain.jobs.job_type import StepInput
from jobyard.jobtypes.deposit.content import Wanted
from jobyard.jobtypes.deposit.download import fetch_one
from jobyard.jobtypes.deposit.file_list import File
from jobyard.jobtypes.deposit.keys import content_key
from jobyard.jobtypes.http_client import HttpClient
from jobyard.jobtypes.step_context import StorageContext
from jobyard.store import objects

FILE_MB = 200
RUNS = 5
_PART = 8 * 1024**2
_BLOCK = 1024**2
WORK_BUCKET, ARCHIVE_BUCKET = "bench-work", "bench-archive"


class NotArchived(Exception):
    """The archive does not have the file that was sent."""


@dataclass(frozen=True)
class Transfer:
    """What a transfer process gets: the file's URL and host, the S3 endpoint, and the file's
    SHA-256 and size in bytes.
    """

    url: str
    host: str
    endpoint: str
    sha256: str
    size: int


@dataclass(frozen=True)
class TransferResult:
    """Seconds of a transfer, and the peak memory in MB before and after it."""

    seconds: float
    before_mb: float
    peak_mb: float


def measure() -> Figures:
    """Megabytes per second into the archive, compared with a bare loop."""
    methods = {"ours": ours, "bare": bare, "staged": ours_staged}
    took: dict[str, list[TransferResult]] = {name: [] for name in methods}
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as folder:
        home = Path(folder)
        with (
            _file_server(home / "served") as (url, host, sha256),
            _s3(home / "emulator") as endpoint,
        ):
            transfer = Transfer(url, host, endpoint, sha256, FILE_MB * _BLOCK)
            for _ in range(RUNS):
                for name, method in methods.items():
                    took[name].append(_in_new_process(method, transfer))
    rates = {
        name: rounded([FILE_MB / each.seconds for each in found], 1) for name, found in took.items()
    }
    grown = {
        name: rounded([each.peak_mb - each.before_mb for each in found], 1)
        for name, found in took.items()
    }
    for name, rate in rates.items():
        say(f"{name:>6}: {rate:>6.1f} MB/s, {grown[name]:.0f} MB more memory at its peak")
    return {
        "ratio": round(rates["ours"] / rates["bare"], 3),
        "peak_mb": grown["ours"],
        "bare_peak_mb": grown["bare"],
        "mb_per_s": rates["ours"],
        "bare_mb_per_s": rates["bare"],
        "staged_mb_per_s": rates["staged"],
        "staged_ratio": round(rates["staged"] / rates["bare"], 3),
        "file_mb": FILE_MB,
    }


def ours(transfer: Transfer) -> TransferResult:
    """The deposit's download, for a file whose digest is in the manifest."""
    return _download(transfer, Wanted("file.bin", transfer.size, "sha-256", transfer.sha256))


def ours_staged(transfer: Transfer) -> TransferResult:
    """The deposit's download, for a file of which only the size is known."""
    return _download(transfer, Wanted("file.bin", transfer.size))


def _download(transfer: Transfer, wanted: Wanted) -> TransferResult:
    def now() -> datetime:
        return datetime.now(UTC)

    context = StorageContext(
        s3=clients.client("s3", transfer.endpoint),
        work_bucket=WORK_BUCKET,
        archive_bucket=ARCHIVE_BUCKET,
        http=HttpClient(frozenset({transfer.host}), now),
        s3_sources=(),
        objects=objects,
        collection=lambda: None,
        now=now,
        remaining=lambda: 800.0,
    )
    step_input = StepInput("b", "b.0.0", "bench", {}, {}, {}, 1)
    before, began = peak_mb(), time.perf_counter()
    stored = fetch_one(step_input, context, File(transfer.url, wanted))
    took = TransferResult(time.perf_counter() - began, before, peak_mb())
    if stored.digests["sha-256"] != transfer.sha256:
        raise NotArchived(f"the archived file is {stored}")
    return took


def bare(transfer: Transfer) -> TransferResult:
    """A simple loop: read, hash, upload a part when there is enough."""
    s3 = clients.client("s3", transfer.endpoint)
    http = urllib3.PoolManager()
    before, began = peak_mb(), time.perf_counter()
    digest, part, parts = hashlib.sha256(), bytearray(), []
    target = {"Bucket": ARCHIVE_BUCKET, "Key": content_key(transfer.sha256)}
    upload = target | {"UploadId": s3.create_multipart_upload(**target)["UploadId"]}

    def send() -> None:
        number = len(parts) + 1
        answer = s3.upload_part(**upload, PartNumber=number, Body=bytes(part))
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        part.clear()

    answer = http.request("GET", transfer.url, preload_content=False)
    for block in answer.stream(_BLOCK):
        digest.update(block)
        part += block
        if len(part) >= _PART:
            send()
    if part:
        send()
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    took = TransferResult(time.perf_counter() - began, before, peak_mb())
    if digest.hexdigest() != transfer.sha256:
        raise NotArchived(f"the loop read {digest.hexdigest()}")
    return took


def _in_new_process(
    method: Callable[[Transfer], TransferResult], transfer: Transfer
) -> TransferResult:
    """Run one transfer in a new process, then check and delete the object."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        took = pool.apply(method, (transfer,))
    s3 = clients.client("s3", transfer.endpoint)
    target = {"Bucket": ARCHIVE_BUCKET, "Key": content_key(transfer.sha256)}
    if s3.head_object(**target)["ContentLength"] != transfer.size:
        raise NotArchived(f"{target} is incomplete")
    s3.delete_object(**target)
    return took


@contextmanager
def _file_server(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Serve a file from another process. Yields its URL, its host and its sha-256."""
    folder.mkdir()
    digest = hashlib.sha256()
    with (folder / "file.bin").open("wb") as file:
        for number in range(FILE_MB):
            block = hashlib.shake_128(number.to_bytes(4, "big")).digest(_BLOCK)
            digest.update(block)
            file.write(block)
    port = emulator.free_port()
    serving = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, port))
    serving.start()
    try:
        while emulator.port_owner(port) is None:
            time.sleep(0.02)
        host = f"{emulator.HOST}:{port}"
        yield f"http://{host}/file.bin", host, digest.hexdigest()
    finally:
        serving.terminate()
        serving.join()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def _serve(folder: Path, port: int) -> None:
    handler = functools.partial(_QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer((emulator.HOST, port), handler)
    threading.Thread(target=server.serve_forever).start()


@contextmanager
def _s3(home: Path) -> Iterator[str]:
    """An emulator with the two buckets. Yields its endpoint."""
    started = emulator.start(home, emulator.free_port(), persist=False)
    try:
        s3 = clients.client("s3", started.endpoint)
        for bucket in (WORK_BUCKET, ARCHIVE_BUCKET):
            s3.create_bucket(Bucket=bucket)
        yield started.endpoint
    finally:
        emulator.stop(home)


if __name__ == "__main__":
    main("deposit", measure)
