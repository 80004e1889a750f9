"""A year of a rule, day by day, and what a change of a rule adds and removes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from jobyard.domain.schedules.calendar import Calendar
from jobyard.domain.schedules.next_runs import UpcomingRun, preview
from jobyard.domain.schedules.recurrence import Recurrence
from jobyard.domain.schedules.wall_clock import zone_named

FIRST_YEAR, LAST_YEAR = 2000, 9998
MAX_YEAR_TIMES = (
    9_000  # of a year that are counted: each hour of a leap year, and the repeated ones
)


@dataclass(frozen=True)
class YearDay:
    """A day on which a rule is due: its runs, and the times that the calendar excludes.

    `reason` says why the last of those is excluded; `note` is about a clock change on this day.
    """

    runs: int = 0
    skipped: int = 0
    reason: str = ""
    note: str = ""


def days_of_year(
    rule: Recurrence, calendar: Calendar | None, year: int
) -> tuple[Mapping[date, YearDay], bool]:
    """The days of a year, in the rule's zone, on which a rule is due, in order; and whether these
    are all. Only the first `MAX_YEAR_TIMES` times are counted.
    """
    zone = zone_named(rule.zone)
    start = datetime(year, 1, 1, tzinfo=zone).astimezone(UTC)
    end = datetime(year + 1, 1, 1, tzinfo=zone).astimezone(UTC)
    days: dict[date, YearDay] = {}
    for count, at in enumerate(rule.occurrences_from(start)):
        if at >= end:
            break
        if count == MAX_YEAR_TIMES:
            return days, False
        day = at.astimezone(zone).date()
        before = days.get(day, YearDay())
        refusal = calendar.refusal(at, rule.zone) if calendar else ""
        days[day] = replace(
            before,
            runs=before.runs + (not refusal),
            skipped=before.skipped + bool(refusal),
            reason=refusal or before.reason,
            note=rule.note(at) or before.note,
        )
    return days, True


@dataclass(frozen=True)
class RuleDifference:
    """The next runs by a new rule, and which of the next runs a change adds and removes, in order.

    Both rules are compared up to the earlier of their last compared runs.
    """

    next_runs: tuple[UpcomingRun, ...]
    added: tuple[UpcomingRun, ...]
    removed: tuple[UpcomingRun, ...]


def rule_difference(
    before: tuple[Recurrence, Calendar | None],
    after: tuple[Recurrence, Calendar | None],
    start: datetime,
    count: int,
) -> RuleDifference:
    """What a change of a rule or its calendar does to the first `count` runs from `start` on."""
    (old_rule, old_calendar), (new_rule, new_calendar) = before, after
    old = preview(old_rule, start, count, old_calendar)
    new = preview(new_rule, start, count, new_calendar)
    # If a list is full, its rule has more runs later, which are not compared.
    ends = [runs[-1].utc for runs in (old, new) if len(runs) == count]
    end = min(ends, default=None)

    def missing(runs: list[UpcomingRun], others: list[UpcomingRun]) -> tuple[UpcomingRun, ...]:
        known = {each.utc for each in others}
        return tuple(
            each for each in runs if each.utc not in known and (end is None or each.utc <= end)
        )

    return RuleDifference(tuple(new), missing(new, old), missing(old, new))


@dataclass(frozen=True)
class Lateness:
    """How late the jobs of some runs started, in seconds; None if none has started."""

    runs: int
    median_s: float | None
    longest_s: float | None


def lateness_of(delays: list[float]) -> Lateness:
    """The lateness of runs by the delays of their jobs, in seconds."""
    ordered = sorted(delays)
    if not ordered:
        return Lateness(0, None, None)
    return Lateness(len(ordered), ordered[len(ordered) // 2], ordered[-1])
