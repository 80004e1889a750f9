"""The rates of jobs over time."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from jobyard.domain.rates import JobTotals, RatePoint, RateRange, first_step, points_of
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.services.snapshots import shared_snapshot
from jobyard.store import rates
from jobyard.store.documents import from_ms, to_ms

_LEAST_AGE = timedelta(seconds=30)  # of a shared history: a sample is taken once a minute


def rate_history(rate_range: RateRange, context: QueryContext) -> Sequence[RatePoint]:
    """What workers did in each step of a graph, oldest first.

    Raises:
        Forbidden: the actor may not see rates.
    """
    authorize(context.actor, "rates", "view")
    since = first_step(rate_range, context.now)
    return points_of(rate_range, rates.samples(rate_range, since), context.now)


def shared_rate_history(rate_range: RateRange, context: QueryContext) -> Sequence[RatePoint]:
    """The same, up to half a minute old, for a page that is asked for again and again: it reads one
    item.

    Raises:
        Forbidden: the actor may not see rates.
    """
    authorize(context.actor, "rates", "view")
    found = shared_snapshot(
        f"rates.{rate_range}",
        context,
        lambda: _document(rate_history(rate_range, context)),
        least_age=_LEAST_AGE,
    )
    return _points(found.document)


def _document(points: Sequence[RatePoint]) -> dict[str, Any]:
    return {
        "points": [[to_ms(each.at), *each.jobs.line, each.open_batches] for each in points],
        "deployed": [[to_ms(each.at), each.deployed] for each in points if each.deployed],
    }


def _points(document: Mapping[str, Any]) -> list[RatePoint]:
    deployed = dict(document.get("deployed", ()))  # a build before this one stored none
    return [
        RatePoint(from_ms(at), JobTotals.of_line(jobs), open_batches, deployed.get(at, ""))
        for at, *jobs, open_batches in document["points"]
    ]
