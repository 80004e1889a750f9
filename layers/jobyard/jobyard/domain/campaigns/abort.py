"""When a campaign stops by itself because too many of its tasks fail.

A failure that says nothing about the change itself, such as that of a device that is offline, does
not count. Source: decision C13 of campaigns.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from jobyard.domain.campaigns.fields import FieldReader, one_of, whole_number
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import NO_FAILURES, PART, JobRecord, JobState

DEFAULT_AT_LEAST = 10
_MAX_AT_LEAST = 1_000
_FIELDS = ("percent", "at_least", "then")
# Failures that do not count as bad.
UNCOUNTED = frozenset({Failure.DEVICE_OFFLINE, Failure.DEVICE_BUSY, Failure.EXPIRED})


class AbortAction(StrEnum):
    """What a campaign does when too many of its tasks fail."""

    HOLD = "hold"  # until a person resumes it; then it counts again from zero
    CANCEL = "cancel"


@dataclass(frozen=True)
class OutcomeCounts:
    """Tasks since a campaign began to count: those with an attempt that started since then, those
    that succeeded or are bad, and the bad ones. A bad task has failed, or waits after a failed
    attempt.
    """

    started: int = 0
    ended: int = 0
    bad: int = 0

    def __add__(self, other: "OutcomeCounts") -> "OutcomeCounts":
        return OutcomeCounts(
            self.started + other.started, self.ended + other.ended, self.bad + other.bad
        )


@dataclass(frozen=True)
class AbortRule:
    """Stop when at least `percent` of `at_least` or more tasks are bad."""

    percent: int
    at_least: int = DEFAULT_AT_LEAST
    then: AbortAction = AbortAction.HOLD

    def is_met(self, counts: OutcomeCounts) -> bool:
        """Whether too many tasks are bad."""
        return counts.ended >= self.at_least and 100 * counts.bad >= self.percent * counts.ended

    def limited(self, grant: int, counts: OutcomeCounts) -> int:
        """A grant, limited to `at_least` as long as no task has started: a small first slice."""
        return grant if counts.started else min(grant, self.at_least)

    def description(self, counts: OutcomeCounts) -> str:
        """Why a campaign stopped."""
        return f"{counts.bad:,} of {counts.ended:,} tasks failed; the limit is {self.percent} %"

    def document(self) -> dict[str, Any]:
        """The rule as JSON; `abort_rule_of` parses it."""
        return {"percent": self.percent, "at_least": self.at_least, "then": self.then.value}


def abort_rule_of(where: str, value: object) -> AbortRule:
    """Parse the rule.

    Raises:
        InvalidCampaign: a field is wrong.
    """
    fields = FieldReader(value, _FIELDS, where)
    rule = AbortRule(
        fields.read("percent", whole_number(1, 100), 100),
        fields.read("at_least", whole_number(1, _MAX_AT_LEAST, "of tasks"), DEFAULT_AT_LEAST),
        fields.read("then", one_of(AbortAction), AbortAction.HOLD),
    )
    if not fields.problems and "percent" not in fields:
        fields.refuse("percent", "missing; a whole number from 1 to 100")
    fields.check()
    return rule


def is_bad(code: str) -> bool:
    """Whether a task whose last attempt failed with a code counts as bad."""
    return bool(code) and code not in UNCOUNTED


def count_outcomes(tasks: Iterable[JobRecord], since: datetime | None) -> OutcomeCounts:
    """The outcomes of tasks since a campaign began to count; None: from its start on."""
    started = ended = bad = 0
    for task in tasks:
        at = _last_start(task)
        if at is None or (since and at < since):
            continue
        started += 1
        if task.state is JobState.SUCCEEDED:
            ended += 1
        elif is_bad(_code_of(task)):
            ended += 1
            bad += 1
    return OutcomeCounts(started, ended, bad)


def _last_start(task: JobRecord) -> datetime | None:
    """When its last attempt began: the first of its parts."""
    began = task.at if task.state is JobState.RUNNING else None
    for each in reversed(task.attempts):
        if began is not None and each.failure_code != PART:
            break
        began = each.started_at
    return began


def _code_of(task: JobRecord) -> str:
    """Why its last attempt failed; "" if the task may not be to blame, such as when cancelled, or
    if another attempt has begun and continues later.
    """
    if task.state is JobState.FAILED:
        return task.failure_code
    is_waiting = task.state in {JobState.SCHEDULED, JobState.PAUSED}
    continues = bool(task.attempts) and task.attempts[-1].failure_code in NO_FAILURES
    return task.failure_code if is_waiting and not continues else ""
