"""A report: what was told about a batch, when, to whom, and whether it arrived."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobyard.domain.jobs.job import JobState
from jobyard.domain.mail_addresses import UndeliveredRecipient
from jobyard.domain.text import MESSAGE_BYTES, clean_fields


class ReportKind(StrEnum):
    """Why a report was written."""

    FIRST = "first"  # the batch ended
    REFUSED = "refused"  # its manifest was refused, or it failed as a whole
    UPDATE = "update"  # an administrator asked for it and something had changed


class DeliveryState(StrEnum):
    """How far the mail of a report got."""

    QUEUED = "queued"  # written down; nobody has tried to send it yet
    SENDING = "sending"  # handed to the mail service; its answer is not known yet
    SENT = "sent"  # the mail service took it
    DELIVERED = "delivered"  # the recipient's server took it
    BOUNCED = "bounced"  # the recipient's server refused it
    COMPLAINED = "complained"  # the recipient marked it as unwanted
    FAILED = "failed"  # the mail service refused it; it will not be tried again
    SUPPRESSED = "suppressed"  # the batch wants no mail


@dataclass(frozen=True)
class Delivery:
    """Whether a report arrived. `tries` counts hand-overs to the mail service.

    `individually`: the one mail to all was refused, so each recipient gets a separate one.
    `sent_to` lists those who got it, `undeliverable` those who cannot, with the reasons.
    """

    state: DeliveryState
    at: datetime
    message_id: str = ""
    error: str = ""
    tries: int = 0
    individually: bool = False
    sent_to: tuple[str, ...] = ()
    undeliverable: tuple[UndeliveredRecipient, ...] = ()

    def __post_init__(self) -> None:
        clean_fields(self, error=MESSAGE_BYTES)


@dataclass(frozen=True)
class Report:
    """One report. `seq` counts the batch's reports from 1; `files` maps a format to its S3 key."""

    batch_id: str
    seq: int
    kind: ReportKind
    created_at: datetime
    to: tuple[str, ...]
    subject: str
    outcome: str
    counts: Mapping[str, int]
    changed_count: int
    files: Mapping[str, str]
    delivery: Delivery
    version: int = 0


@dataclass(frozen=True)
class FailureGroup:
    """The jobs that failed for the same cause."""

    code: str
    description: str
    count: int


# One character a job, in manifest order: what the last report told of each, to compare the next
# one with. A million jobs are a megabyte.
OUTCOME_LETTERS: Mapping[JobState, str] = {
    JobState.SCHEDULED: "w",
    JobState.HELD: "w",
    JobState.RUNNING: "w",
    JobState.PAUSED: "w",
    JobState.SUCCEEDED: "s",
    JobState.PARTIALLY_SUCCEEDED: "p",
    JobState.FAILED: "f",
    JobState.CANCELLED: "c",
    JobState.REPLACED: "r",
    JobState.DELETED: "d",
}
OUTCOME_LABELS = {
    "w": "waiting",
    "s": "succeeded",
    "p": "partially succeeded",
    "f": "failed",
    "c": "cancelled",
    "r": "replaced",
    "d": "removed by the repository",
}

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(text: str) -> str:
    """`text` as a CSV cell no spreadsheet takes for a formula: quoted by a leading apostrophe.

    Source: OWASP, CSV Injection.
    """
    return (
        f"'{text}" if text.lstrip(" ").startswith(_FORMULA) or text.startswith(_FORMULA) else text
    )
