"""A dead letter: an event that could not be delivered, as the dead-letter queue has it.

EventBridge puts the event itself into the queue, with the error as attributes. Lambda puts a
document there that has the event and the error. Sources: the user guide of EventBridge,
"dead-letter queues"; the developer guide of Lambda, "capturing records of asynchronous
invocations".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from jobyard.domain.batches.batch import INTAKE_PREFIX
from jobyard.domain.batches.mail_event import MailEvent
from jobyard.domain.text import MESSAGE_BYTES, clean_fields

_MAX_SUMMARY_LETTERS = 200  # characters of a letter that is no event we know


class LetterKind(StrEnum):
    """What an event is about."""

    MANIFEST = "new manifest"
    MAIL = "mail event"
    EXECUTION = "failed execution"
    OTHER = "other event"


_ADVICE: Mapping[LetterKind, str] = {
    LetterKind.MANIFEST: "Redrive it: its batch has not started.",
    LetterKind.MAIL: "Redrive it: the delivery of its report is not recorded yet.",
    LetterKind.EXECUTION: (
        "Discard it, no redrive is needed: Jobyard finds unfinished work by itself, mostly within "
        "a minute, all of it within an hour."
    ),
    LetterKind.OTHER: "Jobyard does not know this event. Find out what sends it, then discard it.",
}
_UNREPORTED = (
    "Discard it once you know: it would have notified people that an execution failed. Jobyard "
    "recovers the work by itself."
)
LETTER_KINDS: Mapping[str, LetterKind] = {  # by the source of the event
    "aws.s3": LetterKind.MANIFEST,
    "aws.ses": LetterKind.MAIL,
    "aws.states": LetterKind.EXECUTION,
}


@dataclass(frozen=True)
class DeadLetter:
    """An event that could not be delivered. `sent_at` is when it came into the queue.

    `target` is the ARN of what should have had it, "" if that is not known. `event` is {} if the
    letter has none.
    """

    letter_id: str
    sent_at: datetime
    kind: LetterKind
    summary: str
    target: str
    error: str
    event: Mapping[str, Any]

    def __post_init__(self) -> None:
        clean_fields(self, summary=MESSAGE_BYTES, error=MESSAGE_BYTES)

    @property
    def target_name(self) -> str:
        """The name of what should have had it, without the version of a function or machine."""
        parts = self.target.split(":")
        return parts[6] if len(parts) > 6 else parts[-1]

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self.kind is LetterKind.EXECUTION and ":sns:" in self.target:
            return _UNREPORTED
        return _ADVICE[self.kind]

    @property
    def mail_event(self) -> MailEvent | None:
        """Its event about the mail of a report; None if it has none."""
        return MailEvent.of(self.event["detail"]) if self.kind is LetterKind.MAIL else None

    def redrive_refusal(self, intake_bucket: str) -> str:
        """Why it cannot be redriven; "" if it can."""
        if self.kind is LetterKind.MANIFEST:
            place = self.event["detail"]
            is_ours = place["bucket"]["name"] == intake_bucket
            if is_ours and place["object"]["key"].startswith(INTAKE_PREFIX):
                return ""
            return "its object is no manifest of this deployment"
        if self.kind is LetterKind.MAIL:
            return "" if self.mail_event else "its mail is none of a report"
        if self.kind is LetterKind.EXECUTION:
            return "a redrive is not needed: Jobyard recovers the work of failed executions"
        return "Jobyard does not know this event"


def dead_letter(message: Mapping[str, Any]) -> DeadLetter:
    """The letter in a message of SQS, with its attributes."""
    given = {
        name: str(each.get("StringValue", ""))
        for name, each in message.get("MessageAttributes", {}).items()
    }
    document = _document(message["Body"])
    event, target = document, given.get("TARGET_ARN", "")
    error = ": ".join(filter(None, (given.get("ERROR_CODE"), given.get("ERROR_MESSAGE"))))
    if isinstance(document.get("requestPayload"), dict):
        event = document["requestPayload"]
        origin = document.get("requestContext")
        origin = origin if isinstance(origin, dict) else {}
        answer = document.get("responsePayload") or {}
        target = str(origin.get("functionArn", ""))
        cause = answer.get("errorMessage", "") if isinstance(answer, dict) else ""
        error = ": ".join(filter(None, (str(origin.get("condition", "")), str(cause))))
    kind = LETTER_KINDS.get(str(event.get("source")), LetterKind.OTHER)
    try:
        summary = _summary(kind, event)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        kind, summary = LetterKind.OTHER, ""
    sent_ms = int(message["Attributes"]["SentTimestamp"])
    return DeadLetter(
        message["MessageId"],
        datetime.fromtimestamp(sent_ms / 1000, UTC),
        kind,
        summary or message["Body"][:_MAX_SUMMARY_LETTERS],
        target,
        error,
        event,
    )


def _document(body: str) -> dict[str, Any]:
    """A letter's body; {} if it is no JSON object."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _summary(kind: LetterKind, event: Mapping[str, Any]) -> str:
    """What an event says, in a line; "" for one that we do not know.

    Raises:
        KeyError, IndexError, TypeError, ValueError, AttributeError: it is not of this kind.
    """
    if kind is LetterKind.OTHER:
        return ""
    detail = event["detail"]
    if kind is LetterKind.MANIFEST:
        found = detail["object"]
        if not isinstance(found["size"], int):
            raise TypeError("a size is a number")
        return "/".join(("s3:/", detail["bucket"]["name"], found["key"]))
    if kind is LetterKind.MAIL:
        mail = MailEvent.of(detail)
        about = f"report {mail.seq} of {mail.batch_id}" if mail else "no report"
        return f"{event['detail-type']}: mail {detail['mail']['messageId']}, {about}"
    return f"{detail['status']}: {detail['executionArn'].rpartition(':')[2]}"
