"""Teams: an admin says who works on edit jobs and who reviews them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jobyard.domain.activity import Subject
from jobyard.domain.edits.team import Team, TeamMember, User
from jobyard.domain.edits.worklist import WorklistColumn, last_key
from jobyard.domain.errors import BadRequest, InvalidTransition
from jobyard.domain.ids import NAME_PATTERN
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext
from jobyard.store import edits, teams

_NAME = re.compile(NAME_PATTERN)


@dataclass(frozen=True)
class TeamEdit:
    """A team as it is to be. `workers` and `reviewers` are user names; one may be both."""

    title: str
    workers: Sequence[str]
    reviewers: Sequence[str]


def put(name: str, wanted: TeamEdit, context: CommandContext) -> Team:
    """Make a team, or change it: its members are those in `wanted`, and no others.

    Raises:
        Forbidden. BadRequest: the name is not valid, there is no such person, or there are too many
            members. StaleState: somebody else changed it meanwhile.
    """
    authorize(context.actor, "team", "put")
    if not _NAME.fullmatch(name):
        message = "a name has up to 64 letters, digits, dots, hyphens and underscores"
        raise BadRequest(f"{name!r:.80} cannot be the name of a team: {message}")
    before = teams.find(name)
    after = Team(name, wanted.title, _members(wanted, before, context))
    if before is None or (before.title, set(before.members)) != (after.title, set(after.members)):
        after = teams.write(before, after)
    else:
        after = before
    activity.record(context, "put", Subject("team", name, after.title or name), context.now())
    return after


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
    """Delete a team that has nothing to do.

    Raises:
        Forbidden, NotFound. InvalidTransition: edit jobs are allocated to it.
        StaleState: somebody else changed it meanwhile.
    """
    authorize(context.actor, "team", "delete")
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
    teams.remove(team)
    activity.record(context, "delete", Subject("team", name, team.title or name), context.now())
