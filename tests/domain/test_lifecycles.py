"""The lifecycles as docs/job-lifecycles.md tells them."""

import pytest

from jobyard.domain.batches.batch import BATCH, OPEN_BATCH_STATES, BatchState
from jobyard.domain.errors import NotFound
from jobyard.domain.jobs.job import JOB, OPEN_JOB_STATES, JobState
from jobyard.domain.jobs.task import TASK, TaskState
from jobyard.domain.lifecycle import Lifecycle, StateType
from jobyard.domain.lifecycles import LIFECYCLES, lifecycle_named


def test_the_job_states_are_the_canonical_set() -> None:
    assert [state.name for state in JOB.states] == [
        "scheduled",
        "held",
        "running",
        "paused",
        "succeeded",
        "partially_succeeded",
        "failed",
        "cancelled",
        "replaced",
        "deleted",
    ]


@pytest.mark.parametrize(
    ("lifecycle", "states"), [(BATCH, BatchState), (JOB, JobState), (TASK, TaskState)]
)
def test_every_state_is_declared_once(
    lifecycle: Lifecycle, states: type[BatchState | JobState | TaskState]
) -> None:
    assert {state.name for state in lifecycle.states} == {state.value for state in states}


@pytest.mark.parametrize("lifecycle", LIFECYCLES.values(), ids=LIFECYCLES.keys())
def test_every_state_says_what_it_means_and_has_words(lifecycle: Lifecycle) -> None:
    for state in lifecycle.states:
        assert state.description.endswith(".")
        assert state.labels


SEED_MOVES = [
    ("pending", "start", "processing"),
    ("pending", "hold", "held"),
    ("held", "release", "pending"),
    ("held", "delete", "deleted"),
    ("processing", "report", "reporting"),
    ("reporting", "complete", "completed"),
    ("reporting", "fail", "failed"),
    ("failed", "update_reporting", "update_reporting"),
    ("update_reporting", "complete", "completed"),
    ("update_reporting", "fail", "failed"),
    ("failed", "delete", "deleted"),
]


@pytest.mark.parametrize(("before", "event", "after"), SEED_MOVES)
def test_a_batch_moves_as_merritt_has_it(before: str, event: str, after: str) -> None:
    assert BATCH.transition(before, event).after == after


def test_only_an_administrator_updates_a_report_or_deletes_a_batch() -> None:
    assert BATCH.transition("failed", "update_reporting").senders == ("admin",)
    assert BATCH.transition("failed", "delete").senders == ("admin",)


def test_a_running_job_cannot_be_deleted() -> None:
    assert "delete" not in JOB.actions("running", {"operator", "admin"})
    assert "force_fail" in JOB.actions("running", {"operator"})


def test_a_failed_job_waits_for_a_person() -> None:
    assert JOB.state("failed").type is StateType.INTERACTION
    assert JOB.actions("failed", {"operator"}) == ("requeue", "delete")


def test_what_is_open_is_what_may_still_end() -> None:
    assert {
        state
        for state in JobState
        if JOB.state(state).type in {StateType.WAITING, StateType.TRANSIENT}
    } == OPEN_JOB_STATES
    assert {
        state
        for state in BatchState
        if BATCH.state(state).type in {StateType.WAITING, StateType.TRANSIENT}
    } == OPEN_BATCH_STATES


def test_a_lifecycle_is_found_by_name_or_refused_with_the_names() -> None:
    assert lifecycle_named("job") is JOB
    with pytest.raises(NotFound, match="batch, job, task"):
        lifecycle_named("jobs")
