"""Another reading of the rules, to hold ours against: it shares no line with it and no idea.

Wall times are dateutil's. What instants a wall time stands for is found by trying: each offset that
the zone has thereabouts, and the zone's clocks read back. It walks from the anchor, so it is slow.
It is given the words of the JSON document, and reads those that are spelled out in full only.
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
_ABOUT = timedelta(hours=36)
_MINUTE = timedelta(minutes=1)


def occurrences(document: Mapping[str, Any], start: datetime) -> Iterator[datetime]:
    """The occurrences of a rule at `start` (UTC) or after it, in order, each once."""
    zone = document["zone"]
    gap, repeated = document["dst"]
    before = start - timedelta(microseconds=1)
    if document["kind"] == "hourly":
        found = _hours(document, zone, gap)
    else:
        early = (start - 2 * _ABOUT).replace(tzinfo=None)
        found = (
            instant
            for wall in _walls(document)
            if wall >= early
            for instant in _read(wall, zone, gap, repeated)
        )
    for instant in found:
        if instant > before:
            before = instant
            yield instant


def changes(zone: str, first: date, last: date) -> list[datetime]:
    """Midnights (UTC) before which, by a day at most, the offset of a zone was another one."""
    there = ZoneInfo(zone)
    midnights = [
        datetime.combine(first, time(), UTC) + timedelta(days=day)
        for day in range((last - first).days)
    ]
    offsets = [midnight.astimezone(there).utcoffset() for midnight in midnights]
    return [
        midnight
        for midnight, before, after in zip(midnights[1:], offsets, offsets[1:], strict=False)
        if before != after
    ]


def _walls(document: Mapping[str, Any]) -> Iterator[datetime]:
    anchor = datetime.fromisoformat(f"{document['anchor']}T{document['at']}")
    every = document.get("every", 1)
    match document["kind"]:
        case "once":
            walls = rrule(DAILY, dtstart=anchor, count=1)
        case "daily":
            walls = rrule(DAILY, dtstart=anchor, interval=every)
        case "weekly":
            ticked = [WEEKDAYS.index(each) for each in document.get("weekdays", ())] or None
            walls = rrule(WEEKLY, dtstart=anchor, interval=every, byweekday=ticked, wkst=MO)
        case _:
            walls = _months(anchor, every, document.get("day", anchor.day))
    return _cut(document, iter(walls))


def _months(anchor: datetime, every: int, day: int | str) -> rrule:
    if day == "last":
        return rrule(MONTHLY, dtstart=anchor, interval=every, bymonthday=-1)
    days = range(min(int(day), 28), int(day) + 1)
    return rrule(MONTHLY, dtstart=anchor, interval=every, bymonthday=days, bysetpos=-1)


def _cut(document: Mapping[str, Any], walls: Iterator[datetime]) -> Iterator[datetime]:
    if "end" in document:
        end = _end(document["end"])
        walls = takewhile(lambda wall: wall <= end, walls)
    return islice(walls, document.get("count"))


def _end(text: str) -> datetime:
    return datetime.fromisoformat(text if "T" in text else f"{text}T23:59:59")


def _hours(document: Mapping[str, Any], zone: str, gap: str) -> Iterator[datetime]:
    anchor = datetime.fromisoformat(f"{document['anchor']}T{document['at']}")
    start = _read(anchor, zone, "shift", "once")[0].replace(tzinfo=None)
    walls = rrule(HOURLY, dtstart=start, interval=document.get("every", 1))
    instants = islice((wall.replace(tzinfo=UTC) for wall in walls), document.get("count"))
    if gap == "skip" and not _read(anchor, zone, "skip", "once"):
        next(instants, None)
    if "end" in document:
        end = _end(document["end"])
        read = _read(end, zone, "skip", "twice")
        if read:
            return takewhile(lambda instant: instant <= read[-1], instants)
        behind = _read(end, zone, "shift", "once")[0]
        return takewhile(lambda instant: instant < behind, instants)
    return instants


def _read(wall: datetime, zone: str, gap: str, repeated: str) -> list[datetime]:
    instants, behind = _tried(wall, zone)
    if not instants:
        return [behind] if gap == "shift" else []
    return instants if repeated == "twice" else instants[:1]


@lru_cache(maxsize=100_000)
def _tried(wall: datetime, zone: str) -> tuple[list[datetime], datetime]:
    """All instants that show `wall`; where there are none, the first that shows a later time."""
    there = ZoneInfo(zone)
    near = wall.replace(tzinfo=UTC)
    offsets = {(near + by).astimezone(there).utcoffset() for by in (-_ABOUT, _ABOUT)}
    instants = sorted(near - offset for offset in offsets if offset is not None)
    found = [each for each in instants if each.astimezone(there).replace(tzinfo=None) == wall]
    if found:
        return found, near
    moment = (near - _ABOUT).replace(second=0)
    while moment.astimezone(there).replace(tzinfo=None) < wall:
        moment += _MINUTE
    return [], moment
