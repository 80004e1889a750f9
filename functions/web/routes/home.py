"""The home page: is anything wrong, what is going on, what comes next; and what people did."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.activity import Act
from jobyard.domain.batches.batch import BATCH, BatchState
from jobyard.domain.cost import price_usage
from jobyard.domain.ids import is_batch_id
from jobyard.domain.overview import Overview
from jobyard.domain.rates import RATE_STEPS, RatePoint, RateRange, WaitLimit, wait_of
from jobyard.services.access import authorize
from jobyard.services.queries.activity import recent_activity
from jobyard.services.queries.edits import own_work, worklist_version
from jobyard.services.queries.job_types import labels_of_types
from jobyard.services.queries.overview import ENDED_OF, SCHEDULES_READ, overview
from jobyard.services.queries.rates import shared_rate_history
from web.address import address_of
from web.attention import problems_of, unread, unseen
from web.edit_words import tile_of
from web.failure_rows import failing_rows
from web.filters import duration, local
from web.pictures.rates import Rate, rates
from web.poll_interval import LIST_POLL_S
from web.report_rows import reports_address
from web.request import PageRequest, current_request, page_links
from web.responses import own_part, page, versioned_page

router = Router()  # type: ignore[no-untyped-call]

_ORDER = [*BatchState]
_ENDED = frozenset({BatchState.COMPLETED, BatchState.CANCELLED})
_PAGE_SIZE = 100
_OWN_SHOWN = 8  # edit jobs
_DEPLOYMENTS = 3  # in the legend of the picture, which marks all
_BATCHES_NAMED = 3  # for each failure code


@router.get("/")
def show_home() -> Response[str]:
    """The home page."""
    request = current_request(router)
    if not request.may("batch", "list"):
        return _home_without_batches(request)
    found = overview(request.query_context, request.site.system_clients)
    rate_range = request.query.get("range", RateRange.HOUR)
    if rate_range not in {*RateRange}:
        rate_range = RateRange.HOUR
    values = {
        "found": found,
        "problems": problems_of(found, request.query_context.now),
        "unchecked": [*unread(found, request), *unseen(found, request)],
        "batches_named": _BATCHES_NAMED,
        "labels": labels_of_types(each.job_type for each in found.open_batches),
        "schedules_read": SCHEDULES_READ,
        "cost": price_usage(found.usage) if found.usage else None,
        "counts": _counts(found),
        "rate_range": rate_range,
        "ranges": _ranges(rate_range),
        **_rates(RateRange(rate_range), request),
        "acts": [_act_row(each) for each in found.activity or ()],
        "may_requeue": request.may("job", "requeue"),
        "own": own_part("own work", request, lambda: _own_work(request)),
    }
    return page("home.html", request, values, poll_s=LIST_POLL_S)


def _home_without_batches(request: PageRequest) -> Response[str]:
    """The home page of who sees no batches. Their work changes with their worklist."""
    if not request.may("worklist", "view"):
        return page("home_without_role.html", request, {"own": None})
    return versioned_page(
        "home_without_role.html",
        request,
        worklist_version(request.query_context),
        lambda: {"own": _own_work(request)},
        poll_s=LIST_POLL_S,
    )


def _own_work(request: PageRequest) -> dict[str, Any] | None:
    """What waits for the reader in the worklist; None if they have none."""
    if not request.may("worklist", "view"):
        return None
    found = own_work(request.query_context)
    if not (found.waiting or found.claimed) and request.may("batch", "list"):
        return None
    tiles = [tile_of(each) for each in (*found.overdue, *found.claimed, *found.waiting)]
    return {
        "counts": [
            {
                "label": label,
                "count": len(views),
                "address": "/worklist",
                "state": state if views else "",
            }
            for label, views, state in (
                ("Waiting for me", found.waiting, "allocated"),
                ("Claimed by me", found.claimed, "downloaded"),
                ("Overdue", found.overdue, "error"),
            )
        ],
        "tiles": [*dict.fromkeys(tiles)][:_OWN_SHOWN],
    }


def _counts(found: Overview) -> list[dict[str, Any]]:
    """The counters of batches: of the open and failed ones, and of those that were submitted in the
    last 24 hours and have ended otherwise.
    """
    hours = ENDED_OF // timedelta(hours=1)
    rows = []
    for state, each in sorted(found.counts.items(), key=lambda item: _ORDER.index(item[0])):
        label, address = BATCH.state(state).labels["deposit"], f"/batches?state={state}"
        if state in _ENDED:
            label, address = f"{label} ({hours} h)", f"{address}&submitted={hours}h"
        count = each.number if each.is_exact else f"{each.number:,}+"
        rows.append({"label": label, "count": count, "address": address, "state": state})
    return rows


def _ranges(current: str) -> list[dict[str, Any]]:
    labels = {RateRange.HOUR: "1 hour", RateRange.DAY: "24 hours", RateRange.WEEK: "7 days"}
    return [
        {"label": label, "address": f"/?range={each.value}", "is_current": each == current}
        for each, label in labels.items()
    ]


def _rates(rate_range: RateRange, request: PageRequest) -> dict[str, Any]:
    """The picture of jobs per minute, and the latest deployments in it; the picture is None for a
    reader who may not see rates.
    """
    if not request.may("rates", "view"):
        return {"picture": None, "deployments": [], "waits": ""}
    minutes = RATE_STEPS[rate_range][0] / timedelta(minutes=1)
    history = shared_rate_history(rate_range, request.query_context)
    points = [
        Rate(
            each.at,
            each.jobs.started / minutes,
            (each.jobs.ended - each.jobs.failed) / minutes,
            each.jobs.failed / minutes,
            each.deployed,
        )
        for each in history
    ]
    return {
        "picture": rates(points, lambda at: local(at, request.zone)),
        "deployments": [each for each in points if each.deployed][-_DEPLOYMENTS:],
        "waits": _wait_words(history),
    }


def _wait_words(history: Sequence[RatePoint]) -> str:
    """How long jobs waited until they started, in words; "" if none started."""
    half, most = wait_of(history, 0.5), wait_of(history, 0.95)
    if half is None or most is None:
        return ""
    return f"How long jobs waited to start: half of them {_wait(half)}, 95 % {_wait(most)}."


def _wait(found: WaitLimit) -> str:
    return f"{'over' if found.is_longer else 'up to'} {duration(found.limit)}"


def _act_row(act: Act) -> dict[str, Any]:
    """An act as a list shows it, with the address of its subject."""
    subject = act.subject
    # An operation on jobs has the id of their batch.
    kind = "batch" if is_batch_id(subject.subject_id) else subject.kind
    address = address_of(kind, subject.subject_id)
    return {"act": act, "address": address, "name": subject.title or subject.subject_id}


@router.get("/failures")
def list_failures() -> Response[str]:
    """The open and failed batches with failed jobs, all or those with one failure code."""
    request = current_request(router)
    found = overview(request.query_context, request.site.system_clients)
    given = request.query.get("code", "")
    group = next((each for each in found.failures if each.code == given), None)
    values = {
        "code": given,
        "group": group,
        "rows": failing_rows(found, group.batches if group else (), given),
        "options": [("", "Any code"), *((each.code, each.code) for each in found.failures)],
        "unread": unread(found, request),
        "may_requeue": request.may("job", "requeue"),
    }
    return page("failures.html", request, values, poll_s=LIST_POLL_S)


@router.get("/undelivered")
def list_undelivered() -> Response[str]:
    """The reports that did not arrive yet, about what the reader may see."""
    request = current_request(router)
    authorize(request.actor, "batch", "view")
    found = overview(request.query_context, request.site.system_clients).undelivered
    rows = [
        {"report": each, "address": reports_address(each.origin_id)}
        for each in (found.reports if found else ())
    ]
    values = {"rows": rows, "has_more": found is not None and not found.is_exact}
    return page("undelivered.html", request, values, poll_s=LIST_POLL_S)


@router.get("/activity")
def list_activity() -> Response[str]:
    """What people did, newest first."""
    request = current_request(router)
    pagination = request.pagination("activity")
    start = pagination.start(request.query.get("cursor", ""), None)
    found = recent_activity(
        request.query_context, limit=_PAGE_SIZE, after=tuple(start) if start else None
    )
    values = {
        "acts": [_act_row(each) for each in found.items],
        "searched": found.searched,
        **page_links(request, pagination.next_cursor(found.after)),
    }
    return page("activity.html", request, values)
