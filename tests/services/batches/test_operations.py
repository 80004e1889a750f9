"""Events that people send to many jobs of a batch at once."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from jobyard.domain.batches.operation import Filter
from jobyard.domain.errors import BadRequest, InvalidTransition
from jobyard.domain.jobs.job import JobState
from jobyard.services.batches import operations
from jobyard.services.queries import operations as operation_queries
from tests.harness import Harness, Payloads, single_files

_numbers = count(1)
FOUR = {f"{name}.txt": name.encode() for name in "abcd"}
HELD = Filter(JobState.HELD)
SCHEDULED = Filter(JobState.SCHEDULED)


@pytest.fixture
def opened(harness: Harness, payloads: Payloads) -> tuple[str, Callable[[], Any]]:
    """A batch of four jobs in two chunks, none of which has started: its id, and what starts them
    and waits for the end of its execution.
    """
    collection = f"many-{next(_numbers)}"
    event = harness.upload(single_files(payloads, FOUR), name="may.checkm", collection=collection)
    harness.open({"input": event, "execution": collection})
    batch_id = harness.batch_id_of(event)

    def run_to_end() -> None:
        settle = {"origin_id": batch_id, "command": "settle", "run": "main", "pass": 1}
        harness.machines.run("batch", f"{batch_id}-{next(_numbers)}", settle)
        harness.machines.run_all()

    return batch_id, run_to_end


def change(harness: Harness, batch_id: str, event: str, wanted: Filter) -> dict[str, int]:
    """Send an event to many jobs, to the end. Returns the outcomes: jobs by state."""
    started = operations.change_jobs(batch_id, event, wanted, harness.context())
    harness.machines.run_all()
    context, found = harness.query_context(), Counter[str]()
    after: tuple[int, int] | None = (0, 0)
    while after:
        view = operation_queries.operation(
            batch_id, started.operation_id, context, after=after, limit=1_000
        )
        found += view.counts
        after = view.after
    assert view.operation.state == "done"
    assert view.operation.outcomes == {"accepted": found.total()} == {"accepted": started.matched}
    return dict(found)


def test_jobs_that_have_not_started_are_held_and_released(
    harness: Harness, opened: tuple[str, Callable[[], Any]]
) -> None:
    batch_id, run_to_end = opened

    assert change(harness, batch_id, "hold", SCHEDULED) == {"held": 4}
    run_to_end()
    assert harness.batch(batch_id).counts["held"] == 4
    assert harness.batch(batch_id).batch.state == "processing"
    assert change(harness, batch_id, "release", HELD) == {"succeeded": 4}

    assert harness.batch(batch_id).batch.state == "completed"


def test_the_selected_jobs_are_cancelled_and_the_others_run(
    harness: Harness, opened: tuple[str, Callable[[], Any]]
) -> None:
    batch_id, run_to_end = opened
    selected = frozenset({f"{batch_id}.0.1", f"{batch_id}.1.0", f"{batch_id}.7.0"})

    outcomes = change(harness, batch_id, "cancel", Filter(JobState.SCHEDULED, job_ids=selected))
    run_to_end()

    view = harness.batch(batch_id)
    assert outcomes == {"cancelled": 2}
    assert (view.counts["succeeded"], view.counts["cancelled"]) == (2, 2)
    assert view.batch.state == "completed"


def test_when_all_that_is_held_is_cancelled_the_batch_is_reported(
    harness: Harness, opened: tuple[str, Callable[[], Any]]
) -> None:
    batch_id, run_to_end = opened
    change(harness, batch_id, "hold", SCHEDULED)
    run_to_end()

    assert change(harness, batch_id, "cancel", HELD) == {"cancelled": 4}

    assert harness.batch(batch_id).batch.state == "completed"
    assert len(harness.mails_of(batch_id)) == 1


def test_failed_jobs_are_deleted_even_those_that_cannot_be_requeued(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, FOUR)
    payloads.status |= {"/a.txt": 404, "/b.txt": 404}
    batch_id = harness.drop(manifest, collection=f"many-{next(_numbers)}")
    failed = Filter(JobState.FAILED, frozenset({"PAYLOAD_NOT_FOUND"}))

    assert change(harness, batch_id, "delete", failed) == {"deleted": 2}

    assert harness.batch(batch_id).counts["failed"] == 0


def test_a_cancelled_batch_has_no_scheduled_jobs_to_change(
    harness: Harness, opened: tuple[str, Callable[[], Any]]
) -> None:
    batch_id, _ = opened
    harness.send_batch_event(batch_id, "cancel")

    with pytest.raises(InvalidTransition, match="is cancelling: cannot hold jobs of it"):
        operations.change_jobs(batch_id, "hold", SCHEDULED, harness.context())


def test_only_failed_jobs_are_chosen_by_their_code(
    harness: Harness, opened: tuple[str, Callable[[], Any]]
) -> None:
    batch_id, _ = opened
    wanted = Filter(JobState.HELD, frozenset({"TIMEOUT"}))

    with pytest.raises(BadRequest, match="leave the codes out"):
        operations.change_jobs(batch_id, "cancel", wanted, harness.context())


@pytest.mark.turns(2)
@pytest.mark.parametrize("jobs", [2_000, 10_000])
def test_an_operation_on_thousands_of_jobs_has_the_outcome_of_each(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    monkeypatch.setattr(harness, "settings", replace(harness.settings, chunk_size=500))
    text = single_files(payloads, {f"{number}.txt": b"" for number in range(jobs)})
    event = harness.upload(text, name="many.checkm", collection="maps")
    batch_id = harness.open({"input": event, "execution": "many"})["origin_id"]

    outcomes = change(harness, batch_id, "hold", SCHEDULED)

    assert outcomes == {"held": jobs}


def test_a_name_selects_the_jobs_of_all_chunks_although_only_some_are_counted(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"{name}.txt": name.encode() for name in ("sea-1", "a", "b", "Sea-2", "c", "sea-3")}
    payloads.status |= {f"/{name}": 404 for name in files if name != "c.txt"}
    batch_id = harness.drop(single_files(payloads, files))
    wanted = Filter(JobState.FAILED, name="SEA-", step="estimating")
    monkeypatch.setattr(operations, "MAX_CHUNKS_COUNTED", 2)
    payloads.status.clear()

    counted = operations.preview_operation(batch_id, "requeue", wanted, harness.context())
    started = operations.change_jobs(batch_id, "requeue", wanted, harness.context())
    harness.machines.run_all()

    assert (counted.total, counted.may_match_more) == (2, True)
    assert started.filter == wanted
    counts = harness.batch(batch_id).counts
    assert (counts["succeeded"], counts["failed"]) == (4, 2)
    nothing = Filter(JobState.FAILED, name="nowhere")
    with pytest.raises(InvalidTransition, match="matches"):
        operations.start_operation(batch_id, "requeue", nothing, harness.context())
