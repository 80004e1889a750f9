"""Counts the jobs that a worker starts and ends, for the totals of the deployment."""

from datetime import datetime, timedelta

from jobyard.domain.jobs.job import JobRecord, JobState
from jobyard.domain.rates import JobTotals
from jobyard.store import rates

SAVED_EVERY = timedelta(seconds=20)  # a long pass shows in the minutes in which its jobs ended


class JobCounter:
    """The starts and ends of one worker that are not added to the totals yet.

    The meter adds the last of them at the end of the invocation, in its own write.
    """

    def __init__(self) -> None:
        self._waited: list[timedelta | None] = []  # of each start
        self._ended = self._failed = 0
        self._saved_at: datetime | None = None
        self._shard = 0

    def count_start(self, job: JobRecord, ready_at: datetime | None) -> None:
        """Count a job that the worker has started, and its wait since `ready_at`, if not None."""
        self._shard = job.address.chunk + job.address.position
        self._waited.append(None if ready_at is None else job.at - ready_at)

    def count_end(self, job: JobRecord) -> None:
        """Count a job that has ended."""
        self._ended += 1
        self._failed += job.state is JobState.FAILED

    def save_if_due(self, now: datetime) -> None:
        """Add what was counted to the totals, at most every `SAVED_EVERY`. If that fails, it is
        added with the next.
        """
        self._saved_at = self._saved_at or now
        if now >= self._saved_at + SAVED_EVERY:
            self._saved_at = now
            if not rates.add(self._shard, self._totals()):
                self._clear()

    def take(self) -> JobTotals:
        """What is not added yet; the caller adds it."""
        counted = self._totals()
        self._clear()
        return counted

    def _totals(self) -> JobTotals:
        ended = JobTotals(ended=self._ended, failed=self._failed)
        return JobTotals.of_starts(self._waited) + ended

    def _clear(self) -> None:
        self._waited = []
        self._ended = self._failed = 0
