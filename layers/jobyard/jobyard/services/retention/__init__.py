"""Retention: what ended long ago goes to the archive, then out of the tables; tombstones stay.

It goes through the months in which batches were submitted, through schedules, and through what an
earlier run left unfinished, in stretches: each is a bounded piece of work, and says where to go on.
"""

from jobyard.services.retention.walk import FIRST, further
from jobyard.services.retention.work_slice import Bookmark, RetentionContext, WorkSlice

__all__ = ["FIRST", "Bookmark", "RetentionContext", "WorkSlice", "further"]
