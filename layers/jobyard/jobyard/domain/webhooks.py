"""Webhooks: URLs that get events, as https://www.standardwebhooks.com says."""

import base64
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from jobyard.domain.text import NAME_BYTES, REASON_BYTES, clean_fields

MAX_WEBHOOKS = 20  # of a deployment
WEBHOOK_NAME_PATTERN = "[a-z0-9]+(-[a-z0-9]+)*"
WEBHOOK_NAME_LENGTH = 40
# How long the former secret signs too, after a rotation.
OVERLAP_HOURS = 24
MAX_OVERLAP_HOURS = 168
MAX_DELETED = 5  # deleted webhooks that are kept
MAX_COLLECTIONS = 50  # that a webhook names
# From one attempt to the next, as the specification proposes; after three days it has failed.
PAUSES = tuple(timedelta(minutes=each) for each in (1, 5, 30, 120, 300, 600, 840, 1200, 1440))
WEBHOOK_TRIES = len(PAUSES) + 1
_SECRET_PREFIX = "whsec_"
_FIRST_SEQ = 500_000  # of webhooks among an origin's reports, which have the numbers below


class WebhookEvent(StrEnum):
    """What happened. A change of its data that breaks readers is a new version."""

    BATCH_ENDED = "batch.ended.v1"
    CAMPAIGN_ENDED = "campaign.ended.v1"
    SCHEDULE_JOB_FAILED = "schedule_job.failed.v1"


@dataclass(frozen=True)
class Webhook:
    """A URL that gets `events`: those of batches only from its `collections`, if it has some. Its
    `secret` signs the deliveries, and `former_secret` too until `overlap_ends_at`. `slot` numbers a
    deployment's webhooks. One that was deleted has no events and no secret; it is kept so that a
    repeated request finds it.
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
    is_enabled: bool = True
    former_secret: str = ""
    overlap_ends_at: datetime | None = None

    def __post_init__(self) -> None:
        clean_fields(self, actor=NAME_BYTES, reason=REASON_BYTES)

    @property
    def is_deleted(self) -> bool:
        """Whether it was deleted."""
        return not self.events

    def secrets(self, now: datetime) -> tuple[str, ...]:
        """The secrets that sign a delivery now, the newest first."""
        is_overlap = self.overlap_ends_at is not None and now < self.overlap_ends_at
        return (self.secret, self.former_secret) if is_overlap else (self.secret,)

    def wants(self, event: WebhookEvent, collection: str) -> bool:
        """Whether it gets an event; `collection` is "" for what has none."""
        wanted = self.is_enabled and event in self.events
        return wanted and (not self.collections or collection in self.collections)


def new_secret(key: bytes, *parts: str) -> str:
    """A secret that follows from a key of the deployment and `parts`, which are never the same for
    two secrets: 32 bytes, as the specification writes them.
    """
    digest = hmac.digest(key, "\n".join(("webhook", *parts)).encode(), "sha256")
    return _SECRET_PREFIX + base64.b64encode(digest).decode()


def headers(webhook_id: str, at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers of a delivery: its id, which all attempts share, the time of this one, and a
    signature by each secret.
    """
    timestamp = str(int(at.timestamp()))
    signed = b".".join((webhook_id.encode(), timestamp.encode(), body))
    return {
        "Content-Type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{_signature(each, signed)}" for each in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    return base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def payload(event: WebhookEvent, at: datetime, data: Mapping[str, Any]) -> bytes:
    """The body of a delivery: what happened, when, and ids, counts and links."""
    document = {
        "type": event.value,
        "timestamp": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": dict(data),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def webhook_seq(number: int, slot: int) -> int:
    """The number of a delivery among an origin's reports: of its `number`th report, to a `slot`."""
    return _FIRST_SEQ + number * MAX_WEBHOOKS + slot


def webhook_slot(seq: int) -> int:
    """The slot of the webhook that gets a delivery, by its number among an origin's reports."""
    return (seq - _FIRST_SEQ) % MAX_WEBHOOKS


def webhook_id(origin_id: str, seq: int) -> str:
    """The id of a delivery, by which its receiver recognizes a repeat."""
    return f"msg_{origin_id}_{seq}"


def address_of_delivery(webhook_id: str) -> tuple[str, int] | None:
    """The origin and the number among its reports that the id of a delivery names; None if it is
    no such id.
    """
    found = re.fullmatch(r"msg_([a-z0-9]{1,40})_([0-9]{1,9})", webhook_id)
    return (found[1], int(found[2])) if found else None


def next_attempt_at(tries: int, at: datetime) -> datetime:
    """When a delivery is tried next, after this number of attempts, the last one `at`."""
    return at + PAUSES[min(tries, len(PAUSES)) - 1] if tries else at
