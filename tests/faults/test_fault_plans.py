"""What is tried by turns: every fault of every operation each turn, every call over the turns. Most
scenarios have a turn every third day; see `test_every_call.py`."""

import pytest

from tests.faults.fault_plans import FaultPlans
from tests.faults.injection import Point, faults_of

OPERATIONS = ("GetItem", "BatchExecuteStatement", "UpdateItem")  # with 7, 11 and 8 faults


def calls_of(number: int) -> list[Point]:
    """So many calls of each operation, in turn."""
    return [Point("dynamodb", each, "", n) for n in range(number) for each in OPERATIONS]


def planned(number: int, turn: int) -> set[tuple[Point, str]]:
    """The calls and the faults of a turn."""
    return FaultPlans.of(calls_of(number), turn, everything=False).planned


@pytest.mark.parametrize("number", [1, 5, 7])
def test_each_call_of_an_operation_that_is_called_rarely_fails_each_turn(number: int) -> None:
    for turn in range(366):
        assert {call for call, _ in planned(number, turn)} == {*calls_of(number)}


@pytest.mark.parametrize("number", [12, 21, 24, 56, 110])
def test_each_operation_fails_in_each_way_each_turn(number: int) -> None:
    expected = {(each.operation, fault.name) for each in calls_of(1) for fault in faults_of(each)}

    for turn in range(366):
        found = planned(number, turn)
        assert {(call.operation, fault) for call, fault in found} == expected
        assert len({call for call, _ in found}) == len(found) < 3 * number


@pytest.mark.parametrize("number", [1, 8, 21, 24, 56, 110])
def test_each_call_fails_in_each_way_in_some_turn_of_ninety(number: int) -> None:
    tried = {each for turn in range(270, 360) for each in planned(number, turn)}

    everything = FaultPlans.of(calls_of(number), 0, everything=True).planned
    assert tried == everything
