"""Stores teams: an item for each team and one for each member, so that one read finds a member."""

from collections.abc import Iterator
from dataclasses import replace

from jobyard.domain.edits.team import MAX_TEAMS_OF_PERSON, Team, TeamMember, User
from jobyard.domain.errors import BadRequest, NotFound, StaleState
from jobyard.domain.ids import is_name
from jobyard.store import transactions
from jobyard.store.documents import from_ms_or_none, to_ms_or_none
from jobyard.store.tables import TeamItem
from jobyard.store.transactions import MAX_ITEMS

_LIST_PARTITION = "teams"  # one partition of the list for all: there are few
_TEAM = "#team"  # the part of a team itself; no id of a person begins so


def find_any(name: str) -> Team | None:
    """The team with its members, even if it is deleted; None if there never was one."""
    if not is_name(name):
        return None  # it may be empty, or longer than a key
    items = {each.part: each for each in TeamItem.query(name, consistent_read=True)}
    head = items.pop(_TEAM, None)
    if head is None:
        return None
    members = sorted(map(_member, items.values()), key=lambda each: each.user.name.casefold())
    title, changed_at, changed_by, is_deleted = head.body
    return Team(
        name,
        title,
        tuple(members),
        int(head.version),
        from_ms_or_none(changed_at),
        changed_by,
        is_deleted,
    )


def find(name: str) -> Team | None:
    """The team with its members; None if there is none."""
    found = find_any(name)
    return None if found is None or found.is_deleted else found


def get(name: str) -> Team:
    """The team with its members.

    Raises:
        NotFound: there is none.
    """
    found = find(name)
    if found is None:
        raise NotFound(f"there is no team {name!r:.80}")
    return found


def member(name: str, sub: str) -> TeamMember | None:
    """The member of a team with this id; None if there is none."""
    if not is_name(name):
        return None
    try:
        return _member(TeamItem.get(name, sub, consistent_read=True))
    except TeamItem.DoesNotExist:
        return None


def names(*, after: str, limit: int) -> list[str]:
    """Up to `limit` names of teams after `after`, in order, from the index."""
    condition = TeamItem.name > after if after else None
    found = TeamItem.listed.query(_LIST_PARTITION, range_key_condition=condition, limit=limit)
    return [str(each.name) for each in found]


def names_of(sub: str) -> list[str]:
    """The names of the teams of a person, in order, from the index."""
    return [str(each.name) for each in TeamItem.by_member.query(sub, limit=MAX_TEAMS_OF_PERSON)]


def write(before: Team | None, after: Team) -> Team:
    """Write a team over `before`, None if there never was one. Returns it with its new version. A
    repeat succeeds.

    Raises:
        StaleState: it changed since it was read.
        BadRequest: too many members change at once.
    """
    seen = before.version if before else 0
    new = replace(after, version=seen + 1)
    changed_at = to_ms_or_none(new.changed_at)
    head = TeamItem(
        new.name,
        _TEAM,
        list_partition=None if new.is_deleted else _LIST_PARTITION,
        version=new.version,
        body=[new.title, changed_at, new.changed_by, new.is_deleted],
    )
    items = [transactions.put(head, seen), *_changes_of_members(before or Team(new.name), new)]
    if len(items) > MAX_ITEMS:
        raise BadRequest(f"a request changes up to {MAX_ITEMS - 1} members of a team")
    try:
        transactions.write(items)
    except StaleState as error:
        stored = find_any(new.name)
        if stored is None or _content(stored) != _content(new):
            raise StaleState(f"team {new.name} has changed since it was read") from error
    return new


def _content(team: Team) -> tuple[int, str, bool, set[TeamMember]]:
    return team.version, team.title, team.is_deleted, set(team.members)


def _changes_of_members(before: Team, after: Team) -> Iterator[transactions.TransactItem]:
    kept = {each.user.sub for each in after.members}
    for each in before.members:
        if each.user.sub not in kept:
            yield transactions.remove(_item(after.name, each))
    for each in after.members:
        if each not in before.members:
            yield transactions.replace(_item(after.name, each))


def _item(name: str, found: TeamMember) -> TeamItem:
    sub = found.user.sub
    body = [found.user.name, found.email, found.is_worker, found.is_reviewer]
    return TeamItem(name, sub, member=sub, body=body)


def _member(item: TeamItem) -> TeamMember:
    name, email, is_worker, is_reviewer = item.body
    return TeamMember(User(item.part, name), email, is_worker, is_reviewer)
