"""Rates: how many jobs workers started and ended over time, how long they had waited, and how many
batches were open.

Workers add to totals that only grow. Once a minute the totals are sampled, if they changed. Each
range of a graph has a series of samples of its own, so a week costs no more reads than an hour.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from typing import Any

SAMPLES_KEPT = timedelta(days=8)  # samples, after they were taken


class RateRange(StrEnum):
    """How far back a graph of rates goes."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"


# The time between the points of a graph, and their number.
RATE_STEPS = {
    RateRange.HOUR: (timedelta(minutes=1), 60),
    RateRange.DAY: (timedelta(minutes=12), 120),
    RateRange.WEEK: (timedelta(hours=2), 84),
}


# The seconds that a job waited are counted up to these bounds, and one count is for longer waits.
WAIT_BOUNDS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14_400, 86_400)
NO_WAITS = (0,) * (len(WAIT_BOUNDS_S) + 1)


@dataclass(frozen=True)
class JobTotals:
    """How many attempts at jobs, or parts of them, workers have started, and how many jobs they
    have ended, since the deployment was made. `failed` are among `ended`.

    `waits` counts the starts by how long the job had waited since it could start, for each of
    `WAIT_BOUNDS_S` and for longer ones. Tasks of campaigns are not in it: they wait for windows.
    """

    started: int = 0
    ended: int = 0
    failed: int = 0
    waits: tuple[int, ...] = NO_WAITS

    def __add__(self, other: "JobTotals") -> "JobTotals":
        return JobTotals(
            self.started + other.started,
            self.ended + other.ended,
            self.failed + other.failed,
            tuple(map(int.__add__, self.waits, other.waits)),
        )

    @classmethod
    def of_starts(cls, waited: Collection[timedelta | None]) -> "JobTotals":
        """Starts of jobs that had `waited` that long each; None if a wait does not count."""
        waits = [*NO_WAITS]
        for each in waited:
            if each is not None:
                waits[bisect_left(WAIT_BOUNDS_S, each.total_seconds())] += 1
        return cls(started=len(waited), waits=tuple(waits))

    @property
    def line(self) -> list[Any]:
        """The totals as they are stored, without the zeros after the longest wait."""
        length = max((number for number, each in enumerate(self.waits, 1) if each), default=0)
        return [self.started, self.ended, self.failed, list(self.waits[:length])]

    @classmethod
    def of_line(cls, line: Sequence[Any]) -> "JobTotals":
        """The totals of a `line`; one from before waits were counted has none."""
        started, ended, failed, *more = line
        waits = tuple(more[0]) if more else ()
        return cls(started, ended, failed, waits + NO_WAITS[len(waits) :])

    def since(self, earlier: "JobTotals") -> "JobTotals":
        """What was added since `earlier`; never less than nothing."""
        return JobTotals(
            max(0, self.started - earlier.started),
            max(0, self.ended - earlier.ended),
            max(0, self.failed - earlier.failed),
            tuple(max(0, now - then) for now, then in zip(self.waits, earlier.waits, strict=True)),
        )

    def or_later(self, other: "JobTotals") -> "JobTotals":
        """The later of two totals."""
        return self if self.started + self.ended >= other.started + other.ended else other


@dataclass(frozen=True)
class WaitLimit:
    """How long some jobs waited at most: one of `WAIT_BOUNDS_S`. If it `is_longer`, they waited
    longer than the last of these.
    """

    limit: timedelta
    is_longer: bool = False


@dataclass(frozen=True)
class Sample:
    """The last totals of a step that began at `at`, those before its first sample, and how many
    batches were open at its end. `deployed` is the build that was deployed in it, "" if none was.
    """

    at: datetime
    before: JobTotals
    totals: JobTotals
    open_batches: int
    deployed: str = ""


@dataclass(frozen=True)
class RatePoint:
    """What happened in a step that began at `at`. `deployed` is the build that was deployed in it,
    "" if none was.
    """

    at: datetime
    jobs: JobTotals
    open_batches: int
    deployed: str = ""


def step_start(at: datetime, step: timedelta) -> datetime:
    """When the step that contains `at` began."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return at - (at - epoch) % step


def first_step(rate_range: RateRange, now: datetime) -> datetime:
    """When the first step of a graph begins that ends with the step of `now`."""
    step, number = RATE_STEPS[rate_range]
    return step_start(now, step) - (number - 1) * step


def points_of(
    rate_range: RateRange, samples: Iterable[Sample], now: datetime
) -> Sequence[RatePoint]:
    """A point for each step of a graph, oldest first. `samples` are those since its first step and
    the one before, in order.

    A step without a sample has no jobs, and as many open batches as the one before.
    """
    step, number = RATE_STEPS[rate_range]
    first = first_step(rate_range, now)
    by_step = {sample.at: sample for sample in samples}
    earlier = [sample for at, sample in by_step.items() if at < first]
    open_batches = earlier[-1].open_batches if earlier else 0
    latest = earlier[-1].totals if earlier else JobTotals()
    points = []
    for at in (first + step * each for each in range(number)):
        jobs, deployed = JobTotals(), ""
        if sample := by_step.get(at):
            jobs = sample.totals.since(sample.before.or_later(latest))
            latest, open_batches = sample.totals, sample.open_batches
            deployed = sample.deployed
        points.append(RatePoint(at, jobs, open_batches, deployed))
    return points


def wait_of(points: Iterable[RatePoint], share: float) -> WaitLimit | None:
    """How long a share of the jobs that started in all points had waited at most, such as 0.95 of
    them; None if none started.
    """
    waits = sum((each.jobs for each in points), JobTotals()).waits
    if not any(waits):
        return None
    sums = accumulate(waits)
    number = next(number for number, each in enumerate(sums) if each >= share * sum(waits))
    is_longer = number == len(WAIT_BOUNDS_S)
    return WaitLimit(timedelta(seconds=WAIT_BOUNDS_S[number - is_longer]), is_longer)
