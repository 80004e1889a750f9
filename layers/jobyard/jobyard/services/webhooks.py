"""Create, change, rotate, disable and delete webhooks, and redeliver. Only admins may."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jobyard.domain.activity import Subject
from jobyard.domain.batches.report import Report
from jobyard.domain.errors import BadRequest, InvalidTransition, NotFound
from jobyard.domain.ids import is_name
from jobyard.domain.redaction import redacted
from jobyard.domain.urls import URL_LENGTH, https_error
from jobyard.domain.webhooks import (
    MAX_COLLECTIONS,
    MAX_OVERLAP_HOURS,
    MAX_WEBHOOKS,
    OVERLAP_HOURS,
    WEBHOOK_NAME_LENGTH,
    WEBHOOK_NAME_PATTERN,
    Webhook,
    WebhookEvent,
    address_of_delivery,
    new_secret,
)
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext, QueryContext, require_reason
from jobyard.services.reports.commands import queue_again, resend_refusal
from jobyard.services.settings import Settings
from jobyard.store import reports, webhooks


@dataclass(frozen=True)
class WebhookSettings:
    """What an admin sets of a webhook."""

    url: str
    events: tuple[WebhookEvent, ...] = tuple(WebhookEvent)
    collections: tuple[str, ...] = ()


@dataclass(frozen=True)
class WebhookEdit:
    """What to change of a webhook; None leaves a field as it is."""

    url: str | None = None
    events: tuple[WebhookEvent, ...] | None = None
    collections: tuple[str, ...] | None = None


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


def list_deliveries(
    name: str, context: QueryContext, *, before: str, limit: int
) -> tuple[list[Report], str | None]:
    """The deliveries of a webhook, newest first, and where the next page starts; None on the last.

    Raises:
        Forbidden: the actor may not see them. NotFound: there is no such webhook.
    """
    get_webhook(name, context)
    return reports.of_webhook(name, before, limit)


def create(name: str, settings: WebhookSettings, context: CommandContext) -> Webhook:
    """Create a webhook with a new secret, which its creator may be shown.

    A repeated request returns what the first one stored.

    Raises:
        Forbidden: the actor may not create webhooks. BadRequest: no reason is given, or the
            deployment does not deliver to this URL.
        InvalidTransition: the name is taken, or there are too many webhooks.
        StaleState: someone else changed the webhooks at the same time.
    """
    authorize(context.actor, "webhook", "create")
    require_reason(context, "a new webhook")
    _check(name, settings, context.settings)
    stored, version = webhooks.list_all()
    found = _named(name, stored)
    if found is None or found.cause != context.run:
        if found is not None and not found.is_deleted:
            raise InvalidTransition(f"webhook {name!r} already exists")
        found = Webhook(
            name=name,
            slot=_free_slot(stored),
            url=settings.url,
            secret=_secret(name, version, context),
            events=settings.events,
            collections=settings.collections,
            changed_at=context.now(),
            actor=context.actor.name,
            reason=context.reason,
            cause=context.run,
        )
        webhooks.put_all([*(each for each in stored if each.name != name), found], version)
    return _recorded(found, "create", context, _description(found))


def update(name: str, edit: WebhookEdit, context: CommandContext) -> Webhook:
    """Change what a webhook gets, and where. Pending deliveries go to its new URL.

    Raises:
        As `_changed`. BadRequest also if the deployment does not deliver to this URL.
    """

    def edited(before: Webhook, version: int) -> Webhook:
        after = replace(
            before,
            url=before.url if edit.url is None else edit.url,
            events=before.events if edit.events is None else edit.events,
            collections=before.collections if edit.collections is None else edit.collections,
        )
        settings = WebhookSettings(after.url, after.events, after.collections)
        _check(name, settings, context.settings)
        return after

    after = _changed(name, "update", edited, context)
    return _recorded(after, "update", context, _description(after))


def rotate_secret(
    name: str, context: CommandContext, overlap_hours: int = OVERLAP_HOURS
) -> Webhook:
    """Give a webhook a new secret. The former one signs as well for some hours, 0 for none, so that
    a receiver can change over; one from an earlier rotation no longer does.

    Raises:
        As `_changed`. BadRequest also if the overlap is too long.
    """
    if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
        raise BadRequest(f"the former secret may sign for 0 to {MAX_OVERLAP_HOURS} hours")

    def rotated(before: Webhook, version: int) -> Webhook:
        return replace(
            before,
            secret=_secret(name, version, context),
            former_secret=before.secret if overlap_hours else "",
            overlap_ends_at=context.now() + timedelta(hours=overlap_hours)
            if overlap_hours
            else None,
        )

    after = _changed(name, "rotate_secret", rotated, context)
    what = f"the former secret signs until {_text_of(after.overlap_ends_at)}"
    return _recorded(after, "rotate_secret", context, what if after.former_secret else "")


def disable(name: str, context: CommandContext) -> Webhook:
    """Disable a webhook: events from now on are not delivered to it, and pending deliveries fail.

    Raises:
        As `_changed`.
    """
    after = _changed(
        name, "disable", lambda before, version: replace(before, is_enabled=False), context
    )
    return _recorded(after, "disable", context)


def enable(name: str, context: CommandContext) -> Webhook:
    """Enable a webhook again. Failed deliveries can be sent again.

    Raises:
        As `_changed`.
    """
    after = _changed(
        name, "enable", lambda before, version: replace(before, is_enabled=True), context
    )
    return _recorded(after, "enable", context)


def delete(name: str, context: CommandContext) -> Webhook:
    """Delete a webhook. Pending deliveries fail.

    Raises:
        As `_changed`.
    """

    def deleted(before: Webhook, version: int) -> Webhook:
        return replace(before, secret="", former_secret="", overlap_ends_at=None, events=())

    return _recorded(_changed(name, "delete", deleted, context), "delete", context)


def redeliver(name: str, delivery_id: str, context: CommandContext) -> Report:
    """Send a delivery again, within a minute.

    Raises:
        Forbidden: the actor may not. BadRequest: no reason is given.
        NotFound: there is no such webhook or delivery.
        InvalidTransition: the delivery is pending, or the webhook is disabled.
        StaleState: the delivery changed at the same time.
    """
    authorize(context.actor, "webhook", "redeliver")
    webhook = _named(name, webhooks.list_all()[0])
    address = address_of_delivery(delivery_id)
    report = reports.find(*address) if address else None
    if webhook is None or webhook.is_deleted:
        raise NotFound(f"there is no webhook {name!r}")
    if report is None or report.webhook != name:
        raise NotFound(f"webhook {name!r} has no delivery {delivery_id!r}")
    if report.delivery.request != context.run:
        require_reason(context, "a redelivery")
        if not webhook.is_enabled:
            raise InvalidTransition(f"webhook {name!r} is disabled; enable it first")
        if refusal := resend_refusal(report):
            raise InvalidTransition(f"{delivery_id} is not delivered again: {refusal}")
        report = queue_again(report, context)
    requested_at = report.delivery.requested_at or context.now()
    activity.record(context, "redeliver", Subject("webhook", name), requested_at, delivery_id)
    return report


def _changed(
    name: str, event: str, change: Callable[[Webhook, int], Webhook], context: CommandContext
) -> Webhook:
    """Store what `change` makes of a webhook and the version of all. A repeat returns the stored
    one.

    Raises:
        Forbidden: the actor may not send this event. BadRequest: no reason is given.
        NotFound: there is no webhook of this name.
        StaleState: someone else changed the webhooks at the same time.
    """
    authorize(context.actor, "webhook", event)
    stored, version = webhooks.list_all()
    before = _named(name, stored)
    if before is not None and before.cause == context.run:
        return before
    if before is None or before.is_deleted:
        raise NotFound(f"there is no webhook {name!r}")
    require_reason(context, "a change of a webhook")
    after = replace(
        change(before, version),
        changed_at=context.now(),
        actor=context.actor.name,
        reason=context.reason,
        cause=context.run,
    )
    webhooks.put_all([*(each for each in stored if each.name != name), after], version)
    return after


def _check(name: str, wanted: WebhookSettings, settings: Settings) -> None:
    """Check the settings of a webhook.

    Raises:
        BadRequest: they are not valid.
    """
    if len(name) > WEBHOOK_NAME_LENGTH or not re.fullmatch(WEBHOOK_NAME_PATTERN, name):
        raise BadRequest(
            f"a webhook's name has up to {WEBHOOK_NAME_LENGTH} of a-z, 0-9 and single hyphens"
        )
    if len(wanted.url) > URL_LENGTH:
        raise BadRequest(f"the webhook's URL has more than {URL_LENGTH} characters")
    if error := https_error(wanted.url, settings.allowed_hosts):
        raise BadRequest(f"the webhook's URL {error}")
    if not wanted.events:
        raise BadRequest("choose at least one event")
    if len(wanted.collections) > MAX_COLLECTIONS or not all(map(is_name, wanted.collections)):
        raise BadRequest(f"name up to {MAX_COLLECTIONS} collections, or none for all")


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


def _secret(name: str, version: int, context: CommandContext) -> str:
    newest_key = context.signing_key().split()[0]
    return new_secret(newest_key, name, str(version), context.key)


def _text_of(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else ""


def _description(webhook: Webhook) -> str:
    what = f"{redacted(webhook.url)}; {', '.join(webhook.events)}"
    return what + (f"; of {', '.join(webhook.collections)}" if webhook.collections else "")


def _recorded(webhook: Webhook, event: str, context: CommandContext, changes: str = "") -> Webhook:
    activity.record(context, event, Subject("webhook", webhook.name), webhook.changed_at, changes)
    return webhook
