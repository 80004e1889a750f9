"""Rules of recurrence, read from the JSON that spells them."""

from collections.abc import Mapping
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from jobyard.domain.errors import InvalidRule
from jobyard.domain.schedules.recurrence import EARLIEST, LAST, Gap, Kind, Recurrence, Repeated
from jobyard.domain.schedules.wall_clock import (
    format_time,
    time_of,
    wall_or_date_of,
    weekdays_of,
    zone_called,
    zone_name_of,
)

DEFAULT_ZONE = "America/Los_Angeles"
MAX_TIMES = 1_000_000
MAX_EVERY = {Kind.ONCE: 1, Kind.HOURLY: 8760, Kind.DAILY: 366, Kind.WEEKLY: 52, Kind.MONTHLY: 60}
_DST = (
    f"one of {', '.join(Gap)}, for times that clocks leave out, "
    f"one of {', '.join(Repeated)}, for times that come twice, or one of each"
)
_Words = TypeVar("_Words", bound=StrEnum)
_FIELDS = ("kind", "every", "weekdays", "day", "at", "zone", "anchor", "end", "count", "dst")


def recurrence_of(document: object, today: date | None = None) -> Recurrence:
    """The rule that a JSON document spells; null is as if left out.

    Where it has no anchor, `today` is: a date, or an instant that is read in the rule's zone.

    Raises:
        InvalidRule: it spells none; the field that is wrong, and what may stand there.
    """
    if not isinstance(document, Mapping):
        raise InvalidRule("rule", "a JSON object like {'kind': 'daily', 'at': '09:00'}")
    given = {name: value for name, value in document.items() if value is not None}
    for name in given:
        if name not in _FIELDS:
            raise InvalidRule(str(name), f"no field of a rule; there are {', '.join(_FIELDS)}")
    kind = _word("kind", given.get("kind"), Kind)
    for name, only in (("weekdays", Kind.WEEKLY), ("day", Kind.MONTHLY)):
        if name in given and kind is not only:
            raise InvalidRule(name, f"only of {only.value} rules, not of {kind.value} ones")
    zone = zone_name_of("zone", given.get("zone", DEFAULT_ZONE))
    anchor, at = _anchor_of(given, _local_day(today, zone_called(zone)))
    gap, repeated = _dst_of(given.get("dst", []))
    once = kind is Kind.ONCE
    rule = Recurrence(
        kind,
        at,
        zone,
        anchor,
        every=_whole("every", given.get("every", 1), MAX_EVERY[kind], f" for kind {kind.value}"),
        weekdays=weekdays_of("weekdays", given.get("weekdays", [])),
        day=_day_of(given["day"]) if "day" in given else None,
        end=wall_or_date_of("end", given["end"]) if "end" in given else None,
        count=_whole("count", given["count"], 1 if once else MAX_TIMES)
        if "count" in given
        else None,
        gap=gap,
        repeated=repeated,
    )
    if rule.is_over_before_it_begins:
        raise InvalidRule("end", f"{anchor.isoformat()}T{format_time(at)}, the anchor, or later")
    return rule


def _local_day(today: date | None, zone: ZoneInfo) -> date | None:
    return today.astimezone(zone).date() if isinstance(today, datetime) else today


def _anchor_of(given: Mapping[str, Any], today: date | None) -> tuple[date, time]:
    anchor = wall_or_date_of("anchor", given["anchor"]) if "anchor" in given else today
    if anchor is None:
        raise InvalidRule(
            "anchor", "missing; a date like '2026-11-25' from which on the rule counts"
        )
    if anchor.year < EARLIEST:
        raise InvalidRule("anchor", f"a date in {EARLIEST} or later")
    if not isinstance(anchor, datetime):
        if "at" not in given:
            raise InvalidRule("at", "missing; a time of day like '09:00'")
        return anchor, time_of("at", given["at"])
    if "at" in given and time_of("at", given["at"]) != anchor.time():
        shown = format_time(anchor.time())
        raise InvalidRule("at", f"{shown}, as the anchor has it, or left out; not {given['at']}")
    return anchor.date(), anchor.time()


def _day_of(value: object) -> int | str:
    if value == LAST:
        return LAST
    return _whole("day", value, 31, f" or {LAST!r}")


def _dst_of(value: object) -> tuple[Gap, Repeated]:
    """What becomes of times left out and of times repeated, of one word or of one for each."""
    words = [word.strip() for word in value.split(",")] if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)):
        raise InvalidRule("dst", _DST)
    gaps = [word for word in words if word in tuple(Gap)]
    repeats = [word for word in words if word in tuple(Repeated)]
    if len(gaps) + len(repeats) < len(words) or len(gaps) > 1 or len(repeats) > 1:
        raise InvalidRule("dst", _DST)
    return Gap(*gaps or [Gap.SHIFT]), Repeated(*repeats or [Repeated.ONCE])


def _word(where: str, value: object, words: type[_Words]) -> _Words:
    if value not in tuple(words):
        raise InvalidRule(where, f"one of {', '.join(words)}, not {value!r}")
    return words(str(value))


def _whole(where: str, value: object, most: int, more: str = "") -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        numbers = f"a whole number from 1 to {most}" if most > 1 else "1"
        raise InvalidRule(where, f"{numbers}{more}, not {value!r}")
    return value
