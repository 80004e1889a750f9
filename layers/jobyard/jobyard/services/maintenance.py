"""The work of the system's job types, in slices. A slice is counted once, when it is done."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.services.executions import Executions
from jobyard.services.recovery import recover_slice
from jobyard.services.retention import FIRST, RetentionContext, run_slice
from jobyard.services.settings import Settings
from jobyard.store import checkpoints, transactions
from jobyard.store.transactions import TransactItem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient


@dataclass(frozen=True)
class Maintenance:
    """The deployment, S3, the state machines and the clock, for system jobs."""

    settings: Settings
    s3: "S3Client"
    machines: "SFNClient"
    now: Callable[[], datetime]

    def recover_slice(self, seen: Checkpoint) -> Checkpoint:
        """Check the next slice of batches, schedules and campaigns; recover orphaned work.

        The checkpoint's cursor also has `recovered`, the number of executions started so far.
        """
        cursor, recovered = dict(seen.cursor), seen.cursor.get("recovered", 0)
        checked = recover_slice(cursor, Executions(self.settings, self.machines), self.now())
        after = seen.advanced(
            checked.checked, (), {**checked.cursor, "recovered": recovered + checked.recovered}
        )
        return self._saved(seen, replace(after, ended=not checked.cursor))

    def archive(self, seen: Checkpoint, remaining: Callable[[], float]) -> Checkpoint:
        """Archive the next slice of what is old enough. Returns `seen` if `remaining()` is too
        short for it.
        """
        context = RetentionContext(self.settings, self.s3, self.now, remaining)
        place = seen.cursor or FIRST
        try:
            work_slice = run_slice(place, context)
        except StaleState:
            return checkpoints.get(seen.job_id)
        if seen.cursor and work_slice.bookmark == place and not work_slice.items:
            return seen
        after = seen.advanced(work_slice.processed, list(work_slice.failures), work_slice.bookmark)
        return self._saved(seen, after, *work_slice.items)

    def _saved(self, seen: Checkpoint, after: Checkpoint, *items: TransactItem) -> Checkpoint:
        """Write the checkpoint in one transaction with `items`. Returns another worker's, if it
        was first.
        """
        try:
            transactions.write([*items, checkpoints.put_item(seen, after, self.now())])
        except StaleState:
            return checkpoints.get(seen.job_id)
        return after
