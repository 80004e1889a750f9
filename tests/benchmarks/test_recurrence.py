"""The recurrence benchmark compares results before it measures, and reports a difference."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest

from benchmarks.recurrence import OccurrencesDiffer, compare_occurrences
from benchmarks.rrules import occurrences


def test_occurrences_of_a_year_are_compared_and_equal() -> None:
    compared = compare_occurrences(("Australia/Lord_Howe",), years=1)

    assert compared > 4 * (3 * 364 + 365 * 24 // 3)


def test_an_occurrence_that_differs_ends_the_benchmark() -> None:
    def forgetful(document: Mapping[str, Any], start: datetime) -> Iterator[datetime]:
        return (each for each in occurrences(document, start) if each.day != 9)

    with pytest.raises(OccurrencesDiffer, match="9, 0, 0"):
        compare_occurrences(("UTC",), 1, forgetful)
