"""A fault of one job costs that job only: not its chunk, its worker, or another job that has not
even started."""

import io
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from typing import Any

import pytest

from jobyard.domain.batches.operation import Filter
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState
from jobyard.domain.jobs.job_type import Done, JobType, StepInput, StepResult
from jobyard.domain.text import REPLACEMENT
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.step_context import StepContext
from jobyard.services.batches import operations, settle
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.jobs.attempt import ORPHAN_LIMIT
from jobyard.store import jobs, tables
from tests.call_interceptor import CallInterceptor
from tests.faults.aws_semantics import named
from tests.harness import Clients, Harness, Payloads, single_files

NOBODY: frozenset[str] = frozenset()


class WorkerKilledError(Exception):
    """The worker is killed."""


@pytest.fixture
def wide(
    store_endpoint: str,
    harness: Harness,
    aws_clients: Clients,
    payloads: Payloads,
    aws_semantics: CallInterceptor,
) -> Harness:
    """A deployment whose chunks hold a hundred jobs."""
    return Harness(aws_clients, payloads, chunk_size=100)


def jobs_of(batch_id: str) -> list[JobRecord]:
    """The records of the batch's first chunk."""
    return [*jobs.of_chunk(batch_id, 0)]


def tar_of(link: bytes) -> bytes:
    """A tar of one file, and a link to it with these bytes as its name."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", encoding="utf-8", errors="surrogateescape") as tar:
        member = tarfile.TarInfo("good.txt")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"good"))
        if link:
            bad = tarfile.TarInfo(link.decode("utf-8", "surrogateescape"))
            bad.type, bad.linkname = tarfile.SYMTYPE, "good.txt"
            tar.addfile(bad)
    return made.getvalue()


def test_fourteen_names_that_are_no_text_cost_fourteen_jobs(
    wide: Harness, payloads: Payloads
) -> None:
    files = {
        f"{number}.tar": tar_of(b"bad\xff\xfe" if number % 5 == 3 and number < 70 else b"")
        for number in range(74)
    }
    manifest = single_files(payloads, files).replace("single-file-batch", "container-batch")

    batch_id = wide.drop(manifest)

    view = wide.batch(batch_id)
    failed = [job for job in jobs_of(batch_id) if job.state is JobState.FAILED]
    assert (view.counts["succeeded"], view.counts["failed"]) == (60, 14)
    assert {job.failure_code for job in failed} == {Failure.BAD_CONTAINER.value}
    assert all(f"bad{REPLACEMENT}{REPLACEMENT}" in job.failure_message for job in failed)


@contextmanager
def steps(answers: Callable[[str], StepResult]) -> Iterator[None]:
    """Deposits of a file return what `answers` has for its name, and fetch nothing."""
    types: dict[str, JobType[Any]] = TYPES  # type: ignore[assignment]

    def answering(step_input: StepInput, _context: StepContext) -> StepResult:
        return answers(step_input.entry["name"])

    was = types["deposit"]
    types["deposit"] = JobType("deposit", "Deposit", (("answering", answering),), StepContext)
    try:
        yield
    finally:
        types["deposit"] = was


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({"bytes": object()}, Failure.UNWRITABLE),
        ({"names": {1, 2}}, Failure.UNWRITABLE),
        ({"much": ["x" * 2000] * 100}, Failure.STEP_ERROR),
    ],
    ids=["no JSON", "a set", "too much"],
)
def test_a_result_that_cannot_be_kept_fails_its_own_job(
    found: dict[str, Any], code: Failure, wide: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, {f"{number}.txt": b"x" for number in range(30)})

    with steps(lambda name: Done(found if name == "7.txt" else {"fine": "\ud800"})):
        batch_id = wide.drop(manifest)

    view = wide.batch(batch_id)
    (failed,) = [job for job in jobs_of(batch_id) if job.state is JobState.FAILED]
    assert view.counts["succeeded"] == 29
    assert (failed.address.position, failed.failure_code) == (7, code.value)
    assert [(each.code, each.count) for each in view.failure_groups or ()] == [(code.value, 1)]

    with steps(lambda _: Done()):
        operations.change_jobs(batch_id, "requeue", Filter(JobState.FAILED), wide.context())
        wide.machines.run_all()
    assert wide.batch(batch_id).counts["succeeded"] == 30


def test_a_statement_that_dynamodb_does_not_take_fails_its_own_job(
    wide: Harness, payloads: Payloads
) -> None:
    """As when DynamoDB refuses the whole call for the sake of one statement."""
    manifest = single_files(payloads, {f"{number}.txt": b"x" for number in range(30)})

    def refuse(params: dict[str, Any], **_: Any) -> None:
        # The emulator may accept what AWS refuses; both refuse an empty statement.
        for statement in params["Statements"]:
            if "poisoned" in str(statement["Parameters"]):
                statement["Statement"] = ""

    events = tables.client().meta.events
    events.register("provide-client-params.dynamodb.BatchExecuteStatement", refuse)
    try:
        with steps(lambda name: Done({"word": "poisoned" if name == "7.txt" else "fine"})):
            batch_id = wide.drop(manifest)
    finally:
        events.unregister("provide-client-params.dynamodb.BatchExecuteStatement", refuse)

    (failed,) = [job for job in jobs_of(batch_id) if job.state is JobState.FAILED]
    assert (failed.address.position, failed.failure_code) == (7, Failure.UNWRITABLE.value)
    assert wide.batch(batch_id).counts["succeeded"] == 29
    assert wide.batch(batch_id).batch.state == "failed"


# Workers that die


@contextmanager
def killers(positions: Set[int]) -> Iterator[None]:
    """A worker that has started a job at one of these positions is killed at once."""
    sent: list[bool] = []

    def starts_one(statement: dict[str, Any]) -> bool:
        values = named(statement)
        return values["s"]["S"] == "running" and int(values["position"]["N"]) in positions

    def check_call(params: dict[str, Any], **_: Any) -> None:
        sent.append(any(starts_one(each) for each in params["Statements"]))

    def kill(**_: Any) -> None:
        if sent.pop():
            raise WorkerKilledError

    events = tables.client().meta.events
    events.register("provide-client-params.dynamodb.BatchExecuteStatement", check_call)
    events.register("after-call.dynamodb.BatchExecuteStatement", kill)
    try:
        yield
    finally:
        events.unregister("provide-client-params.dynamodb.BatchExecuteStatement", check_call)
        events.unregister("after-call.dynamodb.BatchExecuteStatement", kill)


def test_fourteen_jobs_that_kill_their_worker_cost_fourteen_jobs(
    wide: Harness, payloads: Payloads
) -> None:
    deadly = {number for number in range(70) if number % 5 == 3}
    manifest = single_files(payloads, {f"{number}.txt": b"x" for number in range(74)})
    began = wide.now()

    with steps(lambda _: Done()), killers(deadly):
        batch_id = wide.drop(manifest)

    found = jobs_of(batch_id)
    failed = {job.address.position for job in found if job.state is JobState.FAILED}
    assert failed == deadly
    assert wide.batch(batch_id).counts["succeeded"] == 60
    assert all(
        (job.failure_code, job.orphan_count) == (Failure.WORKER_LOST, ORPHAN_LIMIT)
        for job in found
        if job.address.position in deadly
    )
    assert (
        wide.now() - began
    ).total_seconds() < 3600  # each pass completes one more: no long pauses
    assert len(wide.mails_of(batch_id)) == 1


def vanishing(harness: Harness, times: int) -> Counter[str]:
    """Let that many workers vanish before they start anything."""
    whole = dict(harness.machines._functions)
    vanished: Counter[str] = Counter()

    def vanish(event: dict[str, Any]) -> dict[str, Any]:
        vanished["workers"] += 1
        if vanished["workers"] > times:
            return whole["ExecuteChunkFunction"](event)
        raise WorkerKilledError

    harness.machines._functions = whole | {"ExecuteChunkFunction": vanish}
    return vanished


def test_jobs_that_no_worker_began_with_wait_until_one_does(
    wide: Harness, payloads: Payloads
) -> None:
    vanished = vanishing(wide, 60)
    began = wide.now()

    with steps(lambda _: Done()):
        batch_id = wide.drop(single_files(payloads, {"a.txt": b"1", "b.txt": b"2"}))

    assert vanished["workers"] > 60
    assert wide.batch(batch_id).counts["succeeded"] == 2
    assert wide.batch(batch_id).batch.state == "completed"
    assert (wide.now() - began).total_seconds() > 3600  # with pauses between fruitless passes


def test_a_batch_whose_workers_never_start_is_cancelled_without_failed_jobs(
    wide: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "STALLED_PASSES", 12)
    vanishing(wide, 10**6)

    batch_id = wide.drop(single_files(payloads, {"a.txt": b"1", "b.txt": b"2"}))

    view = wide.batch(batch_id)
    assert view.batch.state == "cancelled"
    assert (view.counts["failed"], view.counts["cancelled"]) == (0, 2)
    assert jobs_of(batch_id) == []
    assert "no worker could start" in " ".join(entry.reason for entry in view.batch.history)
    assert len(wide.mails_of(batch_id)) == 1


def test_a_job_whose_worker_vanished_for_good_fails_and_those_not_begun_are_cancelled(
    wide: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "STALLED_PASSES", 12)
    manifest = single_files(payloads, {f"{number}.txt": b"x" for number in range(60)})
    whole = dict(wide.machines._functions)
    killed: list[bool] = []

    def once(event: dict[str, Any]) -> dict[str, Any]:
        if killed:
            raise WorkerKilledError
        killed.append(True)
        with killers({3}):
            return whole["ExecuteChunkFunction"](event)

    wide.machines._functions = whole | {"ExecuteChunkFunction": once}
    batch_id = wide.drop(manifest)

    found = jobs_of(batch_id)
    assert {(job.state, job.failure_code) for job in found} == {
        (JobState.FAILED, Failure.WORKER_LOST.value)
    }
    assert all(job.history[0].event == "start" for job in found)
    view = wide.batch(batch_id)
    assert view.batch.state == "cancelled"
    assert (view.counts["failed"], view.counts["cancelled"]) == (len(found), 60 - len(found))


def test_a_retried_job_that_no_worker_starts_fails_with_its_own_code(
    wide: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "STALLED_PASSES", 12)
    manifest = single_files(payloads, {"a.txt": b"1", "b.txt": b"2"})
    payloads.status["/b.txt"] = 404
    batch_id = wide.drop(manifest)
    payloads.status["/b.txt"] = 503  # so it is retried, but then no worker starts
    whole = dict(wide.machines._functions)
    invoked: list[bool] = []

    def once(event: dict[str, Any]) -> dict[str, Any]:
        if invoked:
            raise WorkerKilledError
        invoked.append(True)
        return whole["ExecuteChunkFunction"](event)

    wide.machines._functions = whole | {"ExecuteChunkFunction": once}

    operations.change_jobs(batch_id, "requeue", Filter(JobState.FAILED), wide.context())
    wide.machines.run_all()

    job = jobs.find(JobAddress(batch_id, 0, 1))
    assert job is not None
    assert (job.state, job.failure_code) == (JobState.FAILED, Failure.NO_WORKER.value)
    assert job.attempt_count == 2
    assert wide.batch(batch_id).counts["succeeded"] == 1


def test_a_cancelled_batch_ends_though_no_worker_comes(wide: Harness, payloads: Payloads) -> None:
    batch_id = ""
    whole = dict(wide.machines._functions)

    def cancelled(event: dict[str, Any]) -> dict[str, Any]:
        nonlocal batch_id
        if not batch_id:
            batch_id = event["origin_id"]
            send_batch_event(batch_id, "cancel", wide.context())
        raise WorkerKilledError

    wide.machines._functions = whole | {"ExecuteChunkFunction": cancelled}
    began = wide.now()
    wide.drop(single_files(payloads, {"a.txt": b"1", "b.txt": b"2"}))

    assert wide.batch(batch_id).batch.state == "cancelled"
    assert (wide.now() - began).total_seconds() < 3600
