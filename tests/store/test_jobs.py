"""Jobs in the table: the second writer is refused, a repeat succeeds."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from pynamodb.exceptions import PutError

from jobyard.domain.batches.batch import Batch, BatchState
from jobyard.domain.batches.operation import Filter, Operation
from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.job import (
    JOB,
    Attempt,
    JobAddress,
    JobRecord,
    JobState,
    StepRecord,
    StepStatus,
    new_job,
)
from jobyard.domain.lifecycle import Cause
from jobyard.store import batches, chunks, jobs, operations, tables
from jobyard.store.operations import RunningOperations
from tests.call_interceptor import Call, CallInterceptor, Listener
from tests.faults.aws_semantics import Cancelling, Conflicting

pytestmark = pytest.mark.emulator
PROCESSING = BatchState.PROCESSING
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
_numbers = iter(range(10**6))
STEPS = (
    "estimating",
    "provisioning",
    "downloading",
    "processing",
    "storing",
    "recording",
    "notify",
)


@pytest.fixture
def batch_id(store_endpoint: str) -> str:
    """A batch in progress that no other test uses."""
    name = f"b{next(_numbers):020d}"
    batches.put_new(
        Batch(name, BatchState.PROCESSING, 0, "maps", "depositor", "deposit", "m.checkm", NOON)
    )
    return name


def running(address: JobAddress, cause: str = "main.p1.c0.t1") -> JobRecord:
    before = new_job(address, NOON)
    return before.moved(JOB.move("scheduled", "start", NOON, Cause(cause)), start_count=1)


def ended(job: JobRecord, event: str = "succeed", cause: str = "main.p1.c0.t1") -> JobRecord:
    return job.moved(JOB.move("running", event, NOON, Cause(cause)))


def test_a_record_reads_back_as_it_was_written(batch_id: str) -> None:
    full = replace(
        running(JobAddress(batch_id, 3, 7)),
        next_at=NOON,
        failure_code="TIMEOUT",
        failure_message="too slow",
        requeueable=False,
        orphan_count=1,
        requeue_count=2,
        steps=(
            StepRecord("downloading", StepStatus.COMPLETED, NOON, NOON),
            StepRecord("storing", StepStatus.FAILED, NOON, None, "odd"),
        ),
        attempts=(
            Attempt(NOON, NOON),  # as earlier versions stored them
            Attempt(NOON, NOON, "storing", "TIMEOUT", "too slow"),
            Attempt(NOON, NOON, request_id="request-1"),
            Attempt(NOON, NOON, "storing", "TIMEOUT", "too slow", request_id="request-2"),
        ),
        request_id="request-3",
        data={"ark": "ark:/99999/j1", "bytes": 12},
    )

    jobs.write_many([(None, full)])

    assert jobs.find(full.address) == full


def test_an_insert_over_a_record_of_another_cause_is_lost(batch_id: str) -> None:
    address = JobAddress(batch_id, 0, 0)
    mine, theirs = running(address), running(address, "main.p2.c0.t1")
    jobs.write_many([(None, mine)])

    assert jobs.write_many([(None, theirs)]) == [None]
    assert jobs.find(address) == mine


def test_a_repeat_of_the_same_cause_is_success(batch_id: str) -> None:
    mine = running(JobAddress(batch_id, 0, 0))
    jobs.write_many([(None, mine)])

    assert jobs.write_many([(None, mine)]) == [mine]


def test_the_second_of_two_updates_is_lost(batch_id: str) -> None:
    job = running(JobAddress(batch_id, 0, 0))
    jobs.write_many([(None, job)])
    jobs.write_many([(job, ended(job))])

    assert jobs.write_many([(job, ended(job, "fail", "other"))]) == [None]


def test_a_hundred_records_are_written_in_order_with_an_answer_each(batch_id: str) -> None:
    taken = running(JobAddress(batch_id, 0, 50), "other")
    jobs.write_many([(None, taken)])

    stored = jobs.write_many([(None, running(JobAddress(batch_id, 0, n))) for n in range(100)])

    assert [n for n, job in enumerate(stored) if job is None] == [50]
    assert [job.address.position for job in jobs.of_chunk(batch_id, 0)] == list(range(100))


def test_a_batch_of_statements_names_a_job_once(batch_id: str) -> None:
    job = running(JobAddress(batch_id, 0, 0))

    with pytest.raises(ValueError, match="for the same job"):
        jobs.write_many([(None, job), (None, job)])


@pytest.fixture
def throttled(store_endpoint: str) -> Iterator[list[float]]:
    """Every third answer of a statement is throttled, once. Returns the pauses."""
    waits: list[float] = []
    seen: dict[str, int] = {}

    def rewrite(parsed: dict[str, Any], **_: Any) -> None:
        for response in parsed.get("Responses", ()):
            number = seen["n"] = seen.get("n", 0) + 1
            if number % 3 == 0 and number < 60:
                response["Error"] = {"Code": "ThrottlingError", "Message": "slow down"}

    events = tables.client().meta.events
    events.register("after-call.dynamodb.BatchExecuteStatement", rewrite)
    yield waits
    events.unregister("after-call.dynamodb.BatchExecuteStatement", rewrite)


def test_throttled_statements_are_sent_again_whether_they_were_applied_or_not(
    batch_id: str, throttled: list[float]
) -> None:
    changes = [(None, running(JobAddress(batch_id, 0, n))) for n in range(30)]

    stored = jobs.write_many(changes, pause=throttled.append)

    assert [job and job.address.position for job in stored] == list(range(30))
    assert throttled


def test_a_persons_move_carries_the_counts_with_it(batch_id: str) -> None:
    job = running(JobAddress(batch_id, 2, 0))
    failed = replace(ended(job, "fail"), failure_code="TIMEOUT")
    jobs.write_many([(None, job)])
    jobs.apply(job, failed, PROCESSING)

    assert chunks.get(batch_id, 2).counts == {"failed": 1}
    assert chunks.get(batch_id, 2).failures == {"TIMEOUT": 1}
    assert chunks.get(batch_id, 2).failed_at == {"TIMEOUT": (failed.at, failed.at)}

    requeued = failed.moved(JOB.move("failed", "requeue", NOON, Cause("press")))
    jobs.apply(failed, requeued, PROCESSING)

    assert chunks.get(batch_id, 2).counts == {"scheduled": 1}
    assert chunks.get(batch_id, 2).failures == {}
    assert chunks.get(batch_id, 2).failed_at == {}


def test_a_persons_moves_are_counted_with_the_running_operations(batch_id: str) -> None:
    first, second = (new_job(JobAddress(batch_id, chunk, 0), NOON) for chunk in range(2))
    assert operations.running_list(batch_id) == RunningOperations()

    for before in (first, second):
        held = before.moved(JOB.move("scheduled", "hold", NOON, Cause("one", "operator")))
        jobs.apply(before, held, PROCESSING)
        jobs.apply(before, held, PROCESSING)  # a repeat, which writes nothing

    assert operations.running_list(batch_id) == RunningOperations(2)
    wanted = Filter(JobState.HELD)
    release = Operation(batch_id, "r1", "release", wanted, "one", "why", NOON, 2, (0, 1))
    operations.put_new(release, PROCESSING)
    assert operations.running_list(batch_id) == RunningOperations(3, ("r1",))
    released = held.moved(JOB.move("held", "release", NOON, Cause("two", "operator")))
    jobs.apply(held, released, PROCESSING)
    assert operations.running_list(batch_id) == RunningOperations(4, ("r1",))
    operations.end(release, NOON)
    assert operations.running_lists([batch_id, "b-none"]) == {batch_id: RunningOperations(5)}


def test_the_second_of_two_people_is_refused_for_a_stale_state(batch_id: str) -> None:
    before = new_job(JobAddress(batch_id, 0, 0), NOON)
    held = before.moved(JOB.move("scheduled", "hold", NOON, Cause("one", "operator")))
    jobs.apply(before, held, PROCESSING)

    cancelled = before.moved(JOB.move("scheduled", "cancel", NOON, Cause("two", "admin")))
    with pytest.raises(StaleState, match="it is held"):
        jobs.apply(before, cancelled, PROCESSING)


def test_a_repeated_request_of_a_person_moves_once(batch_id: str) -> None:
    before = new_job(JobAddress(batch_id, 0, 0), NOON)
    held = before.moved(JOB.move("scheduled", "hold", NOON, Cause("one", "operator")))

    assert jobs.apply(before, held, PROCESSING) == jobs.apply(before, held, PROCESSING) == held
    assert chunks.get(batch_id, 0).counts == {"held": 1}


def test_a_succeeded_job_with_identifiers_of_real_length_stays_under_a_kilobyte(
    batch_id: str,
) -> None:
    address = JobAddress(batch_id, 9999, 99)
    job = replace(
        running(address, "main.p1.c9999.t1"),
        steps=tuple(StepRecord(name, StepStatus.COMPLETED, NOON, NOON) for name in STEPS),
        data={
            "count": 1,
            "bytes": 123456789012,
            "sha256": "a" * 64,
            "ark": "ark:/99999/j" + "b" * 24,
            "version": 1,
        },
    )
    done = ended(job, cause="main.p1.c9999.t1")
    request_id = "8f5a6a2e-0000-4000-8000-000000000000"
    done = replace(done, attempts=(Attempt(NOON, NOON, request_id=request_id),))
    jobs.write_many([(None, done)])

    item = tables.client().get_item(
        TableName=tables.JobItem.Meta.table_name,
        Key={"chunk_id": {"S": f"{batch_id}#9999"}, "position": {"N": "99"}},
    )["Item"]
    # Names and strings by their bytes; a number takes a byte for two digits, and one.
    size = sum(
        len(name) + (len(value["S"].encode()) if "S" in value else len(value["N"]) // 2 + 2)
        for name, value in item.items()
    )

    assert done.state is JobState.SUCCEEDED
    assert size < 1024


def test_a_persons_move_is_refused_once_the_batch_has_moved_on(batch_id: str) -> None:
    before = new_job(JobAddress(batch_id, 0, 0), NOON)
    held = before.moved(JOB.move("scheduled", "hold", NOON, Cause("one", "operator")))

    with pytest.raises(StaleState, match="is no longer failed"):
        jobs.apply(before, held, BatchState.FAILED)
    assert jobs.find(before.address) is None


class Lost(Listener):
    """The answers to calls of one operation are lost."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.operation == self._operation:
            raise ReadTimeoutError(endpoint_url="https://dynamodb.example.org")


def test_a_write_without_an_answer_is_reported_as_such(
    batch_id: str, aws_semantics: CallInterceptor
) -> None:
    before = chunks.get(batch_id, 0)

    with aws_semantics.listening(Lost("PutItem")), pytest.raises(PutError, match="Read timeout"):
        chunks.put(before)

    assert chunks.get(batch_id, 0).version == before.version + 1


def test_a_persons_move_without_an_answer_is_reported_as_such_and_can_be_repeated(
    batch_id: str, aws_semantics: CallInterceptor
) -> None:
    before = new_job(JobAddress(batch_id, 0, 0), NOON)
    held = before.moved(JOB.move("scheduled", "hold", NOON, Cause("one", "operator")))

    with aws_semantics.listening(Lost("TransactWriteItems")), pytest.raises(ReadTimeoutError):
        jobs.apply(before, held, PROCESSING)

    assert jobs.apply(before, held, PROCESSING) == held
    assert chunks.get(batch_id, 0).counts == {"held": 1}


def test_people_whose_moves_collide_wait_before_they_try_again(
    batch_id: str, aws_semantics: CallInterceptor
) -> None:
    before = new_job(JobAddress(batch_id, 0, 0), NOON)
    held = before.moved(JOB.move("scheduled", "hold", NOON, Cause("one", "operator")))
    waits: list[float] = []

    with aws_semantics.listening(Conflicting()):
        jobs.apply(before, held, PROCESSING, pause=waits.append)

    assert jobs.find(before.address) == held
    assert len(waits) == 1
    assert 0 < waits[0] <= 0.1


@pytest.mark.parametrize(
    ("code", "error"), [("TransactionConflict", StaleState), ("ThrottlingError", ClientError)]
)
def test_a_persons_move_that_is_never_written_says_whether_others_prevent_it(
    batch_id: str, aws_semantics: CallInterceptor, code: str, error: type[Exception]
) -> None:
    before = new_job(JobAddress(batch_id, 0, 0), NOON)
    held = before.moved(JOB.move("scheduled", "hold", NOON, Cause("one", "operator")))
    waits: list[float] = []

    with aws_semantics.listening(Cancelling(code)), pytest.raises(error):
        jobs.apply(before, held, PROCESSING, pause=waits.append)

    assert jobs.find(before.address) is None
    assert len(waits) > 5
