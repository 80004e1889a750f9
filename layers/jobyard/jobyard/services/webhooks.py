"""Put, list and delete webhooks. Only admins may."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from jobyard.domain.activity import Subject
from jobyard.domain.errors import BadRequest, InvalidTransition, NotFound
from jobyard.domain.redaction import redacted
from jobyard.domain.urls import https_error
from jobyard.domain.webhooks import MAX_WEBHOOKS, Webhook, WebhookEvent, new_secret
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext, QueryContext, require_reason
from jobyard.store import webhooks


@dataclass(frozen=True)
class WebhookRequest:
    """A webhook as an admin wants it. With `new_secret` it gets another secret."""

    name: str
    url: str
    events: tuple[WebhookEvent, ...]
    collections: tuple[str, ...]
    new_secret: bool = False


@dataclass(frozen=True)
class StoredWebhook:
    """A webhook, and whether its secret is new, so that it is shown this once."""

    webhook: Webhook
    has_new_secret: bool


def list_webhooks(context: QueryContext) -> tuple[Webhook, ...]:
    """The webhooks of the deployment, by name.

    Raises:
        Forbidden: the actor may not see them.
    """
    authorize(context.actor, "webhook", "view")
    return tuple(each for each in webhooks.list_all()[0] if not each.is_deleted)


def get_webhook(name: str, context: QueryContext) -> Webhook:
    """The webhook of this name.

    Raises:
        Forbidden: the actor may not see it. NotFound: there is none.
    """
    found = _named(name, list_webhooks(context))
    if found is None:
        raise NotFound(f"there is no webhook {name!r}")
    return found


def put(wanted: WebhookRequest, context: CommandContext) -> StoredWebhook:
    """Create a webhook, or replace one of this name. A new one gets a secret.

    A repeated request returns what the first one stored.

    Raises:
        Forbidden: the actor may not put webhooks. BadRequest: no reason is given, or the deployment
            does not call this URL.
        InvalidTransition: there are too many webhooks.
        StaleState: someone else changed the webhooks at the same time.
    """
    authorize(context.actor, "webhook", "put")
    require_reason(context, "a webhook's change")
    if error := https_error(wanted.url, context.settings.allowed_hosts):
        raise BadRequest(f"the webhook's URL {error}")
    stored, version = webhooks.list_all()
    before = _named(wanted.name, stored)
    if before is not None and before.cause == context.run:
        return _recorded(before, before.secret == _secret(wanted, version - 1, context), context)
    if before is not None and before.is_deleted:
        before = None
    has_new_secret = before is None or wanted.new_secret
    after = Webhook(
        name=wanted.name,
        slot=before.slot if before else _free_slot(stored),
        url=wanted.url,
        secret=before.secret
        if before and not has_new_secret
        else _secret(wanted, version, context),
        events=wanted.events,
        collections=wanted.collections,
        changed_at=context.now(),
        actor=context.actor.name,
        reason=context.reason,
        cause=context.run,
    )
    others = [each for each in stored if each.name != wanted.name]
    webhooks.put_all([*others, after], version)
    return _recorded(after, has_new_secret, context)


def delete(name: str, context: CommandContext) -> Webhook:
    """Delete a webhook. Calls that wait are given up.

    Raises:
        Forbidden: the actor may not delete webhooks. NotFound: there is none of this name.
        BadRequest: no reason is given.
        StaleState: someone else changed the webhooks at the same time.
    """
    authorize(context.actor, "webhook", "delete")
    stored, version = webhooks.list_all()
    found = _named(name, stored)
    if found is None or (found.is_deleted and found.cause != context.run):
        raise NotFound(f"there is no webhook {name!r}")
    require_reason(context, "a webhook's end")
    if not found.is_deleted:
        actor = context.actor.name
        found = replace(
            found,
            secret="",
            events=(),
            changed_at=context.now(),
            actor=actor,
            reason=context.reason,
            cause=context.run,
        )
        webhooks.put_all([*(each for each in stored if each.name != name), found], version)
    activity.record(context, "delete", Subject("webhook", name), found.changed_at)
    return found


def _named(name: str, stored: Iterable[Webhook]) -> Webhook | None:
    return next((each for each in stored if each.name == name), None)


def _free_slot(stored: Iterable[Webhook]) -> int:
    """The lowest slot that is free.

    Raises:
        InvalidTransition: there is none.
    """
    free = set(range(MAX_WEBHOOKS)) - {each.slot for each in stored if not each.is_deleted}
    if not free:
        raise InvalidTransition(f"there are {MAX_WEBHOOKS} webhooks, which is the most")
    return min(free)


def _secret(wanted: WebhookRequest, version: int, context: CommandContext) -> str:
    newest_key = context.signing_key().split()[0]
    return new_secret(newest_key, wanted.name, str(version), context.key)


def _recorded(stored: Webhook, has_new_secret: bool, context: CommandContext) -> StoredWebhook:
    what = f"{redacted(stored.url)}; {', '.join(stored.events)}"
    if stored.collections:
        what += f"; of {', '.join(stored.collections)}"
    if has_new_secret:
        what += "; new secret"
    subject = Subject("webhook", stored.name)
    activity.record(context, "put", subject, stored.changed_at, what)
    return StoredWebhook(stored, has_new_secret)
