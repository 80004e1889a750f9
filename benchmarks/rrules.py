"""An independent implementation of the rules, to compare ours with.

Wall times are computed by dateutil. The instants of a wall time are found by trial: each offset of
the zone around it is tried, and the result is converted back. It starts at the anchor, so it is
slow. It takes the JSON document of a rule with all fields given.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, takewhile
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import DAILY, HOURLY, MO, MONTHLY, WEEKLY, rrule

ZONES = (
    "Africa/Cairo",
    "America/Los_Angeles",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/London",
    "Pacific/Apia",
    "UTC",
)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SEARCH_RANGE = timedelta(hours=36)
_MINUTE = timedelta(minutes=1)


def occurrences(document: Mapping[str, Any], start: datetime) -> Iterator[datetime]:
    """The occurrences of a rule at `start` (UTC) or after it, in order, each once."""
    zone = document["zone"]
    gap, repeated = document["dst"]
    before = start - timedelta(microseconds=1)
    if document["kind"] == "hourly":
        found = _hours(document, zone, gap)
    else:
        early = (start - 2 * _SEARCH_RANGE).replace(tzinfo=None)
        found = (
            instant
            for wall in _wall_times(document)
            if wall >= early
            for instant in _instants(wall, zone, gap, repeated)
        )
    for instant in found:
        if instant > before:
            before = instant
            yield instant


def changes(zone: str, first: date, last: date) -> list[datetime]:
    """Midnights (UTC) of the days before which the offset of a zone changed, within a day."""
    zone_info = ZoneInfo(zone)
    midnights = [
        datetime.combine(first, time(), UTC) + timedelta(days=day)
        for day in range((last - first).days)
    ]
    offsets = [midnight.astimezone(zone_info).utcoffset() for midnight in midnights]
    return [
        midnight
        for midnight, before, after in zip(midnights[1:], offsets, offsets[1:], strict=False)
        if before != after
    ]


def _wall_times(document: Mapping[str, Any]) -> Iterator[datetime]:
    anchor = datetime.fromisoformat(f"{document['anchor']}T{document['at']}")
    every = document.get("every", 1)
    match document["kind"]:
        case "once":
            wall_times = rrule(DAILY, dtstart=anchor, count=1)
        case "daily":
            wall_times = rrule(DAILY, dtstart=anchor, interval=every)
        case "weekly":
            weekdays = [WEEKDAYS.index(each) for each in document.get("weekdays", ())] or None
            wall_times = rrule(WEEKLY, dtstart=anchor, interval=every, byweekday=weekdays, wkst=MO)
        case _:
            wall_times = _months(anchor, every, document.get("day", anchor.day))
    return _bounded(document, iter(wall_times))


def _months(anchor: datetime, every: int, day: int | str) -> rrule:
    if day == "last":
        return rrule(MONTHLY, dtstart=anchor, interval=every, bymonthday=-1)
    days = range(min(int(day), 28), int(day) + 1)
    return rrule(MONTHLY, dtstart=anchor, interval=every, bymonthday=days, bysetpos=-1)


def _bounded(document: Mapping[str, Any], wall_times: Iterator[datetime]) -> Iterator[datetime]:
    if "end" in document:
        end = _end(document["end"])
        wall_times = takewhile(lambda wall: wall <= end, wall_times)
    return islice(wall_times, document.get("count"))


def _end(text: str) -> datetime:
    return datetime.fromisoformat(text if "T" in text else f"{text}T23:59:59")


def _hours(document: Mapping[str, Any], zone: str, gap: str) -> Iterator[datetime]:
    anchor = datetime.fromisoformat(f"{document['anchor']}T{document['at']}")
    start = _instants(anchor, zone, "shift", "once")[0].replace(tzinfo=None)
    wall_times = rrule(HOURLY, dtstart=start, interval=document.get("every", 1))
    instants = islice((wall.replace(tzinfo=UTC) for wall in wall_times), document.get("count"))
    if gap == "skip" and not _instants(anchor, zone, "skip", "once"):
        next(instants, None)
    if "end" in document:
        end = _end(document["end"])
        instants_read = _instants(end, zone, "skip", "twice")
        if instants_read:
            return takewhile(lambda instant: instant <= instants_read[-1], instants)
        after_gap = _instants(end, zone, "shift", "once")[0]
        return takewhile(lambda instant: instant < after_gap, instants)
    return instants


def _instants(wall: datetime, zone: str, gap: str, repeated: str) -> list[datetime]:
    instants, after_gap = _search(wall, zone)
    if not instants:
        return [after_gap] if gap == "shift" else []
    return instants if repeated == "twice" else instants[:1]


@lru_cache(maxsize=100_000)
def _search(wall: datetime, zone: str) -> tuple[list[datetime], datetime]:
    """All instants with the wall time `wall`, and the first instant after it if there are none."""
    zone_info = ZoneInfo(zone)
    near = wall.replace(tzinfo=UTC)
    offsets = {
        (near + by).astimezone(zone_info).utcoffset() for by in (-_SEARCH_RANGE, _SEARCH_RANGE)
    }
    instants = sorted(near - offset for offset in offsets if offset is not None)
    found = [each for each in instants if each.astimezone(zone_info).replace(tzinfo=None) == wall]
    if found:
        return found, near
    moment = (near - _SEARCH_RANGE).replace(second=0)
    while moment.astimezone(zone_info).replace(tzinfo=None) < wall:
        moment += _MINUTE
    return [], moment
