"""New ids for inserted features whose ids others have taken."""

from collections.abc import Callable, Collection, Sequence

from jobyard.domain.datasets.feature import MAX_ID_LETTERS
from jobyard.domain.errors import BadRequest

_MAX_TRIES = 60  # each goes twice as far as the one before
_MAX_SUFFIX = 20  # letters


def new_ids_for(
    ids: Sequence[str],
    known: Collection[str],
    taken: Callable[[Sequence[str]], Collection[str]],
) -> dict[str, str]:
    """New ids for features, by their old ones: numbers for numbers, or the id with a number after
    it. `known` are more ids that are taken; `taken` says which of some the dataset has.

    Raises:
        BadRequest: no free id was found.
    """
    numbers = [int(each) for each in (*ids, *known) if _is_number(each)]
    highest = max(numbers, default=0)
    found: dict[str, str] = {}
    used = {*ids, *known}
    waiting = list(dict.fromkeys(ids))
    for attempt in range(_MAX_TRIES):
        proposed: dict[str, str] = {}
        for each in waiting:
            place = 2**attempt
            while (new := _new_id(each, highest, place)) in used:
                place += 1
            proposed[each] = new
            used.add(new)
        gone = set(taken([*proposed.values()])) if proposed else set()
        found |= {each: new for each, new in proposed.items() if new not in gone}
        waiting = [each for each in waiting if each not in found]
        if not waiting:
            return {each: found[each] for each in ids}
    raise BadRequest(f"no free id was found for {waiting[0]!r:.80}: give it one in an upload")


def _is_number(feature_id: str) -> bool:
    return feature_id.isascii() and feature_id.isdecimal() and len(feature_id) <= _MAX_SUFFIX


def _new_id(feature_id: str, highest: int, place: int) -> str:
    if _is_number(feature_id):
        return str(highest + place)
    return f"{feature_id[: MAX_ID_LETTERS - _MAX_SUFFIX]}-{place + 1}"
