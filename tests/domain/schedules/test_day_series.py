"""Series of days: each index gives a day at once, and each day its index."""

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from jobyard.domain.schedules.day_series import MAX_ORDINAL, Days, DaySeries, Months, Weeks

FIRST = st.dates(date(1900, 1, 1), date(9999, 12, 31))
SERIES = st.one_of(
    st.builds(lambda first, every: Days(first.toordinal(), every), FIRST, st.integers(1, 366)),
    st.builds(
        lambda first, every, weekdays: Weeks(first, every, tuple(sorted(weekdays))),
        FIRST,
        st.integers(1, 52),
        st.sets(st.integers(0, 6), min_size=1),
    ),
    st.builds(Months, FIRST, st.integers(1, 60), st.integers(1, 31)),
)


@settings(max_examples=300, deadline=None)
@given(SERIES, st.integers(0, 10_000))
def test_a_day_of_a_series_has_its_index(series: DaySeries, index: int) -> None:
    day = series.day(index)

    if day <= MAX_ORDINAL:
        assert series.index(day) == index
        assert series.day(index + 1) > day


@settings(max_examples=300, deadline=None)
@given(SERIES, st.integers(1, MAX_ORDINAL))
def test_the_next_day_of_the_series_is_found_from_any_day(series: DaySeries, day: int) -> None:
    index = series.index(day)

    assert index >= 0
    assert series.day(index) >= day
    assert index == 0 or series.day(index - 1) < day


@settings(max_examples=300, deadline=None)
@given(SERIES)
def test_a_series_has_no_day_after_the_last_possible_one(series: DaySeries) -> None:
    beyond = series.index(MAX_ORDINAL + 1)

    assert series.day(beyond) > MAX_ORDINAL
    assert beyond == 0 or series.day(beyond - 1) <= MAX_ORDINAL


def test_the_first_day_of_a_series_is_not_before_its_start() -> None:
    wednesday = date(2026, 11, 25)

    assert date.fromordinal(Weeks(wednesday, 2, (0,)).day(0)) == date(2026, 12, 7)
    assert date.fromordinal(Months(wednesday, 2, 10).day(0)) == date(2027, 1, 10)
    assert date.fromordinal(Months(wednesday, 2, 25).day(0)) == wednesday
