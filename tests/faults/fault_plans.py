"""Which faults the runs of a scenario inject, and where two ends of a scenario differ."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from tests.faults.injection import Fault, Point, faults_of

FaultPlan = Mapping[Point, Fault]
MAX_MISSES = 4  # how often a call may be missing in a run before the test fails
AT_ONCE = 4  # faults in one run, a quarter of the scenario apart, unless all are tried


@dataclass
class FaultPlans:
    """The plans of the next runs, and the faults that were injected.

    A fault whose call was missing in a run is planned again, alone.
    """

    plans: list[FaultPlan]
    injected: set[tuple[Point, str]] = field(default_factory=set)
    run_count: int = 0
    _misses: Counter[Point] = field(default_factory=Counter)

    @classmethod
    def of(cls, calls: Sequence[Point], turn: int, *, everything: bool) -> "FaultPlans":
        """Each call in each way, one in a run; or each in one way, another way each turn."""
        return cls(_one_fault_each(calls) if everything else _by_turns(calls, turn))

    def __iter__(self) -> Iterator[FaultPlan]:
        while self.plans:
            self.run_count += 1
            yield self.plans.pop()

    def note(self, plan: FaultPlan, injected: Collection[Point]) -> None:
        """Note which faults of a plan were injected, and plan the others again."""
        self.injected |= {(point, plan[point].name) for point in injected}
        missed = {point: fault for point, fault in plan.items() if point not in injected}
        self._misses.update([*missed])
        self.plans += [
            {point: fault} for point, fault in missed.items() if self._misses[point] < MAX_MISSES
        ]

    def expect_all(self, calls: Sequence[Point], *, everything: bool) -> None:
        """Assert that a fault was injected into each call, or every fault."""
        assert {call for call, _ in self.injected} == set(calls)
        expected = sum(len(faults_of(call)) if everything else 1 for call in calls)
        assert len(self.injected) == expected


def how_many(turn: int, *, everything: bool) -> str:
    """How many faults are tried, for the summary."""
    return "every call in every way" if everything else f"every call once, ways by --turn {turn}"


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
    apart = ceil(len(calls) / AT_ONCE)
    chosen = [
        (call, faults_of(call)[(number + turn) % len(faults_of(call))])
        for number, call in enumerate(calls)
    ]
    return [dict(chosen[first::apart]) for first in range(apart)]
