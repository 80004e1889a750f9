"""Reads about edit jobs: one with all that belongs to it, lists, the worklist, teams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from itertools import islice
from typing import Any

from jobyard.domain.access import is_allowed
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.datasets.validation_report import (
    MAX_FAILURES,
    ValidationReport,
    report_from,
)
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EDIT, EditJob, EditState
from jobyard.domain.edits.settings import EditSettings
from jobyard.domain.edits.team import Team
from jobyard.domain.edits.work import STUCK_AFTER, ClockColour
from jobyard.domain.edits.worklist import WorklistColumn, column_of, first_key, last_key
from jobyard.domain.errors import BadRequest, Forbidden, NotFound
from jobyard.domain.history import HistoryEntry
from jobyard.domain.lifecycle import UnavailableEvent
from jobyard.domain.redaction import without_secrets
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.services.datasets.context import DatasetContext
from jobyard.services.edits.access import id_of, may_see, memberships, visible_edit, visible_job
from jobyard.services.edits.settings import find_settings, settings_for
from jobyard.services.edits.work_files import log_key, read_json
from jobyard.services.queries.searched import Searched
from jobyard.store import datasets, edits, teams, worklist_marks
from jobyard.store.due_work import due_edits
from jobyard.store.edits import EditKey, Job

MAX_IN_COLUMN = 50  # jobs of a column of the worklist in one answer
STUCK = "stuck"  # a list for administrators
MAX_STUCK = 100  # jobs of it
_READ_TOGETHER = 100  # edit jobs
_INDEX_LAG = timedelta(seconds=15)
_MAX_READ = 500  # edit jobs, for one page of a list with a filter
MAX_TEAMS_OFFERED = 200  # to choose a worklist from
MAX_DATASETS_OFFERED = 100
_OWN_EVENTS = ("activate", "download", "upload", "relinquish", "finish")  # of the worker alone


@dataclass(frozen=True)
class EditJobView:
    """A job as the actor sees it: `actions` are the events that they may send now, `unavailable`
    those that they may not, each with the reason. `children` are the last ones of an edit job. A
    view of the job alone is for what only names it.
    """

    job: Job
    actions: tuple[str, ...] = ()
    unavailable: tuple[UnavailableEvent, ...] = ()
    clock: ClockColour | None = None
    is_idle: bool = False
    is_stuck: bool = False
    children: tuple[ChildJob, ...] = ()
    settings: EditSettings | None = None


def edit_job(job_id: str, context: QueryContext) -> EditJobView:
    """An edit job or a child.

    Raises:
        NotFound: there is none, or the actor may not see it. Gone: a planner deleted it.
    """
    return view_of(visible_job(job_id, context.actor), context)


def child_of(job_id: str, context: QueryContext) -> ChildJob:
    """A fix-up or a review.

    Raises:
        NotFound: there is none, or the actor may not see it.
    """
    job = visible_job(job_id, context.actor)
    if not isinstance(job, ChildJob):
        raise NotFound(f"{job_id} is no child of an edit job: its id begins with x or r")
    return job


def view_of(job: Job, context: QueryContext) -> EditJobView:
    """A job that the actor has just changed."""
    return _view(job, context, edits.children_of(job) if isinstance(job, EditJob) else [])


def _view(job: Job, context: QueryContext, children: Sequence[ChildJob] = ()) -> EditJobView:
    lifecycle = job.lifecycle if isinstance(job, ChildJob) else EDIT
    roles = context.actor.roles
    settings = find_settings(job)
    refused = _refusals(job, context) | _refusals_while_reading(job)
    refused |= job.refused_events if isinstance(job, ChildJob) else _refusals_of_type(job, settings)
    return EditJobView(
        job,
        tuple(each for each in lifecycle.actions(job.state, roles) if each not in refused),
        lifecycle.unavailable(job.state, roles, refused=refused),
        job.clock(context.now),
        isinstance(job, EditJob) and job.is_idle(context.now),
        job.is_stuck(context.now),
        tuple(children),
        settings,
    )


def _refusals_while_reading(job: Job) -> dict[str, str]:
    """Why nothing follows an upload whose file the machine reads."""
    if not job.is_reading:
        return {}
    events = ("upload", "approve", "require_corrections", "discard")
    return dict.fromkeys(events, "the file that was uploaded is being read")


def _refusals_of_type(job: EditJob, settings: EditSettings | None) -> dict[str, str]:
    """Why the type of an edit job does not allow what its state does: it is for looking, or not."""
    if settings is None:
        return {}
    if settings.read_only:
        return {"upload": "its type has no upload: finish it"}
    return {"finish": "edit jobs of its type end with an upload"}


def _refusals(job: Job, context: QueryContext) -> dict[str, str]:
    """Why the actor may not send what the state of a job allows, by event."""
    worker = job.worker
    refused: dict[str, str] = {}
    own = (*_OWN_EVENTS, "approve", "require_corrections", "discard")
    if worker is not None and worker.sub != context.actor.sub:
        refused |= dict.fromkeys(own, f"{worker.name} has it")
    elif isinstance(job, EditJob):
        if job.assignee is not None and job.assignee.sub != context.actor.sub:
            refused["activate"] = f"it is allocated to {job.assignee.name}"
        if job.is_batch:
            refused["activate"] = "a function edits it"
    elif job.failure_type.is_review and edits.get(job.parent_id).is_author(context.actor.sub):
        refused["activate"] = "you had a part in the changes"
    return refused


@dataclass(frozen=True)
class EditJobPage:
    """Jobs of a list. `after` is the cursor of the next page, "" if this is the last. `searched` is
    how far a page that is not full was searched; None if that is to the end.
    """

    items: tuple[EditJobView, ...]
    after: str
    searched: Searched | None = None


@dataclass(frozen=True)
class EditFilter:
    """Which edit jobs a list has: of the list `which` ("open", "ended", "archived" or `STUCK`), or
    those in one state, whatever its list is; of all datasets or one, of all teams or one, of all
    types or one. With `is_own` those that the actor proposed, of any list but the archived.
    """

    which: str = edits.OPEN
    is_own: bool = False
    dataset: str = ""
    state: EditState | None = None
    team: str = ""
    edit_type: str = ""

    @property
    def listing(self) -> str:
        """The list that is read. The deleted are in none."""
        return (edits.listing_of(self.state) or "") if self.state else self.which

    @property
    def is_selective(self) -> bool:
        """Whether it leaves out some of the list that is read."""
        return bool(self.state or self.team or self.edit_type or (self.is_own and self.dataset))

    def has(self, job: Job) -> bool:
        """Whether a job of the list that is read is one of them."""
        pairs = (
            (self.dataset, job.dataset),
            (self.team, job.team),
            (self.edit_type, job.edit_type),
        )
        return self.state in {None, job.state} and all(want in {"", has} for want, has in pairs)


def list_edits(context: QueryContext, wanted: EditFilter, *, after: str, limit: int) -> EditJobPage:
    """Up to `limit` edit jobs, newest first. A page may be short although another one follows.

    Raises:
        Forbidden: the actor may not see edit jobs that are not their team's.
    """
    if not is_allowed("edit", "view", context.actor.roles):
        raise Forbidden("only a viewer, a planner or an admin may list edit jobs; use the worklist")
    if wanted.listing == STUCK and not wanted.is_own:
        return EditJobPage(tuple(each for each in _stuck(context) if wanted.has(each.job)), "")
    if wanted.which not in {edits.OPEN, edits.ENDED, edits.ARCHIVED}:
        raise BadRequest("list: open, ended, archived or stuck")
    size = _READ_TOGETHER if wanted.is_selective else limit
    found: list[EditJobView] = []
    read, last = 0, None
    for _ in range(_MAX_READ // _READ_TOGETHER):
        keys = _keys(wanted, context, after, size + 1)
        jobs = {id_of(each): each for each in edits.read([key.job_id for key in keys[:size]])}
        for number, key in enumerate(keys[:size], start=1):
            after, job = key.position, jobs.get(key.job_id)
            last = job.created_at if job else last
            if isinstance(job, EditJob) and wanted.has(job):
                found.append(_summary(job, context))
            if len(found) == limit:
                return EditJobPage(tuple(found), after if number < len(keys) else "")
        if len(keys) <= size:
            return EditJobPage(tuple(found), "")
        read += size
        if not wanted.is_selective:
            break
    return EditJobPage(tuple(found), after, Searched(read, last))


def _keys(wanted: EditFilter, context: QueryContext, after: str, limit: int) -> list[EditKey]:
    if wanted.is_own:
        return edits.of_planner(context.actor.sub, after=after, limit=limit)
    if not wanted.listing:
        return []
    if wanted.dataset:
        return edits.of_dataset(wanted.dataset, wanted.listing, after=after, limit=limit)
    return edits.of_all(wanted.listing, after=after, limit=limit)


def _summary(job: Job, context: QueryContext) -> EditJobView:
    """A job in a list, for which nothing else is read."""
    lifecycle = job.lifecycle if isinstance(job, ChildJob) else EDIT
    is_other = job.worker is not None and job.worker.sub != context.actor.sub
    refused = {*_refusals_while_reading(job), *(_OWN_EVENTS if is_other else ())}
    actions = lifecycle.actions(job.state, context.actor.roles)
    return EditJobView(
        job,
        tuple(each for each in actions if each not in refused),
        (),
        job.clock(context.now),
        isinstance(job, EditJob) and job.is_idle(context.now),
        job.is_stuck(context.now),
    )


@dataclass(frozen=True)
class ColumnView:
    """A column of the worklist. `after` is the cursor of its next page, "" if this is the last."""

    column: WorklistColumn
    items: tuple[EditJobView, ...]
    after: str


def worklist(context: QueryContext, *, team: str = "", limit: int = 20) -> list[ColumnView]:
    """The worklist of the actor in columns, with the first `limit` jobs of each: what is allocated
    to their teams, and what they have. With `team`, all of that team, for its members and those who
    may see all edit jobs.

    Raises:
        Forbidden: the actor has no worklist, or may not see that of the team.
    """
    found = _Worklist(context, team)
    return [found.column(each, after="", limit=limit) for each in WorklistColumn]


def worklist_column(
    column: WorklistColumn, context: QueryContext, *, team: str, after: str, limit: int
) -> ColumnView:
    """Up to `limit` jobs of one column of the worklist, after a cursor; see `worklist`.

    Raises:
        Forbidden: the actor has no worklist, or may not see that of the team.
    """
    return _Worklist(context, team).column(column, after=after, limit=limit)


def worklist_version(context: QueryContext, *, team: str = "") -> str:
    """A text that stays the same while the worklist does, for a minute at most: then clocks may
    have changed, and what is completed may have left. It reads few items: the actor's teams, and
    the marks of their worklists.

    Raises:
        Forbidden: the actor has no worklist, or may not see that of the team.
    """
    found = _Worklist(context, team)
    names = [team] if team else found.own_teams
    worklists = [worklist_marks.of_team(each) for each in names]
    if not team:
        worklists.append(worklist_marks.of_person(context.actor.sub))
    marks = worklist_marks.read(worklists)
    until = context.now.replace(second=0, microsecond=0)
    # The indexes may not have a change of the last seconds yet.
    if any(each.at and context.now - each.at < _INDEX_LAG for each in marks):
        until = context.now
    return repr((until, names, [each.change for each in marks]))


class _Worklist:
    """A worklist as the actor sees it: their own, or that of a team. What several columns or jobs
    need is read once.
    """

    def __init__(self, context: QueryContext, team: str) -> None:
        """Raises:
        Forbidden: the actor has no worklist, or may not see that of the team.
        """
        authorize(context.actor, "worklist", "view")
        self._context, self._team, self._sub = context, team, context.actor.sub
        self._is_member = memberships(context.actor)
        sees_all = is_allowed("edit", "view", context.actor.roles)
        if team and not sees_all and not self._is_member(team):
            raise Forbidden(f"you are not of team {team!r:.80}: ask an admin to add you")

    @cached_property
    def own_teams(self) -> Sequence[str]:
        """The teams of the actor."""
        return teams.names_of(self._sub)

    def column(self, column: WorklistColumn, *, after: str, limit: int) -> ColumnView:
        """Up to `limit` jobs of a column, after a cursor."""
        limit = min(limit, MAX_IN_COLUMN)
        # "!" follows no position
        first = f"{after}!" if after else first_key(column, self._context.now)
        last = last_key(column)
        if self._team:
            keys = edits.of_team(self._team, first, last, limit + 1)
        else:
            keys = edits.of_worker(self._sub, first, last, limit + 1)
            if column in {WorklistColumn.ALLOCATED, WorklistColumn.REVIEWS, WorklistColumn.BLOCKED}:
                for name in self.own_teams:
                    keys += edits.of_team(name, first, last, limit + 1)
        keys = sorted({key.job_id: key for key in keys}.values(), key=lambda key: key.position)
        shown = keys[:limit]
        jobs = [
            each
            for each in edits.read([key.job_id for key in shown])
            if self._belongs_in(column, each)
        ]
        cursor = shown[-1].position if len(keys) > limit else ""
        return ColumnView(column, tuple(_summary(each, self._context) for each in jobs), cursor)

    def _belongs_in(self, column: WorklistColumn, job: Job) -> bool:
        """Whether a column still shows a job: the index may be outdated, others may have it."""
        if column_of(job) is not column or not job.is_visible(self._context.now):
            return False
        if not may_see(job, self._context.actor, self._is_member):
            return False
        return bool(self._team) or job.worker is None or job.worker.sub == self._sub


@dataclass(frozen=True)
class OwnWork:
    """What waits for a person: `waiting` are what they or their teams may take, `claimed` what they
    have and can work on. Up to `MAX_IN_COLUMN` of each column are counted.
    """

    waiting: tuple[EditJobView, ...] = ()
    claimed: tuple[EditJobView, ...] = ()

    @property
    def overdue(self) -> tuple[EditJobView, ...]:
        """Those whose planned end has passed."""
        return tuple(
            each for each in (*self.claimed, *self.waiting) if each.clock is ClockColour.RED
        )


_WAITING = (WorklistColumn.ALLOCATED, WorklistColumn.REVIEWS)
_CLAIMED = (WorklistColumn.PREPARED, WorklistColumn.DOWNLOADED)


def own_work(context: QueryContext) -> OwnWork:
    """What waits for the actor now.

    Raises:
        Forbidden: the actor has no worklist.
    """
    own = _Worklist(context, "")
    found = {
        column: own.column(column, after="", limit=MAX_IN_COLUMN).items
        for column in (*_WAITING, *_CLAIMED)
    }
    sub = context.actor.sub
    reviews = found[WorklistColumn.REVIEWS]
    own_reviews = tuple(
        each for each in reviews if _has(each, sub) and each.job.state != "allocated"
    )
    free = tuple(each for each in reviews if each not in own_reviews)
    return OwnWork(
        waiting=(*found[WorklistColumn.ALLOCATED], *free),
        claimed=(*found[WorklistColumn.PREPARED], *found[WorklistColumn.DOWNLOADED], *own_reviews),
    )


def _has(view: EditJobView, sub: str) -> bool:
    return view.job.worker is not None and view.job.worker.sub == sub


def datasets_offered(context: QueryContext) -> list[Dataset]:
    """The first datasets by name, to choose from.

    Raises:
        Forbidden: the actor may not see edit jobs that are not their team's.
    """
    authorize(context.actor, "edit", "view")
    return datasets.by_name(after="", limit=MAX_DATASETS_OFFERED)


@dataclass(frozen=True)
class WorklistTeams:
    """The teams whose worklists a person may see: their `own`, and `others` by their roles."""

    own: tuple[str, ...]
    others: tuple[str, ...]


def worklist_teams(context: QueryContext) -> WorklistTeams:
    """The teams whose worklists the actor may see; of many others the first ones."""
    own = tuple(teams.names_of(context.actor.sub))
    if not is_allowed("edit", "view", context.actor.roles):
        return WorklistTeams(own, ())
    others = teams.names(after="", limit=MAX_TEAMS_OFFERED)
    return WorklistTeams(own, tuple(each for each in others if each not in own))


def team(name: str, context: QueryContext) -> Team:
    """A team with its members.

    Raises:
        Forbidden: the actor may not see teams. NotFound: there is none.
    """
    authorize(context.actor, "team", "view")
    return teams.get(name)


@dataclass(frozen=True)
class TeamPage:
    """Names of teams. `after` is the cursor of the next page, "" if this is the last."""

    names: tuple[str, ...]
    after: str


def list_teams(context: QueryContext, *, after: str, limit: int) -> TeamPage:
    """Up to `limit` teams by name.

    Raises:
        Forbidden: the actor may not see teams.
    """
    authorize(context.actor, "team", "view")
    names = teams.names(after=after, limit=limit + 1)
    return TeamPage(tuple(names[:limit]), names[limit - 1] if len(names) > limit else "")


def edit_settings(dataset: str, context: QueryContext) -> Mapping[str, EditSettings]:
    """The settings of a dataset's types of edit jobs, by type. The URL that edits has its secrets
    only for those who may set it.

    Raises:
        Forbidden: the actor may not see them. NotFound: there is no such dataset.
    """
    authorize(context.actor, "edit settings", "view")
    found = datasets.get(dataset)
    types = {each: settings_for(found, each) for each in found.edit_types}
    if is_allowed("edit settings", "put", context.actor.roles):
        return types
    return {name: replace(each, batch=without_secrets(each.batch)) for name, each in types.items()}


@dataclass(frozen=True)
class ProcessLog:
    """What the machine and people did with an edit job and its last children, oldest first, and why
    its last step failed. Of a job in batch mode whose check failed, `report` has the broken rules,
    and `conflicts` the ids of the features in conflict, up to `MAX_FAILURES`.
    """

    job: EditJob
    problem: str
    entries: tuple[tuple[str, HistoryEntry], ...]  # each with the id of its job
    report: ValidationReport | None = None
    conflicts: tuple[str, ...] = ()


def process_log(edit_id: str, context: QueryContext) -> ProcessLog:
    """The process log of an edit job.

    Raises:
        Forbidden: the actor is no admin. NotFound: there is no such edit job.
    """
    authorize(context.actor, "edit", "view_log")
    job = visible_edit(edit_id, context.actor)
    entries = [(job.edit_id, each) for each in job.history]
    for child in edits.children_of(job):
        entries += [(child.child_id, each) for each in child.history]
    entries.sort(key=lambda pair: pair[1].at)
    found = _failed_check(job, context)
    if found is None:
        return ProcessLog(job, job.problem, tuple(entries))
    if "failures" in found:
        return ProcessLog(job, job.problem, tuple(entries), report_from(found))
    conflicts = tuple(each["id"] for each in found["conflicts"][:MAX_FAILURES])
    return ProcessLog(job, job.problem, tuple(entries), None, conflicts)


def _failed_check(job: EditJob, context: QueryContext) -> Mapping[str, Any] | None:
    """What the check found that failed a job in batch mode; None if nothing is stored."""
    was_failed = [each.event for each in job.history[-2:]] == ["fail", "archive"]
    if not job.is_batch or not (job.state is EditState.FAILED or was_failed):
        return None
    files = DatasetContext(context.settings, context.s3, lambda: context.now)
    try:
        stored = read_json(log_key(job.edit_id, job.attempt), files)
    except context.s3.exceptions.NoSuchKey:
        return None
    found: Mapping[str, Any] | None = stored["findings"]
    return found


def _stuck(context: QueryContext) -> list[EditJobView]:
    """The edit jobs and children that the machine has worked on for longer than it should, for
    administrators: up to `MAX_STUCK`, those that wait longest.

    Raises:
        Forbidden: the actor is no admin.
    """
    authorize(context.actor, "edit", "view_log")
    ids = [each.job_id for each in islice(due_edits(context.now - STUCK_AFTER), MAX_STUCK)]
    return [_summary(each, context) for each in edits.read(ids)]
