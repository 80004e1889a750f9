"""A report: what was sent about a batch or campaign, when, to which people, and its delivery."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from jobyard.domain.jobs.job import JobState, labels_for
from jobyard.domain.mail_addresses import UndeliverableRecipient
from jobyard.domain.text import MESSAGE_BYTES, clean_fields

LATE_AFTER = timedelta(minutes=15)  # the period of UndeliveredReportsAlarm


class ReportKind(StrEnum):
    """Why a report was written."""

    FIRST = "first"  # the batch or campaign ended
    REFUSED = "refused"  # its manifest was refused, or it failed as a whole
    UPDATE = "update"  # an admin requested it, and something had changed
    HELD = "held"  # too many tasks of a campaign failed
    NOTICE = "notice"  # a person has something to do or to know
    FAILED_RUN = "failed_run"  # a job of a schedule failed
    WEBHOOK = "webhook"  # an event for a webhook


class DeliveryState(StrEnum):
    """The delivery state of a report's mail."""

    QUEUED = "queued"  # stored, and not handed to the mail service yet
    SENDING = "sending"  # handed to the mail service, which has not answered yet
    SENT = "sent"  # the mail service accepted it
    DELIVERED = "delivered"  # the recipient's server accepted it
    BOUNCED = "bounced"  # the recipient's server refused it
    COMPLAINED = "complained"  # the recipient marked it as spam
    FAILED = "failed"  # no attempt is left, or nobody has a valid address
    SUPPRESSED = "suppressed"  # nobody is to get it


@dataclass(frozen=True)
class Delivery:
    """Whether a report arrived. `tries` counts the attempts.

    With `individually` the mail to all was refused, so each recipient gets a separate one.
    `sent_to` are the recipients who got it, `undeliverable` those who cannot, with the reasons.
    `request` is the request that had it sent again, at `requested_at`; "" and None if none did.
    """

    state: DeliveryState
    at: datetime
    message_id: str = ""
    error: str = ""
    tries: int = 0
    individually: bool = False
    sent_to: tuple[str, ...] = ()
    undeliverable: tuple[UndeliverableRecipient, ...] = ()
    request: str = ""
    requested_at: datetime | None = None

    def __post_init__(self) -> None:
        clean_fields(self, error=MESSAGE_BYTES)


@dataclass(frozen=True)
class Report:
    """One report. `seq` counts the reports of a batch or campaign from 1. `files` maps a format to
    its S3 key; short `texts` are kept in the record instead. `batch_id` is the id of the batch,
    campaign or schedule. `webhook` is the name of the one that it is delivered to; "" for a mail.
    """

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
    webhook: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)

    def is_late(self, now: datetime) -> bool:
        """Whether a mail that has not been sent by `now` should have been."""
        return now - (self.delivery.requested_at or self.created_at) >= LATE_AFTER


@dataclass(frozen=True)
class FailureGroup:
    """The number of jobs that failed with the same failure code."""

    code: str
    description: str
    count: int


# A report keeps one character for each job, in manifest order, to which the next report compares
# the jobs. A million jobs take a megabyte.
OUTCOME_LETTERS: Mapping[JobState, str] = {
    JobState.SCHEDULED: "w",
    JobState.HELD: "w",
    JobState.RUNNING: "w",
    JobState.PAUSED: "w",
    JobState.STOPPING: "w",
    JobState.SUCCEEDED: "s",
    JobState.PARTIALLY_SUCCEEDED: "p",
    JobState.FAILED: "f",
    JobState.CANCELLED: "c",
    JobState.REPLACED: "r",
    JobState.DELETED: "d",
}
# The names of outcomes by letter: a job's state, or "waiting".
OUTCOMES: Mapping[str, str] = {
    **{letter: state.value for state, letter in OUTCOME_LETTERS.items()},
    "w": "waiting",
}
# What mails call the outcomes. "deleted" says that it was not the depositor.
OUTCOME_WORDS: Mapping[str, str] = {
    **{name: label.lower() for name, label in labels_for("deposit").items()},
    "waiting": "waiting",
    "deleted": "removed by the repository",
}
