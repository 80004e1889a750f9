"""Rules compared with benchmarks/rrules.py, in eleven zones and twenty years."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.rrules import WEEKDAYS, ZONES, changes, occurrences
from jobyard.domain.schedules.recurrence import Kind
from jobyard.domain.schedules.rule_parsing import MAX_EVERY, recurrence_of

FIRST, LAST = date(2006, 1, 1), date(2026, 1, 1)
DST = [[gap, repeated] for gap in ("shift", "skip") for repeated in ("once", "twice")]
ODD_TIMES = ["00:00", "00:30", "01:00", "01:30", "01:45", "02:00", "02:15", "02:30", "03:00"]
ODD_TIMES += ["23:30", "23:59:59", "09:00"]
FEW = 12
PLAIN = {"kind": "daily", "zone": "UTC", "at": "09:00", "dst": ["shift", "once"]}


@cache
def changed(zone: str) -> list[datetime]:
    return changes(zone, FIRST, LAST) or [datetime(2012, 2, 29, tzinfo=UTC)]


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], datetime]:
    """A complete rule, and an instant near a change of clocks or at any later time."""
    kind = draw(st.sampled_from(sorted(Kind)))
    zone = draw(st.sampled_from(ZONES))
    near = draw(st.sampled_from(changed(zone)))
    back = draw(st.integers(0, 60 if kind == "hourly" else 1500))
    anchor = (near - timedelta(days=back)).date()
    rule: dict[str, Any] = {"kind": kind, "zone": zone, "anchor": anchor.isoformat()}
    rule["at"] = draw(st.sampled_from(ODD_TIMES))
    rule["dst"] = draw(st.sampled_from(DST))
    if kind != "once":
        rule["every"] = draw(st.integers(1, 3) | st.integers(1, MAX_EVERY[Kind(kind)]))
    if kind == "weekly":
        rule["weekdays"] = draw(st.lists(st.sampled_from(WEEKDAYS), unique=True))
    if kind == "monthly" and draw(st.booleans()):
        rule["day"] = draw(st.integers(1, 31) | st.just("last"))
    if draw(st.booleans()) and kind != "once":
        rule["count"] = draw(st.integers(1, 1000))
    if draw(st.booleans()):
        end = anchor + timedelta(days=draw(st.integers(0, 2000)))
        rule["end"] = end.isoformat()
        if draw(st.booleans()):
            rule["end"] += f"T{max(rule['at'], draw(st.sampled_from(ODD_TIMES)))}"
    return rule, near + timedelta(minutes=draw(st.integers(-4000, 4000)))


@settings(max_examples=500, deadline=None)
@given(cases())
def test_a_rule_is_due_when_the_other_implementation_says(
    case: tuple[dict[str, Any], datetime],
) -> None:
    document, start = case
    rule = recurrence_of(document)

    ours = list(islice(rule.occurrences_from(start), FEW))

    assert ours == list(islice(occurrences(document, start), FEW))
    assert all(before < after for before, after in pairwise(ours))


@settings(max_examples=200, deadline=None)
@given(cases(), st.integers(0, 4000))
def test_the_next_occurrence_is_the_same_as_by_iterating(
    case: tuple[dict[str, Any], datetime], minutes: int
) -> None:
    document, start = case
    rule = recurrence_of(document)
    inside = start + timedelta(minutes=minutes)

    walked = next((each for each in rule.occurrences_from(start) if each >= inside), None)

    assert rule.first_from(inside) == walked
    if walked is not None:
        assert rule.first_from(walked) == walked
        assert rule.next_after(walked - timedelta(microseconds=1)) == walked
        assert rule.next_after(walked) != walked


@settings(max_examples=200, deadline=None)
@given(cases())
def test_a_document_reads_back_as_the_same_rule(case: tuple[dict[str, Any], datetime]) -> None:
    rule = recurrence_of(case[0])

    assert recurrence_of(rule.document()) == rule
    assert recurrence_of(rule.document()).document() == rule.document()


@pytest.mark.parametrize("dst", DST, ids=" and ".join)
@pytest.mark.parametrize("zone", ZONES)
def test_at_every_change_of_clocks_in_twenty_years_a_daily_rule_is_right(
    zone: str, dst: list[str]
) -> None:
    for near in changed(zone):
        for at in ODD_TIMES:
            anchor = (near - timedelta(days=2)).date().isoformat()
            document = PLAIN | {"zone": zone, "at": at, "dst": dst, "anchor": anchor}
            start = near - timedelta(days=3)

            ours = list(islice(recurrence_of(document).occurrences_from(start), 4))

            assert ours == list(islice(occurrences(document, start), 4)), document


@pytest.mark.parametrize("every", [1, 3])
def test_twenty_consecutive_years_are_the_same(every: int) -> None:
    document = PLAIN | {"zone": "America/Los_Angeles", "at": "02:30", "every": every}
    document["anchor"] = FIRST.isoformat()
    start = datetime(2006, 1, 1, tzinfo=UTC)
    days = 20 * 365 // every

    ours = list(islice(recurrence_of(document).occurrences_from(start), days))

    assert ours == list(islice(occurrences(document, start), days))
