"""The next runs of a rule, and how far ahead they are searched under a calendar."""

from datetime import UTC, datetime, timedelta
from itertools import islice

from jobyard.domain.schedules.calendar import Calendar, calendar_of
from jobyard.domain.schedules.next_runs import MAX_CALENDAR_CHECKS, next_runs, preview
from jobyard.domain.schedules.rule_parsing import recurrence_of
from tests.domain.schedules.daily_rule import LONG_AGO, rule


def test_a_preview_shows_instants_wall_times_and_notes() -> None:
    found = preview(recurrence_of(rule(at="09:00")), datetime(2026, 11, 26, tzinfo=UTC), 1)

    assert [each.document() for each in found] == [
        {"utc": "2026-11-26T17:00:00Z", "local": "2026-11-26T09:00:00-08:00", "note": ""}
    ]


def test_a_preview_leaves_out_what_a_calendar_refuses() -> None:
    calendar = calendar_of({"name": "holidays", "exclude": ["2026-11-26"]})

    found = preview(recurrence_of(rule(count=3)), LONG_AGO, 9, calendar)

    assert [each.local.day for each in found] == [25, 27]


def test_a_preview_of_a_rule_that_never_runs_ends() -> None:
    never = calendar_of({"name": "never", "exclude": [{"from": "1900-01-01", "to": "9999-12-31"}]})

    assert preview(recurrence_of(rule(kind="monthly")), LONG_AGO, 1, never) == []
    assert preview(recurrence_of(rule(kind="hourly")), LONG_AGO, 1, never) == []


def excluding(until: str) -> Calendar:
    """A calendar that is closed from 26 November 2026 on."""
    return calendar_of({"name": "shut", "exclude": [{"from": "2026-11-26", "to": until}]})


def test_a_calendar_that_refuses_too_many_times_in_a_row_ends_the_search() -> None:
    hourly = recurrence_of(rule(kind="hourly", at="00:00", zone="UTC"))
    start = datetime(2026, 11, 25, 22, tzinfo=UTC)
    within, beyond = excluding("2027-12-01"), excluding("2028-12-01")

    found = [[*islice(next_runs(hourly, each, start), 3)] for each in (within, beyond)]

    evening = [start, start + timedelta(hours=1)]
    assert found == [[*evening, datetime(2027, 12, 2, tzinfo=UTC)], evening]
    assert [each.utc for each in preview(hourly, start, 3, within)] == found[0]


def test_a_calendar_is_read_a_bounded_number_of_times() -> None:
    hourly = recurrence_of(rule(kind="hourly", at="00:00", zone="UTC"))
    monday = {"weekdays": ["mon"], "from": "03:00", "to": "03:01"}
    rare = calendar_of({"name": "rare", "include": [monday]})

    found = [*next_runs(hourly, rare, datetime(2026, 11, 25, tzinfo=UTC))]

    assert len(found) == MAX_CALENDAR_CHECKS // (7 * 24)
