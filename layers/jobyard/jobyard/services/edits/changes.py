"""Changing edit jobs and children that others may change at the same time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from jobyard.domain.activity import Subject
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EDIT, EditJob
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
        StaleState: others changed the job during each try.
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
        InvalidTransition: the state does not allow it; the message says what is possible, and
            whether to try again.
        Forbidden: the actor's roles do not allow it.
    """
    lifecycle = lifecycle_of(job)
    try:
        return lifecycle.authorized_move(
            job.state, event, context.now(), context.cause, context.actor.roles
        )
    except InvalidTransition as error:
        if lifecycle.state(job.state).type is StateType.TRANSIENT:
            raise InvalidTransition(
                f"{id_of(job)} is {job.state}: the machine is working on it; try again in a moment"
            ) from error
        raise


def caused_move(job: Job, event: str, context: CommandContext) -> Move:
    """The move that follows from what a person did, such as from the decision of a review."""
    return lifecycle_of(job).move(job.state, event, context.now(), context.cause)


def last_entry(job: EditJob, *events: str) -> HistoryEntry | None:
    """The last entry of one of `events` in the history of an edit job; None if there is none."""
    return next((each for each in reversed(job.history) if each.event in events), None)
