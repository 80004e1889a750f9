"""What runs by turns runs within the days that it states."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.turns import of_other_days


@dataclass(frozen=True)
class Case:
    """A case of a test with a mark."""

    path: Path
    number: int
    days: int

    def iter_markers(self, name: str) -> list[Any]:
        return [pytest.mark.turns(self.days).mark] if name == "turns" and self.days else []


CASES = [
    Case(Path(f"test_{file}.py"), number, days)
    for file in "ab"
    for number, days in enumerate((0, 2, 2, 3, 2, 0, 3, 3, 3, 5, 2))
]


@pytest.mark.parametrize("first", [1, 334, 364])
def test_each_case_runs_once_in_its_days(first: int) -> None:
    for days in (2, 3, 5):
        for case in (each for each in CASES if each.days == days):
            runs = [case not in of_other_days(CASES, first + day) for day in range(days)]
            assert runs.count(True) == 1


def test_what_has_no_turns_runs_every_day() -> None:
    assert all(each.days for each in of_other_days(CASES, 334))


def test_the_cases_of_a_file_are_dealt_out_evenly() -> None:
    for turn in (333, 334):
        late = of_other_days(CASES, turn)
        for path in {each.path for each in CASES}:
            cases = [each for each in CASES if each.path == path and each.days == 2]
            assert len([each for each in cases if each in late]) == len(cases) // 2
