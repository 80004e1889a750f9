"""Retention: archive what ended long ago, then delete it from the tables; tombstones stay.

It works in bounded slices, over the months in which batches were submitted, then over schedules,
campaigns and edit jobs, then over what an earlier run left unfinished. Each slice returns where the
next one starts.
"""

from jobyard.services.retention.walk import FIRST, run_slice
from jobyard.services.retention.work_slice import Bookmark, RetentionContext, WorkSlice

__all__ = ["FIRST", "Bookmark", "RetentionContext", "WorkSlice", "run_slice"]
