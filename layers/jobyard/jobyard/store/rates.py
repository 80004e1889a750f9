"""Stores the totals of a deployment, to which its functions add, and samples of them.

The totals, of jobs and of usage, are a few items of one series of the timeline, so that one query
reads them. Samples are of a series for each step of a graph, and of one for each month; DynamoDB
removes those of graphs after `SAMPLES_KEPT`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jobyard.domain.cost import KINDS, Usage
from jobyard.domain.rates import (
    RATE_STEPS,
    SAMPLES_KEPT,
    WAIT_BOUNDS_S,
    JobTotals,
    RateRange,
    Sample,
    step_start,
)
from jobyard.store import additions
from jobyard.store.documents import sortable
from jobyard.store.tables import TimelineItem

TOTALS_SHARDS = 8  # items that functions add to, so that they do not all write one
_TOTALS = "totals"
_SEEN = "seen"
_MONTHS = "months"
_JOBS = ("started", "ended", "failed")
_WAITS = (*(f"within_{each}_s" for each in WAIT_BOUNDS_S), "longer")  # attributes of the totals
_NO_USAGE = Usage()
_NO_JOBS = JobTotals()


@dataclass(frozen=True)
class Totals:
    """What workers have done and what functions have used since the deployment was made."""

    jobs: JobTotals = _NO_JOBS
    usage: Usage = _NO_USAGE

    def __add__(self, other: "Totals") -> "Totals":
        return Totals(self.jobs + other.jobs, self.usage + other.usage)


@dataclass(frozen=True)
class SampledTotals:
    """The totals now, and the totals, the open batches and the build of the last sample."""

    now: Totals
    seen: Totals
    seen_open_batches: int = 0
    seen_month: str = ""
    seen_build: str = ""

    def is_deployed(self, build: str) -> bool:
        """Whether `build` is another than that of the last sample; False if either is not known."""
        return bool(build and self.seen_build) and build != self.seen_build


def add(shard: int, jobs: JobTotals, usage: Usage = _NO_USAGE) -> str:
    """Add to the totals, in one of their items.

    Returns the error if it could not be written, else "". It does not raise, because an incomplete
    graph is no reason to fail a job.
    """
    more = {name: getattr(jobs, name) for name in _JOBS}
    more |= dict(zip(_WAITS, jobs.waits, strict=True))
    more |= {name: getattr(usage, name) for name in KINDS}
    return additions.add(TimelineItem(_TOTALS, f"shard {shard % TOTALS_SHARDS}"), more)


def totals() -> SampledTotals:
    """The totals. A moment's additions may be missing."""
    now = seen = Totals()
    open_batches, month, build = 0, "", ""
    for item in TimelineItem.query(_TOTALS):
        if item.at == _SEEN:
            seen, open_batches = _parsed(item.body), item.body["open"]
            month, build = item.body["month"], item.body.get("build", "")
        else:
            started, ended, failed, *waits = (
                int(getattr(item, name) or 0) for name in (*_JOBS, *_WAITS)
            )
            jobs = JobTotals(started, ended, failed, tuple(waits))
            now += Totals(jobs, Usage(**{name: getattr(item, name) or 0 for name in KINDS}))
    return SampledTotals(now, seen, open_batches, month, build)


def put_sample(found: SampledTotals, open_batches: int, at: datetime, build: str = "") -> None:
    """Store the totals as the sample of the steps of all graphs that contain `at`, and note those
    before as the ones at the start of the month, if it has none. A `build` that is not that of the
    last sample was deployed in these steps; "" if it is not known.

    The first sample of a step stores the totals before it, and later ones keep these. A repeat
    changes nothing.
    """
    body = [*found.now.jobs.line, open_batches]
    before = found.seen.jobs.line
    deployed = [TimelineItem.deployed.set(build)] if found.is_deployed(build) else []
    for rate_range, (step, _) in RATE_STEPS.items():
        began = step_start(at, step)
        TimelineItem(_series(rate_range), sortable(began)).update(
            actions=[
                TimelineItem.body.set(body),
                TimelineItem.before.set(TimelineItem.before | before),
                TimelineItem.expires.set(int((began + SAMPLES_KEPT).timestamp())),
                *deployed,
            ]
        )
    month = _month(at)
    if found.seen_month != month:
        start = _document(found.seen)
        TimelineItem(_MONTHS, month).update(
            actions=[TimelineItem.body.set(TimelineItem.body | start)]
        )
    seen = _document(found.now) | {"open": open_batches, "month": month, "build": build}
    TimelineItem(_TOTALS, _SEEN).update(actions=[TimelineItem.body.set(seen)])


def usage_of_month(at: datetime) -> Usage:
    """What all functions have used in the month of `at`, up to now; nothing before its first
    sample.
    """
    start = next(iter(TimelineItem.query(_MONTHS, TimelineItem.at == _month(at))), None)
    if start is None:
        return _NO_USAGE
    now, then = totals().now.usage, _parsed(start.body).usage
    return Usage(**{name: max(0, getattr(now, name) - getattr(then, name)) for name in KINDS})


def samples(rate_range: RateRange, since: datetime) -> list[Sample]:
    """The samples of a graph since a time, and the last one before it, in order."""
    _, number = RATE_STEPS[rate_range]
    found: list[Sample] = []
    newest_first = TimelineItem.query(
        _series(rate_range), scan_index_forward=False, limit=number + 1
    )
    for item in newest_first:
        *now, open_batches = item.body
        at = datetime.fromisoformat(item.at)
        before, deployed = JobTotals.of_line(item.before), item.deployed or ""
        found.append(Sample(at, before, JobTotals.of_line(now), open_batches, deployed))
        if at < since:
            break
    return found[::-1]


def _series(rate_range: RateRange) -> str:
    return f"rates {rate_range}"


def _month(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m")


def _document(found: Totals) -> dict[str, Any]:
    return {"jobs": found.jobs.line, "usage": vars(found.usage)}


def _parsed(body: dict[str, Any]) -> Totals:
    return Totals(JobTotals.of_line(body["jobs"]), Usage(**body["usage"]))
