"""The home page: is anything wrong, what is going on, what comes next; and what people did."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.activity import Act
from jobyard.domain.batches.batch import BATCH, BatchState
from jobyard.domain.cost import price_usage
from jobyard.domain.ids import is_batch_id
from jobyard.domain.overview import Overview, SystemHealth
from jobyard.domain.rates import RATE_STEPS, RatePoint, RateRange, WaitLimit, wait_of
from jobyard.services.queries.activity import recent_activity
from jobyard.services.queries.edits import own_work, worklist_version
from jobyard.services.queries.overview import SCHEDULES_READ, overview
from jobyard.services.queries.rates import shared_rate_history
from web.address import address_of
from web.edit_words import tile_of
from web.filters import duration, local
from web.pictures.rates import Rate, rates
from web.poll_interval import LIST_POLL_S
from web.report_rows import reports_address
from web.request import PageRequest, current_request, page_links
from web.responses import own_part, page, versioned_page

router = Router()  # type: ignore[no-untyped-call]

_ORDER = [*BatchState]
_OLD = timedelta(hours=24)  # a batch that has waited longer needs attention
_PAGE_SIZE = 100
_OWN_SHOWN = 8  # edit jobs
_DEPLOYMENTS = 3  # in the legend of the picture, which marks all


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
        "problems": _problems(found, request.query_context.now),
        "is_partial": found.schedules is not None and not found.schedules.has_all_schedules,
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


def _system_problems(system: SystemHealth) -> list[dict[str, str]]:
    """What is wrong with the system itself."""
    problems = [*(system.alarms or ())]
    if system.more_alarms:
        problems.append(_number(system.more_alarms, "more alarm"))
    if system.dead_letters:
        problems.append(f"{_number(system.dead_letters, 'event')} could not be delivered")
    if system.alarms is None:
        problems.append("CloudWatch does not answer now, so the alarms are not known")
    if system.dead_letters is None:
        problems.append("SQS does not answer now, so the dead letters are not known")
    return [{"words": each, "address": "/system"} for each in problems]


def _problems(found: Overview, now: datetime) -> list[dict[str, str]]:
    """What is wrong, in words, each with the address where one sees more."""
    problems = _system_problems(found.system) if found.system else []
    if found.failed_jobs:
        is_exact = found.has_all_failures
        jobs = _number(found.failed_jobs, "failed job", is_exact=is_exact)
        batches = _number(found.failing_batches, "batch", is_exact=is_exact)
        problems.append({"words": f"{jobs} in {batches}", "address": "/batches?state=failed"})
    refused = found.refused
    if refused and refused.number == 1:
        words, address = refused.filename, f"/batches/{refused.batch_id}"
        problems.append({"words": f"{words} failed as a whole", "address": address})
    elif refused:
        number = _number(refused.number, "batch", is_exact=refused.is_exact)
        problems.append(
            {"words": f"{number} failed as a whole", "address": "/batches?state=failed"}
        )
    oldest = found.oldest_waiting
    if oldest and now - oldest.submitted_at > _OLD:
        problems.append(
            {
                "words": f"{oldest.filename} has waited for more than a day",
                "address": f"/batches/{oldest.batch_id}",
            }
        )
    reports = found.undelivered
    if reports and reports.number:
        number = _number(reports.number, "report", is_exact=reports.is_exact)
        problems.append(
            {
                "words": f"{number} did not arrive yet",
                "address": reports_address(reports.batch_id),
            }
        )
    return problems + _problem_runs(found)


def _problem_runs(found: Overview) -> list[dict[str, str]]:
    """The schedules with a run that failed, or was skipped although nobody wanted that."""
    return [
        {
            "words": f"{run.title}: {run.skip_reason.description}"
            if run.skip_reason
            else f"{run.title}: the last run failed",
            "address": f"/schedules/{run.schedule_id}/history",
        }
        for run in (found.schedules.problem_runs if found.schedules else ())
    ]


def _number(number: int, noun: str, *, is_exact: bool = True) -> str:
    """A number with its noun: "1 batch", "2 batches", "20+ reports"."""
    if number == 1 and is_exact:
        return f"1 {noun}"
    more = "" if is_exact else "+"
    return f"{number:,}{more} {noun}{'es' if noun.endswith('ch') else 's'}"


def _counts(found: Overview) -> list[dict[str, Any]]:
    return [
        {
            "label": BATCH.state(state).labels["deposit"],
            "count": each.number if each.is_exact else f"{each.number}+",
            "address": f"/batches?state={state}",
            "state": state,
        }
        for state, each in sorted(found.counts.items(), key=lambda item: _ORDER.index(item[0]))
    ]


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
