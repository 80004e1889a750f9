"""Parsing of recurrence rules from JSON."""

from collections.abc import Mapping
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from jobyard.domain.errors import InvalidRule
from jobyard.domain.schedules.recurrence import (
    EARLIEST_YEAR,
    LAST_DAY_OF_MONTH,
    Gap,
    Kind,
    Recurrence,
    Repeated,
)
from jobyard.domain.schedules.wall_clock import (
    format_time,
    time_of,
    wall_or_date_of,
    weekdays_of,
    zone_name_of,
    zone_named,
)

DEFAULT_ZONE = "America/Los_Angeles"
MAX_TIMES = 1_000_000
MAX_EVERY = {Kind.ONCE: 1, Kind.HOURLY: 8760, Kind.DAILY: 366, Kind.WEEKLY: 52, Kind.MONTHLY: 60}
_DST = (
    f"one of {', '.join(Gap)}, for times that do not exist, "
    f"one of {', '.join(Repeated)}, for times that occur twice, or one of each"
)
_Enum = TypeVar("_Enum", bound=StrEnum)
_FIELDS = ("kind", "every", "weekdays", "day", "at", "zone", "anchor", "end", "count", "dst")


def recurrence_of(document: object, today: date | None = None) -> Recurrence:
    """Parse a rule from a JSON document. A null field counts as missing.

    `today` is the default of the anchor: a date, or an instant whose date is that in the rule's
    zone.

    Raises:
        InvalidRule: the document is not a valid rule.
    """
    if not isinstance(document, Mapping):
        raise InvalidRule("rule", "a JSON object like {'kind': 'daily', 'at': '09:00'}")
    given = {name: value for name, value in document.items() if value is not None}
    for name in given:
        if name not in _FIELDS:
            raise InvalidRule(
                str(name), f"not a field of a rule; the fields are {', '.join(_FIELDS)}"
            )
    kind = _member("kind", given.get("kind"), Kind)
    for name, only in (("weekdays", Kind.WEEKLY), ("day", Kind.MONTHLY)):
        if name in given and kind is not only:
            raise InvalidRule(name, f"only for {only.value} rules, not for {kind.value} ones")
    zone = zone_name_of("zone", given.get("zone", DEFAULT_ZONE))
    anchor, at = _anchor_of(given, _local_day(today, zone_named(zone)))
    gap, repeated = _dst_of(given.get("dst", []))
    max_count = 1 if kind is Kind.ONCE else MAX_TIMES
    rule = Recurrence(
        kind,
        at,
        zone,
        anchor,
        every=_whole("every", given.get("every", 1), MAX_EVERY[kind], f" for kind {kind.value}"),
        weekdays=weekdays_of("weekdays", given.get("weekdays", [])),
        day=_day_of(given["day"]) if "day" in given else None,
        end=wall_or_date_of("end", given["end"]) if "end" in given else None,
        count=_whole("count", given["count"], max_count) if "count" in given else None,
        gap=gap,
        repeated=repeated,
    )
    if rule.ends_before_anchor:
        raise InvalidRule("end", f"{anchor.isoformat()}T{format_time(at)}, the anchor, or later")
    return rule


def _local_day(today: date | None, zone: ZoneInfo) -> date | None:
    return today.astimezone(zone).date() if isinstance(today, datetime) else today


def _anchor_of(given: Mapping[str, Any], today: date | None) -> tuple[date, time]:
    anchor = wall_or_date_of("anchor", given["anchor"]) if "anchor" in given else today
    if anchor is None:
        raise InvalidRule("anchor", "missing; a date like '2026-11-25' at which the rule starts")
    if anchor.year < EARLIEST_YEAR:
        raise InvalidRule("anchor", f"a date in {EARLIEST_YEAR} or later")
    if not isinstance(anchor, datetime):
        if "at" not in given:
            raise InvalidRule("at", "missing; a time of day like '09:00'")
        return anchor, time_of("at", given["at"])
    if "at" in given and time_of("at", given["at"]) != anchor.time():
        expected = format_time(anchor.time())
        raise InvalidRule("at", f"{expected}, the anchor's time, or none; not {given['at']}")
    return anchor.date(), anchor.time()


def _day_of(value: object) -> int | str:
    if value == LAST_DAY_OF_MONTH:
        return LAST_DAY_OF_MONTH
    return _whole("day", value, 31, f" or {LAST_DAY_OF_MONTH!r}")


def _dst_of(value: object) -> tuple[Gap, Repeated]:
    """Parse `dst`: a list, or text with commas, of at most one value of each enum."""
    values = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(values, (list, tuple)):
        raise InvalidRule("dst", _DST)
    gaps = [each for each in values if each in tuple(Gap)]
    repeats = [each for each in values if each in tuple(Repeated)]
    if len(gaps) + len(repeats) < len(values) or len(gaps) > 1 or len(repeats) > 1:
        raise InvalidRule("dst", _DST)
    return Gap(*gaps or [Gap.SHIFT]), Repeated(*repeats or [Repeated.ONCE])


def _member(where: str, value: object, members: type[_Enum]) -> _Enum:
    if value not in tuple(members):
        raise InvalidRule(where, f"one of {', '.join(members)}, not {value!r}")
    return members(str(value))


def _whole(where: str, value: object, limit: int, suffix: str = "") -> int:
    """`value` if it is a whole number from 1 to `limit`; `suffix` ends what an error allows."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
        numbers = f"a whole number from 1 to {limit}" if limit > 1 else "1"
        raise InvalidRule(where, f"{numbers}{suffix}, not {value!r}")
    return value
