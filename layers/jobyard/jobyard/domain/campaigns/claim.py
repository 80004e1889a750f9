"""The claim on a target: no two tasks work on one target at the same time.

A target has one claim, which is never deleted. A task takes it, with a conditional write, before it
starts an attempt.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from jobyard.domain.compaction import add_counts
from jobyard.domain.jobs.job import NO_FAILURES, OPEN_JOB_STATES, JobAddress, JobRecord, JobState

# Longer than a worker may live: after that, none can still work on the target.
CLAIM_FOR = timedelta(minutes=16)


@dataclass(frozen=True)
class Claim:
    """The claim of a task on a target, for its attempt number `attempt`, from 1.

    `version` counts the writes of the claim. After `until` it is free in any case.
    """

    target_id: str
    task: JobAddress
    attempt: int
    version: int
    until: datetime

    def is_free(self, holder: JobRecord | None, task: JobAddress, now: datetime) -> bool:
        """Whether `task` may take it. `holder` is the record of the task that has it.

        It may once that attempt has ended, or the holder has ended while it waited. That the holder
        is not running is not enough: it may have the claim, and be about to start; or it was ended
        by force, and its worker may live.
        """
        if self.task == task or now >= self.until:
            return True
        if holder is None:
            return False
        return _ended_attempts(holder) >= self.attempt or _has_ended_waiting(holder)


def _ended_attempts(task: JobRecord) -> int:
    """How many attempts of a task have ended. One that waits, or did a part, continues."""
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


def released(claim: Claim, now: datetime) -> Claim:
    """The claim that a task gives back, because its attempt does not start after all."""
    return Claim(claim.target_id, claim.task, claim.attempt, claim.version + 1, now)
