"""What the pages of one batch show: tabs, counters, failure groups, findings, buttons."""

from datetime import datetime
from typing import Any

from jobyard.domain.access import is_allowed
from jobyard.domain.batches.batch import BATCH, BatchState
from jobyard.domain.errors import JobyardError
from jobyard.domain.jobs.job import PROGRESS_ORDER
from jobyard.domain.lifecycle import StateType
from jobyard.services.queries.batches import BatchView
from jobyard.services.queries.job_types import state_labels
from web.event_buttons import event_buttons, event_values
from web.poll_interval import poll_interval_s
from web.request import PageRequest

_LABELS = {state.name: state.labels["deposit"] for state in BATCH.states}


def batch_values(
    view: BatchView, tab: str, request: PageRequest, refusal: JobyardError | None = None
) -> dict[str, Any]:
    """The values of batch_layout.html. `tab` is the current one in lower case, "" for none."""
    address = f"/batches/{view.batch.batch_id}"
    buttons = event_buttons("batch", address, view.actions, view.unavailable, _LABELS)
    return {
        "view": view,
        "tabs_of_batch": _tabs(view, tab, address),
        **event_values(buttons, request, refusal),
    }


def batch_poll_s(view: BatchView, now: datetime) -> int:
    """Seconds until the next poll of a batch's page; 0 if nothing can change any more."""
    batch = view.batch
    if has_ended(view):
        return 0
    if batch.is_executing and not _only_waits(view):
        return poll_interval_s(now, now)
    last_change = batch.history[-1].at if batch.history else batch.submitted_at
    return poll_interval_s(last_change, now, view.until)


def has_ended(view: BatchView) -> bool:
    """Whether nothing of a batch can change any more."""
    return BATCH.state(view.batch.state).type is StateType.TERMINAL


def _only_waits(view: BatchView) -> bool:
    """Whether all open jobs are held, paused, or scheduled for a known time."""
    counts = view.counts
    if view.batch.state is not BatchState.PROCESSING or counts["running"] or counts["stopping"]:
        return False
    is_scheduled = counts["scheduled"] > 0
    return view.until is not None if is_scheduled else counts["held"] + counts["paused"] > 0


def _tabs(view: BatchView, current: str, address: str) -> list[dict[str, Any]]:
    batch = view.batch
    parts = [
        ("Overview", "", None),
        ("Jobs", "/jobs", batch.entries),
        ("Findings", "/findings", batch.findings),
        ("Reports", "/reports", batch.last_report),
        ("Cost", "/cost", None),
        ("History", "/history", None),
    ]
    return [
        {
            "label": label,
            "address": address + path,
            "count": count,
            "is_current": current == label.lower(),
        }
        for label, path, count in parts
    ]


def state_counters(view: BatchView) -> list[dict[str, Any]]:
    """The counts of a batch's jobs by state, each with a link to these jobs. States without jobs
    are left out.
    """
    address = f"/batches/{view.batch.batch_id}/jobs"
    labels = state_labels(view.batch.job_type)
    return [
        {
            "label": labels[state],
            "count": view.counts[state],
            "address": f"{address}?state={state}",
            "state": state.value,
        }
        for state in PROGRESS_ORDER
        if view.counts[state]
    ]


def failure_groups(view: BatchView, request: PageRequest) -> list[dict[str, Any]]:
    """The failed jobs by code, each with a link to these jobs and a requeue of exactly these."""
    batch_id = view.batch.batch_id
    may_requeue = is_allowed("job", "requeue", request.actor.roles)
    return [
        {
            **vars(group),
            "description": group.description,
            "address": f"/batches/{batch_id}/jobs?state=failed&code={group.code}",
            "requeue_address": f"/batches/{batch_id}/operations" if may_requeue else "",
        }
        for group in view.failure_groups or ()
    ]


def finding_rows(
    findings: list[dict[str, Any]], whole: str = "The manifest"
) -> list[dict[str, Any]]:
    """Findings as a page lists them, each with its line and column in words; `whole` is what one
    without a line is about.
    """
    return [
        {
            "level": each["level"],
            "code": each["code"],
            "message": each["message"],
            "position": _position(each, whole),
            "address": "",
        }
        for each in findings
    ]


def _position(finding: dict[str, Any], whole: str) -> str:
    line, column = finding.get("line"), finding.get("column")
    where = f"Line {line}" if line else whole
    return f"{where}, column {column}" if column else where
