"""A campaign at a rate, in simulated time: how evenly it starts, and what Settle reads.

TARGETS tasks on devices that do nothing start at PER_MINUTE a minute, through the real services
(benchmarks/devices.py). Time is simulated: it passes while a worker waits for the next start, and
half a second for each invocation of a function, about what Lambda and Step Functions take together.
So the figures do not depend on the machine.

`grant_error` is by how much the starts of the worst minute differ from the grant, as a part of it.
Minutes are counted from the first start; the last one is left out. Settle's reads are those of one
pass: calls of DynamoDB, and items that they return.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from statistics import median
from typing import Any

from benchmarks.devices import Calls, Devices, Stack, counted, emulator_with_tables
from benchmarks.output import Figures, main, say
from tests.machines import Function

TARGETS = 100_000
PER_MINUTE = 1_000
_INVOCATION = timedelta(seconds=0.5)
_MINUTE = timedelta(minutes=1)
_SOME = 10  # the first and the last passes that are compared
_FIELDS = {"kind": "fire_and_forget", "expires_s": 604_800}


def measure() -> Figures:
    """Starts per minute of a campaign with a rate, and what Settle reads in each pass."""
    with emulator_with_tables() as endpoint, Devices().known() as devices:
        stack = Stack(endpoint)
        stack.machines.invoke = invoker = _Invoker(stack)
        rollout = {"per_minute": PER_MINUTE}
        stack.run(stack.store(TARGETS, "rollout", rollout=rollout, **_FIELDS))
    counts = _by_minute(devices.starts)
    whole = counts[:-1] or counts
    error = max(abs(each / PER_MINUTE - 1) for each in whole)
    settles = invoker.settles
    passes = settles[1:-1] or settles  # without the one that starts it, and the one that ends it
    first, last = passes[:_SOME], passes[-_SOME:]
    say(f"{len(devices.starts):,} starts in {len(counts)} minutes: {min(whole)} to {max(whole)}")
    say(f"Settle, the first passes: {first[0]}, the last ones: {last[-1]}")
    return {
        "targets": TARGETS,
        "grant_error": round(error, 4),
        "fewest_starts": min(whole),
        "most_starts": max(whole),
        "mean_starts": round(sum(whole) / len(whole), 1),
        "minutes": len(counts),
        "settle_calls_first": median(each.calls for each in first),
        "settle_calls_last": median(each.calls for each in last),
        "settle_items_first": median(each.items for each in first),
        "settle_items_last": median(each.items for each in last),
    }


@dataclass
class _Invoker:
    """Invokes the functions of a stack. The children of a Map run at the same time, in as many
    lanes as Settle said: each has a clock of its own, and what follows the Map waits for all.
    `settles` are the calls of each invocation of Settle.
    """

    stack: Stack
    lane_count: int = 1
    lanes: list[datetime] = field(default_factory=list)  # when each is free
    settles: list[Calls] = field(default_factory=list)

    def __call__(self, name: str, function: Function, event: dict[str, Any]) -> dict[str, Any]:
        """Invoke a function, which takes half a second more than its own time."""
        if name == "ExecuteChunkFunction":
            self.lanes = self.lanes or [self.stack.at] * self.lane_count
            self.stack.at = heappop(self.lanes) + _INVOCATION
            output = function(event)
            heappush(self.lanes, self.stack.at)
            return output
        self.stack.at = max(self.lanes, default=self.stack.at) + _INVOCATION
        self.lanes = []
        if name != "SettleFunction":
            return function(event)
        with counted() as calls:
            output = function(event)
        self.settles.append(calls)
        self.lane_count = max(output["max_concurrency"], 1)
        return output


def _by_minute(starts: list[datetime]) -> list[int]:
    """How many starts each minute had, from the first start on."""
    began = min(starts)
    found = Counter((at - began) // _MINUTE for at in starts)
    return [found[minute] for minute in range(max(found) + 1)]


if __name__ == "__main__":
    main("rollout", measure)
