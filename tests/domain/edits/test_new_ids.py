"""New ids are free: in the dataset, in the workspace, and among each other."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.datasets.feature import MAX_ID_LETTERS, is_id
from jobyard.domain.edits.new_ids import new_ids_for
from jobyard.domain.errors import BadRequest

IDS = st.sampled_from(["1", "2", "7", "99", "01", "a", "a-2", "b", "x" * MAX_ID_LETTERS])


@given(st.lists(IDS, max_size=5, unique=True), st.sets(IDS), st.sets(st.integers(0, 200)))
def test_new_ids_are_free(ids: list[str], known: set[str], stored: set[int]) -> None:
    live = {str(each) for each in stored} | {f"a-{each}" for each in stored} | set(ids)

    found = new_ids_for(ids, known, lambda asked: live.intersection(asked))

    assert [*found] == ids
    assert len(set(found.values())) == len(ids)
    assert live.isdisjoint(found.values())
    assert known.isdisjoint(found.values())
    assert all(map(is_id, found.values()))
    assert all(found[each].isdecimal() for each in ids if each.isdecimal())


def test_a_million_taken_numbers_are_passed_in_few_questions() -> None:
    asked: list[Sequence[str]] = []

    def taken(ids: Sequence[str]) -> list[str]:
        asked.append(ids)
        return [each for each in ids if int(each) <= 1_000_000]

    assert int(new_ids_for(["5"], [], taken)["5"]) > 1_000_000
    assert len(asked) < 25


def test_a_dataset_that_has_all_of_them_is_refused() -> None:
    with pytest.raises(BadRequest, match="no free id"):
        new_ids_for(["a"], [], lambda ids: ids)
