"""The states of a job, and what people may do in them."""

from jobyard.domain.jobs.job import JOB
from jobyard.domain.lifecycle import StateType


def test_the_job_states_are_the_canonical_set() -> None:
    assert [state.name for state in JOB.states] == [
        "scheduled",
        "held",
        "running",
        "paused",
        "stopping",
        "succeeded",
        "partially_succeeded",
        "failed",
        "cancelled",
        "replaced",
        "deleted",
    ]


def test_a_running_job_cannot_be_deleted() -> None:
    assert "delete" not in JOB.actions("running", {"operator", "admin"})
    assert "force_fail" in JOB.actions("running", {"operator"})


def test_a_failed_job_waits_for_a_person() -> None:
    assert JOB.state("failed").type is StateType.INTERACTION
    assert JOB.actions("failed", {"operator"}) == ("requeue", "delete")
