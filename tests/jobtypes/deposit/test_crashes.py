"""Deposits that die at any call to S3, run twice, or run at once: always the same end."""

import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from jobyard.domain.jobs.job_type import Done, Fail, Skipped, StepInput
from jobyard.jobtypes.deposit import DEPOSIT, receipts
from jobyard.jobtypes.deposit.content import Stored
from jobyard.jobtypes.step_context import StorageContext
from tests.jobtypes.deposit.deposits import (
    checkm,
    drive,
    empty,
    etags,
    file_entry,
    forget_objects,
    held,
    sha256,
    step_input,
)
from tests.jobtypes.payload_server import PayloadServer, responding

LARGE = bytes(range(256)) * 32_800  # a little more than eight megabytes: two parts


class Died(BaseException):
    """The worker died."""


class Lost(Exception):
    """The call was carried out and its answer lost."""


class FaultInjector:
    """A fault at the `at`-th call to S3, once.

    Either the worker `dies` before the call, and makes no more calls until it is replaced. Or the
    call's answer is lost, and the worker lives to clear up.
    """

    def __init__(self, context: StorageContext, dies: bool) -> None:
        self._events = context.s3.meta.events
        self._lock = threading.Lock()
        self._dies = dies
        self._dead = False
        self._calls = self._answers = self._at = 0
        self.hits = 0

    @contextmanager
    def injecting(self, at: int) -> Iterator[None]:
        self._calls, self._answers, self._at, self._dead = 0, 0, at, False
        self._events.register("before-call.s3", self._before)
        self._events.register("after-call.s3", self._after)
        try:
            yield
        finally:
            self._events.unregister("before-call.s3", self._before)
            self._events.unregister("after-call.s3", self._after)

    def replace_worker(self) -> None:
        self._dead = False

    @property
    def calls(self) -> int:
        return self._calls

    def _before(self, **_: Any) -> None:
        with self._lock:
            self._calls += 1
            if self._dies and self._calls == self._at:
                self._dead = True
                self.hits += 1
            if self._dead:
                raise Died

    def _after(self, **_: Any) -> None:
        with self._lock:
            self._answers += 1
            if not self._dies and self._answers == self._at:
                self.hits += 1
                raise Lost


def small(payloads: PayloadServer) -> dict[str, Any]:
    return file_entry(payloads.serve("/map.tif", b"a small map"), local=["m-1"])


def large(payloads: PayloadServer) -> dict[str, Any]:
    return file_entry(payloads.serve("/map.tif", LARGE))


def large_with_digest(payloads: PayloadServer) -> dict[str, Any]:
    given = {"algorithm": "sha-256", "digest": sha256(LARGE)}
    return file_entry(payloads.serve("/map.tif", LARGE), **given)


def manifest(payloads: PayloadServer) -> dict[str, Any]:
    rows = [f"{payloads.serve(f'/{n}', b'%d' % n)} |  |  |  |  | {n:03d}.txt" for n in range(34)]
    url = payloads.serve("/object.checkm", checkm(*rows))
    return {"kind": "manifest", "url": url, "name": "object.checkm"}


def container(payloads: PayloadServer) -> dict[str, Any]:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w") as archive:
        for n in range(34):
            archive.writestr(f"{n:03d}.txt", b"%d" % n)
    url = payloads.serve("/x.zip", into.getvalue())
    return {"kind": "container", "url": url, "name": "x.zip"}


KINDS: dict[str, Callable[[PayloadServer], dict[str, Any]]] = {
    each.__name__: each for each in (small, large, large_with_digest, manifest, container)
}
_STRIDES = {"manifest": 17, "container": 17, "large": 2}  # of many equal calls, only some fail


def end_of(context: StorageContext) -> Any:
    """The result of a deposit: the archive, its manifest, and the record without its time."""
    archive = etags(context, context.archive_bucket)
    (key,) = [key for key in archive if key.startswith("objects/")]
    manifest = context.s3.get_object(Bucket=context.archive_bucket, Key=key)["Body"].read()
    latest = context.objects.latest(json.loads(manifest)["ark"])
    assert latest
    record = {name: value for name, value in vars(latest).items() if name != "at"}
    whole = {key: etag for key, etag in archive.items() if "-" not in etag}  # not by how it was cut
    return whole, archive.keys(), manifest, record


def clear(context: StorageContext) -> None:
    for bucket in (context.archive_bucket, context.work_bucket):
        empty(context.s3, bucket)
    forget_objects()


def drive_through(injector: FaultInjector, job: StepInput, context: StorageContext) -> None:
    """Run the steps; after a fault the step is run again, as the next worker would."""
    for _, step in DEPOSIT.steps:
        try:
            outcome = step(job, context)
        except (Died, Lost):
            injector.replace_worker()
            outcome = step(job, context)
        assert isinstance(outcome, Done | Skipped), outcome
        if isinstance(outcome, Done):
            job = replace(job, data={**job.data, **outcome.result})


@pytest.mark.turns(3)
@pytest.mark.parametrize("dies", [True, False], ids=["dies before", "loses the answer of"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_deposit_ends_the_same_whichever_call_to_s3_fails_or_loses_its_answer(
    context: StorageContext,
    payloads: PayloadServer,
    kind: str,
    dies: bool,
    everything: bool,
    turn: int,
) -> None:
    """Every fourth call, the others in the next turns."""
    entry = KINDS[kind](payloads)
    injector = FaultInjector(context, dies)
    with injector.injecting(0):
        drive_through(injector, step_input(entry), context)
    baseline = end_of(context)

    stride = _STRIDES.get(kind, 1) * (1 if everything else 4)
    points = range(1 + (turn // 3 + dies) % stride, injector.calls + 1, stride)
    for at in points:
        clear(context)
        with injector.injecting(at):
            drive_through(injector, step_input(entry), context)

        assert end_of(context) == baseline, f"fault at call {at}"
        assert etags(context, context.work_bucket) == {}
    assert injector.hits == len(points)


@pytest.mark.turns(3)
@pytest.mark.parametrize("kind", KINDS)
def test_every_step_may_run_twice(
    context: StorageContext, payloads: PayloadServer, kind: str
) -> None:
    entry = KINDS[kind](payloads)
    job = step_input(entry)
    assert drive(job, context).ended_well
    once = end_of(context)
    clear(context)

    for name, step in DEPOSIT.steps[:-1]:
        first, second = step(job, context), step(job, context)
        assert first == second, name
        if isinstance(first, Done):
            job = replace(job, data={**job.data, **first.result})
    DEPOSIT.steps[-1][1](job, context)

    assert end_of(context) == once


@pytest.mark.turns(3)
@pytest.mark.parametrize("kind", KINDS)
def test_two_workers_at_the_same_job_end_the_same(
    context: StorageContext, payloads: PayloadServer, kind: str
) -> None:
    entry = KINDS[kind](payloads)
    assert drive(step_input(entry), context).ended_well
    alone = end_of(context)
    clear(context)

    def run_worker(_: int) -> bool:
        try:
            return drive(step_input(entry), context).ended_well
        except ClientError:
            return False  # the other one was done, and had removed what this one was reading

    with ThreadPoolExecutor(2) as pool:
        assert any(pool.map(run_worker, range(2)))

    assert end_of(context) == alone


def test_two_workers_that_are_given_different_bytes_agree_on_one_of_them(
    context: StorageContext, payloads: PayloadServer
) -> None:
    turns = iter(range(100))

    def change(request: Any) -> None:
        responding(200, body=b"version %03d" % next(turns))(request)

    rows = [f"{payloads.behave(f'/{n}', change)} |  |  |  |  | {n}.txt" for n in range(5)]
    url = payloads.serve("/object.checkm", checkm(*rows))
    entry = {"kind": "manifest", "url": url, "name": "object.checkm"}

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: drive(step_input(entry), context), range(2)))

    _, _, manifest, record = end_of(context)
    archive = held(context, context.archive_bucket)
    files = json.loads(manifest)["files"]
    assert record["version"] == 1
    assert all(sha256(archive[file["key"]]) == file["digests"]["sha-256"] for file in files)


def test_the_first_list_of_what_was_stored_is_the_one_that_counts(context: StorageContext) -> None:
    first, second = (Stored("x", size, {"sha-256": str(size) * 64}) for size in (1, 2))

    assert receipts.write_list("j", [first], context) == (first,)
    assert receipts.write_list("j", [second], context) == (first,)
    assert receipts.read_list("j", context) == (first,)


@pytest.mark.parametrize("first", [True, False], ids=["whose list is first", "who comes second"])
def test_a_worker_continues_with_its_own_list_after_another_cleared_up(
    context: StorageContext, first: bool
) -> None:
    stored = Stored("x", 1, {"sha-256": "1" * 64})
    if not first:
        receipts.write_list("j", [stored], context)

    def clear_up(**_: Any) -> None:
        context.s3.delete_object(Bucket=context.work_bucket, Key="staging/j/stored.jsonl")

    context.s3.meta.events.register("after-call.s3.PutObject", clear_up)
    try:
        listed = receipts.write_list("j", [stored], context)
    finally:
        context.s3.meta.events.unregister("after-call.s3.PutObject", clear_up)

    assert listed == (stored,)


# S3 as it is: moto is more lenient


class _Response:
    def __init__(self, status: int) -> None:
        self.status_code = status


class S3Semantics:
    """Conflicts with the first of every two conditional writes, denies listing, requires parts of
    five megabytes, and knows conditions on copies."""

    def __init__(self, context: StorageContext) -> None:
        self._context = context
        self._conflicted: set[str] = set()
        self.codes: list[str] = []

    @contextmanager
    def answering(self) -> Iterator[None]:
        events = self._context.s3.meta.events
        hooks = {
            "before-call.s3.PutObject": self._conflict,
            "before-call.s3.CompleteMultipartUpload": self._complete,
            "before-call.s3.CopyObject": self._copy,
            "after-call.s3.HeadObject": self._hide,
            "after-call.s3.GetObject": self._hide,
        }
        for event, hook in hooks.items():
            events.register(event, hook)
        try:
            yield
        finally:
            for event, hook in hooks.items():
                events.unregister(event, hook)

    def _error(self, status: int, code: str) -> tuple[_Response, dict[str, Any]]:
        self.codes.append(code)
        error = {"Error": {"Code": code, "Message": code}}
        return _Response(status), error | {"ResponseMetadata": {"HTTPStatusCode": status}}

    def _conflict(self, params: dict[str, Any], **_: Any) -> Any:
        url = params["url"].partition("?")[0]
        if "If-None-Match" in params["headers"] and url not in self._conflicted:
            self._conflicted.add(url)
            return self._error(409, "ConditionalRequestConflict")
        return None

    def _complete(self, params: dict[str, Any], **_: Any) -> Any:
        url = urlsplit(params["url"])
        bucket, key = (url.hostname or "").partition(".")[0], url.path[1:]
        upload_id = params["query_string"]["uploadId"]
        parts = self._context.s3.list_parts(Bucket=bucket, Key=key, UploadId=upload_id)["Parts"]
        if any(part["Size"] < 5 * 1024**2 for part in parts[:-1]):
            return self._error(400, "EntityTooSmall")
        return self._conflict(params)

    def _copy(self, params: dict[str, Any], **_: Any) -> Any:
        headers = params["headers"]
        assert headers["x-amz-copy-source-if-match"]
        assert headers["If-None-Match"] == "*"
        return self._conflict(params)

    def _hide(self, http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
        if http_response.status_code == 404:
            http_response.status_code = 403
            parsed["Error"] = {"Code": "403", "Message": "Forbidden"}
            parsed["ResponseMetadata"]["HTTPStatusCode"] = 403


@pytest.mark.turns(3)
@pytest.mark.parametrize("kind", KINDS)
def test_a_strict_s3_changes_nothing_in_the_end(
    context: StorageContext, payloads: PayloadServer, kind: str
) -> None:
    entry = KINDS[kind](payloads)
    assert drive(step_input(entry), context).ended_well
    alone = end_of(context)
    clear(context)
    aws_semantics = S3Semantics(context)

    with aws_semantics.answering():
        driven = drive(step_input(entry), context)
        for _ in range(3):
            if isinstance(driven.last, Fail):
                assert driven.last.retryable, driven.last
                driven.run_remaining(context)

    assert driven.ended_well, driven.last
    assert "ConditionalRequestConflict" in aws_semantics.codes
    assert end_of(context) == alone
