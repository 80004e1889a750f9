"""The claim on a target, an exclusive lock that expires: no two tasks work on one target at once.

A target has one claim, which is never deleted. A task takes it, with a conditional write, before it
starts an attempt. A retry needs no write if the record of its task says that it keeps the claim
(`JobRecord.keeps_claim`). A task that takes the claim from one that waits for its retry first sets
`keeps_claim` to false in the record of that one (`without_claim`).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from jobyard.domain.compaction import add_counts
from jobyard.domain.jobs.job import NO_FAILURES, OPEN_JOB_STATES, JobAddress, JobRecord, JobState

# Longer than a worker may live: after that, none can still work on the target.
CLAIM_FOR = timedelta(minutes=16)


@dataclass(frozen=True)
class Claim:
    """The claim of a task on a target. It was written for its attempt number `attempt`, from 1.

    `version` counts the writes of the claim. After `until` that attempt has ended in any case.
    """

    target_id: str
    task: JobAddress
    attempt: int
    version: int
    until: datetime

    def is_kept_by(self, task: JobRecord) -> bool:
        """Whether the next attempt of `task` may start without a write of the claim."""
        return self.task == task.address and may_keep(task)

    def is_free(self, holder: JobRecord | None, task: JobAddress, now: datetime) -> bool:
        """Whether `task` may take it. `holder` is the record of the task that has it."""
        if self.task == task:
            return True
        until = self.held_until(holder)
        return until is None or now >= until

    def held_until(self, holder: JobRecord | None) -> datetime | None:
        """Until when the holder has it at most; None if another task may take it now.

        Another task may take it once the attempt has ended, or once the holder has ended while no
        worker ran it. That the holder is not running is not enough: it may have the claim, and be
        about to start; or it was ended by force, and its worker may live.
        """
        if holder is None:
            return self.until
        began = _open_attempt_began(holder)
        if began is not None:
            return max(self.until, began + CLAIM_FOR)
        if _ended_attempts(holder) >= self.attempt or _has_ended_waiting(holder):
            return None
        return self.until


def _open_attempt_began(task: JobRecord) -> datetime | None:
    """When the attempt of a task began that has not ended; None if it has none. An attempt that was
    to continue, and did, has several starts: the latest counts.

    An attempt that was ended by force has not: its worker may live.
    """
    last = task.attempts[-1] if task.attempts else None
    match task.state:
        case JobState.RUNNING:
            is_open = True
        case state if state in OPEN_JOB_STATES:
            is_open = last is not None and last.failure_code in NO_FAILURES
        case _:
            # If the move that ended the task ended its attempt too, both have one time.
            was_running = bool(task.history) and task.history[-1].before == JobState.RUNNING
            is_open = was_running and not (last and last.ended_at == task.at)
    if not is_open:
        return None
    starts = (each.at for each in reversed(task.history) if each.after == JobState.RUNNING)
    return next(starts, task.at)


def _ended_attempts(task: JobRecord) -> int:
    """How many attempts of a task have ended. One that waits, or made progress and will continue,
    has not.
    """
    counts = add_counts((each.failure_code, each.code_counts) for each in task.attempts)
    return sum(number for code, number in counts.items() if code not in NO_FAILURES)


def _has_ended_waiting(task: JobRecord) -> bool:
    """Whether a task ended while no worker ran it. None can start it any more."""
    has_ended = task.state not in OPEN_JOB_STATES
    return has_ended and bool(task.history) and task.history[-1].before == JobState.SCHEDULED


def claimed(claim: Claim | None, target_id: str, task: JobRecord, now: datetime) -> Claim:
    """The claim that a task takes for its next attempt, in place of a free one.

    The write has to require that the stored claim is still `claim`; None: that there is none.
    """
    version = claim.version if claim else 0
    attempt = _ended_attempts(task) + 1
    return Claim(target_id, task.address, attempt, version + 1, now + CLAIM_FOR)


def may_keep(holder: JobRecord) -> bool:
    """Whether a retry of a task may start on the claim that it has. Who takes it has to write
    `without_claim` first, over the record that it read.
    """
    return holder.state is JobState.SCHEDULED and holder.keeps_claim


def without_claim(holder: JobRecord) -> JobRecord:
    """The record of a task whose retry has to take the claim again. It is no move of the task."""
    return replace(holder, keeps_claim=False, version=holder.version + 1)
