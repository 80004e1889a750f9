"""When the tasks of a campaign may run: at once, or in a range of dates within daily windows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from jobyard.domain.campaigns.fields import FieldReader, one_of, whole_number
from jobyard.domain.campaigns.openings import Openings
from jobyard.domain.errors import InvalidRule
from jobyard.domain.schedules.calendar import DAY_S, Calendar, Window, window_of
from jobyard.domain.schedules.rule_parsing import DEFAULT_ZONE
from jobyard.domain.schedules.wall_clock import (
    first_instant,
    format_day,
    format_time,
    wall_or_date_of,
    zone_name_of,
    zone_named,
)

DEFAULT_EXPIRES_S = 1_800  # of a campaign at once; source: Connectivity Suite, 10.2.1
MIN_EXPIRES_S, MAX_EXPIRES_S = 300, 7 * DAY_S
MAX_DAYS = 366  # from the first to the last date of a range
MIN_WINDOW_S = 300
MAX_NEEDS_MIN = 600
SCHEDULE_FIELDS = (*("kind", "zone", "from", "to", "window", "needs", "calendar", "expires_s"),)
ALWAYS = Window(tuple(range(7)), time(), time())  # open all day, every day
_RANGE_FIELDS = ("from", "to", "window", "calendar")

CalendarFor = Callable[[object], Calendar]  # by the value of the field, or raises InvalidRule


class CampaignKind(StrEnum):
    """How a campaign is scheduled."""

    FIRE_AND_FORGET = "fire_and_forget"  # at once, until it expires; windows do not count
    SCHEDULED = "scheduled"  # in a range of dates, within windows


@dataclass(frozen=True)
class CampaignSchedule:
    """When the tasks of a campaign may run.

    A scheduled one has a range from `first` to `last`: dates of its zone, both included, or wall
    times, of which the last is excluded. It is open in the window where the calendar allows it. The
    other kind lasts `expires_s` seconds. `needs_min` minutes must be left when a task starts.
    """

    kind: CampaignKind
    zone: str = DEFAULT_ZONE
    first: date | None = None  # None: from its creation on
    last: date | None = None
    window: Window = ALWAYS
    calendar: Calendar | None = None
    needs_min: int = 0
    expires_s: int = DEFAULT_EXPIRES_S

    @property
    def needs(self) -> timedelta:
        """The time that must be left to the end of the opening when a task starts."""
        return timedelta(minutes=self.needs_min)

    @property
    def too_late_text(self) -> str:
        """Why no task starts although the window is open."""
        return f"less than {self.needs_min} minutes are left, which a task needs"

    @cached_property
    def _zone(self) -> ZoneInfo:
        return zone_named(self.zone)

    def begins_at(self, created_at: datetime) -> datetime:
        """The first instant at which a task may run, if the window is open then."""
        if self.first is None:
            return created_at
        return max(created_at, first_instant(_wall_of(self.first), self._zone))

    def expires_at(self, created_at: datetime) -> datetime:
        """The instant at which the campaign ends, whatever has become of its tasks."""
        if self.last is None:
            return created_at + timedelta(seconds=self.expires_s)
        if isinstance(self.last, datetime):
            # A wall time that occurs twice is the second one; one that is skipped ends the range.
            at = first_instant(self.last, self._zone)
            return max(at, self.last.replace(tzinfo=self._zone, fold=1).astimezone(UTC))
        return first_instant(_wall_of(self.last + timedelta(days=1)), self._zone)

    def openings(self, created_at: datetime) -> Openings:
        """The openings of a campaign that was created at `created_at`."""
        start, end = self.begins_at(created_at), self.expires_at(created_at)
        if self.kind is CampaignKind.FIRE_AND_FORGET:
            return Openings(start, end)
        return Openings(start, end, self.zone, self.window, self.calendar)

    def extended(self, until: object, created_at: datetime) -> "CampaignSchedule":
        """The schedule with a later end: a date or a wall time of its zone.

        Raises:
            InvalidRule: it is not later, or too late.
        """
        last = wall_or_date_of("to", until)
        if self.kind is CampaignKind.SCHEDULED:
            extended = replace(self, last=last)
            _check_length("to", self.first or _local_date(created_at, self._zone), last)
        else:
            end = replace(self, last=last).expires_at(created_at)
            seconds = (end - created_at) // timedelta(seconds=1)
            if seconds > MAX_EXPIRES_S:
                raise InvalidRule("to", f"at most {MAX_EXPIRES_S // DAY_S} days after its creation")
            extended = replace(self, expires_s=seconds)
        before = self.expires_at(created_at)
        if extended.expires_at(created_at) <= before:
            raise InvalidRule("to", f"later than {_shown(before, self._zone)}, when it ends now")
        return extended

    def description(self) -> str:
        """The schedule in plain language."""
        if self.kind is CampaignKind.FIRE_AND_FORGET:
            return f"At once, for {self.expires_s // 60} minutes"
        window = self.window.description()
        words = f"{window[0].upper()}{window[1:]}"
        if self.calendar:
            words += f" when calendar {self.calendar.name} allows it"
        if self.last is not None:
            since = f"{_shown_end(self.first)} to" if self.first else "until"
            words += f", {since} {_shown_end(self.last)}"
        return f"{words} ({self.zone})"

    def document(self) -> dict[str, Any]:
        """The schedule as JSON; `schedule_of` parses it."""
        document: dict[str, Any] = {"kind": self.kind.value, "zone": self.zone}
        if self.kind is CampaignKind.FIRE_AND_FORGET:
            document["expires_s"] = self.expires_s
        else:
            document["from"] = self.first and _text(self.first)
            document["to"] = self.last and _text(self.last)
            document["window"] = self.window.document()
            document["calendar"] = self.calendar and self.calendar.document()
        return {**document, "needs": self.needs_min}


def schedule_of(
    fields: FieldReader,
    created_at: datetime,
    calendar_for: CalendarFor,
    default_needs_min: int = 0,
) -> CampaignSchedule:
    """Parse the fields `SCHEDULE_FIELDS` of a campaign that is created at `created_at`.

    What is wrong is recorded in `fields`; then the schedule is of no use. `calendar_for` finds
    or parses the calendar. `default_needs_min` is for a document without `needs`.
    """
    before = len(fields.problems)
    kind = fields.read("kind", one_of(CampaignKind), CampaignKind.SCHEDULED)
    if "kind" not in fields:
        fields.refuse("kind", f"missing; one of {', '.join(CampaignKind)}")
    if len(fields.problems) > before:
        return CampaignSchedule(kind)
    zone = fields.read("zone", zone_name_of, DEFAULT_ZONE)
    needs = fields.read("needs", whole_number(0, MAX_NEEDS_MIN, "of minutes"), default_needs_min)
    if kind is CampaignKind.FIRE_AND_FORGET:
        seconds = whole_number(MIN_EXPIRES_S, MAX_EXPIRES_S, "of seconds")
        expires_s = fields.read("expires_s", seconds, DEFAULT_EXPIRES_S)
        if needs * 60 > expires_s:
            fields.refuse("needs", f"at most {expires_s // 60} minutes, its whole time")
        return CampaignSchedule(kind, zone, needs_min=needs, expires_s=expires_s)
    if "expires_s" in fields:
        fields.refuse("expires_s", "only for fire_and_forget; a scheduled campaign ends with to")
    schedule = CampaignSchedule(
        kind,
        zone,
        fields.read("from", wall_or_date_of, None),
        fields.read("to", wall_or_date_of, None),
        fields.read("window", _window_of, ALWAYS),
        fields.read("calendar", lambda _, value: calendar_for(value), None),
        needs,
    )
    if "to" not in fields:
        fields.refuse("to", "missing; a date like '2026-11-30'")
    if len(fields.problems) == before:
        _check_range(fields, schedule, created_at)
    if len(fields.problems) == before:
        _check_openings(fields, schedule, created_at)
    return schedule


def ignored_fields(document: Any) -> tuple[str, ...]:
    """The fields of a range that a document has although a campaign of its kind ignores them."""
    if document.get("kind") != CampaignKind.FIRE_AND_FORGET:
        return ()
    return tuple(name for name in _RANGE_FIELDS if document.get(name) is not None)


def _window_of(where: str, value: object) -> Window:
    window = window_of(where, value)
    if isinstance(value, dict) and value.get("from") == value.get("to") is not None:
        raise InvalidRule(f"{where}.to", "a time other than from; leave out both for the whole day")
    if _width_s(window) < MIN_WINDOW_S:
        raise InvalidRule(f"{where}.to", f"at least {MIN_WINDOW_S // 60} minutes after from")
    return window


def _width_s(window: Window) -> int:
    """How long a window is open, in seconds of a wall clock."""
    start, end = (
        (each.hour * 60 + each.minute) * 60 + each.second for each in (window.start, window.end)
    )
    return (end - start) % DAY_S or DAY_S


def _check_range(fields: FieldReader, schedule: CampaignSchedule, created_at: datetime) -> None:
    zone = zone_named(schedule.zone)
    first, last = schedule.first or _local_date(created_at, zone), schedule.last
    assert last is not None
    try:
        _check_length(fields.path("to"), first, last)
        begins_at, expires_at = schedule.begins_at(created_at), schedule.expires_at(created_at)
    except InvalidRule as error:
        fields.problems.append(error)
        return
    except OverflowError:
        fields.refuse("to", "a date before the year 9999")
        return
    if expires_at <= created_at:
        shown = f"{format_day(first)} to {format_day(last)}"
        fields.refuse("to", f"later than now; the range {shown} ended {_shown(expires_at, zone)}")
    elif expires_at <= begins_at:
        fields.refuse("to", f"later than from, {_shown_end(first)}")
    elif schedule.needs_min * 60 > _width_s(schedule.window):
        minutes = _width_s(schedule.window) // 60
        fields.refuse("needs", f"at most {minutes} minutes, as long as the window is open")


def _check_length(where: str, first: date, last: date) -> None:
    days = last.toordinal() - first.toordinal()
    if days < 0:
        allowed = f"{format_day(first)}, when it begins, or later, not {format_day(last)}"
        raise InvalidRule(where, allowed)
    if days > MAX_DAYS:
        raise InvalidRule(where, f"at most {MAX_DAYS} days after {format_day(first)}")


def _check_openings(fields: FieldReader, schedule: CampaignSchedule, created_at: datetime) -> None:
    openings = schedule.openings(created_at).all
    if not openings:
        fields.refuse(
            "window", f"open at least once in the range; it never opens: {schedule.description()}"
        )
    elif max(each.end - each.start for each in openings) < schedule.needs:
        fields.refuse(
            "needs", "at most as long as the longest opening in the range; nothing could start"
        )


def _wall_of(day: date) -> datetime:
    return day if isinstance(day, datetime) else datetime.combine(day, time())


def _local_date(instant: datetime, zone: ZoneInfo) -> date:
    return instant.astimezone(zone).date()


def _text(day: date) -> str:
    if isinstance(day, datetime):
        return f"{day.date().isoformat()}T{format_time(day.time())}"
    return day.isoformat()


def _shown_end(day: date) -> str:
    if isinstance(day, datetime):
        return f"{format_day(day)} {format_time(day.time())}"
    return format_day(day)


def _shown(instant: datetime, zone: ZoneInfo) -> str:
    return f"{_shown_end(instant.astimezone(zone).replace(tzinfo=None))} {zone.key}"
