"""Whatever happens at whichever call to AWS: the same end, the same objects, the same mails."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.faults.stories import STORIES
from tests.faults.story import Stage
from tests.faults.striking import Point, Way, ways_of

PATIENCE = 4  # tellings in which a call may fail to be made
AT_ONCE = 4  # calls struck in one telling, a quarter of the story apart, when not all is tried


@pytest.mark.parametrize("story", STORIES)
def test_a_story_comes_to_the_same_end_whichever_call_goes_wrong_in_whichever_way(
    story: str, stage: Stage, everything: bool, turn: int, tell: Callable[[str], None]
) -> None:
    began = time.monotonic()
    stage.tell(story=story)  # what only the first of a deployment writes is written
    undisturbed = stage.tell(story=story)
    # Two jobs that end far apart are written by two calls: those count that are always made.
    always = {*stage.tell(story=story).points}
    calls = [point for point in undisturbed.points if point in always]
    plans = singly(calls) if everything else by_turns(calls, turn)
    wrong: dict[str, Any] = {}
    points: set[tuple[Point, str]] = set()
    misses: Counter[Point] = Counter()
    tellings = 0
    while plans:
        plan = plans.pop()
        told = stage.tell(plan, story=story)
        tellings += 1
        points |= {(point, plan[point].name) for point in told.struck}
        if told.end != undisturbed.end:
            wrong[words(plan)] = differing(told.end, undisturbed.end)
        if all(plan[point].unnoticed for point in told.struck):
            alike = told.histories == undisturbed.histories
        else:
            alike = made(told.histories) == made(undisturbed.histories)
        if not alike:
            wrong.setdefault(words(plan), []).append(told.histories)
        missed = {point: way for point, way in plan.items() if point not in told.struck}
        misses.update([*missed])
        plans += [{point: way} for point, way in missed.items() if misses[point] < PATIENCE]
    seconds = time.monotonic() - began
    how = "every call in every way" if everything else f"every call once, ways by --turn {turn}"
    tell(
        f"faults, {story}: {len(calls)} calls, {len(points)} points tried in {tellings} tellings "
        f"({how}), {seconds:.0f} s"
    )

    assert not wrong, "\n".join(f"{plan}\n    {ends}" for plan, ends in wrong.items())
    assert {call for call, _ in points} == set(calls)
    assert len(points) == sum(len(ways_of(call)) if everything else 1 for call in calls)


def singly(calls: Sequence[Point]) -> list[Mapping[Point, Way]]:
    """Each call in each way, one in a telling."""
    return [{call: way} for call in calls for way in ways_of(call)]


def by_turns(calls: Sequence[Point], turn: int) -> list[Mapping[Point, Way]]:
    """Each call in one way, another one each turn."""
    apart = -(-len(calls) // AT_ONCE)
    chosen = [
        (call, ways_of(call)[(number + turn) % len(ways_of(call))])
        for number, call in enumerate(calls)
    ]
    return [dict(chosen[first::apart]) for first in range(apart)]


def made(histories: Sequence[Sequence[str]]) -> list[list[str]]:
    """The events of each job without those of work that was begun again, and may be held then."""
    again = {"start", "restart", "reschedule", "hold", "release"}
    return [[event for event in events if event not in again] for events in histories]


def words(plan: Mapping[Point, Way]) -> str:
    """Which calls went wrong, and how."""
    return "; ".join(f"{point} {way.name}" for point, way in plan.items())


def differing(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two ends differ, and how."""
    if isinstance(one, dict) and isinstance(other, dict):
        places = [(name, one.get(name), other.get(name)) for name in one | other]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        places = [(str(n), *pair) for n, pair in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other else [f"{where}: {str(one)[:200]}, not {str(other)[:200]}"]
    return [line for name, *pair in places for line in differing(*pair, f"{where}/{name}")]
