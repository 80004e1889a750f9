"""The work of the system's job types, in slices. A slice is counted once, when it is done.

Each job type imports what it needs: an execution runs one of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from jobyard.domain.errors import StaleState
from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.services.settings import Settings
from jobyard.store import checkpoints, transactions
from jobyard.store.transactions import TransactItem

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

    from jobyard.services.datasets.context import DatasetContext


@dataclass(frozen=True)
class Maintenance:
    """The deployment, S3, the state machines and the clock, for system jobs."""

    settings: Settings
    s3: "S3Client"
    machines: "SFNClient"
    now: Callable[[], datetime]

    def recover_slice(self, seen: Checkpoint) -> Checkpoint:
        """Check the next slice of batches, schedules, campaigns and edit jobs; recover orphaned
        work.

        The checkpoint's cursor also has `recovered`, the number of executions started so far.
        """
        from jobyard.services.executions import Executions
        from jobyard.services.recovery import recover_slice

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
        from jobyard.services.retention import FIRST, RetentionContext, run_slice

        context = RetentionContext(self.settings, self.s3, self.now, remaining)
        bookmark = seen.cursor or FIRST
        try:
            work_slice = run_slice(bookmark, context)
        except StaleState:
            return checkpoints.get(seen.job_id)
        if seen.cursor and work_slice.bookmark == bookmark and not work_slice.items:
            return seen
        after = seen.advanced(work_slice.processed, list(work_slice.failures), work_slice.bookmark)
        return self._saved(seen, after, *work_slice.items)

    def pack(self, seen: Checkpoint) -> Checkpoint:
        """Pack the next dataset if it is due. A commit of it that is decided is finished first.
        After the last one, remove the next part of what deleted datasets leave behind.
        """
        from jobyard.domain.datasets.dataset import FIRST_REVISION
        from jobyard.services.datasets.commit import roll_forward
        from jobyard.services.datasets.context import DatasetContext
        from jobyard.services.datasets.pack import is_due, pack, remove_lost, remove_unused
        from jobyard.store import datasets

        context = DatasetContext(self.settings, self.s3, self.now)
        if "removing" in seen.cursor:
            return self._saved(seen, self._removed(seen, context))
        found = datasets.by_name(after=seen.cursor.get("after", ""), limit=1)
        if not found:
            return self._saved(seen, seen.advanced(0, (), {"removing": ""}))
        dataset = roll_forward(found[0].name, context)
        is_packed = is_due(dataset)
        if is_packed:
            remove_lost(dataset, context)
            pack(dataset, context)
        elif dataset.base_revision > FIRST_REVISION:
            remove_unused(dataset, context)
        return self._saved(seen, seen.advanced(is_packed, (), {"after": dataset.name}))

    def _removed(self, seen: Checkpoint, context: "DatasetContext") -> Checkpoint:
        from jobyard.services.datasets import removal
        from jobyard.store import datasets

        found = datasets.deleted(after=seen.cursor["removing"], limit=1)
        if not found:
            return seen.advanced(0, (), {})
        if removal.is_due(found[0], self.now()) and not removal.remove_next(found[0], context):
            return seen.advanced(0, (), seen.cursor)
        return seen.advanced(0, (), {"removing": found[0].name})

    def _saved(self, seen: Checkpoint, after: Checkpoint, *items: TransactItem) -> Checkpoint:
        """Write the checkpoint in one transaction with `items`. Returns another worker's, if it
        was first.
        """
        try:
            transactions.write([*items, checkpoints.put_item(seen, after, self.now())])
        except StaleState:
            return checkpoints.get(seen.job_id)
        return after
