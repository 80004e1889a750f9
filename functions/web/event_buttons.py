"""The buttons for events: what each does, and why it cannot be sent now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from jobyard.domain.access import refusal as access_refusal
from jobyard.domain.access import roles_for
from jobyard.domain.errors import InvalidTransition, JobyardError
from jobyard.domain.lifecycle import UnavailableEvent
from jobyard.domain.plurals import alternatives
from web.filters import sentence, words
from web.forms import refusal_values
from web.request import PageRequest

# The label, the icon, and the effect of an event, by kind and event.
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
    ("job", "delete"): ("Delete", "trash-2", "It is counted as deleted. Its history stays."),
    ("task", "cancel"): (
        "Cancel",
        "circle-slash",
        "It ends as cancelled: if it runs, after its step or part. It cannot be requeued.",
    ),
    ("task", "requeue"): (
        "Requeue",
        "rotate-cw",
        "It runs again from the step that failed, when the window and the rate of its job allow "
        "it.",
    ),
    ("campaign", "change"): ("Change", "pencil", "Its end, its rate, or how many run at once."),
    ("campaign", "retry"): (
        "Retry what failed",
        "rotate-cw",
        "A new one starts for the tasks that have not succeeded.",
    ),
    ("campaign", "pause"): (
        "Pause",
        "pause",
        "No task starts until it is resumed. A task that runs stops after its step or part.",
    ),
    ("campaign", "resume"): (
        "Resume",
        "play",
        "Tasks start again, if its window is open. Failures until now no longer count for its "
        "abort rule.",
    ),
    ("campaign", "cancel"): (
        "Cancel",
        "circle-slash",
        "Tasks that wait end now, those that run after their step or part. Done stays done.",
    ),
    ("campaign", "force"): (
        "Force to end",
        "circle-x",
        "It ends now, and waits for nothing. A device may be left half done; it stays reserved for "
        "up to 16 minutes, in case its worker still runs.",
    ),
    **{
        (kind, event): texts
        for kind in ("edit", "fixup", "review")
        for event, texts in {
            "activate": ("Activate", "hand", "It is yours, and its package is written."),
            "download": ("Download", "download", "You get its package, a zip."),
            "relinquish": (
                "Relinquish",
                "undo-2",
                "Another person may activate it. The edits that you have not uploaded stay with "
                "you; those that you have are dropped.",
            ),
        }.items()
    },
    ("edit", "finish"): ("Finish", "check", "It is completed without changes."),
    ("edit", "delete"): ("Delete", "trash-2", "The proposal is removed from the lists."),
    ("edit", "revoke"): (
        "Revoke",
        "undo-2",
        "It is a proposal again, and the work on it is dropped. Its worker gets a mail.",
    ),
    ("edit", "release"): (
        "Release",
        "hand",
        "The claim of its worker ends, and their work is dropped. Others of the team may activate "
        "it.",
    ),
    ("edit", "abandon"): (
        "Abandon",
        "circle-slash",
        "It ends, and all work on it is dropped, that on its open child too.",
    ),
    ("edit", "retry"): ("Retry", "rotate-cw", "It is allocated again, as it was."),
    ("edit", "archive"): ("Archive", "archive", "It is hidden, and kept for the record."),
    ("edit", "publish_again"): ("Publish again", "send", "Its commit is published once more."),
    ("schedule", "suspend"): ("Suspend", "pause", "No run starts until it is resumed."),
    ("schedule", "resume"): ("Resume", "play", "Runs start again at their next time."),
    ("schedule", "run_now"): (
        "Run now",
        "circle-play",
        "A job starts at once. The next scheduled run stays as it is.",
    ),
    ("schedule", "delete"): ("Delete", "trash-2", "No run starts any more. Its history stays."),
}
# The effect of an event that is sent to many jobs at once.
_EFFECTS_OF_MANY: Mapping[str, str] = {
    "hold": "They do not start until somebody releases them.",
    "release": "They start when workers are free.",
    "force_fail": "They end as failed, even if workers still run them.",
    "cancel": "They end as cancelled and cannot be requeued.",
    "requeue": "Each starts again after its last successful step.",
    "delete": "They are counted as deleted. Their history stays.",
}
_ASKS_UNTIL = frozenset({("schedule", "suspend"), ("campaign", "pause")})
_NOTHING = "Nothing else is possible now"
# What they do cannot be undone.
_DANGEROUS = frozenset({"abandon", "cancel", "delete", "force", "force_fail", "revoke"})
# Events of edit jobs that people send often, and that need no reason.
_AT_ONCE = frozenset({"activate", "download", "finish", "publish_again"})
_REASON_OPTIONAL = frozenset(
    ("edit", each) for each in ("archive", "delete", "release", "retry")
) | frozenset((kind, "relinquish") for kind in ("edit", "fixup", "review"))


@dataclass(frozen=True)
class EventButton:
    """A button that opens the form of an event, or says why it cannot be sent.

    `name` is unique on its page. The form is posted to `address`. `effect` is what the event does,
    in a sentence. `unavailable_reason` is "" if the event can be sent. With `asks_until` the form
    has a field for the time when the effect ends. One that `is_at_once` is sent by a click.
    """

    name: str
    address: str
    label: str
    icon: str
    effect: str
    unavailable_reason: str = ""
    is_dangerous: bool = False
    is_reason_required: bool = True
    asks_until: bool = False
    is_at_once: bool = False


def event_buttons(
    kind: str,
    address: str,
    actions: Iterable[str],
    unavailable: Iterable[UnavailableEvent],
    labels: Mapping[str, str] = MappingProxyType({}),
) -> list[EventButton]:
    """The buttons of an entity of `kind` at `address`: first those that work. `labels` are
    what its page calls its states.
    """
    reasons = {each.event: reason_in_labels(each, labels) for each in unavailable}
    return [
        _button(kind, address, event, reasons.get(event, ""))
        for event in (*actions, *reasons)
        if (kind, event) in _TEXTS
    ]


def _button(kind: str, address: str, event: str, unavailable_reason: str) -> EventButton:
    label, icon, effect = _TEXTS[kind, event]
    return EventButton(
        name=event,
        address=f"{address}/{event}",
        label=label,
        icon=icon,
        effect=effect,
        unavailable_reason=unavailable_reason,
        is_dangerous=event in _DANGEROUS,
        is_reason_required=(kind, event) not in _REASON_OPTIONAL,
        asks_until=(kind, event) in _ASKS_UNTIL,
        is_at_once=kind in {"edit", "fixup", "review"} and event in _AT_ONCE,
    )


def reason_in_labels(
    unavailable: UnavailableEvent, labels: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Why an event cannot be sent, with the states as the page calls them: by `labels`, or by their
    names.
    """
    if not unavailable.needs:
        return unavailable.reason

    def label(state: str) -> str:
        return labels.get(state) or words(state).capitalize()

    needs = dict.fromkeys(label(each) for each in unavailable.needs)
    return f"it must be {alternatives([*needs])}; it is {label(unavailable.state)}"


def event_values(
    buttons: Sequence[EventButton], request: PageRequest, refusal: JobyardError | None
) -> dict[str, object]:
    """The values of a page with these buttons. If its state refused one that somebody else had
    changed meanwhile, the page says so in its own words, and what the person can do now.
    """
    values = {"buttons": buttons, **refusal_values(request, refusal)}
    if type(refusal) is InvalidTransition:
        for each in buttons:
            if each.unavailable_reason and request.is_post_to(each.address):
                possible = [other.label for other in buttons if not other.unavailable_reason]
                hint = f"Possible now: {', '.join(possible)}" if possible else _NOTHING
                values["refusal"] = (
                    f"{sentence(f'{each.label}: {each.unavailable_reason}')} {hint}."
                )
    return values


def button_for_many(batch_id: str, event: str, number: int = 2) -> EventButton:
    """The button that sends an event to that many jobs of a batch."""
    label, icon, effect = _TEXTS["job", event]
    return EventButton(
        name=event,
        address=f"/batches/{batch_id}/operations",
        label=label,
        icon=icon,
        effect=effect if number == 1 else _EFFECTS_OF_MANY[event],
        is_dangerous=event in _DANGEROUS,
    )


def role_reason(kind: str, event: str, request: PageRequest) -> str:
    """Why the person's roles do not allow an event; "" if they do."""
    if request.may(kind, event):
        return ""
    return access_refusal(kind, event, roles_for(kind, event))
