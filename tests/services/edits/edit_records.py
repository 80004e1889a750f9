"""Stored edit jobs, teams and datasets for tests of services."""

from dataclasses import replace
from itertools import count
from typing import Any

from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.extent import Box
from jobyard.domain.edits.attachment import Attachment, AttachmentState
from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.edit_job import EDIT, EditJob
from jobyard.domain.edits.team import Team, TeamMember, User
from jobyard.domain.edits.work import ChangeSet, Package
from jobyard.domain.history import HistoryEntry
from jobyard.domain.lifecycle import Cause
from jobyard.store import datasets, edits, teams
from tests.domain.edits.edit_jobs import NOON, a_child, an_edit_job
from tests.people import sub_of

CHANGES = ChangeSet("edits/changes", "d" * 64, 3, "s" * 64)
_numbers = count(1)


def user(name: str) -> User:
    """The person of that name."""
    return User(sub_of(name), name)


def member(name: str, *, worker: bool = True, reviewer: bool = False) -> TeamMember:
    """The person of that name as a member of a team."""
    return TeamMember(user(name), f"{name}@example.org", worker, reviewer)


def a_team(name: str, *members: TeamMember) -> Team:
    """The team with these members, and no others."""
    before = teams.find_any(name)
    return teams.write(before, Team(name, f"Team {name}", members))


def a_dataset(name: str = "counties", **edit_types: Any) -> Dataset:
    """The dataset, without files, with settings of edit jobs as documents by type."""
    found = datasets.find(name)
    if found is None:
        found = Dataset(
            name,
            "The counties",
            NOON,
            "admin",
            sub_of("admin"),
            f"datasets/{name}/base",
            3,
            boxes=(Box(-125.0, 32.0, -114.0, 42.0),),
        )
        datasets.put_new(found)
        found = datasets.get(name)
    if dict(found.edit_types) != edit_types:
        datasets.put_settings(replace(found, edit_types=edit_types, version=found.version + 1))
        found = datasets.get(name)
    return found


def a_stored_job(state: str = "proposed", worker: str = "", **fields: Any) -> EditJob:
    """An edit job of team north, whose `worker` is of that name, with what its state needs."""
    number = next(_numbers)
    given: dict[str, Any] = {"seed": f"job {number}", "planner": user("planner")}
    if state not in {"proposed", "deleted"}:
        given |= {"team": "north", "attempt": 1}
    if worker:
        given |= {"worker": user(worker), "authors": (user(worker),), "base_revision": 1}
        cause = Cause("request", worker, "", sub_of(worker))
        given["history"] = (HistoryEntry.of(EDIT.move("allocated", "activate", NOON, cause)),)
    job = an_edit_job(state, **{**given, **fields})
    if worker and job.package is None:
        package_id = f"{job.edit_id}.{job.attempt}.1"
        job = replace(job, package=Package(package_id, f"edits/{package_id}.zip", "d" * 64, 9))
    edits.put_new(job)
    return job


def a_stored_child(
    failure_type: FailureType, state: str = "allocated", worker: str = "", **fields: Any
) -> ChildJob:
    """A child of a new edit job of anna's that waits for it."""
    waiting = {
        FailureType.VALIDATION: "invalid",
        FailureType.CONFLICT: "conflicted",
        FailureType.EMBARGO_REVIEW: "embargoed",
    }
    before = a_stored_job("uploaded", "anna", workspace=CHANGES)
    job = replace(
        before, version=2, state=type(before.state)(waiting.get(failure_type, "quarantined"))
    )
    job = replace(job, **job.with_child(failure_type))
    given: dict[str, Any] = {"subject": CHANGES, "team": job.team}
    child = a_child(job, failure_type, state, **{**given, **fields})
    if worker:
        package_id = f"{child.child_id}.1.1"
        package = Package(package_id, f"edits/{package_id}.zip", "d" * 64, 9)
        child = replace(child, worker=user(worker), package=package)
    edits.write(before, job, edits.ChildWrite(None, child))
    return child


def requested(*, sends: int = 0) -> tuple[Attachment, ...]:
    """An attachment that is requested."""
    attachment = Attachment(1, "Ines", "ines@example.org", "the survey")
    for _ in range(sends):
        attachment = attachment.sent(NOON)
    return (attachment,)


def sent_attachments() -> tuple[Attachment, ...]:
    """An attachment whose custodian has sent a file."""
    file = {"filename": "survey.zip", "key": "edits/e/attachments/1-a", "size": 9}
    return (replace(requested()[0], state=AttachmentState.UPLOADED, **file),)
