"""How the slots of a campaign are shared among its chunks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobyard.domain.campaigns.slots import SlotRequest, shared_slots

MOST = 25  # that a worker runs


def test_few_free_slots_go_to_other_chunks_in_each_turn() -> None:
    begun = dict.fromkeys(range(8), 24) | {0: 27}  # 195 of 200
    request = SlotRequest(range(8, 20), bound=[10], granted=[8, 9, 11, 12, 13, 14, 15], begun=begun)

    slots = [shared_slots(request, 200, 8, MOST, turn) for turn in range(3)]

    chosen = [[number for number, each in found.items() if each] for found in slots]
    assert chosen == [[8, 9, 10, 11, 12], [8, 10, 13, 14, 15], [9, 10, 11, 12, 13]]


def test_chunks_keep_the_slots_of_what_has_begun() -> None:
    request = SlotRequest([0, 1, 2], bound=[], granted=[0, 1, 2], begun={0: 3, 1: 2})

    assert shared_slots(request, 5, 2, MOST, 1) == {0: 3, 1: 2, 2: 0}
    assert shared_slots(request, 10, 2, MOST, 1) == {0: 5, 1: 4, 2: 2}


def test_fewer_than_have_begun_run_after_at_once_was_lowered() -> None:
    request = SlotRequest([0, 1], bound=[0], granted=[], begun={0: 9, 1: 9})

    assert shared_slots(request, 4, 2, MOST, 1) == {0: 2, 1: 2}


NUMBERS = st.lists(st.integers(0, 30), min_size=1, max_size=20, unique=True).map(sorted)


@given(NUMBERS, st.data(), st.integers(1, 300), st.integers(1, 12), st.integers(0, 50))
def test_no_workers_start_more_than_is_free(
    numbers: list[int], data: st.DataObject, at_once: int, workers: int, turn: int
) -> None:
    begun = data.draw(st.dictionaries(st.integers(0, 30), st.integers(1, 12)))
    some = st.sets(st.sampled_from(numbers)).map(sorted)
    request = SlotRequest(numbers, data.draw(some), data.draw(some), begun)
    workers = min(workers, len(numbers))

    slots = shared_slots(request, at_once, workers, MOST, turn)

    free = max(at_once - sum(begun.values()), 0)
    added = sorted((slots[each] - begun.get(each, 0) for each in numbers), reverse=True)
    assert sum(added[:workers]) <= free
    assert max(slots.values()) <= MOST
    if (
        free
        and not any(begun.get(each) for each in numbers)
        and (request.granted or free >= workers)
    ):
        assert any(slots.values())


@pytest.mark.parametrize("granted", [1, 4, 5, 12])
def test_each_chunk_with_a_grant_has_a_slot_within_some_turns(granted: int) -> None:
    """Also while others need all free slots but one, for their bound steps."""
    request = SlotRequest(range(20), bound=range(16, 20), granted=range(granted), begun={})

    seen = set[int]()
    for turn in range(20):
        slots = shared_slots(request, 5, 8, MOST, turn)
        seen |= {number for number, each in slots.items() if each}

    assert seen == {*range(granted), *range(16, 20)}
