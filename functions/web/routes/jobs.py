"""Jobs: the list of a batch's jobs, one job, and what people do with it."""

import json
import re
from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from markupsafe import Markup

from jobyard.domain.errors import JobyardError
from jobyard.domain.ids import Origin
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JOB, OPEN_JOB_STATES, JobState, StepStatus
from jobyard.domain.redaction import text_without_secrets
from jobyard.services.batches import operations
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.queries import batches as batch_queries
from jobyard.services.queries import job_csv
from jobyard.services.queries import jobs as job_queries
from jobyard.services.queries.batches import BatchView
from jobyard.services.queries.failed_records import failed_records, listed_failures
from jobyard.services.queries.job_logs import LogLine, log_of
from jobyard.services.queries.job_types import state_labels, steps_of
from jobyard.services.queries.jobs import JobMatch, JobView
from web.address import address_of
from web.batch_page import batch_values, has_ended, state_counters
from web.csv_part import csv_part
from web.event_buttons import EventButton, button_for_many, event_buttons, event_values
from web.filters import local, size, words
from web.forms import handle_form, status_of
from web.job_columns import CHOICES, chosen_columns, columns_value, table_columns
from web.job_names import name_in_row
from web.lazy import Lazy
from web.pictures.steps import step_diagram
from web.pictures.timeline import timeline
from web.poll_interval import LIST_POLL_S, poll_interval_s
from web.request import PageRequest, current_request, page_links
from web.responses import page, see_other, shared_page

router = Router()  # type: ignore[no-untyped-call]

_PAGE_SIZE = 100
_FILTER_LENGTH = 200  # characters of a field
_RESULT_LENGTH = 2_000  # characters of a result that are shown
_LOG_POLL_S = 15  # each request asks CloudWatch
_LEVELS = {"ERROR": "error", "WARNING": "warning"}  # that are coloured


@router.get("/batches/<batch_id>/jobs")
def list_jobs(batch_id: str) -> Response[str]:
    """A batch's jobs, in the order of its manifest."""
    request = current_request(router)
    return shared_page(
        "batch_jobs.html",
        request,
        lambda: _list_values(batch_id, request),
        poll_s=LIST_POLL_S,
        is_final=lambda values: has_ended(values["view"]),
    )


def _list_values(batch_id: str, request: PageRequest) -> dict[str, Any]:
    wanted = _match_of(request)
    view = batch_queries.batch(batch_id, request.query_context)
    pagination = request.pagination("jobs", batch_id, *vars(wanted).values())
    start: tuple[int, int] = (0, 0)
    if at := request.query.get("from", ""):
        start = _position(at, view.batch.chunk_size)
    found = job_queries.list_jobs(
        batch_id,
        request.query_context,
        state=wanted.state,
        after=tuple(pagination.start(request.query.get("cursor", ""), start)),
        limit=_PAGE_SIZE,
        matching=wanted,
    )
    columns = chosen_columns(request.query_values("columns"))
    return batch_values(view, "jobs", request) | {
        "jobs": [_row(each) for each in found.items],
        "searched": found.searched,
        "wanted": wanted,
        "filter": urlencode(_filter(wanted)),
        "filters_set": _filter(wanted),
        "columns": table_columns(columns),
        "columns_value": columns_value(columns),
        "column_choices": [(name, label, name in columns) for name, label in CHOICES.items()],
        "codes": [(code, code) for code in _codes(view, wanted)],
        "steps": [(name, words(name)) for name in steps_of(view.batch.job_type)],
        "counts": _counters(view, columns_value(columns)),
        "options": _state_options(view, wanted),
        "rows_of_csv": job_csv.MAX_ROWS,
        "matching": _matching_count(view, wanted),
        "bulk_buttons": _bulk_buttons(view, wanted.state, request),
        "has_bulk_events": any(_bulk_buttons(view, each, request) for each in _present(view)),
        **page_links(request, pagination.next_cursor(found.after), columns=columns_value(columns)),
    }


@router.get("/batches/<batch_id>/jobs.csv")
def download_jobs(batch_id: str) -> Response[str]:
    """A batch's jobs as CSV: those that match, in parts, the last line of which says where the next
    one is.
    """
    request = current_request(router)
    wanted = _match_of(request)
    pagination = request.pagination("jobs", batch_id, *vars(wanted).values())
    start: tuple[int, int] = tuple(pagination.start(request.query.get("cursor", ""), (0, 0)))
    part = job_csv.jobs_csv(batch_id, request.query_context, matching=wanted, after=start)
    return csv_part(request, f"{batch_id}-jobs", part, start, pagination)


def _match_of(request: PageRequest) -> JobMatch:
    """The filter in a page's address. Names that do not exist count as none."""
    query = request.query
    state, code = query.get("state", ""), query.get("code", "")
    return JobMatch(
        state=state if state in {*JobState} else "",
        code=code if code in {*Failure} else "",
        step=query.get("step", "")[:_FILTER_LENGTH],
        name=query.get("name", "")[:_FILTER_LENGTH],
    )


def _state_options(view: BatchView, wanted: JobMatch) -> list[tuple[str, str]]:
    """The states in which a batch has jobs, and the one that is asked for, with their labels."""
    labels = state_labels(view.batch.job_type)
    return [
        (state, labels[state]) for state in JobState if state in {*_present(view), wanted.state}
    ]


def _codes(view: BatchView, wanted: JobMatch) -> list[str]:
    """The failure codes of a batch's jobs, and the one that is asked for."""
    return sorted({group.code for group in view.failure_groups or ()} | ({wanted.code} - {""}))


def _present(view: BatchView) -> list[str]:
    """The states in which a batch has jobs."""
    return [state.value for state in JobState if view.counts[state]]


def _bulk_buttons(view: BatchView, state: str, request: PageRequest) -> list[EventButton]:
    """The buttons for a list of jobs in one state; none in any state ("") or if the person may not
    change them.
    """
    if not state:
        return []
    events = operations.events_for_many(view.batch, JobState(state), request.actor.roles)
    return [button_for_many(view.batch.batch_id, event) for event in events]


def _matching_count(view: BatchView, wanted: JobMatch) -> int:
    """How many jobs an operation on all that match changes; 0 if it has no such filter."""
    if wanted.step or wanted.name:
        return 0
    if wanted.code:
        groups = view.failure_groups or ()
        return sum(group.count for group in groups if group.code == wanted.code)
    return view.counts.get(wanted.state, 0)


def _filter(wanted: JobMatch) -> dict[str, str]:
    """The fields of a filter that are not empty."""
    return {name: value for name, value in vars(wanted).items() if value}


def _counters(view: BatchView, columns: str) -> list[dict[str, Any]]:
    """The counts of the jobs by state, with links that keep the chosen columns."""
    kept = f"&columns={columns}" if columns else ""
    return [each | {"address": each["address"] + kept} for each in state_counters(view)]


def _row(view: JobView) -> dict[str, Any]:
    """A job as the list shows it. `took` is how long its last attempt took, None if it has not
    ended.
    """
    last = view.job.attempts[-1] if view.job.attempts else None
    return {
        "view": view,
        "job": view.job,
        "name": _name_of(view),
        "job_id": view.job.address.job_id,
        "took": last.ended_at - last.started_at if last and last.ended_at else None,
        "url": text_without_secrets(str(view.row.get("url", ""))),
    }


def _name_of(view: JobView) -> str:
    """What a job is called: the file or object of its row, the time of its occurrence."""
    if view.occurrence:
        return f"Run of {view.occurrence.scheduled_for:%Y-%m-%d %H:%M} UTC"
    return name_in_row(view.row) or view.row.get("id", "") or view.job.address.job_id


def _position(number: str, chunk_size: int) -> tuple[int, int]:
    """Where the job with a number (from 1) of the manifest is; the first one if it is no number."""
    position = int(number) - 1 if number.isdecimal() and number.isascii() and len(number) < 9 else 0
    return divmod(max(position, 0), chunk_size or 1)


@router.get("/jobs/<job_id>")
def show_job(job_id: str) -> Response[str]:
    """One job."""
    return _job_page(current_request(router), job_id)


def _job_page(
    request: PageRequest, job_id: str, refusal: JobyardError | None = None
) -> Response[str]:
    view = job_queries.job(job_id, request.query_context)
    job = view.job
    poll_s = 0
    if not JOB.is_final(job.state):
        last = job.history[-1].at if job.history else request.query_context.now
        poll_s = poll_interval_s(last, request.query_context.now)
    address = f"/jobs/{job_id}"
    kind = "task" if job.address.origin is Origin.CAMPAIGN else "job"
    labels = state_labels(view.job_type)
    buttons = event_buttons(kind, address, view.actions, view.unavailable, labels)
    values = {
        "view": view,
        "name": _name_of(view),
        "crumbs_of_job": _crumbs(view),
        "neighbours": _neighbours(view, request),
        "step_diagram": step_diagram(view.all_steps, job.steps, _resume_point(view)),
        "step_times": _step_times(view),
        "timeline": _timeline(view, request),
        "state_labels": labels,
        "may_see_log": request.may(job.address.kind, "view_log"),
        "details": _details(view),
        **event_values(buttons, request, refusal),
    }
    return page("job.html", request, values, status=status_of(refusal), poll_s=poll_s)


def _step_times(view: JobView) -> list[dict[str, Any]]:
    """The steps of a task in the words of the Connectivity Suite; empty for other jobs."""
    if view.job.address.origin is not Origin.CAMPAIGN:
        return []
    records = {step.name: step for step in view.job.steps}
    rows = []
    for name in view.all_steps:
        step = records.get(name)
        status = step.status if step else StepStatus.PENDING
        resumed = "A requeue starts here." if name == _resume_point(view) else ""
        rows.append(
            {
                "name": name,
                "note": " ".join(filter(None, (resumed, step.message if step else ""))),
                "status": status.value,
                "percent": step.percent if step else None,
                "started_at": step and step.started_at,
                "skipped_at": step and step.ended_at if status is StepStatus.SKIPPED else None,
                "completed_at": step and step.ended_at if status is StepStatus.COMPLETED else None,
            }
        )
    return rows


def _neighbours(view: JobView, request: PageRequest) -> Lazy:
    """The addresses of the jobs before and after in the reader's filter, "" for none, and what is
    shown in place of one that was not found. A poll does not search for them.
    """
    wanted = _match_of(request)
    key = repr((view.job.address.job_id, wanted))
    return Lazy(key, lambda: _searched_neighbours(view, wanted, request))


def _searched_neighbours(
    view: JobView, wanted: JobMatch, request: PageRequest
) -> dict[str, str | int]:
    address = view.job.address
    if address.origin is not Origin.BATCH:
        return {"before": "", "after": "", "unsearched_to": 0, "unsearched_from": 0}
    found = job_queries.neighbours(address.job_id, request.query_context, wanted)
    query = _filter(wanted)
    ending = f"?{urlencode(query)}" if query else ""
    jobs = f"/batches/{address.origin_id}/jobs"
    return {
        **vars(found),
        "before": f"/jobs/{found.before}{ending}" if found.before else "",
        "after": f"/jobs/{found.after}{ending}" if found.after else "",
        "first_address": f"{jobs}{ending}",
        "search_address": f"{jobs}?{urlencode(query | {'from': found.unsearched_from})}",
    }


def _crumbs(view: JobView) -> list[dict[str, str]]:
    """The way to a job: from its batch, its schedule, or its campaign."""
    address = view.job.address
    if address.origin is Origin.CAMPAIGN:
        campaign = f"/campaigns/{address.origin_id}"
        return [
            {"label": "Jobs", "address": "/campaigns"},
            {"label": view.origin_title, "address": campaign},
            {"label": "Job Tasks", "address": f"{campaign}/tasks"},
        ]
    if address.origin is Origin.SCHEDULE:
        return [
            {"label": "Job Management", "address": "/job-management"},
            {"label": view.origin_title, "address": f"/schedules/{address.origin_id}"},
        ]
    batch = f"/batches/{address.origin_id}"
    return [
        {"label": "Batches", "address": "/batches"},
        {"label": view.origin_title, "address": batch},
        {"label": "Jobs", "address": f"{batch}/jobs"},
    ]


def _resume_point(view: JobView) -> str:
    """The step with which a failed job would start again; "" for a job that cannot be requeued."""
    return view.step if view.job.state is JobState.FAILED and view.job.requeueable else ""


def _timeline(view: JobView, request: PageRequest) -> Markup:
    """When a job waited and when it was worked on; empty without attempts."""
    job = view.job
    numbered = job.numbered_attempts
    if not numbered:
        return Markup()
    first = min(numbered[0][1].started_at, job.history[0].at if job.history else job.at)
    last = request.query_context.now
    if job.state not in OPEN_JOB_STATES:
        last = max(job.at, *(each.ended_at or job.at for _, each in numbered))
    return timeline(numbered, first, last, lambda at: local(at, request.zone))


def _details(view: JobView) -> list[tuple[str, object]]:
    """What is known of a job, name by name: its row or occurrence, then what its steps returned."""
    row, occurrence = view.row, view.occurrence
    found: list[tuple[str, object]] = [
        ("Address", text_without_secrets(row.get("address", ""))),
        ("URL", text_without_secrets(row.get("url", ""))),
        ("Line", row.get("line", "")),
        ("Size", size(row["size"]) if "size" in row else ""),
        ("Digest", f"{row['algorithm']} {row['digest']}" if "digest" in row else ""),
        ("Ark", _ark(view)),
        ("Local ids", ", ".join(row.get("local", ()))),
        ("Title", row.get("title", "")),
        ("Creator", row.get("creator", "")),
        ("Date", row.get("date", "")),
        ("Requeued", view.job.requeue_count or ""),
    ]
    if occurrence:
        found += [("Trigger", occurrence.trigger.value), ("Run now by", occurrence.actor)]
    if view.records:
        counts = (f"{name} {count}" for name, count in view.records.items() if count is not None)
        found.append(("Records", ", ".join(counts)))
    results = ((words(name).capitalize(), _shown(each)) for name, each in view.job.result.items())
    if listed := listed_failures(view.job):
        link = Markup('<a href="/jobs/{}/failed-records">{}</a>')
        shown_count = f"{listed:,} (JSON Lines)"
        found.append(("Failed records", link.format(view.job.address.job_id, shown_count)))
    hidden = {"Ark", "Records", "Failed records"}
    return found + [(name, shown) for name, shown in results if name not in hidden]


def _ark(view: JobView) -> str:
    """The ark of a job's object, which is a link once the job has deposited it; "" without one."""
    ark = str(view.job.data.get("ark") or view.row.get("primary", ""))
    if view.job.state is not JobState.SUCCEEDED or not ark:
        return ark
    return Markup('<a href="{}">{}</a>').format(address_of("object", ark), ark)


def _shown(value: object) -> str:
    """A result of a step: text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text_without_secrets(text[:_RESULT_LENGTH])


@router.get("/jobs/<job_id>/failed-records")
def download_failed_records(job_id: str) -> Response[str]:
    """Redirect to the list of the records that a sweep could not change."""
    return see_other(failed_records(job_id, current_request(router).query_context).url)


@router.get("/jobs/<job_id>/log")
def show_log(job_id: str) -> Response[str]:
    """The log of an attempt, also shown in place on the page of its job."""
    request = current_request(router)
    view = job_queries.job(job_id, request.query_context)
    wanted = request.query.get("attempt", "")
    number = int(wanted) if re.fullmatch(r"[0-9]{1,6}", wanted, re.ASCII) else None
    found = request.site.system_clients.result_or_none(
        lambda: log_of(view.job, number, request.site.logs, request.query_context)
    )
    address = f"/jobs/{job_id}"
    values = {
        "name": _name_of(view),
        "job_id": job_id,
        "crumbs_of_log": [*_crumbs(view), {"label": _name_of(view), "address": address}],
        "log": found,
        "lines": [_line(each) for each in found.lines] if found else [],
        **_next_logs(view, found.number if found else 0, f"{address}/log?attempt="),
    }
    is_running = found is not None and found.attempt.ended_at is None
    return page("job_log.html", request, values, poll_s=_LOG_POLL_S if is_running else 0)


def _line(line: LogLine) -> dict[str, Any]:
    """A line as the page shows it, with its fields as text."""
    fields = " ".join(f"{name}={_shown(value)}" for name, value in line.fields.items())
    return {**vars(line), "details": fields, "kind": _LEVELS.get(line.level, "information")}


def _next_logs(view: JobView, number: int, address: str) -> dict[str, str]:
    """The addresses of the logs of the attempts before and after one; "" for none."""
    numbers = [each for each, attempt in view.job.numbered_attempts if attempt.count == 1]
    before = max((each for each in numbers if each < number), default=0)
    after = min((each for each in numbers if each > number), default=0) if number else 0
    return {
        "before": f"{address}{before}" if before else "",
        "after": f"{address}{after}" if after else "",
    }


@router.post("/jobs/<job_id>/<event>")
def post_event(job_id: str, event: str) -> Response[str]:
    """Send a person's event to a job."""
    request = current_request(router)

    def act() -> str:
        send_job_event(job_id, event, request.command_context())
        return f"/jobs/{job_id}"

    return handle_form(act, lambda refusal: _job_page(request, job_id, refusal))
