"""The order of retention: months, schedules, leftovers.

Leftovers come last: one that fails each time delays nothing else.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice

from jobyard.domain.batches.batch import Batch
from jobyard.domain.errors import Gone, NotFound
from jobyard.domain.ids import Origin
from jobyard.jobtypes import types_of
from jobyard.services.retention import batches as batch_retention
from jobyard.services.retention import schedules as schedule_retention
from jobyard.services.retention.work_slice import Bookmark, RetentionContext, WorkSlice, kept_for
from jobyard.store import batches, key_values

BATCHES_PER_READ = 500  # batches of a month at a time
FIRST: Bookmark = {"go": "months"}
_NOT_BEFORE = timedelta(hours=12)  # it runs once a day, not to the second


def further(place: Bookmark, context: RetentionContext) -> WorkSlice:
    """Do the next slice from `place` on; an empty place is the end.

    Raises:
        StaleState: something changes at this moment; call again.
    """
    if "batch" in place:
        after = {name: place[name] for name in ("go", "month", "after", "next") if name in place}
        return batch_retention.go_on(place, after, context)
    if "schedule" in place:
        work_slice = schedule_retention.go_on(place, context)
        next_month = {"go": "schedules", **work_slice.place}
        return WorkSlice(next_month, work_slice.processed, work_slice.failures, work_slice.beside)
    match place["go"]:
        case "months":
            return _months(place, context)
        case "schedules":
            found = schedule_retention.look(place.get("after", ""), context)
            return WorkSlice({"go": "schedules", **found} if found else {"go": "leftovers"})
        case _:
            return _leftovers(place)


# Months


def _months(place: Bookmark, context: RetentionContext) -> WorkSlice:
    """Check some batches of a month, and begin to archive the first that is due.

    Of a past month without a due batch the earliest due time is stored; until then nobody checks
    the month again.
    """
    now = context.now()
    looks = _looks()
    month = place.get("month") or _first_to_look_at(looks, now)
    if not month or month > f"{_newest(now):%Y-%m}":
        return WorkSlice({"go": "schedules"})
    soonest = place.get("next", "")
    after = place.get("after", "")
    for suggested in islice(batches.before(month, _newest(now), after), BATCHES_PER_READ):
        after = batches.page_key(suggested)
        taken = _taken(suggested, context)  # and perhaps put back: to be looked at tomorrow
        due = now if taken else batch_retention.due_at(suggested) or now + _shortest()
        soonest = min(filter(None, (soonest, _written(max(due, now + _NOT_BEFORE)))))
        if taken:
            here = {"go": "months", "month": month, "after": after, "next": soonest}
            return WorkSlice({**here, "batch": suggested.batch_id})
    if after != place.get("after", ""):
        return WorkSlice({"go": "months", "month": month, "after": after, "next": soonest})
    if _end_of(month) <= _newest(now):
        _note(month, soonest, looks)
    next_month = _first_to_look_at(looks, now, later_than=month)
    return WorkSlice({"go": "months", "month": next_month} if next_month else {"go": "schedules"})


def _taken(suggested: Batch, context: RetentionContext) -> bool:
    try:
        return batch_retention.begin(suggested, context)
    except (Gone, NotFound):
        return False  # the index was behind


def _shortest() -> timedelta:
    """The shortest time that a batch's job type is kept."""
    return min(kept_for(each.name) for each in types_of(Origin.BATCH))


def _newest(now: datetime) -> datetime:
    """The latest time of submission of a batch that may be due."""
    return now - _shortest()


def _looks() -> dict[str, str]:
    """When each month is to be checked next, by month; "" is never, and a month without an entry is
    unknown.
    """
    stored = key_values.get(_looks_name())
    found: dict[str, str] = json.loads(stored) if stored else {}
    return found


def _note(month: str, soonest: str, looks: Mapping[str, str]) -> None:
    """Store when a past month is to be checked next. Of the months that need no check, one is
    enough.
    """
    stored = {**looks, month: soonest}
    months = sorted(stored)
    while len(months) > 1 and not stored[months[0]] and not stored[months[1]]:
        del stored[months.pop(0)]
    key_values.put(_looks_name(), json.dumps(stored))


def _looks_name() -> str:
    """The name under which these times are stored. It contains the retention times, which they
    depend on.
    """
    kept = sorted((each.name, each.retention_days) for each in types_of(Origin.BATCH))
    return " ".join(["retention", *(f"{name}={days}" for name, days in kept)])


def _first_to_look_at(looks: Mapping[str, str], now: datetime, later_than: str = "") -> str:
    """The first month after `later_than` in which something may be due; "" when none is."""
    month = batches.first_month()
    if looks and not looks[min(looks)]:
        month = max(month, min(looks))
    if later_than and month:
        month = max(month, _month_after(later_than))
    while month and month <= f"{_newest(now):%Y-%m}":
        look = looks.get(month)
        if look is None or (look and look <= _written(now)):
            return month
        month = _month_after(month)
    return ""


def _month_after(month: str) -> str:
    return f"{_end_of(month):%Y-%m}"


def _end_of(month: str) -> datetime:
    year, number = int(month[:4]), int(month[5:])
    return datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


# Leftovers


def _leftovers(place: Bookmark) -> WorkSlice:
    """Go on with the next batch whose archiving was begun and not finished."""
    found = next(batches.in_archiving(place.get("after", "")), None)
    if found is None:
        return WorkSlice({})
    after = batches.page_key(found.batch)
    return WorkSlice({"go": "leftovers", "after": after, "batch": found.batch.batch_id})
