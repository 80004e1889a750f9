"""The buttons for events: what each does, and why it cannot be sent now."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jobyard.domain.access import refusal as access_refusal
from jobyard.domain.access import roles_for
from jobyard.domain.batches.report import Report
from jobyard.domain.lifecycle import UnavailableEvent
from jobyard.services.reports.commands import resend_refusal
from web.request import PageRequest

# The label, the icon, and what happens, by kind and event. An event may be dangerous: it cannot be
# taken back.
_TEXTS: Mapping[tuple[str, str], tuple[str, str, str]] = {
    ("batch", "release"): ("Release", "play", "Its manifest is opened and its jobs start."),
    ("batch", "cancel"): (
        "Cancel",
        "circle-slash",
        "No further job starts. Running jobs end, then the batch is reported.",
    ),
    ("batch", "delete"): (
        "Delete",
        "trash-2",
        "The batch is removed from the lists. Its history stays.",
    ),
    ("batch", "update_reporting"): (
        "Update reporting",
        "mail",
        "The jobs are compared with the last report. If an outcome has changed, a new report is "
        "sent.",
    ),
    ("job", "hold"): ("Hold", "pause", "It does not start until somebody releases it."),
    ("job", "release"): ("Release", "play", "It starts when a worker is free."),
    ("job", "force_fail"): (
        "Force fail",
        "circle-x",
        "It ends as failed, even if a worker still runs it.",
    ),
    ("job", "cancel"): ("Cancel", "circle-slash", "It ends as cancelled and cannot be requeued."),
    ("job", "requeue"): (
        "Requeue",
        "rotate-cw",
        "It starts again after its last successful step.",
    ),
    ("job", "delete"): ("Delete", "trash-2", "It counts as removed. Its history stays."),
    ("schedule", "suspend"): ("Suspend", "pause", "No run starts until it is resumed."),
    ("schedule", "resume"): ("Resume", "play", "Runs start again at their next time."),
    ("schedule", "run_now"): (
        "Run now",
        "play",
        "A job starts at once; the next run stays.",
    ),
    ("schedule", "delete"): ("Delete", "trash-2", "It runs no more. Its history stays."),
}
_DANGEROUS = frozenset({"cancel", "delete", "force_fail"})


@dataclass(frozen=True)
class EventButton:
    """A button that sends an event, or says why it cannot be sent.

    `address` takes the POST. `is_refused` if it has just been refused: then its form stays open.
    With `asks_until` the form has a field for when it ends by itself.
    """

    name: str
    address: str
    label: str
    icon: str
    effect: str
    is_available: bool
    unavailable_reason: str
    is_dangerous: bool
    is_refused: bool
    reason: str
    asks_until: bool = False


def event_buttons(
    kind: str,
    address: str,
    actions: Iterable[str],
    unavailable: Iterable[UnavailableEvent],
    request: PageRequest,
) -> list[EventButton]:
    """The buttons of a thing of `kind` at `address`: those that work, then the others."""
    reasons = {each.event: each.reason for each in unavailable}
    return [
        _button(kind, address, event, reasons.get(event, ""), request)
        for event in (*actions, *reasons)
        if (kind, event) in _TEXTS
    ]


def _button(
    kind: str, address: str, event: str, unavailable_reason: str, request: PageRequest
) -> EventButton:
    label, icon, effect = _TEXTS[kind, event]
    target = f"{address}/{event}"
    return EventButton(
        name=event,
        address=target,
        label=label,
        icon=icon,
        effect=effect,
        is_available=not unavailable_reason,
        unavailable_reason=unavailable_reason,
        is_dangerous=event in _DANGEROUS,
        is_refused=request.method == "POST" and request.path == target,
        reason="required",
        asks_until=(kind, event) == ("schedule", "suspend"),
    )


def resend_button(report: Report, request: PageRequest) -> EventButton:
    """The button that sends the mail of a report again."""
    address = f"/batches/{report.batch_id}/reports/{report.seq}/resend"
    unavailable_reason = resend_refusal(report)
    if not request.may("batch", "resend_report"):
        who = roles_for("batch", "resend_report")
        unavailable_reason = access_refusal("batch", "resend_report", who)
    return EventButton(
        name=f"resend-{report.seq}",
        address=address,
        label="Send again",
        icon="send",
        effect=f"Its mail goes to {', '.join(report.to)} within a minute.",
        is_available=not unavailable_reason,
        unavailable_reason=unavailable_reason,
        is_dangerous=False,
        is_refused=request.method == "POST" and request.path == address,
        reason="required",
    )
