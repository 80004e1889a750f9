"""A batch has one retry at a time; a second request is refused with the first actor's name."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from jobyard.domain.batches.operation import MAX_OPERATIONS, Filter
from jobyard.domain.errors import OperationInProgress, StaleState
from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.services.batches import operations as batch_operations
from jobyard.services.context import Actor
from jobyard.store import jobs, operations
from tests.harness import Harness, Payloads, single_files
from tests.people import sub_of

FAILED = Filter(JobState.FAILED)
_numbers = count(1)
Failed = Callable[[int], str]


@pytest.fixture
def failed(harness: Harness, payloads: Payloads) -> Failed:
    """A batch of so many failed jobs, whose files exist by now."""

    def make(number: int) -> str:
        mark = f"one-retry-{next(_numbers)}"
        names = {f"{mark}-{each}.txt": f"{mark} {each}".encode() for each in range(number)}
        text = single_files(payloads, names)
        payloads.status = {f"/{name}": 404 for name in names}
        batch_id = harness.drop(text, collection=mark)
        payloads.status = {}
        assert harness.batch(batch_id).batch.state == "failed"
        return batch_id

    return make


def person(name: str) -> Actor:
    return Actor(sub_of(name), name, frozenset({"operator"}))


def requeues(batch_id: str, number: int) -> list[int]:
    """How often each job of a batch was requeued."""
    found = [jobs.find(JobAddress(batch_id, each // 2, each % 2)) for each in range(number)]
    return [job.requeue_count for job in found if job]


def test_of_twenty_at_once_one_retries_and_the_others_learn_the_actor(
    harness: Harness, failed: Failed
) -> None:
    batch_id = failed(3)

    def retry(number: int) -> str:
        try:
            batch_operations.change_jobs(
                batch_id, "requeue", FAILED, harness.context(person(f"person {number}"))
            )
        except OperationInProgress as refusal:
            return str(refusal)
        return ""

    with ThreadPoolExecutor(20) as pool:
        answers = [*pool.map(retry, range(20))]

    assert answers.count("") == 1
    (running,) = operations.running(batch_id)
    assert running.actor == f"person {answers.index('')}"
    for answer in filter(None, answers):
        assert running.operation_id in answer
        assert f"of {running.actor} " in answer
        assert "2026-11-22 12:00" in answer
    harness.machines.run_all()
    assert requeues(batch_id, 3) == [1, 1, 1]
    assert not operations.is_any_running(batch_id)


def test_the_next_retry_is_taken_when_the_first_is_over(
    harness: Harness, failed: Failed, payloads: Payloads
) -> None:
    batch_id = failed(2)
    paths = [f"/{view}" for view in names_of(harness, batch_id)]
    payloads.status = dict.fromkeys(paths, 404)
    batch_operations.change_jobs(batch_id, "requeue", FAILED, harness.context())
    harness.machines.run_all()
    payloads.status = {}

    batch_operations.change_jobs(batch_id, "requeue", FAILED, harness.context())
    harness.machines.run_all()

    assert requeues(batch_id, 2) == [2, 2]


def names_of(harness: Harness, batch_id: str) -> list[str]:
    from jobyard.services.queries.jobs import list_jobs

    page = list_jobs(batch_id, harness.query_context(), state="", after=(0, 0), limit=10)
    return [str(view.row["name"]) for view in page.items]


def test_the_same_request_finds_its_own_retry(harness: Harness, failed: Failed) -> None:
    batch_id = failed(2)

    first = batch_operations.change_jobs(batch_id, "requeue", FAILED, harness.context(key="mine"))
    again = batch_operations.change_jobs(batch_id, "requeue", FAILED, harness.context(key="mine"))
    harness.machines.run_all()
    late = batch_operations.change_jobs(batch_id, "requeue", FAILED, harness.context(key="mine"))

    assert first == again
    assert late.operation_id == first.operation_id
    assert requeues(batch_id, 2) == [1, 1]


def test_a_retry_without_an_execution_does_not_lock_its_batch(
    harness: Harness, failed: Failed
) -> None:
    batch_id = failed(2)
    start, harness.machines.start_execution = harness.machines.start_execution, _unreachable  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        batch_operations.change_jobs(batch_id, "requeue", FAILED, harness.context())
    harness.machines.start_execution = start  # type: ignore[method-assign]
    with pytest.raises(OperationInProgress):
        batch_operations.change_jobs(batch_id, "requeue", FAILED, harness.context())

    harness.advance(61)
    harness.tick()
    harness.machines.run_all()

    assert requeues(batch_id, 2) == [1, 1]
    assert not operations.is_any_running(batch_id)


def _unreachable(**_: object) -> None:
    raise ConnectionError


def test_retries_without_common_jobs_run_at_the_same_time(harness: Harness, failed: Failed) -> None:
    batch_id = failed(3)

    def one(number: int) -> Filter:
        job_id = JobAddress(batch_id, number // 2, number % 2).job_id
        return Filter(JobState.FAILED, job_ids=frozenset({job_id}))

    batch_operations.change_jobs(batch_id, "requeue", one(0), harness.context())
    batch_operations.change_jobs(batch_id, "requeue", one(1), harness.context())
    for wanted in (one(0), FAILED, Filter(JobState.FAILED, frozenset({"PAYLOAD_NOT_FOUND"}))):
        with pytest.raises(OperationInProgress):
            batch_operations.change_jobs(batch_id, "requeue", wanted, harness.context())
    harness.machines.run_all()

    assert harness.batch(batch_id).counts["failed"] == 1


def test_a_bounded_number_of_operations_runs_at_once(harness: Harness, failed: Failed) -> None:
    """The register of what is under way has a size it cannot pass."""
    number = MAX_OPERATIONS + 1
    batch_id = failed(number)
    ids = [JobAddress(batch_id, each // 2, each % 2).job_id for each in range(number)]
    for job_id in ids[:-1]:
        batch_operations.change_jobs(
            batch_id,
            "requeue",
            Filter(JobState.FAILED, job_ids=frozenset({job_id})),
            harness.context(),
        )

    with pytest.raises(OperationInProgress, match=f"{MAX_OPERATIONS} operations are running"):
        batch_operations.change_jobs(
            batch_id,
            "requeue",
            Filter(JobState.FAILED, job_ids=frozenset(ids[-1:])),
            harness.context(),
        )

    harness.machines.run_all()
    assert harness.batch(batch_id).counts["failed"] == 1


def test_what_ends_while_another_begins_is_out_of_the_register_for_good(
    harness: Harness, failed: Failed
) -> None:
    """Ends and beginnings at once, in threads; none is lost and none comes back."""
    batch_id = failed(8)
    ids = [JobAddress(batch_id, each // 2, each % 2).job_id for each in range(8)]

    def begin_and_end(job_id: str) -> None:
        wanted = Filter(JobState.FAILED, job_ids=frozenset({job_id}))
        operation = batch_operations.change_jobs(batch_id, "requeue", wanted, harness.context())
        operations.end(operation, harness.now())

    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(begin_and_end, ids):
            pass

    assert not operations.is_any_running(batch_id)
    assert len([*operations.of_batch(batch_id)]) == 8


def test_the_chunks_of_an_operation_are_kept_in_a_record_of_bounded_size(
    harness: Harness, failed: Failed
) -> None:
    """80,000 numbers would be larger than DynamoDB takes an item."""
    from dataclasses import replace

    from jobyard.domain.batches.chunks import MAX_CHUNKS

    batch_id = failed(1)
    operation = batch_operations.change_jobs(batch_id, "requeue", FAILED, harness.context())
    operations.end(operation, harness.now())
    state = harness.batch(batch_id).batch.state
    for name, numbers in (("all", range(MAX_CHUNKS)), ("odd", range(1, MAX_CHUNKS, 2))):
        large = replace(operation, operation_id=name, chunks=tuple(numbers))
        operations.put_new(large, state)
        assert operations.get(batch_id, name) == large
        operations.end(large, harness.now())
    with pytest.raises(StaleState):
        operations.put_new(replace(operation, operation_id="none"), type(state)("processing"))
