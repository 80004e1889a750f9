"""What a request works with: the deployment's clients and clock, who asks, and for what."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler.api_gateway import BaseRouter

from api.people import Account, claims_of, person_of
from api.problems import ValidationFailed
from jobyard.domain.occurrence import Occurrence
from jobyard.services import cursors
from jobyard.services.asking import Asking, Person
from jobyard.services.settings import Settings
from jobyard.services.views import Looking

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

_KEY_LENGTH = 255


@dataclass(frozen=True)
class Desk:
    """What a deployment's requests share.

    `requests` tells where answers to repeated requests lie, `account_of` knows who has a
    name, `cursor_key` is what cursors are sealed with, `surprised` hears of errors nobody foresaw,
    `put_off` of those of AWS that pass, `skipped` of times of schedules that a request found had
    come and no job was started for.
    """

    settings: Settings
    s3: "S3Client"
    machines: "SFNClient"
    requests: Callable[[], "BasePersistenceLayer"]
    account_of: Callable[[str], Account | None]
    cursor_key: Callable[[], bytes]
    now: Callable[[], datetime]
    surprised: Callable[[Exception], None]
    put_off: Callable[[Exception], None]
    skipped: Callable[[Sequence[Occurrence]], None]


@dataclass(frozen=True)
class Visit:
    """One request: who asks, and the key a repeat of it has too ("" when none was sent)."""

    desk: Desk
    person: Person
    route: str
    request_id: str
    repeat_key: str

    @property
    def key(self) -> str:
        """A key that is the same when, and only when, the same is asked again.

        It names person and route, so that a key sent twice by mistake starts nothing by halves.
        """
        return "\n".join((self.person.sub, self.route, self.repeat_key or self.request_id))

    def looking(self) -> Looking:
        """For reads."""
        return Looking(self.desk.settings, self.desk.s3, self.person, self.desk.now())

    def asking(self, reason: str = "") -> Asking:
        """For changes."""
        desk = self.desk
        person, key, told = self.person, self.key, desk.skipped
        return Asking(desk.settings, desk.s3, desk.machines, desk.now, person, key, reason, told)

    def with_email(self) -> "Visit":
        """The same with the person's e-mail address, which costs a call. Of somebody who has the
        name since this person was removed it is none."""
        found = self.desk.account_of(self.person.name)
        email = found.email if found and found.sub == self.person.sub else ""
        return replace(self, person=replace(self.person, email=email))

    def link(self, path: str) -> str:
        """The address of `path` below /api."""
        return f"{self.desk.settings.url}/api/{path}"

    def cursor(self, place: Any, *kind: str) -> str | None:
        """A cursor of `place` in the list of this kind, None when there is no next page."""
        if place is None:
            return None
        return cursors.sealed(place, "\n".join(kind), self.desk.cursor_key())

    def place(self, cursor: str, *kind: str, first: Any) -> Any:
        """The place a cursor stands for in the list of this kind; `first` without a cursor.

        Raises:
            BadRequest: the cursor is not of this list.
        """
        if not cursor:
            return first
        return cursors.opened(cursor, "\n".join(kind), self.desk.cursor_key())


def visit_of(router: BaseRouter) -> Visit:
    """The request that is being answered.

    Raises:
        Unauthenticated: nobody we know sent it. ValidationFailed: its idempotency key has not that
        form.
    """
    event: Mapping[str, Any] = router.current_event.raw_event
    context = event["requestContext"]
    return Visit(
        router.context["desk"],
        person_of(claims_of(event)),
        f"{context['http']['method']} {event['rawPath']}",
        context["requestId"],
        _repeat_key(event),
    )


def _repeat_key(event: Mapping[str, Any]) -> str:
    key: str | None = event["headers"].get("idempotency-key")
    if key is None:
        return ""
    if not 0 < len(key) <= _KEY_LENGTH or not key.isascii() or not key.isprintable():
        words = f"an idempotency key is 1 to {_KEY_LENGTH} printable ASCII characters"
        raise ValidationFailed([("header.Idempotency-Key", words)])
    return key
