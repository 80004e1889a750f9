"""Edit jobs and children for tests."""

from datetime import UTC, datetime
from typing import Any

from jobyard.domain.datasets.extent import parse_extent
from jobyard.domain.edits.child import ChildJob, FailureType, child_id_of
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.team import User
from jobyard.domain.ids import edit_id_of
from jobyard.domain.lifecycle import Cause

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PLANNER, ANNA, BEN = (User(f"sub-{each}", each) for each in ("planner", "anna", "ben"))
PRESS = Cause("request-1", "anna", "because", "sub-anna")
EXTENT = parse_extent({"box": [-122.5, 37.4, -121.4, 37.9]})


def an_edit_job(state: str = "proposed", seed: str = "1", **fields: Any) -> EditJob:
    """An edit job with `fields`."""
    given: dict[str, Any] = {
        "edit_id": edit_id_of(seed.encode()),
        "state": EditState(state),
        "version": 1,
        "dataset": "counties",
        "name": "Repair the border",
        "edit_type": "border",
        "planner": PLANNER,
        "created_at": NOON,
        "since": NOON,
        "extent": EXTENT,
    }
    return EditJob(**{**given, **fields})


def a_child(
    job: EditJob, failure_type: FailureType, state: str = "allocated", **fields: Any
) -> ChildJob:
    """The first child of its type, with `fields`."""
    states = [each.name for each in failure_type.lifecycle.states]
    given: dict[str, Any] = {
        "child_id": child_id_of(job.edit_id, failure_type, 1),
        "parent_id": job.edit_id,
        "failure_type": failure_type,
        "number": 1,
        "state": next(each for each in states if each == state),
        "version": 1,
        "dataset": job.dataset,
        "name": job.name,
        "edit_type": job.edit_type,
        "team": job.team,
        "created_at": NOON,
        "since": NOON,
    }
    return ChildJob(**{**given, **fields})
