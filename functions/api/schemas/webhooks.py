"""Webhooks."""

from datetime import datetime

from pydantic import Field, StrictBool

from api.context import RequestContext
from api.schemas.fields import Collection, Links, Reason, Schema
from jobyard.domain import webhooks as domain
from jobyard.domain.redaction import redacted
from jobyard.domain.urls import URL_LENGTH
from jobyard.domain.webhooks import MAX_COLLECTIONS, MAX_WEBHOOKS, WebhookEvent
from jobyard.services.webhooks import StoredWebhook, WebhookRequest

_COLLECTIONS = "Only batches of these collections count; all if it is empty."


class PutWebhookRequest(Schema, extra="forbid"):
    """A webhook to create or to replace."""

    url: str = Field(
        min_length=1,
        max_length=URL_LENGTH,
        description="The https URL to call. It may not lead into a private network.",
        examples=["https://hooks.example.org/jobyard"],
    )
    events: list[WebhookEvent] = Field(
        min_length=1, max_length=len(WebhookEvent), description="What it is called about."
    )
    collections: list[Collection] = Field(
        default_factory=list, max_length=MAX_COLLECTIONS, description=_COLLECTIONS
    )
    new_secret: StrictBool = Field(
        default=False, description="Replace its secret. A new webhook has a new one anyway."
    )
    reason: Reason

    def request(self, name: str) -> WebhookRequest:
        """The webhook that is wanted."""
        events, collections = dict.fromkeys(self.events), dict.fromkeys(self.collections)
        return WebhookRequest(name, self.url, (*events,), (*collections,), self.new_secret)


class Webhook(Schema):
    """A URL that is called when something ends."""

    name: str = Field(description="Its name.")
    url: str = Field(description="The URL that is called, without secrets in its query.")
    events: list[WebhookEvent] = Field(description="What it is called about.")
    collections: list[str] = Field(description=_COLLECTIONS)
    secret: str | None = Field(
        description="The key that signs calls, if this request made it; null otherwise. It is not "
        "shown again."
    )
    changed_at: datetime = Field(description="When it was last changed.")
    actor: str = Field(description="Who changed it.")
    reason: str = Field(description="Why.")
    links: Links

    @classmethod
    def of(cls, webhook: domain.Webhook, request: RequestContext, secret: str | None) -> "Webhook":
        """A webhook as it is stored."""
        return cls(
            name=webhook.name,
            url=redacted(webhook.url, URL_LENGTH),
            events=[*webhook.events],
            collections=[*webhook.collections],
            secret=secret,
            changed_at=webhook.changed_at,
            actor=webhook.actor,
            reason=webhook.reason,
            links={"self": request.link(f"webhooks/{webhook.name}")},
        )

    @classmethod
    def stored(cls, stored: StoredWebhook, request: RequestContext) -> "Webhook":
        """A webhook that was just put, with its secret if that is new."""
        webhook = stored.webhook
        return cls.of(webhook, request, webhook.secret if stored.has_new_secret else None)


class WebhookList(Schema):
    """All webhooks, by name."""

    items: list[Webhook] = Field(max_length=MAX_WEBHOOKS)
