"""What all lifecycles have in common: each state is declared once, described and labelled."""

import pytest

from jobyard.domain.access import ROLES
from jobyard.domain.batches.batch import BATCH, OPEN_BATCH_STATES, BatchState
from jobyard.domain.errors import NotFound
from jobyard.domain.jobs.job import JOB, OPEN_JOB_STATES, JobState
from jobyard.domain.jobs.task import TASK, TaskState
from jobyard.domain.lifecycle import Lifecycle, StateType
from jobyard.domain.lifecycles import LIFECYCLES, lifecycle_named


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


@pytest.mark.parametrize("lifecycle", LIFECYCLES.values(), ids=LIFECYCLES.keys())
def test_every_event_of_people_is_open_or_says_why_not(lifecycle: Lifecycle) -> None:
    for state in lifecycle.states:
        for role in ROLES:
            open_events = lifecycle.actions(state.name, {role})
            closed = [each.event for each in lifecycle.unavailable(state.name, {role})]

            assert sorted([*open_events, *closed]) == sorted(lifecycle.people_events())


def test_a_lifecycle_is_found_by_name_or_refused_with_the_names() -> None:
    assert lifecycle_named("job") is JOB
    with pytest.raises(NotFound, match="batch, job, task"):
        lifecycle_named("jobs")
