"""Stores the totals of jobs, to which workers add, and samples of them, in the timeline.

The totals are a few items of one series, so that one query reads them. Samples are of a series for
each step of a graph; DynamoDB removes them after `SAMPLES_KEPT`.
"""

from dataclasses import dataclass
from datetime import datetime

from pynamodb.exceptions import UpdateError

from jobyard.domain.rates import RATE_STEPS, SAMPLES_KEPT, JobTotals, RateRange, Sample, step_start
from jobyard.store.documents import sortable
from jobyard.store.tables import TimelineItem

TOTALS_SHARDS = 8  # items that workers add to, so that they do not all write one
_TOTALS = "job totals"
_SEEN = "seen"


@dataclass(frozen=True)
class SampledTotals:
    """The totals now, and the totals and the open batches of the last sample."""

    now: JobTotals
    seen: JobTotals
    seen_open_batches: int


def add(shard: int, more: JobTotals) -> str:
    """Add to the totals, in one of their items.

    Returns the error if it could not be written, else "". It does not raise, because an incomplete
    graph is no reason to fail a job.
    """
    item = TimelineItem(_TOTALS, f"shard {shard % TOTALS_SHARDS}")
    try:
        item.update(
            actions=[
                TimelineItem.started.add(more.started),
                TimelineItem.ended.add(more.ended),
                TimelineItem.failed.add(more.failed),
            ]
        )
    except UpdateError as error:
        return str(error)
    return ""


def totals() -> SampledTotals:
    """The totals. A moment's additions may be missing."""
    now = seen = JobTotals()
    open_batches = 0
    for item in TimelineItem.query(_TOTALS):
        if item.at == _SEEN:
            *numbers, open_batches = item.body
            seen = JobTotals(*numbers)
        else:
            now += JobTotals(int(item.started), int(item.ended), int(item.failed))
    return SampledTotals(now, seen, open_batches)


def put_sample(found: SampledTotals, open_batches: int, at: datetime) -> None:
    """Store the totals as the sample of the steps of all graphs that contain `at`.

    The first sample of a step stores the totals before it, and later ones keep these. A repeat
    changes nothing.
    """
    body = [*vars(found.now).values(), open_batches]
    for rate_range, (step, _) in RATE_STEPS.items():
        began = step_start(at, step)
        before = [*vars(found.seen).values()]
        TimelineItem(_series(rate_range), sortable(began)).update(
            actions=[
                TimelineItem.body.set(body),
                TimelineItem.before.set(TimelineItem.before | before),
                TimelineItem.expires.set(int((began + SAMPLES_KEPT).timestamp())),
            ]
        )
    TimelineItem(_TOTALS, _SEEN).update(actions=[TimelineItem.body.set(body)])


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
        found.append(Sample(at, JobTotals(*item.before), JobTotals(*now), open_batches))
        if at < since:
            break
    return found[::-1]


def _series(rate_range: RateRange) -> str:
    return f"rates {rate_range}"
