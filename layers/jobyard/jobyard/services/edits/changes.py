"""Changing edit jobs and children that others may change at the same time."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from jobyard.domain.activity import Subject
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EDIT, EditJob, EditState
from jobyard.domain.edits.next_step import next_step, next_step_of_child
from jobyard.domain.errors import InvalidTransition, StaleState
from jobyard.domain.history import HistoryEntry
from jobyard.domain.lifecycle import Lifecycle, Move, StateType
from jobyard.services import activity
from jobyard.services.context import CommandContext
from jobyard.services.edits.access import id_of, kind_of
from jobyard.services.edits.notices import Notice, outbox_items
from jobyard.store import edits
from jobyard.store.edits import ChildWrite, Job
from jobyard.store.transactions import TransactItem

_TRIES = 6
_LIVE = frozenset({EditState.COMMITTED, EditState.PUBLISHED})
T = TypeVar("T", EditJob, ChildJob)


@dataclass(frozen=True)
class JobChange:
    """What a request makes of a job and of children in one transaction, and the mails about it. It
    is made only if `conditions` hold.
    """

    after: Job
    children: Sequence[ChildWrite] = ()
    notices: Sequence[Notice] = ()
    conditions: Sequence[TransactItem] = ()


def change_job(
    read: Callable[[], T],
    change: Callable[[T], JobChange],
    context: CommandContext,
    event: str,
    about: ChildJob | None = None,
) -> T:
    """Write what `change` makes of a job, which `read` reads. A repeated request finds its own move
    in the history, and changes nothing. It is recorded as an act on `about`, or on the job.

    Raises:
        StaleState: others changed the job at the same time, several times.
    """
    for _ in range(_TRIES):
        before = read()
        if before.has_entry_of(context.run):
            return _recorded(before, event, context, about)
        made = change(before)
        items = outbox_items(made.after, made.notices, context.now(), context.s3, context.settings)
        items += made.conditions
        try:
            edits.write(before, made.after, *made.children, more=items)
        except StaleState:
            continue
        return _recorded(cast("T", made.after), event, context, about)
    raise StaleState(f"{id_of(read())} changes too fast; try again")


def _recorded(job: T, event: str, context: CommandContext, about: ChildJob | None) -> T:
    """The job, after what this request did to it is recorded as activity."""
    own = [entry.at for entry in job.history if entry.cause == context.run]
    if own:
        activity.record(context, event, subject_of(about or job), own[0])
    return job


def subject_of(job: Job) -> Subject:
    """A job as the subject of an act."""
    name = job.title if isinstance(job, ChildJob) else job.name
    return Subject(kind_of(job), id_of(job), name)


def lifecycle_of(job: Job) -> Lifecycle:
    """The lifecycle of a job."""
    return job.lifecycle if isinstance(job, ChildJob) else EDIT


def requested_move(job: Job, event: str, context: CommandContext) -> Move:
    """The move that a person asks for.

    Raises:
        InvalidTransition: the state does not allow it; the message says what is possible, whether
            to try again, or who acts next.
        Forbidden: the actor's roles do not allow it.
    """
    roles = context.actor.roles
    try:
        return lifecycle_of(job).authorized_move(
            job.state, event, context.now(), context.cause, roles
        )
    except InvalidTransition as error:
        refusal = f"{id_of(job)} is {job.state}: cannot {event}; {_instead(job, event, roles)}"
        raise InvalidTransition(refusal) from error


def _instead(job: Job, event: str, roles: Collection[str]) -> str:
    """What a person can do instead of an event that the state of a job does not allow, or who acts
    next.
    """
    lifecycle = lifecycle_of(job)
    if job.state in _LIVE and event != "archive":
        return "its changes are live, and another edit job can change them again"
    if lifecycle.state(job.state).type is StateType.TRANSIENT:
        return "the machine is working on it; try again in a moment"
    if known := lifecycle.actions(job.state, roles):
        return f"you can {', '.join(known)}"
    step = next_step(job) if isinstance(job, EditJob) else next_step_of_child(job)
    child = f" ({job.open_child})" if isinstance(job, EditJob) and job.open_child else ""
    what = step.what.rstrip(".")
    if not step.who:
        return f"there is nothing left to do{what.removeprefix('Nothing')}"
    acts = "act" if ", " in step.who else "acts"
    return f"{step.who} {acts} next: {what[0].lower()}{what[1:]}{child}"


def proposing_again(job: EditJob, roles: Collection[str]) -> str:
    """What a person can do to change what only a proposal may change, for a refusal."""
    if "revoke" in EDIT.actions(job.state, roles):
        return "revoke it first"
    return "copy it, as a new proposal"


def caused_move(job: Job, event: str, context: CommandContext) -> Move:
    """The move that follows from what a person did, such as from the decision of a review."""
    return lifecycle_of(job).move(job.state, event, context.now(), context.cause)


def last_entry(job: EditJob, *events: str) -> HistoryEntry | None:
    """The last entry of one of `events` in the history of an edit job; None if there is none."""
    return next((each for each in reversed(job.history) if each.event in events), None)
