"""What a campaign needs to know of the tasks of a chunk in addition to their number by state."""

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import takewhile
from typing import Any

from jobyard.domain.batches.chunks import ChunkRecord, sum_counts
from jobyard.domain.campaigns.abort import OutcomeCounts, count_outcomes
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.claim import CLAIM_FOR
from jobyard.domain.campaigns.ended_chunks import EndedChunks
from jobyard.domain.campaigns.planning import TaskTotals
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import (
    NO_FAILURES,
    OPEN_JOB_STATES,
    PART,
    JobRecord,
    JobState,
    StepStatus,
)

_DUE_MINUTES = 5  # for which a summary says how many tasks may start


@dataclass(frozen=True)
class TaskSummary:
    """How many tasks of a chunk wait for what, and when the first of them continues.

    Of `waiting` tasks, the first may start at `next_at`. `bound` tasks are between bound steps, and
    the first continues at `bound_at`. `begun` tasks, of both kinds, keep the slot of their attempt.
    The oldest attempt of running ones began at `running_since`. `outcomes` are those since
    `counted_since`. `due` are (minute since 1970, how many waiting tasks may start in it); the last
    minute has all later ones too.
    """

    waiting: int = 0
    next_at: datetime | None = None
    bound: int = 0
    bound_at: datetime | None = None
    begun: int = 0
    running_since: datetime | None = None
    outcomes: OutcomeCounts = field(default_factory=OutcomeCounts)
    counted_since: datetime | None = None
    due: tuple[tuple[int, int], ...] = ()

    def due_by(self, until: datetime) -> int:
        """How many waiting tasks may start before `until`, a minute more or less."""
        if not self.due:
            return self.waiting
        return sum(number for minute, number in self.due if minute * 60 < until.timestamp())

    def document(self) -> dict[str, Any]:
        """The summary as JSON; "" or 0 is left out."""
        outcomes = [self.outcomes.started, self.outcomes.ended, self.outcomes.bad]
        fields = {
            "waiting": self.waiting,
            "next_at": _text(self.next_at),
            "bound": self.bound,
            "bound_at": _text(self.bound_at),
            "begun": self.begun,
            "running_since": _text(self.running_since),
            "outcomes": outcomes if any(outcomes) else None,
            "counted_since": _text(self.counted_since),
            "due": self.due,
        }
        return {name: value for name, value in fields.items() if value}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "TaskSummary":
        """The summary in a document; an empty one if nothing was saved yet."""
        return cls(
            document.get("waiting", 0),
            _time(document.get("next_at")),
            document.get("bound", 0),
            _time(document.get("bound_at")),
            document.get("begun", 0),
            _time(document.get("running_since")),
            OutcomeCounts(*document.get("outcomes", (0, 0, 0))),
            _time(document.get("counted_since")),
            tuple((minute, number) for minute, number in document.get("due", ())),
        )


def _text(at: datetime | None) -> str:
    return at.isoformat() if at else ""


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def is_bound(task: JobRecord, bound_steps: Set[str]) -> bool:
    """Whether a task is between bound steps: whatever the window says, it continues."""
    return is_in_attempt(task) and has_begun_bound(task, bound_steps)


def is_in_attempt(task: JobRecord) -> bool:
    """Whether its attempt continues: it did a part of it, or waits for its device."""
    return bool(task.attempts) and task.attempts[-1].failure_code in NO_FAILURES


def keeps_its_slot(task: JobRecord) -> bool:
    """Whether its attempt did a part of a step and continues later: `at_once` counts it."""
    is_waiting = task.state is JobState.SCHEDULED and bool(task.attempts)
    return is_waiting and task.attempts[-1].failure_code == PART


def offline_in_a_row(task: JobRecord) -> int:
    """How many of its last attempts failed because its device was offline."""
    codes = ({*each.code_counts} - NO_FAILURES for each in reversed(task.attempts))
    in_a_row = takewhile(lambda some: some <= {Failure.DEVICE_OFFLINE}, codes)
    last = task.attempts[len(task.attempts) - sum(1 for _ in in_a_row) :]
    return sum(each.code_counts.get(Failure.DEVICE_OFFLINE, 0) for each in last)


def has_begun_bound(task: JobRecord, bound_steps: Set[str]) -> bool:
    """Whether the first bound step of an attempt has begun."""
    return any(
        step.name in bound_steps and step.status is not StepStatus.FAILED for step in task.steps
    )


def summary_of(
    tasks: Iterable[JobRecord], bound_steps: Set[str], counted_since: datetime | None
) -> TaskSummary:
    """The summary of all tasks of a chunk that have a record."""
    known = list(tasks)
    scheduled = [task for task in known if task.state is JobState.SCHEDULED]
    bound = [task for task in scheduled if is_bound(task, bound_steps)]
    waiting = [task for task in scheduled if not is_bound(task, bound_steps)]
    running = [task.at for task in known if task.state is JobState.RUNNING]
    return TaskSummary(
        waiting=len(waiting),
        next_at=min((task.next_at or task.at for task in waiting), default=None),
        bound=len(bound),
        bound_at=min((task.next_at or task.at for task in bound), default=None),
        begun=sum(map(keeps_its_slot, scheduled)),
        running_since=min(running, default=None),
        outcomes=count_outcomes(known, counted_since),
        counted_since=counted_since,
        due=_due(waiting),
    )


def _due(waiting: Iterable[JobRecord]) -> tuple[tuple[int, int], ...]:
    """How many tasks may start in each of the next minutes in which one may."""
    minutes = sorted(int((task.next_at or task.at).timestamp()) // 60 for task in waiting)
    known = sorted({*minutes})[:_DUE_MINUTES]
    return tuple(sorted(Counter(min(minute, known[-1]) for minute in minutes).items()))


def totals_of(
    campaign: Campaign,
    summaries: Iterable[TaskSummary],
    counts: Mapping[str, int],
    now: datetime,
) -> TaskTotals:
    """The totals of a campaign's tasks, from the summaries of its chunks and their counts by state.

    A running task whose worker must have ended is orphaned: it counts as waiting. Outcomes of a
    chunk that was saved before the last release do not count. `counts` include those of the
    campaign's ended chunks, `summaries` are of the others.
    """
    known = list(summaries)
    lost_since = [each.running_since for each in known if each.running_since]
    lost = [at + CLAIM_FOR for at in lost_since if at + CLAIM_FOR <= now]
    running = counts.get(JobState.RUNNING, 0)
    outcomes = campaign.ended_chunks.outcomes_since(campaign.counted_since)
    for each in known:
        if each.counted_since == campaign.counted_since:
            outcomes += each.outcomes
    totals = TaskTotals(
        untouched=campaign.tasks - sum(counts.values()),
        waiting=sum(each.waiting for each in known),
        next_at=min((each.next_at for each in known if each.next_at), default=None),
        running=running,
        bound=sum(each.bound for each in known),
        bound_at=min((each.bound_at for each in known if each.bound_at), default=None),
        succeeded=counts.get(JobState.SUCCEEDED, 0),
        failed=counts.get(JobState.FAILED, 0),
        cancelled=counts.get(JobState.CANCELLED, 0) + counts.get(JobState.REPLACED, 0),
        outcomes=outcomes,
    )
    if not lost:
        return totals
    return replace(
        totals,
        waiting=totals.waiting + running,
        running=0,
        next_at=min(filter(None, (totals.next_at, *lost))),
    )


def ended_chunks(campaign: Campaign, records: Mapping[int, ChunkRecord]) -> EndedChunks:
    """The ended chunks of a campaign, with those that have ended since. `records` are the counts of
    the chunks after them, by number.
    """
    ended, since = campaign.ended_chunks, campaign.counted_since
    number, counts, outcomes = ended.number, ended.counts, ended.outcomes_since(since)
    while number < campaign.chunk_count and _has_ended(records.get(number), campaign):
        record = records[number]
        counts = sum_counts([counts, record.counts])
        summary = TaskSummary.of_document(record.summary)
        if summary.counted_since == since:
            outcomes += summary.outcomes
        number += 1
    return EndedChunks(number, counts, outcomes, since) if number else ended


def _has_ended(record: ChunkRecord | None, campaign: Campaign) -> bool:
    """Whether all tasks of a chunk have ended, and none is asked to."""
    if record is None or record.cancels or record.replacements:
        return False
    is_whole = record.recorded == campaign.task_count(record.chunk)
    return is_whole and not any(record.count(state) for state in OPEN_JOB_STATES)
