"""How fast a campaign starts attempts: a grant for each slice of time, which grows by success.

An unused grant is lost. Source: decision C11 of campaigns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from jobyard.domain.campaigns.fields import FieldReader, whole_number
from jobyard.domain.errors import InvalidRule

SLICE = timedelta(seconds=60)
MAX_GRANT = 1_000  # attempts that a campaign may start in a slice
_SECOND = timedelta(seconds=1)
_SLICE_S = SLICE // _SECOND
_MAX_EVERY = 100_000
_MIN_FACTOR, _MAX_FACTOR = 1, 5
_FIELDS = ("per_minute", "factor", "every")


@dataclass(frozen=True)
class Rollout:
    """A rate that grows: `per_minute` starts, times `factor` for each `every` successes."""

    per_minute: int
    factor: float = 1.0
    every: int = 100

    def document(self) -> dict[str, Any]:
        """The rollout as JSON; `rollout_of` parses it."""
        return {"per_minute": self.per_minute, "factor": self.factor, "every": self.every}


def rollout_of(where: str, value: object) -> Rollout:
    """Parse a rollout.

    Raises:
        InvalidCampaign: a field is wrong.
    """
    fields = FieldReader(value, _FIELDS, where)
    rollout = Rollout(
        fields.read("per_minute", whole_number(1, MAX_GRANT), MAX_GRANT),
        fields.read("factor", _factor, 1.0),
        fields.read("every", whole_number(1, _MAX_EVERY, "of tasks"), 100),
    )
    if not fields.problems and "per_minute" not in fields:
        fields.refuse("per_minute", f"missing; a whole number from 1 to {MAX_GRANT:,}")
    fields.check()
    return rollout


def _factor(where: str, value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not _MIN_FACTOR <= float(str(value)) <= _MAX_FACTOR:
        raise InvalidRule(where, f"a number from {_MIN_FACTOR} to {_MAX_FACTOR}, not {value!r:.40}")
    return float(str(value))


def grant_of(rollout: Rollout | None, succeeded: int) -> int:
    """How many attempts may start in a slice when `succeeded` tasks have succeeded.

    Without a rollout it is `MAX_GRANT`.
    """
    if rollout is None:
        return MAX_GRANT
    growth = Decimal(str(rollout.factor)) ** (succeeded // rollout.every)
    return int(min(rollout.per_minute * growth, Decimal(MAX_GRANT)))


def starts_by(rollout: Rollout | None, grant: int, elapsed: timedelta) -> int:
    """How many attempts of a grant may have started when a slice is `elapsed` old.

    The starts are spread evenly over the slice. Without a rollout all may start at once.
    """
    if rollout is None:
        return grant
    seconds = elapsed // _SECOND + 1
    return min(grant, -(-grant * seconds // _SLICE_S))


def start_offset(rollout: Rollout | None, grant: int, index: int) -> timedelta:
    """When in a slice the attempt number `index` of a grant may start, from 0."""
    if rollout is None:
        return timedelta()
    return index * _SLICE_S // grant * _SECOND


def shares(grant: int, waiting: Mapping[int, int], workers: int = 1) -> dict[int, int]:
    """A grant divided among chunks, the first ones first, so that few of them need a worker.

    `waiting` is how many tasks of each chunk may start. If enough chunks wait, `workers` of them
    have an equal share, because one worker runs few tasks at the same time. Chunks without a share
    are left out.
    """
    found: dict[int, int] = {}
    left = grant
    for most in (-(-grant // workers), grant):
        for chunk in sorted(waiting):
            before = found.get(chunk, 0)
            share = min(left + before, waiting[chunk], most)
            if share > 0:
                found[chunk] = share
                left -= share - before
    return found


def paced(shared: Mapping[int, int], grant: int) -> dict[int, int]:
    """The shares of chunks, larger if fewer tasks may start than are granted: the same share of the
    whole grant. A chunk spreads its share over its time, so few tasks start at the granted pace.
    """
    total = sum(shared.values())
    return {chunk: share * max(grant, total) // total for chunk, share in shared.items()}
