"""Teams: an admin says who works on edit jobs and who reviews them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from jobyard.domain.activity import Subject
from jobyard.domain.edits.team import Team, TeamMember, User
from jobyard.domain.edits.worklist import WorklistColumn, last_key
from jobyard.domain.errors import BadRequest, InvalidTransition, StaleState
from jobyard.domain.ids import is_name
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext
from jobyard.store import edits, teams


@dataclass(frozen=True)
class TeamEdit:
    """A team as it is to be. `workers` and `reviewers` are user names; one may be both."""

    title: str
    workers: Sequence[str]
    reviewers: Sequence[str]


def put(name: str, wanted: TeamEdit, context: CommandContext, *, seen: int | None = None) -> Team:
    """Make a team, or change it: its members are those in `wanted`, and no others.

    `seen` is the version to replace, 0 if there is none; None replaces any.

    Raises:
        Forbidden. BadRequest: the name is not valid, there is no such person, or there are too many
            members. StaleState: it has not the version `seen`, or somebody else changes it now.
    """
    authorize(context.actor, "team", "put")
    if not is_name(name):
        message = "a name has up to 64 letters, digits, dots, hyphens and underscores"
        raise BadRequest(f"{name!r:.80} cannot be the name of a team: {message}")
    before = teams.find_any(name)
    if before is not None and before.changed_by == context.run and not before.is_deleted:
        return _recorded(before, "put", context)  # by an earlier try of this request
    current = before.version if before and not before.is_deleted else 0
    if seen is not None and seen != current:
        raise StaleState(f"team {name} has been changed since you read it")
    after = Team(
        name,
        wanted.title,
        _members(wanted, before, context),
        changed_at=context.now(),
        changed_by=context.run,
    )
    if before is not None and _is_same(before, after):
        return before
    return _recorded(teams.write(before, after), "put", context)


def _is_same(before: Team, after: Team) -> bool:
    content = [(each.title, set(each.members), each.is_deleted) for each in (before, after)]
    return content[0] == content[1]


def _recorded(team: Team, event: str, context: CommandContext) -> Team:
    """The team, after what this request did to it is recorded."""
    subject = Subject("team", team.name, team.title or team.name)
    activity.record(context, event, subject, team.changed_at or context.now())
    return team


def _members(
    wanted: TeamEdit, before: Team | None, context: CommandContext
) -> tuple[TeamMember, ...]:
    """The members with these names. Those who are members already are not looked up again."""
    known = {each.user.name: each for each in before.members} if before else {}
    workers, reviewers = set(wanted.workers), set(wanted.reviewers)
    names: Iterable[str] = dict.fromkeys((*wanted.workers, *wanted.reviewers))
    members = []
    for name in names:
        found = known.get(name)
        if found is None:
            account = context.account(name)
            found = TeamMember(User(account.sub, account.name), account.email)
        members.append(TeamMember(found.user, found.email, name in workers, name in reviewers))
    return tuple(members)


def delete(name: str, context: CommandContext) -> None:
    """Delete a team that has nothing to do. A tombstone remains.

    Raises:
        Forbidden, NotFound. InvalidTransition: edit jobs are allocated to it.
        StaleState: somebody else changed it meanwhile.
    """
    authorize(context.actor, "team", "delete")
    team = teams.find_any(name)
    if team is not None and team.is_deleted and team.changed_by == context.run:
        _recorded(team, "delete", context)  # by an earlier try of this request
        return
    team = teams.get(name)
    busy = [
        key.job_id
        for column in WorklistColumn
        if column not in {WorklistColumn.COMPLETED, WorklistColumn.CORRECTIONS_REQUIRED}
        for key in edits.of_team(name, f"{column}#", last_key(column), 1)
    ]
    if busy:
        raise InvalidTransition(
            f"team {name} has open edit jobs, such as {busy[0]}: revoke or abandon them first"
        )
    deleted = replace(
        team, members=(), changed_at=context.now(), changed_by=context.run, is_deleted=True
    )
    _recorded(teams.write(team, deleted), "delete", context)
