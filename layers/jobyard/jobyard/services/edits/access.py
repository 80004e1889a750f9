"""Who may see and work on edit jobs and their children. Teams are read strongly at each request."""

from collections.abc import Callable, Collection
from functools import cache

from jobyard.domain.access import TEAM, is_allowed
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.settings import EditSettings
from jobyard.domain.edits.team import Team, User, impartial_reviewers
from jobyard.domain.errors import Forbidden, Gone, InvalidTransition, NotFound
from jobyard.domain.ids import is_child_id, is_edit_id
from jobyard.services.access import authorize
from jobyard.services.context import Actor
from jobyard.store import edits, teams
from jobyard.store.edits import Job

_TEAM_ROLES = ("worker", "reviewer")


def kind_of(job: Job) -> str:
    """What a job is in the access table."""
    return job.kind if isinstance(job, ChildJob) else "edit"


def id_of(job: Job) -> str:
    """The id of an edit job or a child."""
    return job.child_id if isinstance(job, ChildJob) else job.edit_id


def find_job(job_id: str) -> Job:
    """The edit job or the child with this id.

    Raises:
        NotFound: there is none. Gone: a planner deleted it.
    """
    if is_edit_id(job_id):
        return edits.get(job_id)
    if is_child_id(job_id):
        found = edits.find(job_id)
        if not isinstance(found, ChildJob):
            raise _unknown(job_id)
        return found
    raise NotFound(f"{job_id!r:.80} is not the id of an edit job: e, x or r and 20 of a-z, 2-7")


def authorize_job(job_id: str, event: str, actor: Actor) -> None:
    """Check that the roles of `actor` allow `event` for a job with this id, before it is read.

    Raises:
        Forbidden: they do not; the message says who may.
    """
    kind = "edit"
    if is_child_id(job_id):
        kind = "fixup" if job_id.startswith("x") else "review"
    authorize(actor, kind, event)


def visible_job(job_id: str, actor: Actor) -> Job:
    """The edit job or the child, if `actor` may see it.

    Raises:
        NotFound: there is none, or the actor may not see it. Gone: a planner deleted it.
    """
    try:
        job = find_job(job_id)
    except Gone:
        if not is_allowed("edit", "view", actor.roles):
            raise _unknown(job_id) from None
        raise
    if not may_see(job, actor, memberships(actor)):
        raise _unknown(job_id)
    return job


def _unknown(job_id: str) -> NotFound:
    """The refusal for a job that does not exist, and for one that the actor may not see."""
    return NotFound(f"there is no edit job {job_id!r:.80}")


def has_had(job: Job, sub: str) -> bool:
    """Whether a person activated a job, now or in an earlier attempt."""
    return any(each.event == "activate" and each.sub == sub for each in job.history)


def visible_or_had_job(job_id: str, actor: Actor) -> Job:
    """The job, also for an actor who had it once: a proposal, say, after it was revoked.

    Raises:
        NotFound, Gone: as for `visible_job`.
    """
    job = edits.find(job_id)
    if job is not None and has_had(job, actor.sub):
        return job
    return visible_job(job_id, actor)


def visible_edit(edit_id: str, actor: Actor) -> EditJob:
    """The edit job, if `actor` may see it.

    Raises:
        NotFound: there is none, it is a child, or the actor may not see it. Gone: it was deleted.
    """
    job = visible_job(edit_id, actor)
    if not isinstance(job, EditJob):
        raise NotFound(f"{edit_id} is a child: only its edit job, {job.parent_id}, can do this")
    return job


def visible_child(child_id: str, actor: Actor) -> ChildJob:
    """The child, if `actor` may see it.

    Raises:
        NotFound: there is none, it is no child, or the actor may not see it.
    """
    job = visible_job(child_id, actor)
    if not isinstance(job, ChildJob):
        raise NotFound(f"{child_id} is no child of an edit job: its id begins with x or r")
    return job


def memberships(actor: Actor) -> Callable[[str], bool]:
    """Says whether an actor is of a team, by its name. Each team is read strongly, and once."""
    return cache(lambda name: teams.member(name, actor.sub) is not None)


def may_see(job: Job, actor: Actor, is_member: Callable[[str], bool]) -> bool:
    """Whether an actor may see a job: by their role, or because it is their team's."""
    kind = kind_of(job)
    if is_allowed(kind, "view", actor.roles):
        return True
    if actor.roles.isdisjoint(_TEAM_ROLES) or not is_allowed(kind, "view", {TEAM}):
        return False
    if isinstance(job, EditJob) and job.state is EditState.PROPOSED:
        return False
    if job.worker is not None and job.worker.sub == actor.sub:
        return True
    names = {job.team}
    if isinstance(job, EditJob) and job.open_child:
        names.add(edits.get_child(job.open_child).team)
    return any(is_member(name) for name in names if name)


def user_of(actor: Actor) -> User:
    """The actor as a user."""
    return User(actor.sub, actor.name)


def authorize_claim(job: Job, event: str, actor: Actor) -> None:
    """Check that `actor` may send `event` to what they have claimed: they have the role, are still
    of the team, and nobody else has the job.

    Raises:
        Forbidden: they may not; the message says who may, or who has it.
    """
    kind = kind_of(job)
    authorize(actor, kind, event)
    worker = job.worker
    if worker is not None and worker.sub != actor.sub:
        raise Forbidden(
            f"{id_of(job)} is {job.state}, and {worker.name} has it: only they may {event} it; "
            "a planner may give it to somebody else"
        )
    check_member(job.team, actor, is_reviewer=kind == "review")


def check_member(name: str, actor: Actor, *, is_reviewer: bool) -> None:
    """Check that `actor` is of a team, as a worker or as a reviewer.

    Raises:
        Forbidden: they are not.
    """
    member = teams.member(name, actor.sub) if name else None
    if member is None or not (member.is_reviewer if is_reviewer else member.is_worker):
        role = "reviewer" if is_reviewer else "worker"
        raise Forbidden(f"you are no {role} of team {name!r}: ask an admin to add you")


def reviewing_team(job: EditJob, settings: EditSettings) -> Team:
    """The team whose reviewers review an edit job; without members if it does not exist."""
    name = settings.reviewers or job.team
    return teams.find(name) or Team(name)


def needs_review(job: EditJob, settings: EditSettings) -> bool:
    """Whether a person will have to review an edit job."""
    quarantine = settings.quarantine if job.quarantine is None else job.quarantine
    return (quarantine and not settings.read_only) or settings.embargo


def check_reviewable(job: EditJob, settings: EditSettings, workers: Collection[User]) -> None:
    """Check that there would be an impartial reviewer, if any one of `workers` does the work.

    Raises:
        InvalidTransition: nobody could review; the message says what to do.
    """
    if not needs_review(job, settings):
        return
    team = reviewing_team(job, settings)
    authors = {each.sub for each in (*job.authors, *job.former_authors)}
    if workers and any(impartial_reviewers(team, {*authors, each.sub}) for each in workers):
        return
    if not workers and impartial_reviewers(team, authors):
        return
    raise InvalidTransition(
        f"nobody could review {job.edit_id}: team {team.name} has no reviewer who would have no "
        "part in it; an admin can add one (jobyard team put)"
    )
