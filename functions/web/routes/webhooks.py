"""Webhooks: their settings, secrets and deliveries. For administrators only."""

from typing import Any
from urllib.parse import quote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from gateway.errors import ValidationFailed
from jobyard.domain.batches.report import Report
from jobyard.domain.errors import JobyardError, NotFound
from jobyard.domain.ids import origin_of
from jobyard.domain.redaction import redacted
from jobyard.domain.urls import URL_LENGTH
from jobyard.domain.webhooks import OVERLAP_HOURS, Webhook, WebhookEvent, webhook_id
from jobyard.services import webhooks
from jobyard.services.reports.commands import resend_refusal
from jobyard.services.webhooks import WebhookEdit, WebhookSettings
from web.address import address_of
from web.event_buttons import EventButton
from web.forms import handle_form, number_in, refusal_values, status_of
from web.request import PageRequest, current_request, page_links
from web.responses import page

router = Router()  # type: ignore[no-untyped-call]

_PAGE_SIZE = 50
_EVENT_LABELS = (
    (WebhookEvent.BATCH_ENDED, "A batch has ended"),
    (WebhookEvent.CAMPAIGN_ENDED, "A campaign has ended"),
    (WebhookEvent.SCHEDULE_JOB_FAILED, "A job of a schedule has failed"),
)
_OVERLAPS = (("0", "No overlap"), ("1", "1 hour"), ("24", "24 hours"), ("168", "7 days"))
_BUTTONS = {
    "disable": ("Disable", "pause", "No event is delivered to it, and pending deliveries fail."),
    "enable": ("Enable", "play", "Events from now on are delivered to it."),
    "delete": ("Delete", "trash-2", "No event is delivered to it, and pending deliveries fail."),
}


@router.get("/webhooks")
def list_webhooks() -> Response[str]:
    """The webhooks by name, and the form of a new one."""
    return _list_page(current_request(router))


def _list_page(request: PageRequest, refusal: JobyardError | None = None) -> Response[str]:
    found = webhooks.list_webhooks(request.query_context)
    values = {
        "webhooks": [{"webhook": each, "url": redacted(each.url, URL_LENGTH)} for each in found],
        "events": _EVENT_LABELS,
        "chosen": request.form.get("events", []) if refusal else [*WebhookEvent],
        **refusal_values(request, refusal),
    }
    return page("webhooks.html", request, values, status=status_of(refusal))


@router.post("/webhooks")
def create_webhook() -> Response[str]:
    """Create a webhook, and show its secret."""
    request = current_request(router)

    def act() -> Response[str]:
        settings = WebhookSettings(request.field("url"), _events(request), _collections(request))
        return _secret_page(
            webhooks.create(request.field("name"), settings, request.command_context()), request
        )

    return handle_form(act, lambda refusal: _list_page(request, refusal))


def _secret_page(webhook: Webhook, request: PageRequest) -> Response[str]:
    """The one page with a new secret. A repeat of its form shows it again; no address does."""
    return page("webhook_secret.html", request, {"webhook": webhook, "now": request.site.now()})


@router.get("/webhooks/<name>")
def show_webhook(name: str) -> Response[str]:
    """One webhook, with its deliveries."""
    return _webhook_page(current_request(router), name)


def _webhook_page(
    request: PageRequest, name: str, refusal: JobyardError | None = None
) -> Response[str]:
    context = request.query_context
    webhook = webhooks.get_webhook(name, context)
    pagination = request.pagination("webhook deliveries", name)
    start = pagination.start(request.query.get("cursor", ""), "")
    found, following = webhooks.list_deliveries(name, context, before=start, limit=_PAGE_SIZE)
    is_update = bool(refusal) and request.is_post_to(f"/webhooks/{name}/update")
    url = redacted(webhook.url, URL_LENGTH)
    values = {
        "webhook": webhook,
        "url": url,
        "is_overlap": len(webhook.secrets(context.now)) > 1,
        "buttons": [_button(each, webhook) for each in _events_of(webhook)],
        "events": _EVENT_LABELS,
        "fields": {
            "url": request.field("url") if is_update else url,
            "events": request.form.get("events", []) if is_update else [*webhook.events],
            "collections": request.field("collections")
            if is_update
            else ", ".join(webhook.collections),
        },
        "overlaps": _OVERLAPS,
        "overlap": str(OVERLAP_HOURS),
        "deliveries": [_delivery_row(each, webhook) for each in found],
        **page_links(request, pagination.next_cursor(following)),
        **refusal_values(request, refusal),
    }
    return page("webhook.html", request, values, status=status_of(refusal))


def _events_of(webhook: Webhook) -> tuple[str, ...]:
    return ("disable" if webhook.is_enabled else "enable", "delete")


def _button(event: str, webhook: Webhook) -> EventButton:
    label, icon, effect = _BUTTONS[event]
    address = f"/webhooks/{webhook.name}/{event}"
    return EventButton(event, address, label, icon, effect, is_dangerous=event == "delete")


def _delivery_row(report: Report, webhook: Webhook) -> dict[str, Any]:
    """A delivery as the table shows it, with the button that sends it again."""
    delivery_id = webhook_id(report.batch_id, report.seq)
    refusal = "" if webhook.is_enabled else "the webhook is disabled; enable it first"
    button = EventButton(
        name=f"redeliver-{delivery_id}",
        address=f"/webhooks/{webhook.name}/deliveries/{quote(delivery_id)}/redeliver",
        label="Redeliver",
        icon="send",
        effect="It is sent within a minute, with the same id.",
        unavailable_reason=refusal or resend_refusal(report),
    )
    return {
        "report": report,
        "delivery_id": delivery_id,
        "event": report.subject.partition(" ")[0],
        "origin": address_of(origin_of(report.batch_id), report.batch_id),
        "redeliver": button,
    }


@router.post("/webhooks/<name>/<event>")
def post_event(name: str, event: str) -> Response[str]:
    """Change a webhook, rotate its secret, disable, enable or delete it."""
    request = current_request(router)

    def act() -> str | Response[str]:
        context = request.command_context()
        if event == "rotate_secret":
            return _secret_page(webhooks.rotate_secret(name, context, _overlap(request)), request)
        if event == "update":
            webhooks.update(name, _edit(request, name), context)
        elif event == "disable":
            webhooks.disable(name, context)
        elif event == "enable":
            webhooks.enable(name, context)
        elif event == "delete":
            webhooks.delete(name, context)
            return "/webhooks"
        else:
            raise NotFound(f"a webhook has no event {event!r}")
        return f"/webhooks/{name}"

    return handle_form(act, lambda refusal: _webhook_page(request, name, refusal))


@router.post("/webhooks/<name>/deliveries/<delivery_id>/redeliver")
def redeliver(name: str, delivery_id: str) -> Response[str]:
    """Send a delivery again."""
    request = current_request(router)

    def act() -> str:
        webhooks.redeliver(name, delivery_id, request.command_context())
        return f"/webhooks/{name}"

    return handle_form(act, lambda refusal: _webhook_page(request, name, refusal))


def _edit(request: PageRequest, name: str) -> WebhookEdit:
    """The fields of the form. A URL that was shown without its secrets and left so is kept."""
    stored = webhooks.get_webhook(name, request.query_context)
    url = request.field("url")
    is_kept = url == redacted(stored.url, URL_LENGTH)
    return WebhookEdit(None if is_kept else url, _events(request), _collections(request))


def _events(request: PageRequest) -> tuple[WebhookEvent, ...]:
    wanted = request.form.get("events", [])
    return tuple(each for each in WebhookEvent if each.value in wanted)


def _collections(request: PageRequest) -> tuple[str, ...]:
    return tuple(dict.fromkeys(request.field("collections").replace(",", " ").split()))


def _overlap(request: PageRequest) -> int:
    """The hours in which both secrets sign.

    Raises:
        ValidationFailed: it is no number.
    """
    hours = number_in(request.field("overlap_hours"))
    if isinstance(hours, str):
        raise ValidationFailed([("overlap_hours", "Choose how long the former secret signs.")])
    return hours
