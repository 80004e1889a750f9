"""What happens next with an edit job, and who has to act."""

import pytest

from jobyard.domain.edits.attachment import request_attachment
from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.edit_job import EDIT, EditState
from jobyard.domain.edits.next_step import next_step, next_step_of_child
from tests.domain.edits.edit_jobs import ANNA, BEN, a_child, an_edit_job

STATES = [each.name for each in EDIT.states if each.name != EditState.DELETED]


@pytest.mark.parametrize("state", STATES)
def test_every_state_says_what_happens_next_and_who_acts_unless_it_has_ended(state: str) -> None:
    job = an_edit_job(state, team="bridges", worker=ANNA)

    found = next_step(job)

    assert found.what.endswith(".")
    assert bool(found.who) == (job.is_open or job.state is EditState.FAILED)


@pytest.mark.parametrize("failure_type", FailureType)
def test_every_state_of_a_child_says_what_happens_next(failure_type: FailureType) -> None:
    for each in failure_type.lifecycle.states:
        child = a_child(an_edit_job("invalid", team="bridges"), failure_type, each.name)

        found = next_step_of_child(child)

        assert found.what.endswith(".")
        assert bool(found.who) == child.is_open


def test_an_edit_job_that_waits_for_a_child_names_who_has_it() -> None:
    job = an_edit_job("quarantined", team="bridges", worker=ANNA)
    free = a_child(job, FailureType.QUARANTINE_REVIEW)
    claimed = a_child(job, FailureType.QUARANTINE_REVIEW, "downloaded", worker=BEN)

    assert next_step(job, free).who == "a reviewer of team bridges who had no part in it"
    assert next_step(job, claimed).who == "ben"
    assert next_step(job, claimed).child_id == claimed.child_id


def test_a_blocked_edit_job_names_the_custodians_who_have_not_answered() -> None:
    attachments = request_attachment((), "Rosa", "rosa@example.org", "the plan")

    found = next_step(an_edit_job("blocked", attachments=attachments))

    assert found.who == "Rosa"
