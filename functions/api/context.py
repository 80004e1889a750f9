"""The context of a request: the deployment's clients and clock, the actor, the idempotency key."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler.api_gateway import BaseRouter

from api.auth import actor_of, claims_of
from gateway.errors import ValidationFailed
from gateway.pagination import Pagination
from jobyard.services.context import Account, Actor, CommandContext, QueryContext
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

    `logs` is a client of CloudWatch Logs, `cloudwatch` one of CloudWatch. `idempotency_records`
    returns the store of responses for repeated requests, `account_of` the account of a user name,
    `cursor_key` the key that seals cursors. The `log_…` functions log unexpected errors, transient
    errors of AWS, and occurrences that a request skipped.
    """

    settings: Settings
    s3: "S3Client"
    machines: "SFNClient"
    logs: Any
    cloudwatch: Any
    idempotency_records: Callable[[], "BasePersistenceLayer"]
    account_of: Callable[[str], Account | None]
    cursor_key: Callable[[], bytes]
    now: Callable[[], datetime]
    log_internal_error: Callable[[Exception], None]
    log_unavailable: Callable[[Exception], None]
    log_skipped: Callable[[Sequence["Occurrence"]], None]


@dataclass(frozen=True)
class RequestContext:
    """One request: the actor, the route, and the idempotency key ("" when none was sent)."""

    app: AppContext
    actor: Actor
    route: str
    request_id: str
    idempotency_key: str

    @property
    def key(self) -> str:
        """A key that a repeat of the request shares, and no other request.

        It contains actor and route, so an idempotency key that is reused elsewhere does no harm.
        """
        return "\n".join((self.actor.sub, self.route, self.idempotency_key or self.request_id))

    def query_context(self) -> QueryContext:
        """The context of a read."""
        return QueryContext(self.app.settings, self.app.s3, self.actor, self.app.now())

    def command_context(self, reason: str = "") -> CommandContext:
        """The context of a change."""
        app = self.app
        return CommandContext(
            app.settings,
            app.s3,
            app.machines,
            app.now,
            self.actor,
            self.key,
            reason,
            on_skipped=app.log_skipped,
            account_of=app.account_of,
            signing_key=app.cursor_key,
        )

    def link(self, path: str) -> str:
        """The URL of `path` below `/api`."""
        return f"{self.app.settings.url}/api/{path}"

    def pagination(self, *kind: str) -> Pagination:
        """The pagination of a list. `kind` names the list and its filters."""
        return Pagination("\n".join(kind), self.app.cursor_key)


def current_request(router: BaseRouter) -> RequestContext:
    """The request that is being handled.

    Raises:
        Unauthenticated: the token is missing or not valid.
        ValidationFailed: the idempotency key is not valid.
    """
    event: Mapping[str, Any] = router.current_event.raw_event
    context = event["requestContext"]
    app: AppContext = router.context["app"]
    return RequestContext(
        app,
        actor_of(claims_of(event), app.settings.machine_clients),
        f"{context['http']['method']} {event['rawPath']}",
        context["requestId"],
        _idempotency_key(event),
    )


def _idempotency_key(event: Mapping[str, Any]) -> str:
    key: str | None = event["headers"].get("idempotency-key")
    if key is None:
        return ""
    if not 0 < len(key) <= _KEY_LENGTH or not key.isascii() or not key.isprintable():
        message = f"an idempotency key is 1 to {_KEY_LENGTH} printable ASCII characters"
        raise ValidationFailed([("header.Idempotency-Key", message)])
    return key
