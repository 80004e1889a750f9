"""Retention: archive what ended long ago, then delete it from the tables; tombstones stay.

It walks over the months in which batches were submitted, over schedules, and over what an earlier
run left unfinished, in bounded slices. Each slice returns where to go on.
"""

from jobyard.services.retention.walk import FIRST, run_slice
from jobyard.services.retention.work_slice import Bookmark, RetentionContext, WorkSlice

__all__ = ["FIRST", "Bookmark", "RetentionContext", "WorkSlice", "run_slice"]
