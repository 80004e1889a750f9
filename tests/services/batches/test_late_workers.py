"""Two workers at one chunk, one of them late or killed: the counts are right."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from jobyard.domain.batches.chunks import Chunk, RunProgress
from jobyard.domain.batches.operation import Filter, JobOutcome
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.job import JobState
from jobyard.services.batches import operations, rows
from jobyard.services.batches.chunk_source import run_chunk
from jobyard.services.batches.orphans import give_up_chunk
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.runs import ExecutionRun
from jobyard.store import batches, chunks, jobs, tables
from tests.call_interceptor import Call, Listener
from tests.harness import Harness, Payloads, single_files

MAIN_PASS = ExecutionRun(MAIN_RUN, 1)
TWO = {"a.txt": b"one", "b.txt": b"two"}


class CutOff(Exception):
    """The worker's time is over."""


def opened(harness: Harness, payloads: Payloads, collection: str) -> dict[str, Any]:
    """Open a batch of one chunk with two jobs. Returns the state that its machine carries."""
    event = harness.upload(single_files(payloads, TWO), name="may.checkm", collection=collection)
    return harness.open({"input": event, "execution": f"late-{collection}"})


def chunk_of(harness: Harness, state: dict[str, Any]) -> Chunk:
    index = harness.s3.get_object(Bucket=state["index_bucket"], Key=state["index_key"])["Body"]
    return Chunk.from_index_line(index.read())


def at_call(number: int, happens: Callable[[], None], now: Callable[[], datetime]) -> Any:
    """A clock whose `number`-th reading makes something happen."""
    readings = 0

    def clock() -> datetime:
        nonlocal readings
        readings += 1
        if readings == number:
            happens()
        return now()

    return clock


class CutOffAtCounts(Listener):
    """A worker is cut off before it writes its chunk's counts."""

    def before(self, call: Call) -> None:
        chunks_table = tables.MODELS["chunks"].Meta.table_name
        if call.operation == "PutItem" and call.parameters["TableName"] == chunks_table:
            raise CutOff


class BeforeTheFirst(Listener):
    """Does something before the first call of a kind."""

    def __init__(self, operation: str, happens: Callable[[], object]) -> None:
        self._operation, self._happens = operation, happens

    def before(self, call: Call) -> None:
        if call.operation == self._operation:
            self._operation = ""
            self._happens()


@pytest.mark.parametrize("reading", [3, 4, 5])
def test_a_worker_that_is_overtaken_counts_what_the_other_did(
    reading: int, harness: Harness, payloads: Payloads
) -> None:
    state = opened(harness, payloads, f"overtaken-{reading}")
    chunk, run = chunk_of(harness, state), ExecutionRun(MAIN_RUN, 1)

    def other_runs_and_is_cut_off() -> None:
        with harness.interceptor.listening(CutOffAtCounts()), pytest.raises(CutOff):
            run_chunk(state["origin_id"], chunk, run, harness.worker())

    late = replace(harness.worker(), now=at_call(reading, other_runs_and_is_cut_off, harness.now))
    run_chunk(state["origin_id"], chunk, run, late)

    assert chunks.get(state["origin_id"], 0).counts == {"succeeded": 2}
    assert harness.settle(state)["next"] == "report"


def test_a_first_pass_counts_what_a_person_did_before_it(
    harness: Harness, payloads: Payloads
) -> None:
    state = opened(harness, payloads, "held-before")
    send_job_event(f"{state['origin_id']}.0.1", "hold", harness.context())
    assert chunks.get(state["origin_id"], 0).counts == {"held": 1}

    run_chunk(state["origin_id"], chunk_of(harness, state), MAIN_PASS, harness.worker())

    found = chunks.get(state["origin_id"], 0)
    assert found.counts == {"held": 1, "succeeded": 1}
    assert found.progress(MAIN_RUN) == RunProgress(1)


def test_a_first_pass_that_is_repeated_after_its_end_changes_nothing(
    harness: Harness, payloads: Payloads
) -> None:
    state = opened(harness, payloads, "repeated")
    chunk = chunk_of(harness, state)
    run_chunk(state["origin_id"], chunk, MAIN_PASS, harness.worker())
    before = chunks.get(state["origin_id"], 0), [*jobs.of_chunk(state["origin_id"], 0)]

    run_chunk(state["origin_id"], chunk, MAIN_PASS, harness.worker())

    assert (chunks.get(state["origin_id"], 0), [*jobs.of_chunk(state["origin_id"], 0)]) == before


def test_a_chunk_is_given_up_with_what_a_late_worker_did_meanwhile(
    harness: Harness, payloads: Payloads
) -> None:
    state = opened(harness, payloads, "given-up")
    chunk, run = chunk_of(harness, state), ExecutionRun(MAIN_RUN, 1)
    batch = batches.get(state["origin_id"], harness.now())
    late_worker = BeforeTheFirst(
        "PutItem", lambda: run_chunk(batch.batch_id, chunk, run, harness.worker())
    )

    with (
        harness.interceptor.listening(late_worker),
        pytest.raises(StaleState),  # so Settle's task fails, and is tried again
    ):
        give_up_chunk(batch, 0, ExecutionRun(MAIN_RUN, 5), harness.now())
    give_up_chunk(batch, 0, ExecutionRun(MAIN_RUN, 5), harness.now())

    assert chunks.get(batch.batch_id, 0).counts == {"succeeded": 2}


def test_wrong_counts_of_a_worker_are_corrected_by_the_scheduler_tick(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = harness.drop(single_files(payloads, TWO), collection="miscounted")
    assert harness.batch(batch_id).batch.state == "completed"
    state = opened(harness, payloads, "miscounted-2")
    run_chunk(
        state["origin_id"], chunk_of(harness, state), ExecutionRun(MAIN_RUN, 1), harness.worker()
    )
    right = chunks.get(state["origin_id"], 0)
    chunks.put(replace(right, counts={"running": 2}, runs={MAIN_RUN: RunProgress(1)}))

    for _ in range(20):
        harness.advance(60)
        harness.tick()
        harness.machines.run_all()

    assert harness.batch(state["origin_id"]).batch.state == "completed"
    assert len(harness.mails_of(state["origin_id"])) == 1


def test_a_job_of_one_operation_in_two_workers_is_reported_as_accepted(
    harness: Harness, payloads: Payloads
) -> None:
    payloads.status["/b.txt"] = 404
    batch_id = harness.drop(single_files(payloads, TWO), collection="twins")
    payloads.status.clear()
    operation = operations.change_jobs(
        batch_id, "requeue", Filter(JobState.FAILED), harness.context()
    )
    invoke_once = harness.machines.invoke

    def twice(name: str, function: Any, event: dict[str, Any]) -> dict[str, Any]:
        if name != "ExecuteChunkFunction":
            return invoke_once(name, function, event)
        harness.machines.invoke = invoke_once
        with harness.interceptor.listening(
            BeforeTheFirst("BatchExecuteStatement", lambda: function(event))
        ):
            return invoke_once(name, function, event)

    harness.machines.invoke = twice
    harness.machines.run_all()

    outcomes = [*rows.outcomes_of(harness.s3, harness.settings, operation, 0)]
    assert outcomes == [JobOutcome(f"{batch_id}.0.1", "accepted")]
    assert [job.state for job in jobs.of_chunk(batch_id, 0)] == ["succeeded", "succeeded"]


@pytest.mark.parametrize("event", ["hold", "cancel"])
@pytest.mark.parametrize("reading", range(2, 7))
def test_jobs_that_people_stop_while_a_worker_starts_them_are_stopped_or_run(
    reading: int, event: str, harness: Harness, payloads: Payloads
) -> None:
    state = opened(harness, payloads, f"{event}-{reading}")
    batch_id, chunk = state["origin_id"], chunk_of(harness, state)

    def people_stop_them() -> None:
        operations.change_jobs(batch_id, event, Filter(JobState.SCHEDULED), harness.context())
        harness.machines.run_all()

    late = replace(harness.worker(), now=at_call(reading, people_stop_them, harness.now))
    run_chunk(batch_id, chunk, ExecutionRun(MAIN_RUN, 1), late)

    states = sorted(job.state.value for job in jobs.of_chunk(batch_id, 0))
    stopped = {"hold": "held", "cancel": "cancelled"}[event]
    assert len(states) == 2
    assert set(states) <= {"succeeded", stopped}
    assert chunks.get(batch_id, 0).counts == {each: states.count(each) for each in states}


def test_jobs_of_a_cancel_that_was_cut_off_still_count_as_open(
    harness: Harness, payloads: Payloads
) -> None:
    state = opened(harness, payloads, "cut-off-cancel")
    batch_id, chunk = state["origin_id"], chunk_of(harness, state)
    operations.change_jobs(batch_id, "hold", Filter(JobState.SCHEDULED), harness.context())
    harness.machines.run_all()
    cancel = operations.change_jobs(batch_id, "cancel", Filter(JobState.HELD), harness.context())
    run = ExecutionRun(cancel.operation_id, 1)

    with (
        harness.interceptor.listening(BeforeTheFirst("BatchExecuteStatement", _cut_off)),
        pytest.raises(CutOff),
    ):
        run_chunk(batch_id, chunk, run, harness.worker())

    assert chunks.get(batch_id, 0).counts == {"held": 2}
    run_chunk(batch_id, chunk, run, harness.worker())
    assert chunks.get(batch_id, 0).counts == {"cancelled": 2}


def _cut_off() -> None:
    raise CutOff
