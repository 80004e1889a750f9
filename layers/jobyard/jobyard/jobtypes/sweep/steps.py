"""The step of a sweep: one page after another, each changed and counted in one transaction.

It may be cut off anywhere, repeated, or run in two workers at once. A page counts when its
checkpoint is written, and that write replaces the checkpoint that was read, or fails.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime

from jobyard.domain.errors import InvalidParameters
from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.jobs.job_type import Continue, Done, Fail, Snooze, StepInput, StepResult
from jobyard.domain.plurals import plural
from jobyard.jobtypes.step_context import TableContext
from jobyard.jobtypes.sweep.plan import Plan
from jobyard.jobtypes.sweep.table import TRIES, Key, Record, Table, TableRefused, name_of

SWEEP_MARGIN_S = 15.0  # the time a worker keeps back: a page may take so long on a busy table
BUSY_S = 5.0  # the wait before a sweep of a busy table continues
_WHY = 80  # characters of why a record could not be changed


def sweeping(
    step_input: StepInput, context: TableContext, pause: Callable[[float], None] = time.sleep
) -> StepResult:
    """Change every record that is due at the job's scheduled time, whenever the job runs.

    If it ended with failures and is requeued, it goes through what is still due: the failed
    records.
    """
    try:
        plan = Plan.of(step_input.parameters)
        moment = _moment(step_input)
    except InvalidParameters as refusal:
        return Fail(Failure.BAD_PARAMETERS, str(refusal))
    if plan.table not in context.sweep_tables:
        allowed = ", ".join(context.sweep_tables) or "none"
        words = f"sweeps may not change {plan.table}; tables they may change: {allowed}"
        return Fail(Failure.TABLE_NOT_ALLOWED, words)
    table = Table(context.dynamodb, plan, plan.latest(moment), pause)
    at = context.checkpoints.get(step_input.job_id)
    began = at.version
    if at.ended and at.failed:
        at = at.next_pass()
    try:
        while not at.ended:
            if context.remaining() < SWEEP_MARGIN_S:
                words = f"went through {plural(at.total, 'record')} so far"
                return Continue(0, words) if at.version > began else Snooze(0, words)
            at = _next_page(at, table, context)
    except TableRefused as refusal:
        at = context.checkpoints.get(step_input.job_id)
        retryable, result = refusal.code in RETRYABLE, {"records": at.counts}
        if retryable and at.version > began:
            return Continue(BUSY_S, refusal.words)
        return Fail(refusal.code, refusal.words, retryable=retryable, result=result)
    result = {"records": at.counts}
    if at.failed:
        return Fail(Failure.RECORDS_FAILED, _failure_summary(at), result=result)
    return Done(result)


def _moment(step_input: StepInput) -> datetime:
    given = step_input.entry.get("scheduled_for")
    if not isinstance(given, str):
        raise InvalidParameters("scheduled_for", "a sweep is started by a schedule")
    return datetime.fromisoformat(given)


def _next_page(at: Checkpoint, table: Table, context: TableContext) -> Checkpoint:
    """The checkpoint after the next page, or the one that another worker wrote meanwhile.

    A record that changed after the index was read is read again. If it is no longer due, or gone,
    it is not counted. If it is still due, it is changed in its new form, or fails by `unless`.

    Raises:
        TableRefused: the table cannot be swept, or not now.
    """
    page = table.page(at.cursor)
    failures: dict[Key, str] = {}
    changes = _judged(page.records, failures, table)
    for tries in range(1, TRIES + 1):
        failed = [(name_of(key), why[:_WHY]) for key, why in failures.items()]
        after = at.advanced(len(changes), failed, page.next)
        written = table.write(changes, context.checkpoints.written(at, after, context.now()))
        if written.done:
            return after
        if written.overtaken:
            return context.checkpoints.get(at.job_id)
        if written.unfit:
            failures |= written.unfit
            changes = {key: seen for key, seen in changes.items() if key not in written.unfit}
        if written.refused:
            now = table.reread(written.refused)
            due = {key: each for key, each in now.items() if table.plan.is_due(each, table.latest)}
            again = _judged(due, failures, table)
            changes = {k: v for k, v in changes.items() if k not in written.refused} | again
        if not (written.unfit or written.refused):
            table.wait(tries)
    raise TableRefused(Failure.TABLE_BUSY, f"others are at work on {table.plan.table} all the time")


def _judged(
    records: Mapping[Key, Record], failures: dict[Key, str], table: Table
) -> dict[Key, Record]:
    """The due records to change. Reasons why others cannot be changed go to `failures`."""
    changes = {}
    for key, record in records.items():
        why = table.plan.flaw(record[table.plan.due]) or table.plan.objection(record)
        if why:
            failures[key] = why
        else:
            changes[key] = record
    return changes


def _failure_summary(at: Checkpoint) -> str:
    """How many records failed, and the reasons for the first of them."""
    by_reason: dict[str, list[str]] = {}
    for key, why in at.failures:
        by_reason.setdefault(why, []).append(key)
    reasons = "; ".join(f"{why}: {', '.join(keys)}" for why, keys in by_reason.items())
    more = " and more" if at.failed > len(at.failures) else ""
    return f"{at.failed:,} of {plural(at.total, 'record')} could not be changed. {reasons}{more}"
