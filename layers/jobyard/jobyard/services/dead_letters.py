"""Dead letters: events that could not be delivered. People list, redrive or discard them.

Listing receives messages with a visibility timeout of 0, so that everybody still sees them. A
command receives messages until it finds its own, which nobody else can handle until its visibility
timeout ends, and makes the others visible again at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jobyard.domain.activity import Subject
from jobyard.domain.dead_letter import DeadLetter, dead_letter
from jobyard.domain.errors import InvalidTransition, StaleState
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext, QueryContext, require_reason
from jobyard.services.reports.mail_events import record_mail_event
from jobyard.services.settings import Settings

_MAX_MESSAGES = 10  # that one receive can return: the limit of SQS
_VISIBILITY_TIMEOUT_S = 15  # of the messages that a command receives
_MAX_RECEIVES = 20  # of a command that looks for its letter
_COUNT_ATTRIBUTES = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


@dataclass(frozen=True)
class DeadLetters:
    """The number of dead letters, roughly, and some of them, oldest first."""

    number: int
    shown: tuple[DeadLetter, ...]


def list_dead_letters(sqs: Any, context: QueryContext) -> DeadLetters:
    """The dead letters. `sqs` is a client of SQS.

    Raises:
        Forbidden: the actor may not see them.
    """
    authorize(context.actor, "dead letter", "view")
    queue = context.settings.dead_letters
    number = dead_letter_count(sqs, context.settings)
    letters = {each.letter_id: each for each, _ in _receive(sqs, queue, 0)} if number else {}
    oldest_first = sorted(letters.values(), key=lambda each: (each.sent_at, each.letter_id))
    return DeadLetters(max(number, len(letters)), tuple(oldest_first))


def dead_letter_count(sqs: Any, settings: Settings) -> int:
    """The number of dead letters, roughly, for what is computed for all readers."""
    found = sqs.get_queue_attributes(
        QueueUrl=settings.dead_letters, AttributeNames=_COUNT_ATTRIBUTES
    )
    return sum(int(found["Attributes"][name]) for name in _COUNT_ATTRIBUTES)


def redrive(letter_id: str, sqs: Any, context: CommandContext) -> None:
    """Handle the event of a letter now, then delete the letter. It is not moved back to a queue.

    The batch of a new manifest starts: the execution has the letter's id in its name, so it starts
    once, however often this is repeated. A second batch cannot follow: the machine continues the
    one that the manifest has. A mail event is recorded in its report, where an older event changes
    nothing.

    Raises:
        Forbidden: the actor may not. BadRequest: no reason is given.
        InvalidTransition: it cannot be redriven, or its report does not exist any more.
        StaleState: the letter is not in the queue now, or someone else wrote its report meanwhile.
    """
    authorize(context.actor, "dead letter", "redrive")
    require_reason(context, "redrive")
    letter, receipt = _take(letter_id, sqs, context)
    if refusal := letter.redrive_refusal(context.settings.intake_bucket):
        raise InvalidTransition(f"the event is not redriven: {refusal}")
    if letter.mail_event is None:
        context.executions.start_manifest(letter.letter_id, letter.event)
    elif record_mail_event(letter.mail_event, context.now()) is None:
        raise InvalidTransition("the event is not redriven: its report does not exist any more")
    _finish("redrive", letter, receipt, sqs, context)


def discard(letter_id: str, sqs: Any, context: CommandContext) -> None:
    """Delete a letter.

    Raises:
        Forbidden: the actor may not. BadRequest: no reason is given.
        StaleState: the letter is not in the queue now.
    """
    authorize(context.actor, "dead letter", "discard")
    require_reason(context, "discard")
    letter, receipt = _take(letter_id, sqs, context)
    _finish("discard", letter, receipt, sqs, context)


def _finish(
    event: str, letter: DeadLetter, receipt: str, sqs: Any, context: CommandContext
) -> None:
    """Record what the actor did, then delete the letter: after a crash it is recorded twice rather
    than not at all.
    """
    once = replace(context, key=f"{event} {letter.letter_id}")
    subject = Subject("dead letter", letter.letter_id, letter.summary)
    activity.record(once, event, subject, context.now())
    sqs.delete_message(QueueUrl=context.settings.dead_letters, ReceiptHandle=receipt)


def _take(letter_id: str, sqs: Any, context: CommandContext) -> tuple[DeadLetter, str]:
    """A letter with its receipt. Nobody else can receive it until its visibility timeout ends.

    Raises:
        StaleState: it is not in the queue now.
    """
    queue = context.settings.dead_letters
    taken: list[tuple[DeadLetter, str]] = []
    others: list[str] = []
    for _ in range(_MAX_RECEIVES):
        found = _receive(sqs, queue, _VISIBILITY_TIMEOUT_S)
        taken += [each for each in found if each[0].letter_id == letter_id]
        others += [receipt for letter, receipt in found if letter.letter_id != letter_id]
        if taken or not found:
            break
    for receipt in others:
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=receipt, VisibilityTimeout=0)
    if taken:
        return taken[0]
    raise StaleState(
        "the event is not in the queue now: someone else has redriven or discarded it, or is doing "
        "so; load the page again in a moment"
    )


def _receive(sqs: Any, queue: str, visibility_timeout_s: int) -> list[tuple[DeadLetter, str]]:
    """Some letters with their receipts, invisible to others for `visibility_timeout_s` seconds."""
    found = sqs.receive_message(
        QueueUrl=queue,
        MaxNumberOfMessages=_MAX_MESSAGES,
        VisibilityTimeout=visibility_timeout_s,
        WaitTimeSeconds=1,  # long polling: SQS queries all of its servers, not a subset
        MessageSystemAttributeNames=["SentTimestamp"],
        MessageAttributeNames=["All"],
    )
    messages: list[Mapping[str, Any]] = found.get("Messages", [])
    return [(dead_letter(each), each["ReceiptHandle"]) for each in messages]
