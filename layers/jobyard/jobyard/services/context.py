"""The contexts of commands and queries: the actor, the deployment, the time."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from jobyard.domain.access import ROLES
from jobyard.domain.collection import Depositor
from jobyard.domain.errors import BadRequest
from jobyard.domain.lifecycle import Cause
from jobyard.services.executions import Executions
from jobyard.services.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

    from jobyard.domain.hold import Hold
    from jobyard.domain.schedules.calendar import Calendar
    from jobyard.domain.schedules.occurrence import Occurrence


@dataclass(frozen=True)
class Actor:
    """The person who acts. Their id, `sub`, decides; a name is only shown, and may later belong to
    another person.

    `groups` are all their groups, roles or not.
    """

    sub: str
    name: str
    groups: frozenset[str]

    @property
    def roles(self) -> frozenset[str]:
        """The groups that are roles."""
        return self.groups & set(ROLES)

    @property
    def depositor(self) -> Depositor:
        """The actor as a depositor, for the rights of a collection."""
        return Depositor(self.sub, self.groups)


@dataclass(frozen=True)
class Account:
    """A person in the user pool. `email` is the verified address, "" if there is none."""

    sub: str
    name: str
    email: str


def _no_key() -> bytes:
    raise LookupError("this context signs nothing")


@dataclass(frozen=True)
class CommandContext:
    """What a command needs: the deployment, S3, the state machines, the clock, the actor and the
    reason.

    `key` is unique per request, and the same when the request is repeated. `on_skipped` is called
    with the occurrences that were due and that the command skipped. `account_of` looks up a user
    name in the user pool, which costs a call. `signing_key` returns the key of cursors and links.
    """

    settings: Settings
    s3: "S3Client"
    machines: "SFNClient"
    now: Callable[[], datetime]
    actor: Actor
    key: str
    reason: str = ""
    on_skipped: "Callable[[Sequence[Occurrence]], None]" = lambda _: None
    account_of: Callable[[str], Account | None] = lambda _: None
    signing_key: Callable[[], bytes] = _no_key

    @property
    def cause(self) -> Cause:
        """The cause of the moves that the command makes."""
        return Cause(self.run, self.actor.name, self.reason, self.actor.sub)

    @property
    def executions(self) -> Executions:
        """The executions of the deployment."""
        return Executions(self.settings, self.machines)

    @property
    def run(self) -> str:
        """The key of the request's cause, and the name of the run that it may start. It is short,
        because each job of the run stores it.
        """
        return "r" + hashlib.sha256(self.key.encode()).hexdigest()[:12]

    def account(self, name: str) -> Account:
        """The person with this user name.

        Raises:
            BadRequest: the user pool has no such person.
        """
        account = self.account_of(name)
        if account is None:
            raise BadRequest(f"nobody in the user pool is called {name!r}")
        return account

    def own_email(self) -> str:
        """The actor's e-mail address; "" if they have none, or if their name now belongs to another
        person.
        """
        account = self.account_of(self.actor.name)
        return account.email if account and account.sub == self.actor.sub else ""


@dataclass(frozen=True)
class QueryContext:
    """What a query needs: the deployment, S3, the actor and the time.

    `clock` returns seconds from any start, to time a query. `holds` and `calendars` cache what the
    same request has read.
    """

    settings: Settings
    s3: "S3Client"
    actor: Actor
    now: datetime
    clock: Callable[[], float] = time.perf_counter
    holds: "dict[str, Hold | None]" = field(default_factory=dict, compare=False)
    calendars: "dict[str, Calendar | None]" = field(default_factory=dict, compare=False)


def require_reason(context: CommandContext, event: str) -> None:
    """Check that a command has a reason.

    Raises:
        BadRequest: it has none.
    """
    if not context.reason.strip():
        raise BadRequest(f"{event} needs a reason, which stays in the history")
