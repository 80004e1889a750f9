"""Webhooks: URLs that are called when something ends, as https://www.standardwebhooks.com says."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from jobyard.domain.text import NAME_BYTES, REASON_BYTES, clean_fields

MAX_WEBHOOKS = 20  # of a deployment
MAX_DELETED = 5  # deleted webhooks that are kept
MAX_COLLECTIONS = 50  # that a webhook names
# From one try to the next, as the specification proposes; then it is given up, after three days.
PAUSES = tuple(timedelta(minutes=each) for each in (1, 5, 30, 120, 300, 600, 840, 1200, 1440))
WEBHOOK_TRIES = len(PAUSES) + 1
_SECRET_PREFIX = "whsec_"
_FIRST_SEQ = 500_000  # of webhooks among an origin's reports, which have the numbers below


class WebhookEvent(StrEnum):
    """What a webhook is called about. A change of its data that breaks readers is a new version."""

    BATCH_ENDED = "batch.ended.v1"
    CAMPAIGN_ENDED = "campaign.ended.v1"
    SCHEDULE_JOB_FAILED = "schedule_job.failed.v1"


@dataclass(frozen=True)
class Webhook:
    """A URL to call about `events`: of batches only if they are in one of `collections`, if it has
    some. Its `secret` signs the calls; `slot` numbers a deployment's webhooks. One that was deleted
    has no events and no secret; it is kept so that a repeated request finds it.
    """

    name: str
    slot: int
    url: str
    secret: str
    events: tuple[WebhookEvent, ...]
    collections: tuple[str, ...]
    changed_at: datetime
    actor: str
    reason: str
    cause: str

    def __post_init__(self) -> None:
        clean_fields(self, actor=NAME_BYTES, reason=REASON_BYTES)

    @property
    def is_deleted(self) -> bool:
        """Whether it was deleted."""
        return not self.events

    def wants(self, event: WebhookEvent, collection: str) -> bool:
        """Whether it is called about an event; `collection` is "" for what has none."""
        return event in self.events and (not self.collections or collection in self.collections)


def new_secret(key: bytes, *parts: str) -> str:
    """A secret that follows from a key of the deployment and `parts`, which are never the same for
    two secrets: 32 bytes, as the specification writes them.
    """
    digest = hmac.digest(key, "\n".join(("webhook", *parts)).encode(), "sha256")
    return _SECRET_PREFIX + base64.b64encode(digest).decode()


def headers(webhook_id: str, at: datetime, body: bytes, secret: str) -> dict[str, str]:
    """The headers of a call: its id, which all tries share, the time of this one, and the
    signature.
    """
    timestamp = str(int(at.timestamp()))
    signed = b".".join((webhook_id.encode(), timestamp.encode(), body))
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {
        "Content-Type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }


def payload(event: WebhookEvent, at: datetime, data: Mapping[str, Any]) -> bytes:
    """The body of a call: what happened, when, and ids, counts and links."""
    document = {
        "type": event.value,
        "timestamp": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": dict(data),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def webhook_seq(number: int, slot: int) -> int:
    """The number of a call among an origin's reports: of its `number`th report, to a `slot`."""
    return _FIRST_SEQ + number * MAX_WEBHOOKS + slot


def webhook_id(origin_id: str, seq: int) -> str:
    """The id of a call, by which its receiver recognizes a repeat."""
    return f"msg_{origin_id}_{seq}"
