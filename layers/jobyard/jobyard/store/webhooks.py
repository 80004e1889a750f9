"""Stores the webhooks of a deployment: all in one item, which each end of a batch reads."""

import json
from collections.abc import Sequence

from jobyard.domain.errors import StaleState
from jobyard.domain.webhooks import MAX_DELETED, Webhook, WebhookEvent
from jobyard.store.documents import from_ms, from_ms_or_none, to_ms, to_ms_or_none
from jobyard.store.tables import KeyValueItem, is_version, save_if

_KEY = "webhooks"


def list_all() -> tuple[tuple[Webhook, ...], int]:
    """The webhooks, by name, with those that were deleted last, and the version of their list, 0 if
    there was none yet.
    """
    try:
        item = KeyValueItem.get(_KEY, consistent_read=True)
    except KeyValueItem.DoesNotExist:
        return (), 0
    return tuple(_webhook(*each) for each in json.loads(item.content)), int(item.version or 0)


def put_all(webhooks: Sequence[Webhook], seen: int) -> None:
    """Store the webhooks in place of those of the version `seen`, and the last deleted ones.

    Raises:
        StaleState: someone else changed them meanwhile.
    """
    deleted = sorted(
        (each for each in webhooks if each.is_deleted), key=lambda each: each.changed_at
    )
    present = [each for each in webhooks if not each.is_deleted]
    ordered = sorted([*present, *deleted[-MAX_DELETED:]], key=lambda each: each.name)
    content = json.dumps([_document(each) for each in ordered], separators=(",", ":"))
    item = KeyValueItem(id=_KEY, content=content, version=seen + 1)
    if not save_if(item, is_version(KeyValueItem, seen)):
        raise StaleState("someone else changed the webhooks; read them again")


def _document(webhook: Webhook) -> list[object]:
    return [
        webhook.name,
        webhook.slot,
        webhook.url,
        webhook.secret,
        [each.value for each in webhook.events],
        list(webhook.collections),
        to_ms(webhook.changed_at),
        webhook.actor,
        webhook.reason,
        webhook.cause,
        webhook.is_enabled,
        webhook.former_secret,
        to_ms_or_none(webhook.overlap_ends_at),
    ]


def _webhook(
    name: str,
    slot: int,
    url: str,
    secret: str,
    events: list[str],
    collections: list[str],
    changed_at: int,
    actor: str,
    reason: str,
    cause: str,
    is_enabled: bool,
    former_secret: str,
    overlap_ends_at: int | None,
) -> Webhook:
    return Webhook(
        name,
        slot,
        url,
        secret,
        tuple(map(WebhookEvent, events)),
        tuple(collections),
        from_ms(changed_at),
        actor,
        reason,
        cause,
        is_enabled,
        former_secret,
        from_ms_or_none(overlap_ends_at),
    )
