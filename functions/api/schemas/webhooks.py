"""Webhooks and their deliveries."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from api.context import RequestContext
from api.schemas.fields import Collection, Links, NextCursor, Reason, Schema
from api.schemas.reports import WebhookDelivery
from jobyard.domain import webhooks as domain
from jobyard.domain.redaction import redacted
from jobyard.domain.urls import URL_LENGTH
from jobyard.domain.webhooks import (
    MAX_COLLECTIONS,
    MAX_OVERLAP_HOURS,
    MAX_WEBHOOKS,
    OVERLAP_HOURS,
    WEBHOOK_NAME_LENGTH,
    WEBHOOK_NAME_PATTERN,
    WebhookEvent,
)
from jobyard.services.webhooks import WebhookEdit, WebhookSettings

_COLLECTIONS = "Only events of batches in these collections are delivered; all if it is empty."
_EVENTS = "The events that it gets."
_NAME = "Its name, which cannot change."

Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=URL_LENGTH,
        description="The https URL that gets the events. It may not lead into a private network.",
        examples=["https://hooks.example.org/jobyard"],
    ),
]
Events = Annotated[
    list[WebhookEvent],
    Field(min_length=1, max_length=len(WebhookEvent), description=_EVENTS),
]
Collections = Annotated[
    list[Collection], Field(max_length=MAX_COLLECTIONS, description=_COLLECTIONS)
]


class NewWebhook(Schema, extra="forbid"):
    """A webhook to create."""

    name: str = Field(
        max_length=WEBHOOK_NAME_LENGTH,
        pattern=f"^{WEBHOOK_NAME_PATTERN}$",
        description=_NAME,
        examples=["repository"],
    )
    url: Url
    events: Events
    collections: Collections = Field(default_factory=list)
    reason: Reason

    def settings(self) -> WebhookSettings:
        """The settings of the new webhook."""
        events, collections = dict.fromkeys(self.events), dict.fromkeys(self.collections)
        return WebhookSettings(self.url, (*events,), (*collections,))


class WebhookChanges(Schema, extra="forbid"):
    """What to change of a webhook. Fields that are left out do not change."""

    url: Url | None = Field(default=None, description="The https URL that gets the events.")
    events: Events | None = Field(default=None, description=_EVENTS)
    collections: Collections | None = Field(default=None, description=_COLLECTIONS)
    reason: Reason

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set - {"reason"}:
            raise ValueError("give at least one of url, events and collections")
        return self

    def edit(self) -> WebhookEdit:
        """The fields to change."""
        return WebhookEdit(
            self.url,
            None if self.events is None else tuple(dict.fromkeys(self.events)),
            None if self.collections is None else tuple(dict.fromkeys(self.collections)),
        )


class SecretRotation(Schema, extra="forbid"):
    """A new secret for a webhook."""

    overlap_hours: int = Field(
        default=OVERLAP_HOURS,
        ge=0,
        le=MAX_OVERLAP_HOURS,
        description="How many hours the former secret signs as well; 0 for none.",
    )
    reason: Reason


class Webhook(Schema):
    """A URL that gets a signed request when something ends."""

    name: str = Field(description=_NAME)
    url: str = Field(description="The URL that gets the events, without secrets in its query.")
    events: list[WebhookEvent] = Field(description=_EVENTS)
    collections: list[str] = Field(description=_COLLECTIONS)
    enabled: bool = Field(description="Whether events are delivered to it.")
    secret: str | None = Field(
        description="The key that signs deliveries, if this request made it; null otherwise. It is "
        "not shown again."
    )
    overlap_ends_at: datetime | None = Field(
        description="Until when the former secret signs as well; null if it does not."
    )
    changed_at: datetime = Field(description="When it was last changed.")
    actor: str = Field(description="Who changed it.")
    reason: str = Field(description="Why.")
    links: Links

    @classmethod
    def of(
        cls, webhook: domain.Webhook, request: RequestContext, *, with_secret: bool = False
    ) -> "Webhook":
        """A webhook as it is stored."""
        is_overlap = len(webhook.secrets(request.app.now())) > 1
        own = request.link(f"webhooks/{webhook.name}")
        return cls(
            name=webhook.name,
            url=redacted(webhook.url, URL_LENGTH),
            events=[*webhook.events],
            collections=[*webhook.collections],
            enabled=webhook.is_enabled,
            secret=webhook.secret if with_secret else None,
            overlap_ends_at=webhook.overlap_ends_at if is_overlap else None,
            changed_at=webhook.changed_at,
            actor=webhook.actor,
            reason=webhook.reason,
            links={"self": own, "deliveries": f"{own}/deliveries"},
        )


class WebhookList(Schema):
    """All webhooks, by name."""

    items: list[Webhook] = Field(max_length=MAX_WEBHOOKS)


class WebhookDeliveryList(Schema):
    """A page of the deliveries of a webhook, newest first."""

    items: list[WebhookDelivery]
    next_cursor: NextCursor
