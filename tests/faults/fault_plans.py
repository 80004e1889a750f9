"""Which faults the runs of a scenario inject, and where two ends of a scenario differ."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, lcm
from typing import Any

from tests.faults.injection import Fault, Point, faults_of

FaultPlan = Mapping[Point, Fault]
MAX_MISSES = 4  # how often a call may be missing in a run before the test fails
PART = 4  # a turn tries one of so many calls of an operation, but at least one for each fault
AT_ONCE = 4  # faults in one run, a quarter of the scenario apart, unless all are tried


@dataclass
class FaultPlans:
    """The plans of the next runs, and the faults that were injected.

    Faults whose calls were missing in a run are planned again: together if others were injected in
    it, which may be why, else each alone.
    """

    plans: list[FaultPlan]
    injected: set[tuple[Point, str]] = field(default_factory=set)
    run_count: int = 0
    _misses: Counter[Point] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.planned = {(point, plan[point].name) for plan in self.plans for point in plan}

    @classmethod
    def of(cls, calls: Sequence[Point], turn: int, *, everything: bool) -> "FaultPlans":
        """Each call in each way, one in a run; or a part by turns, in which each operation fails in
        each way if it is called that often."""
        return cls(_one_fault_each(calls) if everything else _by_turns(calls, turn))

    def __iter__(self) -> Iterator[FaultPlan]:
        while self.plans:
            self.run_count += 1
            yield self.plans.pop()

    def note(self, plan: FaultPlan, injected: Collection[Point]) -> None:
        """Note which faults of a plan were injected, and plan the others again."""
        self.injected |= {(point, plan[point].name) for point in injected}
        missed = {point: fault for point, fault in plan.items() if point not in injected}
        if 1 < len(missed) < len(plan):
            self.plans.append(missed)
            return
        self._misses.update([*missed])
        self.plans += [
            {point: fault} for point, fault in missed.items() if self._misses[point] < MAX_MISSES
        ]

    def expect_all(self) -> None:
        """Assert that every planned fault was injected."""
        assert self.injected == self.planned


def how_many(turn: int, *, everything: bool) -> str:
    """How many faults are tried, for the summary."""
    return "every call in every way" if everything else f"every way, calls by --turn {turn}"


def described(plan: FaultPlan) -> str:
    """Which calls went wrong, and how."""
    return "; ".join(f"{point} {fault.name}" for point, fault in plan.items())


def differing(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two ends differ, and how."""
    if isinstance(one, dict) and isinstance(other, dict):
        places = [(name, one.get(name), other.get(name)) for name in one | other]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        places = [(str(n), *pair) for n, pair in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other else [f"{where}: {str(one)[:200]}, not {str(other)[:200]}"]
    return [line for name, *pair in places for line in differing(*pair, f"{where}/{name}")]


def _one_fault_each(calls: Sequence[Point]) -> list[FaultPlan]:
    return [{call: fault} for call in calls for fault in faults_of(call)]


def _by_turns(calls: Sequence[Point], turn: int) -> list[FaultPlan]:
    alike: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for call in calls:
        alike[call.service, call.operation].append(call)
    part = dict(each for some in alike.values() for each in _part(some, turn))
    chosen = {place: call for place, call in enumerate(calls) if call in part}
    apart = ceil(len(calls) / AT_ONCE)
    plans: list[list[int]] = []  # places among the calls
    for place in chosen:
        fitting = [plan for plan in plans if plan[-1] + apart <= place]
        if fitting:
            fitting[0].append(place)
        else:
            plans.append([place])
    return [{chosen[place]: part[chosen[place]] for place in plan} for plan in plans]


def _part(calls: Sequence[Point], turn: int) -> list[tuple[Point, Fault]]:
    """Some calls of one operation, each with a fault. Over the turns each call meets each fault."""
    faults = faults_of(calls[0])
    if len(calls) <= len(faults):
        return [(call, faults[(n + turn) % len(faults)]) for n, call in enumerate(calls)]
    size = max(len(faults), ceil(len(calls) / PART))
    again = lcm(len(calls), len(faults))  # after which the same pairs would come again
    spread = [call for first in range(PART) for call in calls[first::PART]]
    return [
        (spread[(n + n // again) % len(calls)], faults[n % len(faults)])
        for n in range(turn * size, (turn + 1) * size)
    ]
