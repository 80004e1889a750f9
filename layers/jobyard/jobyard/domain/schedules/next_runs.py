"""The next runs of a rule: its times that a calendar allows, each with its local time and note."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from jobyard.domain.schedules.calendar import Calendar
from jobyard.domain.schedules.recurrence import Recurrence
from jobyard.domain.schedules.wall_clock import zone_named

MAX_REFUSED_IN_A_ROW = 10_000  # refusals of a calendar in a row after which the search ends
MAX_CALENDAR_CHECKS = 50_000  # checks of a calendar after which the search ends


@dataclass(frozen=True)
class UpcomingRun:
    """A time at which a rule is due, in UTC and in its zone. `note` is about a clock change."""

    utc: datetime
    local: datetime
    note: str

    def document(self) -> dict[str, str]:
        """The run as JSON."""
        return {
            "utc": self.utc.isoformat().replace("+00:00", "Z"),
            "local": self.local.isoformat(),
            "note": self.note,
        }


def upcoming_run(rule: Recurrence, instant: datetime) -> UpcomingRun:
    """The rule's occurrence at `instant`, with its local time and note."""
    return UpcomingRun(instant, instant.astimezone(zone_named(rule.zone)), rule.note(instant))


def next_runs(rule: Recurrence, calendar: Calendar | None, start: datetime) -> Iterator[datetime]:
    """The rule's times at or after `start` that `calendar` allows, ascending.

    They end with the rule, or after `MAX_REFUSED_IN_A_ROW` refusals in a row, or after
    `MAX_CALENDAR_CHECKS` checks of the calendar.
    """
    if calendar is None:
        yield from rule.occurrences_from(start)
        return
    refused = 0
    for at in islice(rule.occurrences_from(start), MAX_CALENDAR_CHECKS):
        refused = 0 if calendar.allows(at, rule.zone) else refused + 1
        if refused == MAX_REFUSED_IN_A_ROW:
            return
        if not refused:
            yield at


def preview(
    rule: Recurrence, start: datetime, count: int, calendar: Calendar | None = None
) -> list[UpcomingRun]:
    """The first `count` of the `next_runs`; fewer if these end."""
    return [upcoming_run(rule, at) for at in islice(next_runs(rule, calendar, start), count)]
