"""The step of a sweep: page by page, each changed and counted in one transaction.

It may be interrupted anywhere, repeated, or run in two workers at once. A page counts when its
checkpoint is written, and that write fails unless it replaces the checkpoint that was read.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from jobyard.domain.errors import InvalidParameters
from jobyard.domain.jobs.checkpoint import FAILED_FILE, Checkpoint
from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.jobs.job_type import Continue, Done, Fail, Snooze, StepInput, StepResult
from jobyard.domain.plurals import plural
from jobyard.jobtypes.step_context import TableContext
from jobyard.jobtypes.sweep.failed_records import FailedRecordParts
from jobyard.jobtypes.sweep.plan import Plan
from jobyard.jobtypes.sweep.table import MAX_TRIES, Key, Record, Table, TableError, key_text

SWEEP_MARGIN_S = 15.0  # reserved for one page, the longest that it takes on a busy table
BUSY_PAUSE_S = 5.0  # before a sweep of a busy table continues
_MAX_REASON = 80  # characters of a failed record's reason


def sweep(
    step_input: StepInput, context: TableContext, pause: Callable[[float], None] = time.sleep
) -> StepResult:
    """Change every record that is due at the job's scheduled time, whenever the job runs.

    A sweep that ended with failures and is requeued changes what is still due: the failed records.
    """
    try:
        plan = Plan.of(step_input.parameters)
        scheduled_time = _scheduled_time(step_input)
    except InvalidParameters as refusal:
        return Fail(Failure.BAD_PARAMETERS, str(refusal))
    if plan.table not in context.sweep_tables:
        allowed = ", ".join(context.sweep_tables) or "none"
        message = f"sweeps may not change {plan.table}; tables they may change: {allowed}"
        return Fail(Failure.TABLE_NOT_ALLOWED, message)
    table = Table(context.dynamodb, plan, plan.latest(scheduled_time), pause)
    failed = FailedRecordParts(context.s3, context.work_bucket, step_input.job_id)
    checkpoint = context.checkpoints.get(step_input.job_id)
    first_version = checkpoint.version
    if checkpoint.ended and checkpoint.failed:
        checkpoint = checkpoint.next_pass()
    try:
        while not checkpoint.ended:
            if context.remaining() < SWEEP_MARGIN_S:
                message = f"went through {plural(checkpoint.total, 'record')} so far"
                result_class = Continue if checkpoint.version > first_version else Snooze
                return result_class(0, message)
            checkpoint = _next_page(checkpoint, table, failed, context)
    except TableError as refusal:
        checkpoint = context.checkpoints.get(step_input.job_id)
        retryable = refusal.code in RETRYABLE
        if retryable and checkpoint.version > first_version:
            return Continue(BUSY_PAUSE_S, refusal.message)
        result = _result(checkpoint, failed, step_input)
        return Fail(refusal.code, refusal.message, retryable=retryable, result=result)
    result = _result(checkpoint, failed, step_input)
    if checkpoint.failed:
        return Fail(Failure.RECORDS_FAILED, _failure_summary(checkpoint), result=result)
    return Done(result)


def _result(
    checkpoint: Checkpoint, failed: FailedRecordParts, step_input: StepInput
) -> Mapping[str, Any]:
    """The counts, and the file with the failed records, if there are some or were before."""
    result: dict[str, Any] = {"records": checkpoint.counts}
    if checkpoint.failed_part:
        count = failed.write_file(checkpoint.failed_part, checkpoint.version)
        result[FAILED_FILE] = {"number": checkpoint.version, "records": count}
    elif step_input.data.get(FAILED_FILE):
        result[FAILED_FILE] = None
    return result


def _scheduled_time(step_input: StepInput) -> datetime:
    given = step_input.entry.get("scheduled_for")
    if not isinstance(given, str):
        raise InvalidParameters("scheduled_for", "is missing: only schedules start sweeps")
    return datetime.fromisoformat(given)


def _next_page(
    checkpoint: Checkpoint, table: Table, records: FailedRecordParts, context: TableContext
) -> Checkpoint:
    """Change the next page. Returns the checkpoint after it, or the one another worker wrote first.

    A record that changed after the index was read is read again. If it is no longer due, or gone,
    it is not counted. If it is still due, it is changed, or fails by `unless`.

    Raises:
        TableError: the table cannot be swept, or not now.
    """
    page = table.page(checkpoint.cursor)
    failures: dict[Key, str] = {}
    changes = _changes_of(page.records, failures, table)
    for tries in range(1, MAX_TRIES + 1):
        failed = {key_text(key): reason[:_MAX_REASON] for key, reason in failures.items()}
        part = records.with_page(checkpoint.failed_part, failed)
        after = checkpoint.advanced(len(changes), [*failed.items()], page.next)
        after = replace(after, failed_part=part)
        result = table.write(
            changes, context.checkpoints.put_item(checkpoint, after, context.now())
        )
        if result.done:
            return after
        if result.overtaken:
            return context.checkpoints.get(checkpoint.job_id)
        rejected = {*result.not_writable, *result.changed}
        changes = {key: seen for key, seen in changes.items() if key not in rejected}
        failures |= result.not_writable
        if result.changed:
            found = table.reread(result.changed)
            due = {key: now for key, now in found.items() if table.plan.is_due(now, table.latest)}
            changes |= _changes_of(due, failures, table)
        if not rejected:
            table.wait(tries)
    raise TableError(
        Failure.TABLE_BUSY, f"others keep changing the same records of {table.plan.table}"
    )


def _changes_of(
    records: Mapping[Key, Record], failures: dict[Key, str], table: Table
) -> dict[Key, Record]:
    """The records to change. The others are added to `failures`, with the reasons."""
    changes = {}
    for key, record in records.items():
        reason = table.plan.due_problem(record[table.plan.due]) or table.plan.unless_match(record)
        if reason:
            failures[key] = reason
        else:
            changes[key] = record
    return changes


def _failure_summary(checkpoint: Checkpoint) -> str:
    """How many records failed, and the first of them by reason."""
    by_reason: dict[str, list[str]] = {}
    for key, reason in checkpoint.failures:
        by_reason.setdefault(reason, []).append(key)
    reasons = "; ".join(f"{reason}: {', '.join(keys)}" for reason, keys in by_reason.items())
    more = " and more" if checkpoint.failed > len(checkpoint.failures) else ""
    total = plural(checkpoint.total, "record")
    return f"{checkpoint.failed:,} of {total} could not be changed. {reasons}{more}"
