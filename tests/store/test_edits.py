"""Edit jobs, children and teams survive their items, stay small, and are written together."""

from dataclasses import replace
from datetime import timedelta

import pytest

from jobyard.domain.datasets.commit import MAX_AUTHORS
from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.edits.attachment import MAX_ATTACHMENTS, Attachment, AttachmentState
from jobyard.domain.edits.child import FailureType
from jobyard.domain.edits.edit_job import EDIT, EditJob
from jobyard.domain.edits.team import MAX_MEMBERS, Team, TeamMember, User
from jobyard.domain.edits.work import Approval, ChangeSet, Package, Priority, SentFile
from jobyard.domain.edits.worklist import WorklistColumn, first_key, last_key
from jobyard.domain.errors import Gone, NotFound, StaleState
from jobyard.domain.lifecycle import Cause
from jobyard.store import edits, teams
from jobyard.store.due_work import due_edits
from tests.domain.edits.edit_jobs import ANNA, BEN, NOON, PRESS, a_child, an_edit_job
from tests.store.sizes import item_bytes

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("store_endpoint")]
MAX_EDIT_JOB_BYTES = 64 * 1024
DAY = timedelta(days=1)


def the_largest_job() -> EditJob:
    """An edit job in which everything is as long as it may be."""
    letters = "ü" * 4_000
    extent = {"features": [f"{number:0>12}" for number in range(998)]}
    job = an_edit_job(
        "quarantined",
        "largest",
        name=letters,
        extent=parse_extent(extent),
        priority=Priority.HIGH,
        buffer=0.25,
        team="n" * 64,
        assignee=User(letters, letters),
        worker=User(letters, letters),
        planner=User(letters, letters),
        planner_email="e" * 254,
        planned_start=NOON,
        planned_end=NOON + DAY,
        actual_start=NOON,
        actual_end=NOON + DAY,
        quarantine=False,
        attempt=3,
        checks=4,
        base_revision=5,
        revision=6,
        package=Package("p" * 40, "k" * 300, "d" * 64, 7),
        sent=SentFile("k" * 420, "p" * 40, "d" * 64, "changes", 9_999, 10, 123_456, NOON),
        workspace=ChangeSet("k" * 300, "d" * 64, 8, "s" * 64),
        approval=Approval("d" * 64, "sub", "ben", NOON),
        authors=tuple(User(f"{number}" + letters, letters) for number in range(MAX_AUTHORS)),
        children=dict.fromkeys(FailureType, 12),
        open_child="r" * 21,
        attachments=tuple(
            Attachment(
                number,
                letters,
                f"{letters}@example.org",
                letters,
                AttachmentState.UPLOADED,
                3,
                NOON,
                NOON,
                letters,
                letters,
                "k" * 420,
                9,
                "d" * 64,  # one that is uploaded was not declined with a reason
            )
            for number in range(MAX_ATTACHMENTS)
        ),
        time_spent_minutes=10,
        upload_comment=letters,
        is_discarded=True,
    )
    for number in range(60):
        cause = Cause(f"r{number:012}", letters, letters, "s" * 36)
        job = job.moved(EDIT.move("quarantined", "edit", NOON, cause), is_discarded=True)
    return replace(job, problem=letters)


def test_the_largest_edit_job_survives_and_has_at_most_64_kib() -> None:
    job = the_largest_job()

    edits.put_new(job)

    assert edits.get(job.edit_id) == job
    assert item_bytes("edits", {"job_id": {"S": job.edit_id}}) <= MAX_EDIT_JOB_BYTES
    with pytest.raises(StaleState, match="exists already"):
        edits.put_new(job)


def test_a_move_and_the_child_that_it_makes_are_written_together_or_not_at_all() -> None:
    job = an_edit_job("uploaded", "together", team="north", worker=ANNA)
    edits.put_new(job)
    fields = job.with_child(FailureType.VALIDATION)
    after = job.moved(EDIT.move("uploaded", "invalidate", NOON, PRESS), **fields)
    child = a_child(job, FailureType.VALIDATION, worker=ANNA, team="north")

    edits.write(job, after, edits.ChildWrite(None, child))
    edits.write(job, after, edits.ChildWrite(None, child))  # a repeat

    assert edits.get(job.edit_id) == after
    assert edits.children_of(after) == [child]
    move = child.lifecycle.move("allocated", "activate", NOON, PRESS)
    with pytest.raises(StaleState):
        edits.write(
            job,
            job.moved(EDIT.move("uploaded", "commit", NOON, PRESS)),
            edits.ChildWrite(child, child.moved(move)),
        )
    assert edits.get_child(child.child_id) == child
    edits.write(child, child.moved(move))
    assert edits.get_child(child.child_id).state == "activated"


def test_the_lists_show_what_is_theirs() -> None:
    north = an_edit_job("allocated", "north", team="north", dataset="roads", planner=BEN)
    claimed = an_edit_job("downloaded", "claimed", team="north", worker=ANNA, dataset="roads")
    archived = an_edit_job("archived", "archived", dataset="roads", planner=BEN)
    ended = an_edit_job("completed", "ended", dataset="roads", actual_end=NOON, team="north")
    working = an_edit_job("activated", "working", dataset="rivers", team="north", worker=BEN)
    for job in (north, claimed, archived, ended, working):
        edits.put_new(job)

    def in_column(column: WorklistColumn) -> list[str]:
        keys = edits.of_team("north", first_key(column, NOON + DAY), last_key(column), 9)
        return [each.job_id for each in keys]

    assert in_column(WorklistColumn.ALLOCATED) == [north.edit_id]
    assert in_column(WorklistColumn.COMPLETED) == [ended.edit_id]
    assert [
        each.job_id for each in edits.of_worker("sub-anna", "downloaded#", "downloaded$", 9)
    ] == [claimed.edit_id]
    lists = {
        which: {each.job_id for each in edits.of_dataset("roads", which, after="", limit=9)}
        for which in (edits.OPEN, edits.ENDED, edits.ARCHIVED)
    }
    assert lists == {
        "open": {north.edit_id, claimed.edit_id},
        "ended": {ended.edit_id},
        "archived": {archived.edit_id},
    }
    assert [each.job_id for each in edits.of_planner("sub-ben", after="", limit=9)] == [
        north.edit_id
    ]
    due = {each.job_id for each in due_edits(NOON)}
    assert working.edit_id in due
    assert due.isdisjoint({north.edit_id, claimed.edit_id, ended.edit_id})
    assert working.edit_id not in {each.job_id for each in due_edits(NOON - DAY)}


def test_a_deleted_proposal_is_gone_and_one_that_never_was_is_not_found() -> None:
    job = an_edit_job(seed="deleted")
    edits.put_new(job)
    edits.write(job, job.moved(EDIT.move("proposed", "delete", NOON, PRESS)))

    with pytest.raises(Gone, match="deleted by anna"):
        edits.get(job.edit_id)
    with pytest.raises(NotFound):
        edits.get("e" + "a" * 20)
    with pytest.raises(NotFound):
        edits.get_child(job.edit_id)


@pytest.mark.parametrize("name", ["", "n" * 3_000])
def test_a_name_that_is_no_key_has_no_team_and_no_list(name: str) -> None:
    assert teams.find(name) is None
    assert teams.member(name, "sub-07") is None
    assert edits.of_team(name, "a", "b", 9) == []
    assert edits.of_dataset(name, edits.OPEN, after="", limit=9) == []


def test_a_team_of_the_largest_size_is_written_at_once_and_each_member_is_found_alone() -> None:
    many = tuple(
        TeamMember(User(f"sub-{number:02}", f"name {number:02}"), "a@example.org")
        for number in range(MAX_MEMBERS)
    )
    team = teams.write(None, Team("largest", "The largest", many))

    assert teams.get("largest") == team
    assert teams.member("largest", "sub-07") == many[7]
    assert teams.member("largest", "sub-none") is None
    assert teams.names_of("sub-07") == ["largest"]

    reviewer = replace(many[7], is_reviewer=True, is_worker=False)
    smaller = teams.write(team, replace(team, members=(reviewer,)))
    assert teams.get("largest") == smaller
    assert teams.names_of("sub-08") == []
    with pytest.raises(StaleState):
        teams.write(team, team)
    teams.write(smaller, replace(smaller, members=(), is_deleted=True))
    assert teams.find("largest") is None
    assert "largest" not in teams.names(after="", limit=9)
