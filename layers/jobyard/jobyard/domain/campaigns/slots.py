"""Slots: how many attempts of each chunk may run at the same time, of those that a campaign has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class SlotRequest:
    """The chunks of a pass, by number: all of them, those with `bound` steps that continue in it,
    and those that were `granted` starts. `begun` counts the attempts of each that have begun.
    """

    numbers: Sequence[int]
    bound: Sequence[int]
    granted: Sequence[int]
    begun: Mapping[int, int]


def shared_slots(
    request: SlotRequest, at_once: int, workers: int, most: int, turn: int
) -> dict[int, int]:
    """The slots of each chunk: those of its attempts that have begun, and a part of the free ones.

    Any `workers` chunks together get no more than what is free. If that is less than one slot for
    each worker, chunks with bound steps come first, then those with a grant: which of these is
    first changes with each `turn`. A worker has at most `most` slots, fewer while too many attempts
    have begun.
    """
    begun = {number: request.begun.get(number, 0) for number in request.numbers}
    free = at_once - sum(request.begun.values())
    if free < 0:
        most = at_once // workers
    part, rest = divmod(max(free, 0), workers)
    first = request.numbers if len(request.numbers) <= workers else ()
    if not part:
        bound = [number for number in request.bound if not begun[number]]
        granted = request.granted
        start = turn * max(rest - len(bound), 0) % max(len(granted), 1)
        first = [*dict.fromkeys([*bound, *granted[start:], *granted[:start]])]
    extra = {*first[:rest]}
    return {each: min(begun[each] + part + (each in extra), most) for each in request.numbers}
