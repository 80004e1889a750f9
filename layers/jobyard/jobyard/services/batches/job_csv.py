"""A job as a row of CSV, in the files of reports and in lists, escaped against CSV injection."""

import json
from collections.abc import Sequence

from jobyard.domain.jobs.job import JobRecord, JobState
from jobyard.domain.redaction import without_secrets
from jobyard.domain.text import safe_cell
from jobyard.services.batches import rows

COLUMNS = (
    "job_id",
    "line",
    "name",
    "url",
    "state",
    "label",
    "step",
    "failure_code",
    "failure_message",
    "attempt_count",
    "requeue_count",
    "ended_at",
    "result",
    "local_id",
    "callback",
    "ark",
    "version",
)


def cells_of(row: rows.Row, job: JobRecord, label: str) -> tuple[str, ...]:
    """The values of the columns of a job. `label` is its state for users of its type."""
    last = job.attempts[-1] if job.attempts else None
    ended = last.ended_at.isoformat() if last and last.ended_at else ""
    return (
        job.address.job_id,
        str(row.get("line", "")),
        str(row.get("name", "")),
        without_secrets(str(row.get("url", ""))),
        job.state.value,
        label,
        last.step if last else "",
        job.failure_code if job.state is JobState.FAILED else "",
        job.failure_message if job.state is JobState.FAILED else "",
        str(job.attempt_count),
        str(job.requeue_count),
        ended,
        json.dumps(dict(job.data), sort_keys=True) if job.data else "",
        ";".join(row.get("local", ())),
        str(job.data.get("callback", "")),
        *stored_version(job),
    )


def stored_version(job: JobRecord) -> tuple[str, str]:
    """The ark and the version that a job stored; "" for both if it stored none."""
    is_stored = job.state in {JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED}
    if not is_stored or not {"ark", "version"} <= job.data.keys():
        return "", ""
    return str(job.data["ark"]), str(job.data["version"])


def safe_cells(cells: Sequence[str]) -> list[str]:
    """The cells, escaped against CSV injection: a spreadsheet reads none of them as a formula."""
    return [safe_cell(cell) for cell in cells]
