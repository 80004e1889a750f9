"""How pages show edit jobs and their children: titles, tiles, facts, buttons."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from jobyard.domain.edits.child import ChildJob, FailureType
from jobyard.domain.edits.edit_job import EDIT, EditJob
from jobyard.domain.edits.next_step import ExpectedStep, next_step, next_step_of_child
from jobyard.domain.edits.work import ClockColour, Priority
from jobyard.domain.edits.worklist import WorklistColumn
from jobyard.services.queries.edits import EditJobView
from web.event_buttons import EventButton, event_buttons, reason_in_labels
from web.filters import sentence, words

Job = EditJob | ChildJob
FORM_EVENTS = frozenset(  # they have a form of their own
    {"edit", "allocate", "upload", "approve", "require_corrections", "discard"}
)


def id_of(job: Job) -> str:
    """The id of an edit job or a child."""
    return job.child_id if isinstance(job, ChildJob) else job.edit_id


def kind_of(job: Job) -> str:
    """What it is in the access table, and the name of its lifecycle."""
    return job.kind if isinstance(job, ChildJob) else "edit"


def title_of(job: Job) -> str:
    """What people call it."""
    title = job.title if isinstance(job, ChildJob) else job.name
    return title or "An edit job without a name"


def label_of(job: Job) -> str:
    """Its state, as the seed writes it."""
    lifecycle = job.lifecycle if isinstance(job, ChildJob) else EDIT
    return words(lifecycle.state(job.state).name).capitalize()


def address_of_job(job: Job) -> str:
    """The address of its page."""
    return f"/edits/{id_of(job)}"


@dataclass(frozen=True)
class Tile:
    """A job in the worklist or in a list. `colour` is that of its clock, "" for none."""

    job_id: str
    title: str
    kind: str
    state: str
    label: str
    edit_type: str
    failure_type: str
    is_high: bool
    colour: str
    clock_words: str
    planned_end: datetime | None
    worker: str
    team: str
    is_idle: bool
    is_stuck: bool
    created_at: datetime
    address: str


_CLOCKS = {
    ClockColour.YELLOW: "its planned start has passed",
    ClockColour.RED: "its planned end has passed",
}


def tile_of(view: EditJobView, address: str = "") -> Tile:
    """A job as a tile. `address` is where it leads, its own page without one."""
    job = view.job
    return Tile(
        job_id=id_of(job),
        title=title_of(job),
        kind=kind_of(job),
        state=job.state,
        label=label_of(job),
        edit_type=job.edit_type,
        failure_type=job.failure_type.value if isinstance(job, ChildJob) else "",
        is_high=job.priority is Priority.HIGH,
        colour=view.clock.value if view.clock else "",
        clock_words=_CLOCKS[view.clock] if view.clock else "",
        planned_end=job.planned_end,
        worker=_worker_of(job),
        team=job.team,
        is_idle=view.is_idle,
        is_stuck=view.is_stuck,
        created_at=job.created_at,
        address=address or address_of_job(job),
    )


def _worker_of(job: Job) -> str:
    if job.worker is not None:
        return job.worker.name
    if isinstance(job, EditJob) and job.assignee is not None:
        return f"for {job.assignee.name}"
    return ""


def column_label(column: WorklistColumn) -> str:
    """The heading of a column of the worklist."""
    return words(column.value).capitalize()


def step_of(view: EditJobView) -> ExpectedStep:
    """What happens next with a job."""
    job = view.job
    if isinstance(job, ChildJob):
        return next_step_of_child(job)
    child = next((each for each in view.children if each.child_id == job.open_child), None)
    return next_step(job, child)


def buttons_of(view: EditJobView, back: str = "") -> list[EventButton]:
    """The buttons of a job for what the person may do now. After an event, they go to the address
    `back`.
    """
    job = view.job
    actions = [each for each in view.actions if each not in FORM_EVENTS]
    found = event_buttons(kind_of(job), address_of_job(job), actions, ())
    if not back:
        return found
    query = urlencode({"back": back})
    return [replace(each, address=f"{each.address}?{query}") for each in found]


def not_possible(view: EditJobView) -> list[tuple[str, str]]:
    """What the person cannot do now, each with the reason. There are too many for buttons."""
    return [
        (words(each.event).capitalize(), sentence(reason_in_labels(each)))
        for each in view.unavailable
    ]


_FORM_LINKS: Mapping[str, tuple[str, str, str]] = {
    "approve": ("Decide", "circle-check", "#decide"),
    "upload": ("Upload", "upload", "upload"),
    "allocate": ("Allocate", "users", "#allocate"),
    "edit": ("Change", "pencil", "edit"),
}


def form_links(view: EditJobView) -> list[dict[str, str]]:
    """Links to the forms that the person may use now."""
    address = address_of_job(view.job)
    links = []
    for event, (label, icon, place) in _FORM_LINKS.items():
        events = ("approve", "require_corrections") if event == "approve" else (event,)
        if not any(each in view.actions for each in events):
            continue
        if event == "upload" and is_conflict(view.job):
            links.append(
                {"label": "Decide", "icon": "git-compare", "address": f"{address}/conflicts"}
            )
        target = f"{address}{place}" if place.startswith("#") else f"{address}/{place}"
        links.append({"label": label, "icon": icon, "address": target})
    return links


def is_conflict(job: Job) -> bool:
    """Whether it is a child in which somebody decides conflicts."""
    return isinstance(job, ChildJob) and job.failure_type is FailureType.CONFLICT


def metadata(view: EditJobView) -> dict[str, Any]:
    """The metadata of a job for the panel of the worklist, with the Failure Type of a child."""
    job = view.job
    is_child = isinstance(job, ChildJob)
    return {
        "tile": tile_of(view),
        "job": job,
        "is_child": is_child,
        "step": step_of(view),
        "parent_id": job.parent_id if isinstance(job, ChildJob) else "",
        "planner": job.planner.name if isinstance(job, EditJob) else "",
        "actual_start": job.actual_start if isinstance(job, EditJob) else None,
        "actual_end": job.ended_at if isinstance(job, ChildJob) else job.actual_end,
        "package": job.package,
    }


def matches(tile: Tile, text: str) -> bool:
    """Whether a tile has a text in what it shows."""
    shown = (tile.title, tile.job_id, tile.edit_type, tile.failure_type, tile.worker, tile.team)
    return all(any(word in each.casefold() for each in shown) for word in text.casefold().split())


SORTS = (("", "Priority and planned end"), ("name", "Name"), ("newest", "Newest first"))


def sorted_tiles(tiles: Iterable[Tile], sort: str) -> list[Tile]:
    """Tiles in an order of `SORTS`; their own without one."""
    if sort == "name":
        return sorted(tiles, key=lambda tile: tile.title.casefold())
    if sort == "newest":
        return sorted(tiles, key=lambda tile: tile.created_at, reverse=True)
    return [*tiles]
