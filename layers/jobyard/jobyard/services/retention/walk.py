"""The order of retention: batches by month, schedules, campaigns, edit jobs, leftovers.

Leftovers are last, so that one that always fails delays nothing else. A bookmark's "go" is the
stage. Its "after" is the cursor of the last record in it that was checked, "month" and "next" the
month in progress with its next check time, "system" whether system campaigns are checked; "batch",
"schedule", "campaign" or "edit" is the one being archived.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from jobyard.domain.batches.batch import Batch
from jobyard.domain.errors import Gone, NotFound
from jobyard.domain.ids import Origin
from jobyard.jobtypes import types_of
from jobyard.services.retention import batches as batch_retention
from jobyard.services.retention import campaigns as campaign_retention
from jobyard.services.retention import edits as edit_retention
from jobyard.services.retention import schedules as schedule_retention
from jobyard.services.retention.chunked_archive import ArchivedOrigin, archive_next_part
from jobyard.services.retention.work_slice import (
    Bookmark,
    RetentionContext,
    WorkSlice,
    shortest_retention,
)
from jobyard.store import batches, key_values

BATCHES_PER_READ = 500
FIRST: Bookmark = {"go": "months"}
# Of a bookmark, without the one being archived.
_POSITION = ("go", "month", "after", "next", "system")
# The origin that is being archived, by its kind, which names its id in a bookmark.
_ARCHIVED: Mapping[str, Callable[[str], ArchivedOrigin | None]] = {
    "batch": batch_retention.archived_batch,
    "campaign": campaign_retention.archived_campaign,
    "edit": edit_retention.archived_edit,
}
_RECHECK_AFTER = timedelta(hours=12)  # less than a day, so that the next daily run rechecks


def run_slice(bookmark: Bookmark, context: RetentionContext) -> WorkSlice:
    """Run the slice at `bookmark`. The result's bookmark is empty after the last slice.

    Raises:
        StaleState: someone else changed a record at the same time; call again.
    """
    for kind, archived in _ARCHIVED.items():
        if kind in bookmark:
            position = {name: bookmark[name] for name in _POSITION if name in bookmark}
            return archive_next_part(archived(bookmark[kind]), bookmark, position, context)
    if "schedule" in bookmark:
        work_slice = schedule_retention.archive_next_part(bookmark, context)
        return replace(work_slice, bookmark={"go": "schedules", **work_slice.bookmark})
    match bookmark["go"]:
        case "months":
            return _months(bookmark, context)
        case "schedules":
            found = schedule_retention.next_bookmark(bookmark.get("after", ""), context)
            return WorkSlice({"go": "schedules", **found} if found else {"go": "campaigns"})
        case "campaigns":
            return _campaigns(bookmark, context)
        case "edits":
            return edit_retention.next_slice(bookmark, context) or WorkSlice({"go": "leftovers"})
        case "campaign leftovers":
            found_leftover = campaign_retention.next_leftover(bookmark)
            return found_leftover or WorkSlice({"go": "edit leftovers"})
        case "edit leftovers":
            return edit_retention.next_leftover(bookmark) or WorkSlice({})
        case _:  # "leftovers"
            return _leftovers(bookmark)


def _campaigns(bookmark: Bookmark, context: RetentionContext) -> WorkSlice:
    """Check some campaigns: first those of people, then those of system job types."""
    following: Bookmark = {"go": "edits"}
    if not bookmark.get("system"):
        following = {"go": "campaigns", "system": True}
    return campaign_retention.next_slice(bookmark, context) or WorkSlice(following)


# Months


def _months(bookmark: Bookmark, context: RetentionContext) -> WorkSlice:
    """Check some batches of a month, and begin to archive the first that is due.

    After the last batch of a past month its next check time is stored: the earliest time at which
    one of its batches may be due. Until then the month is not checked again.
    """
    now = context.now()
    latest, check_times = _latest_submission(now), _check_times()
    month = bookmark.get("month") or _month_to_check(check_times, now)
    if not month or month > f"{latest:%Y-%m}":
        return WorkSlice({"go": "schedules"})
    next_check = bookmark.get("next", "")
    after = bookmark.get("after", "")
    for suggested in islice(batches.submitted_until(month, latest, after), BATCHES_PER_READ):
        after = batches.page_key(suggested)
        started = _start_archiving(suggested, context)
        # A started batch may turn out not to be archivable: the next run checks its month again.
        due = (
            now
            if started
            else batch_retention.due_at(suggested) or now + shortest_retention(Origin.BATCH)
        )
        next_check = min(filter(None, (next_check, _as_text(max(due, now + _RECHECK_AFTER)))))
        if started:
            here = {"go": "months", "month": month, "after": after, "next": next_check}
            return WorkSlice({**here, "batch": suggested.batch_id})
    if after != bookmark.get("after", ""):
        return WorkSlice({"go": "months", "month": month, "after": after, "next": next_check})
    if _end_of(month) <= latest:
        _store_check_time(month, next_check, check_times)
    next_month = _month_to_check(check_times, now, after=month)
    return WorkSlice({"go": "months", "month": next_month} if next_month else {"go": "schedules"})


def _start_archiving(suggested: Batch, context: RetentionContext) -> bool:
    try:
        return batch_retention.start_archiving(suggested, context)
    except (Gone, NotFound):
        return False  # the index lags behind


def _latest_submission(now: datetime) -> datetime:
    """The time before which a due batch was submitted. Batches submitted later cannot be due."""
    return now - shortest_retention(Origin.BATCH)


def _check_times() -> dict[str, str]:
    """When each month has to be checked next, by month; "" for never. A month without an entry has
    to be checked now.
    """
    stored = key_values.get(_check_times_key())
    found: dict[str, str] = json.loads(stored) if stored else {}
    return found


def _store_check_time(month: str, next_check: str, check_times: Mapping[str, str]) -> None:
    """Store when a past month has to be checked next. Of the oldest months that need no check
    any more, only the last one is stored.
    """
    stored = {**check_times, month: next_check}
    months = sorted(stored)
    while len(months) > 1 and not stored[months[0]] and not stored[months[1]]:
        del stored[months.pop(0)]
    key_values.put(_check_times_key(), json.dumps(stored))


def _check_times_key() -> str:
    """The key of the stored check times. It contains the retention days, which they depend on."""
    retention = sorted((each.name, each.retention_days) for each in types_of(Origin.BATCH))
    return " ".join(["retention", *(f"{name}={days}" for name, days in retention)])


def _month_to_check(check_times: Mapping[str, str], now: datetime, after: str = "") -> str:
    """The first month after `after` that has to be checked, as YYYY-MM; "" if none has."""
    month = batches.first_month()
    if check_times and not check_times[min(check_times)]:
        month = max(month, min(check_times))
    if after and month:
        month = max(month, _month_after(after))
    while month and month <= f"{_latest_submission(now):%Y-%m}":
        check_time = check_times.get(month)
        if check_time is None or (check_time and check_time <= _as_text(now)):
            return month
        month = _month_after(month)
    return ""


def _month_after(month: str) -> str:
    return f"{_end_of(month):%Y-%m}"


def _end_of(month: str) -> datetime:
    year, number = int(month[:4]), int(month[5:])
    return datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def _as_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


# Leftovers


def _leftovers(bookmark: Bookmark) -> WorkSlice:
    """Continue with the next batch whose archiving was not finished."""
    found = next(batches.in_archiving(bookmark.get("after", "")), None)
    if found is None:
        return WorkSlice({"go": "campaign leftovers"})
    after = batches.page_key(found.origin)
    return WorkSlice({"go": "leftovers", "after": after, "batch": found.origin.batch_id})
