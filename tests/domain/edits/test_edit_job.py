"""Edit jobs and their children: what they keep and drop, their clocks, and who is an author."""

from dataclasses import replace
from datetime import timedelta

import pytest

from jobyard.domain.datasets.commit import MAX_AUTHORS
from jobyard.domain.edits.child import FailureType, child_id_of
from jobyard.domain.edits.edit_job import EDIT, EditJob, EditState
from jobyard.domain.edits.team import Team, TeamMember, User, impartial_reviewers
from jobyard.domain.edits.work import (
    CHILDREN_READ,
    Approval,
    ChangeSet,
    ClockColour,
    Package,
    Priority,
)
from jobyard.domain.edits.worklist import WorklistColumn, column_of, first_key, last_key, sort_key
from jobyard.domain.errors import BadRequest, InvalidTransition
from jobyard.domain.lifecycle import StateType
from tests.domain.edits.edit_jobs import ANNA, BEN, NOON, PRESS, a_child, an_edit_job

MAX_KEYS = 100  # of a batch of reads; source: DynamoDB API reference
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def a_worked_on_job(state: str) -> EditJob:
    return an_edit_job(
        state,
        team="north",
        worker=ANNA,
        package=Package("p", "edits/p.zip", "d", 1),
        workspace=ChangeSet("edits/c", "d", 1),
        approval=Approval("d", "sub-ben", "ben", NOON),
        authors=(ANNA,),
        base_revision=3,
    )


@pytest.mark.parametrize(
    ("state", "event"),
    [("prepared", "relinquish"), ("downloaded", "revoke"), ("conflicted", "abandon")],
)
def test_what_drops_the_work_makes_uploads_of_it_those_of_an_earlier_attempt(
    state: str, event: str
) -> None:
    job = a_worked_on_job(state)

    after = job.dropping_work(EDIT.move(job.state, event, NOON + HOUR, PRESS))

    assert (after.worker, after.package, after.workspace, after.approval) == (None,) * 4
    assert (after.authors, after.former_authors) == ((), (ANNA,))
    assert (after.attempt, after.version) == (2, 2)
    assert after.history[-1].event == event


def test_the_types_of_states_are_those_of_the_seed() -> None:
    types = {state.name: state.type for state in EDIT.states}

    assert {name for name, type_ in types.items() if type_ is StateType.WAITING} == {
        *("blocked", "embargoed", "invalid", "quarantined", "conflicted"),
    }
    assert {name for name, type_ in types.items() if type_ is StateType.TRANSIENT} == {
        *("activated", "uploaded", "committed", "published"),
    }
    assert {name for name, type_ in types.items() if type_ is StateType.INTERACTION} == {
        *("proposed", "allocated", "prepared", "downloaded"),
    }


def test_what_is_committed_can_be_neither_revoked_nor_abandoned() -> None:
    for state in ("committed", "published", "completed", "archived"):
        assert not {"revoke", "abandon"} & {
            each.event for each in EDIT.transitions if each.before == state
        }


@pytest.mark.parametrize(("hours", "is_visible"), [(24, True), (24.1, False)])
def test_a_completed_job_leaves_the_worklist_after_a_day(hours: float, is_visible: bool) -> None:
    job = an_edit_job("completed", actual_end=NOON)

    now = NOON + timedelta(hours=hours)

    assert job.is_visible(now) is is_visible
    assert (first_key(WorklistColumn.COMPLETED, now) <= sort_key(job)) is is_visible
    assert sort_key(job) < last_key(WorklistColumn.COMPLETED)


@pytest.mark.parametrize("state", ["proposed", "abandoned", "failed", "archived", "deleted"])
def test_what_no_worker_has_to_do_is_in_no_column(state: str) -> None:
    job = an_edit_job(state)

    assert column_of(job) is None
    assert not job.is_visible(NOON)
    assert sort_key(job) == ""


def test_high_priority_comes_first_and_then_what_ends_first() -> None:
    late = an_edit_job("allocated", "1", planned_end=NOON + DAY)
    early = an_edit_job("allocated", "2", planned_end=NOON)
    unplanned = an_edit_job("allocated", "3")
    high = an_edit_job("allocated", "4", priority=Priority.HIGH)

    assert sorted([late, early, unplanned, high], key=sort_key) == [high, early, late, unplanned]


def test_the_clock_is_yellow_after_the_planned_start_and_red_after_the_planned_end() -> None:
    job = an_edit_job("allocated", planned_start=NOON, planned_end=NOON + DAY)

    assert job.clock(NOON) is None
    assert job.clock(NOON + HOUR) is ClockColour.YELLOW
    assert job.clock(NOON + DAY + HOUR) is ClockColour.RED
    assert replace(job, state=EditState.COMPLETED).clock(NOON + 2 * DAY) is None


def test_a_claim_is_shown_as_idle_a_week_after_the_last_act_of_its_worker() -> None:
    job = an_edit_job("prepared", worker=ANNA)
    later = job.moved(EDIT.move("prepared", "download", NOON + 5 * DAY, PRESS))
    edited = later.moved(
        EDIT.move("downloaded", "edit", NOON + 6 * DAY, replace(PRESS, sub="sub-planner"))
    )

    assert job.is_idle(NOON + 8 * DAY)
    assert not edited.is_idle(NOON + 12 * DAY)
    assert edited.is_idle(NOON + 12 * DAY + HOUR)


def test_reviews_have_columns_of_their_own() -> None:
    job = an_edit_job("quarantined", team="north")
    review = a_child(job, FailureType.QUARANTINE_REVIEW)

    assert column_of(review) is WorklistColumn.REVIEWS
    states = ("approved", "corrections_required", "discarded", "abandoned")
    assert [column_of(replace(review, state=state)) for state in states] == [
        *(
            WorklistColumn.COMPLETED,
            WorklistColumn.CORRECTIONS_REQUIRED,
            WorklistColumn.COMPLETED,
            None,
        ),
    ]
    assert column_of(a_child(job, FailureType.VALIDATION)) is WorklistColumn.ALLOCATED


def test_children_are_counted_so_that_their_ids_follow() -> None:
    job = an_edit_job("uploaded")

    first = replace(job, **job.with_child(FailureType.VALIDATION))
    second = replace(first, **first.with_child(FailureType.VALIDATION))

    assert len(set(second.child_ids)) == 2
    assert second.child_ids == (first.open_child, second.open_child)
    assert all(each[0] == "x" for each in second.child_ids)
    assert job.with_child(FailureType.EMBARGO_REVIEW)["open_child"][0] == "r"


def test_the_last_children_of_each_type_are_read_in_one_batch_however_many_there_were() -> None:
    job = an_edit_job("invalid", children=dict.fromkeys(FailureType, 39))
    job = replace(job, **job.with_child(FailureType.VALIDATION))

    assert job.child_ids[:CHILDREN_READ] == tuple(
        child_id_of(job.edit_id, FailureType.VALIDATION, number) for number in range(21, 41)
    )
    assert job.open_child in job.child_ids
    assert len(job.child_ids) == MAX_KEYS
    assert job.earlier_children == 20 + 4 * 19


def test_authors_add_up_and_have_a_bound() -> None:
    job = an_edit_job("uploaded", authors=(ANNA,))

    assert job.with_author(ANNA) == (ANNA,)
    assert job.with_author(BEN) == (ANNA, BEN)
    many = tuple(User(f"sub-{number}", "x") for number in range(MAX_AUTHORS))
    once = replace(job, authors=(ANNA,), former_authors=many[:19])
    assert once.with_author(ANNA) == (ANNA,)
    with pytest.raises(InvalidTransition, match="20 authors"):
        once.with_author(BEN)
    with pytest.raises(InvalidTransition, match="20 authors"):
        replace(job, authors=many).with_author(ANNA)


def test_who_had_a_part_in_the_changes_is_not_impartial() -> None:
    team = Team(
        "checkers", members=tuple(TeamMember(each, is_reviewer=True) for each in (ANNA, BEN))
    )

    assert impartial_reviewers(team, {"sub-anna"}) == (BEN,)
    assert impartial_reviewers(team, {"sub-anna", "sub-ben"}) == ()
    with pytest.raises(BadRequest, match="once"):
        Team("twice", members=(TeamMember(ANNA), TeamMember(ANNA)))


def test_a_child_that_is_given_up_drops_its_package_and_counts_an_attempt() -> None:
    child = a_child(
        an_edit_job("invalid"),
        FailureType.VALIDATION,
        "downloaded",
        worker=ANNA,
        package=Package("p", "k", "d", 1),
    )
    move = child.lifecycle.move(child.state, "relinquish", NOON, PRESS)

    after = child.given_up(move, None)

    assert (after.state, after.worker, after.package, after.attempt) == ("allocated", None, None, 2)
    assert child.title == "Repair the border - VALIDATION 1"
