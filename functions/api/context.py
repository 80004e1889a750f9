"""What a request works with: the deployment's clients and clock, the actor, and the key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler.api_gateway import BaseRouter

from api.auth import Account, claims_of, person_of
from api.problems import ValidationFailed
from jobyard.services import cursors
from jobyard.services.context import Actor, CommandContext, QueryContext
from jobyard.services.settings import Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

    from jobyard.domain.schedules.occurrence import Occurrence

_KEY_LENGTH = 255


@dataclass(frozen=True)
class AppContext:
    """What all requests of a deployment share.

    `idempotency_records` gives the store of answers to repeated requests, `account_of` looks a
    user name up, `cursor_key` gives the key that seals cursors. The `log_…` functions log errors
    nobody expected, errors of AWS that pass, and occurrences that a request found missed.
    """

    settings: Settings
    s3: "S3Client"
    machines: "SFNClient"
    idempotency_records: Callable[[], "BasePersistenceLayer"]
    account_of: Callable[[str], Account | None]
    cursor_key: Callable[[], bytes]
    now: Callable[[], datetime]
    log_internal_error: Callable[[Exception], None]
    log_unavailable: Callable[[Exception], None]
    log_skipped: Callable[[Sequence["Occurrence"]], None]


@dataclass(frozen=True)
class RequestContext:
    """One request: who asks, and the key a repeat of it has too ("" when none was sent)."""

    app: AppContext
    actor: Actor
    route: str
    request_id: str
    idempotency_key: str

    @property
    def key(self) -> str:
        """A key that is the same when, and only when, the same is asked again.

        It names person and route, so that a key sent twice by mistake starts nothing by halves.
        """
        return "\n".join((self.actor.sub, self.route, self.idempotency_key or self.request_id))

    def query_context(self) -> QueryContext:
        """For reads."""
        return QueryContext(self.app.settings, self.app.s3, self.actor, self.app.now())

    def command_context(self, reason: str = "") -> CommandContext:
        """For changes."""
        app = self.app
        person, key, told = self.actor, self.key, app.log_skipped
        return CommandContext(
            app.settings, app.s3, app.machines, app.now, person, key, reason, told
        )

    def with_email(self) -> "RequestContext":
        """The same with the person's e-mail address, which costs a call. Of somebody who has the
        name since this person was removed it is none."""
        found = self.app.account_of(self.actor.name)
        email = found.email if found and found.sub == self.actor.sub else ""
        return replace(self, actor=replace(self.actor, email=email))

    def link(self, path: str) -> str:
        """The address of `path` below /api."""
        return f"{self.app.settings.url}/api/{path}"

    def encode_cursor(self, place: Any, *kind: str) -> str | None:
        """A cursor of `place` in the list of this kind, None when there is no next page."""
        if place is None:
            return None
        return cursors.sealed(place, "\n".join(kind), self.app.cursor_key())

    def decode_cursor(self, cursor: str, *kind: str, first: Any) -> Any:
        """The place a cursor stands for in the list of this kind; `first` without a cursor.

        Raises:
            BadRequest: the cursor is not of this list.
        """
        if not cursor:
            return first
        return cursors.opened(cursor, "\n".join(kind), self.app.cursor_key())


def current_request(router: BaseRouter) -> RequestContext:
    """The request that is being answered.

    Raises:
        Unauthenticated: nobody we know sent it. ValidationFailed: its idempotency key has not that
        form.
    """
    event: Mapping[str, Any] = router.current_event.raw_event
    context = event["requestContext"]
    return RequestContext(
        router.context["app"],
        person_of(claims_of(event)),
        f"{context['http']['method']} {event['rawPath']}",
        context["requestId"],
        _idempotency_key(event),
    )


def _idempotency_key(event: Mapping[str, Any]) -> str:
    key: str | None = event["headers"].get("idempotency-key")
    if key is None:
        return ""
    if not 0 < len(key) <= _KEY_LENGTH or not key.isascii() or not key.isprintable():
        words = f"an idempotency key is 1 to {_KEY_LENGTH} printable ASCII characters"
        raise ValidationFailed([("header.Idempotency-Key", words)])
    return key
