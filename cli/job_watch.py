"""Shows jobs, of batches, campaigns or schedules, until they end: a line for each change."""

import time
from collections.abc import Callable, Sequence

from rich.console import Console

from cli.client import ApiClient, Document
from cli.progress import clock, polls
from cli.terminal import waiting_for
from jobyard.domain.jobs.job import JOB
from jobyard.domain.lifecycle import StateType


def is_over(job: Document) -> bool:
    """Whether a job has ended, or waits for a person."""
    return JOB.state(job["state"]).type in {StateType.TERMINAL, StateType.INTERACTION}


def is_success(job: Document) -> bool:
    """Whether a job has succeeded, wholly or in part."""
    return job["state"] in {"succeeded", "partially_succeeded"}


def watch(
    api: ApiClient,
    job_ids: Sequence[str],
    console: Console | None,
    pause: Callable[[float], None] = time.sleep,
) -> list[Document]:
    """Show jobs until all are over. Returns their final documents. Without a `console` nothing is
    shown.
    """
    found: dict[str, Document] = {}
    shown: dict[str, str] = {}
    for _ in polls(pause):
        for job_id in job_ids:
            if job_id in found and is_over(found[job_id]):
                continue
            found[job_id] = api.get(f"/jobs/{job_id}")
            text = line(found[job_id])
            if console and shown.get(job_id) != text:
                console.print(f"{clock()} {text}", markup=False, soft_wrap=True)
            shown[job_id] = text
        if all(is_over(each) for each in found.values()):
            break
    return [found[job_id] for job_id in job_ids]


def line(job: Document) -> str:
    """A job as one line, without the time."""
    parts = [f"{job['job_id']} {job['state']}"]
    if job["step"] and not is_over(job):
        parts.append(f"step {job['step']}")
    if job.get("failure_code") and not is_success(job):
        parts.append(f"{job['failure_code']}: {job['failure_message']}")
    waiting = waiting_for(job.get("waiting_reason") or "", job.get("waiting_until"))
    return "; ".join([*parts, waiting] if waiting else parts)
