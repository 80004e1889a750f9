"""What becomes of a job when the machine's work on it failed.

It goes back to the last state in which a person acted. Where a function edits there is none: the
job fails, with a process log for administrators.
"""

from typing import Any

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.fixup import FixupState
from jobyard.services.datasets.commit import committed_revision
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.moves import move_of, write_child, write_job
from jobyard.services.edits.read_file import refuse
from jobyard.services.edits.work_files import log_key, read_json, write_json
from jobyard.store import edits
from jobyard.store.edits import Job


def give_up(job_id: str, problem: str, context: EditContext) -> Job | None:
    """Take a job back from the machine. Returns it; None if it waits for no machine.

    Raises:
        StaleState: somebody changed the job meanwhile.
    """
    job = edits.find(job_id)
    if job is not None and job.sent is not None and job.sent.is_reading:
        return refuse(job, job.sent, problem, context)
    if isinstance(job, ChildJob):
        return _give_up_child(job, problem, context)
    if job is None:
        return None
    if job.state is EditState.UPLOADED:
        return _give_up_check(job, problem, context)
    if job.is_batch and job.state in _MAY_FAIL:
        return fail(job, problem, context)
    if job.state is EditState.ACTIVATED:
        move = move_of(job, "revert", context, problem)
        return write_job(job, job.dropping_work(move, problem=problem), context)
    if job.state is EditState.COMMITTED:
        move = move_of(job, "postpone", context, problem)
        return write_job(job, job.moved(move, problem=problem), context)
    return None


_MAY_FAIL = frozenset({EditState.ACTIVATED, EditState.PREPARED, EditState.QUARANTINED})


def _give_up_check(job: EditJob, problem: str, context: EditContext) -> EditJob:
    """Give the changes back to their worker, unless they are live already."""
    made = committed_revision(
        job.dataset, job.edit_id, job.attempt, since=job.base_revision, context=context.datasets
    )
    if made is not None:
        return write_job(job, job.moved(move_of(job, "commit", context), revision=made), context)
    if job.is_batch:
        return fail(job, problem, context)
    move = move_of(job, "revert", context, problem)
    # Without a workspace the same file is not taken for a repeat of what was given back.
    return write_job(job, job.moved(move, problem=problem, workspace=None), context)


def _give_up_child(child: ChildJob, problem: str, context: EditContext) -> ChildJob | None:
    if child.state == FixupState.ACTIVATED:
        move = move_of(child, "revert", context, problem)
        return write_child(child, child.given_up(move, child.worker, problem=problem))
    if child.state == FixupState.UPLOADED:
        move = move_of(child, "revert", context, problem)
        return write_child(child, child.moved(move, problem=problem, edits=None))
    return None


def fail(job: EditJob, problem: str, context: EditContext, findings: str = "") -> EditJob:
    """Fail a job in which a function edits, and write its process log. `findings` is the key of a
    report, which becomes a part of the log.
    """
    log: dict[str, Any] = {
        "edit_id": job.edit_id,
        "attempt": job.attempt,
        "state": job.state.value,
        "problem": problem,
        "task": context.run,
        "at": context.now().isoformat(),
        "findings": read_json(findings, context.datasets) if findings else None,
        "history": [
            {"event": each.event, "at": each.at.isoformat(), "reason": each.reason}
            for each in job.history
        ],
    }
    write_json(log_key(job.edit_id, job.attempt), log, context.datasets)
    move = move_of(job, "fail", context, problem)
    return write_job(
        job, job.moved(move, problem=problem, open_child="", actual_end=context.now()), context
    )
