"""Batches: the list, one batch with its parts, and what people do with it."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from gateway.errors import ValidationFailed
from gateway.pagination import Pagination
from jobyard.domain.batches.batch import BATCH, BatchState
from jobyard.domain.batches.operation import ACCEPTED, REFUSED, Filter, Operation
from jobyard.domain.errors import BadRequest, JobyardError
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.redaction import parameters_without_secrets
from jobyard.services.access import visible_batch
from jobyard.services.batches import commands, operations
from jobyard.services.batches.operations import NO_JOBS, MatchingJobs
from jobyard.services.queries import batches as batch_queries
from jobyard.services.queries import costs as cost_queries
from jobyard.services.queries import findings as finding_queries
from jobyard.services.queries import job_csv
from jobyard.services.queries import operations as operation_queries
from jobyard.services.queries import reports as report_queries
from jobyard.services.queries.job_types import labels_of_types, state_labels
from jobyard.services.reports import commands as report_commands
from web.batch_page import (
    batch_poll_s,
    batch_values,
    failure_groups,
    finding_rows,
    has_ended,
    state_counters,
)
from web.csv_part import csv_part
from web.event_buttons import button_for_many
from web.filters import json_text
from web.forms import handle_form, status_of
from web.job_names import name_in_row
from web.pictures.strip import strip
from web.poll_interval import LIST_POLL_S, PART_AGE
from web.report_rows import (
    address_in_list,
    link_to_file,
    report_number,
    report_rows,
    reports_address,
)
from web.request import PageRequest, current_request, page_links
from web.responses import page, see_other, shared_page

router = Router()  # type: ignore[no-untyped-call]

_PAGE_SIZE = 50
_SUBMITTED = {
    "24h": ("In the last 24 hours", timedelta(hours=24)),
    "7d": ("In the last 7 days", timedelta(days=7)),
}
_FINDINGS_SHOWN = 10  # on the page of the batch itself
_OPERATIONS_SHOWN = 20  # in the history
_OPERATION_POLL_S = 2
_OUTCOMES_SHOWN = 100  # of an operation, on a page


@router.get("/batches")
def list_batches() -> Response[str]:
    """The batches the reader may see, newest first."""
    request = current_request(router)
    return shared_page("batches.html", request, lambda: _list_values(request), poll_s=LIST_POLL_S)


def _list_values(request: PageRequest) -> dict[str, Any]:
    state, collection = request.query.get("state", ""), request.query.get("collection", "")
    if state not in {*BatchState}:
        state = ""
    submitted = request.query.get("submitted", "")
    if submitted not in _SUBMITTED:
        submitted = ""
    pagination = request.pagination("batches", state, collection, submitted)
    found = batch_queries.list_batches(
        request.query_context,
        state=state,
        collection=collection,
        after=pagination.start(request.query.get("cursor", ""), {}),
        limit=_PAGE_SIZE,
        since=request.query_context.now - _SUBMITTED[submitted][1] if submitted else None,
    )
    filters = {"state": state, "collection": collection, "submitted": submitted}
    return {
        "batches": found.items,
        "labels": labels_of_types(each.batch.job_type for each in found.items),
        "searched": found.searched,
        **page_links(request, pagination.next_cursor(found.after)),
        "options": [(each.name, each.labels["deposit"]) for each in BATCH.states],
        "times": [("", "At any time"), *((name, each[0]) for name, each in _SUBMITTED.items())],
        "may_submit": request.may("batch", "submit"),
        **filters,
    }


@router.get("/batches/<batch_id>")
def show_batch(batch_id: str) -> Response[str]:
    """One batch: counts, strip, failures, findings."""
    return _batch_page(current_request(router), batch_id)


def _batch_page(
    request: PageRequest, batch_id: str, refusal: JobyardError | None = None
) -> Response[str]:
    view = batch_queries.batch(batch_id, request.query_context)
    findings: list[dict[str, Any]] = []
    if view.batch.findings:
        findings, _ = finding_queries.findings_of(
            view.batch, request.query_context, after=0, limit=_FINDINGS_SHOWN
        )
    values = batch_values(view, "overview", request, refusal) | {
        "findings": finding_rows(findings),
        "counts": state_counters(view),
        "groups": failure_groups(view, request),
        "may_submit": request.may("batch", "submit"),
        "parameters": json_text(parameters_without_secrets(view.batch.parameters)),
        "picture": strip(
            view.strip,
            view.batch.entries,
            f"/batches/{batch_id}/jobs?from=",
            state_labels(view.batch.job_type),
        ),
    }
    return page(
        "batch.html",
        request,
        values,
        status=status_of(refusal),
        poll_s=batch_poll_s(view, request.query_context.now),
    )


@router.get("/batches/<batch_id>/findings")
def list_findings(batch_id: str) -> Response[str]:
    """The findings in a batch's manifest, by line and column."""
    request = current_request(router)
    view = batch_queries.batch(batch_id, request.query_context)
    pagination = request.pagination("findings", batch_id)
    found, following = finding_queries.list_findings(
        batch_id,
        request.query_context,
        after=pagination.start(request.query.get("cursor", ""), 0),
        limit=_PAGE_SIZE,
    )
    values = batch_values(view, "findings", request) | {
        "findings": finding_rows(found),
        **page_links(request, pagination.next_cursor(following)),
    }
    return page("batch_findings.html", request, values)


@router.get("/batches/<batch_id>/reports")
def list_reports(batch_id: str) -> Response[str]:
    """The reports of a batch, with their delivery and links to their files."""
    request = current_request(router)
    return _part_page("batch_reports.html", batch_id, lambda: _reports_values(request, batch_id))


def _part_page(
    template: str, batch_id: str, values_of: Callable[[], Mapping[str, Any]], version: int = 0
) -> Response[str]:
    """A page of a part of a batch. Its readers find at once what changes the batch or `version`,
    the rest within `PART_AGE`.
    """
    request = current_request(router)
    batch = visible_batch(batch_id, request.actor, request.query_context.now)
    return shared_page(
        template,
        request,
        values_of,
        poll_s=LIST_POLL_S,
        is_final=lambda values: has_ended(values["view"]),
        version=f"{batch.version}.{version}",
        least_age=PART_AGE,
    )


def _reports_values(
    request: PageRequest, batch_id: str, refusal: JobyardError | None = None
) -> dict[str, Any]:
    view = batch_queries.batch(batch_id, request.query_context)
    rows = report_rows(batch_id, request)
    return batch_values(view, "reports", request, refusal) | {"reports": rows}


@router.post("/batches/<batch_id>/reports/<seq>/resend")
def resend_report(batch_id: str, seq: str) -> Response[str]:
    """Send the mail of a report again."""
    request = current_request(router)

    def act() -> str:
        report_commands.resend(batch_id, report_number(seq), request.command_context())
        return reports_address(batch_id)

    def refused(refusal: JobyardError) -> Response[str]:
        values = _reports_values(request, batch_id, refusal)
        poll_s = 0 if has_ended(values["view"]) else LIST_POLL_S
        return page("batch_reports.html", request, values, status=status_of(refusal), poll_s=poll_s)

    return handle_form(act, refused)


@router.get("/batches/<batch_id>/reports/<seq>")
def get_report(batch_id: str, seq: str) -> Response[str]:
    """Lead to a report in the list."""
    return see_other(address_in_list(batch_id, seq, current_request(router)))


@router.get("/batches/<batch_id>/reports/<seq>/changes")
def list_changes(batch_id: str, seq: str) -> Response[str]:
    """The jobs whose outcome changed since the report before."""
    request = current_request(router)
    number = report_number(seq)
    view = batch_queries.batch(batch_id, request.query_context)
    pagination = request.pagination("report changes", batch_id, seq)
    found = report_queries.report_changes(
        batch_id,
        (number - 1, number),
        request.query_context,
        after=pagination.start(request.query.get("cursor", ""), 0),
        limit=_PAGE_SIZE,
    )
    values = batch_values(view, "", request) | {
        "number": number,
        "changes": found.items,
        "searched": found.searched,
        "labels": {"waiting": "Waiting"} | state_labels(view.batch.job_type),
        **page_links(request, pagination.next_cursor(found.after)),
    }
    return page("report_changes.html", request, values)


@router.get("/batches/<batch_id>/reports/<seq>/<name>")
def get_report_file(batch_id: str, seq: str, name: str) -> Response[str]:
    """A file of a report, by a link of S3 that is valid for some minutes."""
    return see_other(link_to_file(batch_id, seq, name, current_request(router)))


@router.get("/batches/<batch_id>/cost")
def show_cost(batch_id: str) -> Response[str]:
    """What a batch has cost so far."""
    request = current_request(router)

    def read() -> dict[str, Any]:
        view = batch_queries.batch(batch_id, request.query_context)
        cost = cost_queries.cost_of(batch_id)
        return batch_values(view, "cost", request) | {"cost": cost}

    return _part_page("batch_cost.html", batch_id, read)


@router.get("/batches/<batch_id>/history")
def show_history(batch_id: str) -> Response[str]:
    """Who did what to a batch and to many of its jobs, newest first."""
    request = current_request(router)

    def read() -> dict[str, Any]:
        view = batch_queries.batch(batch_id, request.query_context)
        pagination = request.pagination("operations", batch_id)
        found = operation_queries.list_operations(
            batch_id,
            request.query_context,
            after=pagination.start(request.query.get("cursor", ""), None),
            limit=_OPERATIONS_SHOWN,
        )
        return batch_values(view, "history", request) | {
            "operations": [_operation_row(each) for each in found.items],
            **page_links(request, pagination.next_cursor(found.after)),
        }

    version = operation_queries.operations_version(batch_id)
    return _part_page("batch_history.html", batch_id, read, version)


def _operation_row(operation: Operation) -> dict[str, Any]:
    """An operation as the history lists it."""
    batch_id = operation.batch_id
    return {
        "operation": operation,
        "label": button_for_many(batch_id, operation.event).label,
        "address": f"/batches/{batch_id}/operations/{operation.operation_id}",
    }


@router.get("/batches/<batch_id>/operations/<operation_id>")
def show_operation(batch_id: str, operation_id: str) -> Response[str]:
    """An operation on many jobs, with the outcome of each. A poll finds outcomes and the end at
    once; within `PART_AGE` what became of accepted jobs.
    """
    request = current_request(router)
    context = request.query_context
    batch, found = operation_queries.visible_operation(batch_id, operation_id, context)
    chunk, _ = _start_of_outcomes(request, found)
    version = operation_queries.outcomes_version(found, chunk, context) if request.is_poll else ""
    return shared_page(
        "operation.html",
        request,
        lambda: _operation_values(request, found),
        poll_s=_OPERATION_POLL_S,
        is_final=lambda values: values["found"].operation.ended_at is not None,
        version=f"{batch.version}.{found.state}.{version}",
        least_age=PART_AGE,
    )


def _outcome_pages(request: PageRequest, operation: Operation) -> Pagination:
    """The pagination of an operation's outcomes."""
    ids = operation.batch_id, operation.operation_id
    return request.pagination("outcomes", *ids, _outcome_of(request))


def _start_of_outcomes(request: PageRequest, operation: Operation) -> tuple[int, int]:
    """The chunk and position where the page of outcomes that is asked for begins."""
    cursor = request.query.get("cursor", "")
    chunk, position = _outcome_pages(request, operation).start(cursor, (0, 0))
    return chunk, position


def _operation_values(request: PageRequest, operation: Operation) -> dict[str, Any]:
    batch_id = operation.batch_id
    view = batch_queries.batch(batch_id, request.query_context)
    outcome = _outcome_of(request)
    found = operation_queries.operation(
        batch_id,
        operation.operation_id,
        request.query_context,
        outcome=outcome,
        after=_start_of_outcomes(request, operation),
        limit=_OUTCOMES_SHOWN,
    )
    found_rows = operation_queries.rows_of_outcomes(found, request.query_context)
    return batch_values(view, "history", request) | {
        "found": found,
        "labels": state_labels(view.batch.job_type) | {REFUSED: "Refused"},
        "names": {job_id: name_in_row(row) for job_id, row in found_rows.items()},
        "label": button_for_many(batch_id, found.operation.event).label,
        "tabs_of_outcomes": _outcome_tabs(found.operation, outcome),
        "filter": f"?outcome={outcome}" if outcome else "",
        **page_links(request, _outcome_pages(request, operation).next_cursor(found.after)),
    }


def _outcome_of(request: PageRequest) -> str:
    """The outcome in a page's address. One that does not exist counts as none."""
    outcome = request.query.get("outcome", "")
    return outcome if outcome in {ACCEPTED, REFUSED} else ""


def _outcome_tabs(operation: Operation, current: str) -> list[dict[str, Any]]:
    """The choice of an outcome, with how many jobs have it once that is known."""
    address = f"/batches/{operation.batch_id}/operations/{operation.operation_id}"
    counts = operation.outcomes
    numbers = {"": sum(counts.values()), **counts} if counts is not None else None
    return [
        {
            "label": label,
            "address": f"{address}?outcome={outcome}" if outcome else address,
            "count": None if numbers is None else numbers.get(outcome, 0),
            "is_current": outcome == current,
        }
        for outcome, label in (("", "All jobs"), (REFUSED, "Refused"), (ACCEPTED, "Accepted"))
    ]


@router.get("/batches/<batch_id>/operations/<operation_id>/outcomes.csv")
def download_outcomes(batch_id: str, operation_id: str) -> Response[str]:
    """The outcome of an operation for each job as CSV, in parts as the jobs are."""
    request = current_request(router)
    outcome = _outcome_of(request)
    pagination = request.pagination("outcomes", batch_id, operation_id, outcome)
    start: tuple[int, int] = tuple(pagination.start(request.query.get("cursor", ""), (0, 0)))
    part = job_csv.outcomes_csv(
        batch_id, operation_id, request.query_context, outcome=outcome, after=start
    )
    return csv_part(request, f"{batch_id}-{operation_id}-outcomes", part, start, pagination)


@router.post("/batches/<batch_id>/operations")
def post_operation(batch_id: str) -> Response[str]:
    """Send an event to many jobs in one state: those selected, those with a failure code, or all.

    Without an event and a state, failed jobs are requeued. Unless the form is confirmed, it shows a
    preview: how many jobs match, and the form that confirms it with a reason.
    """
    request = current_request(router)
    event = request.field("event") or "requeue"
    JOB.check_event(event)
    wanted = _filter_of(request)
    if not request.field("confirmed"):
        if request.field("selection") and not (wanted.job_ids or request.field("all_matching")):
            nothing = BadRequest("select some jobs, or all that match")
            return _preview_page(request, batch_id, event, wanted, nothing, NO_JOBS)
        return _preview(request, batch_id, event, wanted)

    def act() -> str:
        started = operations.change_jobs(batch_id, event, wanted, request.command_context())
        return f"/batches/{batch_id}/operations/{started.operation_id}"

    return handle_form(act, lambda refusal: _preview(request, batch_id, event, wanted, refusal))


def _filter_of(request: PageRequest) -> Filter:
    """The jobs that a form names.

    Raises:
        ValidationFailed: a state or a code does not exist. To ignore it would select other jobs.
    """
    state = request.field("state") or JobState.FAILED.value
    codes, job_ids = (
        frozenset(filter(None, request.form.get(name, ()))) for name in ("code", "job_id")
    )
    if state not in {*JobState}:
        raise ValidationFailed([("state", f"Choose a state: {', '.join(JobState)}.")])
    if codes - {*Failure}:
        raise ValidationFailed([("code", f"Choose failure codes: {', '.join(Failure)}.")])
    if job_ids and not request.field("all_matching"):
        return Filter(JobState(state), codes, job_ids)
    step, name = request.field("step"), request.field("name")
    return Filter(JobState(state), codes, step=step, name=name)


def _preview(
    request: PageRequest,
    batch_id: str,
    event: str,
    wanted: Filter,
    refusal: JobyardError | None = None,
) -> Response[str]:
    """The preview of an operation; with the refusal, if it is refused."""
    matching = NO_JOBS
    try:
        context = request.command_context()
        matching = operations.preview_operation(batch_id, event, wanted, context)
    except JobyardError as error:
        refusal = refusal or error
    return _preview_page(request, batch_id, event, wanted, refusal, matching)


def _preview_page(
    request: PageRequest,
    batch_id: str,
    event: str,
    wanted: Filter,
    refusal: JobyardError | None,
    matching: MatchingJobs,
) -> Response[str]:
    view = batch_queries.batch(batch_id, request.query_context)
    values = batch_values(view, "jobs", request, refusal) | {
        "buttons": (),  # not the batch's: its Cancel could be taken for this one
        "button": button_for_many(batch_id, event, matching.total - matching.refused),
        "matching": matching,
        "state": wanted.state.value,
        "state_label": state_labels(view.batch.job_type)[wanted.state].lower(),
        "codes": sorted(wanted.codes),
        "job_ids": sorted(wanted.job_ids),
        "step": wanted.step,
        "name": wanted.name,
        "chunks_counted": operations.MAX_CHUNKS_COUNTED,
        "back": _jobs_address(batch_id, wanted),
    }
    return page("operation_preview.html", request, values, status=status_of(refusal))


def _jobs_address(batch_id: str, wanted: Filter) -> str:
    """The list of the jobs that a filter selects, but for a selection and several codes."""
    query = {"state": wanted.state.value}
    query |= {name: each for name in ("step", "name") if (each := getattr(wanted, name))}
    if len(wanted.codes) == 1:
        query["code"] = min(wanted.codes)
    return f"/batches/{batch_id}/jobs?{urlencode(query)}"


@router.post("/batches/<batch_id>/<event>")
def post_event(batch_id: str, event: str) -> Response[str]:
    """Send a person's event to a batch."""
    request = current_request(router)

    def act() -> str:
        commands.send_batch_event(batch_id, event, request.command_context())
        return f"/batches/{batch_id}"

    return handle_form(act, lambda refusal: _batch_page(request, batch_id, refusal))
