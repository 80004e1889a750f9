"""Teams: who may do the work of an edit job, and who may review it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from jobyard.domain.errors import BadRequest
from jobyard.domain.text import NAME_BYTES, clean_fields

MAX_MEMBERS = 90  # of a team, which is written in one transaction
MAX_TEAMS_OF_PERSON = 50
MAX_TITLE_BYTES = 200
MAX_EMAIL_BYTES = 254  # source: RFC 5321, section 4.5.3.1.3, without the brackets


@dataclass(frozen=True)
class User:
    """Somebody in the user pool. `sub` decides who it is; `name` is only shown."""

    sub: str
    name: str

    def __post_init__(self) -> None:
        clean_fields(self, sub=NAME_BYTES, name=NAME_BYTES)


@dataclass(frozen=True)
class TeamMember:
    """A member of a team. One may work on its edit jobs, review them, or both.

    `email` is the address that mails go to; "" if there is none.
    """

    user: User
    email: str = ""
    is_worker: bool = True
    is_reviewer: bool = False

    def __post_init__(self) -> None:
        clean_fields(self, email=MAX_EMAIL_BYTES)


@dataclass(frozen=True)
class Team:
    """A team. `version` counts its writes, 0 before the first; `changed_by` is the cause of the
    last one. Of one that `is_deleted` a tombstone remains.
    """

    name: str
    title: str = ""
    members: tuple[TeamMember, ...] = ()
    version: int = 0
    changed_at: datetime | None = None
    changed_by: str = ""
    is_deleted: bool = False

    def __post_init__(self) -> None:
        clean_fields(self, title=MAX_TITLE_BYTES)
        if len(self.members) > MAX_MEMBERS:
            raise BadRequest(f"a team has up to {MAX_MEMBERS} members, not {len(self.members)}")
        if len({each.user.sub for each in self.members}) < len(self.members):
            raise BadRequest("a person is a member of a team once: as a worker, a reviewer or both")

    @property
    def workers(self) -> tuple[User, ...]:
        """Who may work on its edit jobs."""
        return tuple(each.user for each in self.members if each.is_worker)

    @property
    def reviewers(self) -> tuple[User, ...]:
        """Who may review edit jobs for it."""
        return tuple(each.user for each in self.members if each.is_reviewer)

    def member(self, sub: str) -> TeamMember | None:
        """The member with this id; None if there is none."""
        return next((each for each in self.members if each.user.sub == sub), None)

    def worker(self, sub: str) -> TeamMember | None:
        """The member with this id, if they may work for the team."""
        found = self.member(sub)
        return found if found and found.is_worker else None

    def reviewer(self, sub: str) -> TeamMember | None:
        """The member with this id, if they may review for the team."""
        found = self.member(sub)
        return found if found and found.is_reviewer else None


def impartial_reviewers(reviewers: Team, authors: Collection[str]) -> tuple[User, ...]:
    """The reviewers of a team who had no part in what is reviewed. `authors` are ids of people."""
    return tuple(each for each in reviewers.reviewers if each.sub not in authors)
