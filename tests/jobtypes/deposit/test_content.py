"""Files are stored under their digests in bounded memory, whatever their size."""

import hashlib
import io
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobyard.domain.jobs.failures import Failure
from jobyard.jobtypes.deposit import content
from jobyard.jobtypes.deposit.content import (
    MAX_FILE_BYTES,
    Staged,
    Wanted,
    copy_in_parts,
    part_bytes,
    stage,
    store,
)
from jobyard.jobtypes.deposit.download import fetch_one
from jobyard.jobtypes.deposit.file_list import File
from jobyard.jobtypes.deposit.refusal import Refused
from jobyard.jobtypes.deposit.staged_reader import StagedReader
from jobyard.jobtypes.step_context import StorageContext
from tests.jobtypes.deposit.deposits import content_key, held, sha256, step_input
from tests.jobtypes.payload_server import PayloadServer

MIB = 1024**2


def blocks(body: bytes, size: int = 1_000_003) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


@pytest.mark.parametrize("size", [0, 1, MIB, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 20_000_000])
@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_a_file_of_any_size_is_stored_under_its_digest(
    context: StorageContext, size: int, known: bool
) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    wanted = Wanted("x", algorithm="sha-256", digest=sha256(body)) if known else Wanted("x")

    stored = store(blocks(body), wanted, "staging/j/x", context)

    assert (stored.size, stored.digests, stored.key) == (
        size,
        {"sha-256": sha256(body)},
        content_key(body),
    )
    assert held(context, context.archive_bucket) == {content_key(body): body}


def test_a_stored_file_is_read_but_not_sent_again(context: StorageContext) -> None:
    body = b"0123456789" * MIB
    known = Wanted("x", algorithm="sha-256", digest=sha256(body))
    store(blocks(body), known, "staging/j/x", context)
    sent: list[str] = []

    def note(model: object, **_: object) -> None:
        sent.append(getattr(model, "name", ""))

    context.s3.meta.events.register("before-call.s3", note)
    try:
        store(blocks(body), known, "staging/j/x", context)
        with pytest.raises(Refused):
            store(blocks(body[:-1] + b"x"), known, "staging/j/x", context)
    finally:
        context.s3.meta.events.unregister("before-call.s3", note)

    assert sent == ["HeadObject", "HeadObject"]


def test_a_file_too_large_for_one_copy_is_copied_in_pieces(context: StorageContext) -> None:
    body = bytes(range(256)) * 48_000
    staged = stage(blocks(body), Wanted("x"), "staging/j/x", context)

    copy_in_parts(staged, content_key(body), context, part_size=5 * MIB)

    assert held(context, context.archive_bucket) == {content_key(body): body}


def test_more_than_the_limit_is_refused_as_soon_as_it_comes(context: StorageContext) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * MIB

    with pytest.raises(Refused) as caught:
        store(endless(), Wanted("x", limit=20 * MIB), "staging/j/x", context)

    assert caught.value.code is Failure.TOO_LARGE
    assert held(context, context.archive_bucket) == {}


def test_more_than_the_manifest_says_is_refused_as_soon_as_it_comes(
    context: StorageContext,
) -> None:
    sent = []

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(MIB)
            yield b"x" * MIB

    with pytest.raises(Refused) as caught:
        store(endless(), Wanted("x", size=3 * MIB), "staging/j/x", context)

    assert (caught.value.code, len(sent)) == (Failure.SIZE_MISMATCH, 4)


def test_a_changed_staged_file_is_not_mistaken_for_the_old_one(
    context: StorageContext,
) -> None:
    staged = stage(iter([b"old bytes"]), Wanted("x"), "staging/j/c", context)
    stage(iter([b"new bytes"]), Wanted("x"), "staging/j/c", context)
    reader = StagedReader(context.s3, context.work_bucket, staged, context.remaining)

    with pytest.raises(context.s3.exceptions.ClientError):
        reader.read(3)


def test_without_a_slot_for_a_large_file_the_worker_stops_in_time(context: StorageContext) -> None:
    slots = [content.LARGE_FILE_SLOTS.acquire() for _ in range(8)]
    short = replace(context, remaining=lambda: 12.05)
    try:
        with pytest.raises(Refused) as caught:
            store(blocks(b"x" * 3 * MIB), Wanted("x"), "staging/j/x", short)
        small = store(blocks(b"x" * MIB), Wanted("x"), "staging/j/x", short)
    finally:
        for _ in slots:
            content.LARGE_FILE_SLOTS.release()

    assert caught.value.code is Failure.TIMEOUT
    assert small.size == MIB


@given(st.integers(1, 50 * 1024**4))
def test_no_file_needs_more_parts_than_s3_takes_nor_smaller_ones(size: int) -> None:
    assert part_bytes(size) >= 5 * MIB
    assert -(-size // part_bytes(size)) <= 10_000


def test_the_largest_file_we_take_goes_in_the_smallest_parts() -> None:
    assert part_bytes(MAX_FILE_BYTES) == 8 * MIB


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(st.tuples(st.sampled_from(["seek", "end", "read"]), st.integers(0, 300)), max_size=30)
)
def test_a_staged_file_reads_like_any_file(
    context: StorageContext, moves: list[tuple[str, int]]
) -> None:
    body = bytes(range(256))
    etag = context.s3.put_object(Bucket=context.work_bucket, Key="staging/c", Body=body)["ETag"]
    staged = Staged("staging/c", etag, len(body), {})
    ours = StagedReader(context.s3, context.work_bucket, staged, context.remaining, window=32)
    theirs = io.BytesIO(body)

    for move, number in moves:
        if move == "seek":
            assert ours.seek(number) == theirs.seek(number)
        elif move == "end":
            assert ours.seek(-min(number, 256), io.SEEK_END) == theirs.seek(
                -min(number, 256), io.SEEK_END
            )
        else:
            assert ours.read(number) == theirs.read(number)
        assert ours.tell() == theirs.tell()


class _DiscardingS3:
    """S3 that accepts parts and keeps none, so that only our own memory is measured."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def create_multipart_upload(self, **_: object) -> dict[str, str]:
        return {"UploadId": "u"}

    def upload_part(self, *, Body: bytearray, **_: object) -> dict[str, str]:
        self.digest.update(Body)
        return {"ETag": "e"}

    def complete_multipart_upload(self, **_: object) -> dict[str, str]:
        return {"ETag": "e"}

    def head_object(self, **_: object) -> dict[str, str]:
        return {}


def test_two_hundred_megabytes_pass_through_in_forty(
    context: StorageContext, payloads: PayloadServer
) -> None:
    def send_endlessly(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(200 * MIB))
        request.end_headers()
        for number in range(200):
            request.wfile.write(bytes([number]) * MIB)

    file = File(payloads.behave("/big", send_endlessly), Wanted("big"))
    s3 = _DiscardingS3()
    tracemalloc.start()

    stored = fetch_one(step_input({}), replace(context, s3=s3), file)  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert stored.size == 200 * MIB
    assert stored.digests["sha-256"] == s3.digest.hexdigest()
    assert peak < 40 * MIB
