"""One attempt at a job: its steps in order, from the first that is not finished."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import takewhile
from threading import Lock
from typing import Any, Generic

from jobyard.domain.compaction import json_bytes
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import (
    FINISHED_STEPS,
    JOB,
    PART,
    WAITED,
    Attempt,
    JobRecord,
    JobState,
    StepRecord,
    StepStatus,
)
from jobyard.domain.jobs.job_type import (
    Context,
    Continue,
    Done,
    Fail,
    JobType,
    RetryPolicy,
    Skipped,
    Snooze,
    StepInput,
    StepResult,
)
from jobyard.domain.lifecycle import Cause
from jobyard.domain.text import clean_values
from jobyard.services.jobs.write_group import WriteGroup
from jobyard.store import jobs

_WRITE_AFTER_S = 1.0  # a step that ends sooner after the last write is written with the next one
DATA_BYTES = 3 * 1024  # the most that a job's record keeps of the results of its steps
_SHOW_AFTER_S = 1.5  # a longer step is shown as running, for one more write (decisions/0017)
_SHOW_EACH_S = 10.0  # how often its progress is written at most
MAX_SNOOZES = 20  # in a row; then the attempt fails, because the size of a record is limited
# Waits that another server asks for: the longest time in all, the number, the shortest of them.
_MAX_ASKED_WAIT_S = 86_400.0
_MAX_ASKED_WAITS = 60
_MIN_ASKED_WAIT_S = 5.0
_LONGEST_ASKED_WAIT_S = 3_600.0  # of a job that waits forever, unless the server asks for more
_ASKED_WAIT_GROWTH = 0.75  # of the time waited so far; so a day takes some twenty waits
ORPHAN_LIMIT = 2  # how many workers a running job may lose; with the next one it fails


def _never_wait(_job: JobRecord, _step: str) -> None:
    return None


def _never_time_out(_job: JobRecord) -> None:
    return None


@dataclass(frozen=True)
class AttemptInput(Generic[Context]):
    """What an attempt runs: the steps of a job type, with their input and context.

    `interruption_before` is called before each step; the attempt ends with what it returns, unless
    that is None. `time_out` is called after a step that will run again: it returns the failure of
    an attempt that has taken too long, else None.
    """

    job_type: JobType[Context]
    step_input: StepInput
    context: Context
    interruption_before: Callable[[JobRecord, str], Snooze | Continue | Fail | None] = _never_wait
    time_out: Callable[[JobRecord], Fail | None] = _never_time_out


@dataclass(frozen=True)
class AttemptResult:
    """The result of an attempt: the outcome of its last step, and the running record with the
    results of its steps, before the move that ends the attempt. If `is_interrupted`, the
    source of the job ended the attempt before a step, not the step.
    """

    record: JobRecord
    outcome: StepResult
    step: str = ""
    is_interrupted: bool = False


@dataclass
class Progress:
    """The progress of an attempt, shared by its thread and the worker's main thread.

    `began` is when the current step began, None between steps. It has done `percent`, None if it
    does not say. `shown` is when it was written as running, with which percentage.

    While a step runs, its thread and the worker's main thread share the record: read and write it
    under the lock. Between steps only the step's thread uses it.
    """

    record: JobRecord
    step: str = ""
    began: datetime | None = None
    percent: int | None = None
    shown: tuple[datetime, int | None] | None = None
    lock: Lock = field(default_factory=Lock)

    def begin(self, step: str, at: datetime) -> None:
        """Record that a step begins."""
        with self.lock:
            self.step, self.began, self.percent, self.shown = step, at, None, None

    def report(self, percent: float) -> None:
        """Note how much of the current step is done. The worker's main thread writes it."""
        self.percent = min(max(int(percent), 0), 100)

    def is_due(self, now: datetime) -> bool:
        """Whether to write that the current step is running, or its progress."""
        if self.began is None:
            return False
        if self.shown is None:
            return (now - self.began).total_seconds() >= _SHOW_AFTER_S
        shown_at, percent = self.shown
        return percent != self.percent and (now - shown_at).total_seconds() >= _SHOW_EACH_S


def run_steps(
    attempt: AttemptInput[Context],
    progress: Progress,
    now: Callable[[], datetime],
    writes: WriteGroup,
) -> AttemptResult | None:
    """Run the steps of a started job. Returns None if someone else changed the job meanwhile.

    A step that ends a second or more after the last write is written at once, so that a crash does
    not repeat it. That write fails if the job is no longer this worker's.
    """
    written_at, steps = now(), attempt.job_type.steps
    for name, step in steps:
        record = progress.record
        if any(done.name == name and done.status in FINISHED_STEPS for done in record.steps):
            continue
        if interruption := attempt.interruption_before(record, name):
            return AttemptResult(record, interruption, name, is_interrupted=True)
        began = now()
        progress.begin(name, began)
        step_input = attempt.step_input
        if step_input.data is not record.data:
            step_input = replace(step_input, data=record.data)
        outcome = step(step_input, attempt.context)
        outcome = _with_bounded_result(outcome, record)
        if _is_unfinished(outcome):
            outcome = attempt.time_out(record) or outcome
        ended = now()
        with progress.lock:
            step_times = (name, began, ended)
            progress.record = record = _with_step(progress, step_times, outcome)
            progress.began = None
            if not isinstance(outcome, Done | Skipped):
                return AttemptResult(record, outcome, name)
            is_last = name == steps[-1][0]  # the job's end is written right after it
            if not is_last and (ended - written_at).total_seconds() >= _WRITE_AFTER_S:
                written = replace(record, version=record.version + 1)
                stored = writes.write(record, written)
                if stored is None or stored.state is not JobState.RUNNING:
                    return None
                progress.record, written_at = stored, ended
    return AttemptResult(progress.record, Done())


def _is_unfinished(outcome: StepResult) -> bool:
    """Whether the step is to be run again, but not because another server asks to wait."""
    if isinstance(outcome, Fail):
        return outcome.retryable
    # A wait that another server asked for has an `exhausted_code`.
    return isinstance(outcome, Continue) or (
        isinstance(outcome, Snooze) and outcome.exhausted_code is None
    )


def show_running(active: Iterable[Progress], now: datetime) -> None:
    """Write that the current step of an attempt is running, once it has run for `_SHOW_AFTER_S`;
    then its progress each `_SHOW_EACH_S`, if that has changed.

    An attempt whose step is just ending is skipped. If someone else changed the job, the attempt's
    own next write finds out.
    """
    with ExitStack() as held:
        shown: list[Progress] = []
        for progress in active:
            if not progress.lock.acquire(blocking=False):
                continue
            held.callback(progress.lock.release)
            if progress.is_due(now):
                shown.append(progress)
        percents = [each.percent for each in shown]  # which a step may change meanwhile
        changes = [
            (each.record, _as_running(each, percent))
            for each, percent in zip(shown, percents, strict=True)
        ]
        written = jobs.write_many(changes)
        for progress, percent, stored in zip(shown, percents, written, strict=True):
            progress.shown = now, percent
            if stored is not None and stored.state is JobState.RUNNING:
                progress.record = stored


def _as_running(progress: Progress, percent: int | None) -> JobRecord:
    record, began = progress.record, progress.began
    if began is None:
        return record
    running = StepRecord(progress.step, StepStatus.RUNNING, began, percent=percent)
    return replace(record.with_step(running), version=record.version + 1)


def _with_bounded_result(outcome: StepResult, record: JobRecord) -> StepResult:
    """The outcome; a failure instead if the step's result does not fit into the job's record."""
    if isinstance(outcome, Done | Fail | Continue) and outcome.result:
        size = json_bytes({**record.data, **outcome.result})
        if size > DATA_BYTES:
            reason = f"the results of its steps have {size} bytes; a job keeps {DATA_BYTES}"
            return Fail(Failure.STEP_ERROR, reason)
    return outcome


def _with_step(
    progress: Progress, times: tuple[str, datetime, datetime], outcome: StepResult
) -> JobRecord:
    """The record after a step: its name, when it began and when it ended."""
    record, percent = progress.record, None
    status, message, data = StepStatus.FAILED, "", record.data
    if isinstance(outcome, Done):
        status, message = StepStatus.COMPLETED, outcome.message
        data = {**record.data, **clean_values(outcome.result)}
    elif isinstance(outcome, Skipped):
        status, message = StepStatus.SKIPPED, outcome.message
    elif isinstance(outcome, Snooze | Continue):
        status, message, percent = StepStatus.PENDING, outcome.message, progress.percent
        if isinstance(outcome, Continue) and outcome.result:
            data = {**record.data, **clean_values(outcome.result)}
    else:
        data = {**record.data, **clean_values(outcome.result)}
    done = StepRecord(times[0], status, *times[1:], message, percent)
    return record.with_step(done, data)


def after_start(record: JobRecord, at: datetime, cause_key: str, request_id: str = "") -> JobRecord:
    """The record after its start; after a restart if its last worker was lost. `request_id` is that
    of the invocation that runs it.
    """
    event, reason = "start", ""
    if record.state is JobState.RUNNING:
        event, reason = "restart", _lost_text(record)
    move = JOB.move(record.state, event, at, Cause(cause_key, reason=reason))
    return record.moved(
        move,
        next_at=None,
        orphan_count=record.orphan_count + (event == "restart"),
        start_count=record.start_count + 1,
        request_id=request_id,
    )


def _lost_text(record: JobRecord) -> str:
    """Which worker was lost, to look for in the log; "" for a record without its request id."""
    return f"the worker with request id {record.request_id} was lost" if record.request_id else ""


def after_attempt(
    attempted: AttemptResult, job_type: JobType[Any], at: datetime, cause_key: str
) -> JobRecord:
    """The record after an attempt or a part of one: succeeded, failed, or scheduled again."""
    record, outcome = attempted.record, attempted.outcome
    if isinstance(outcome, Snooze):
        outcome = _bounded_wait(record, outcome, at, job_type.retry)
    if isinstance(outcome, Done | Skipped):
        return _succeeded(record, at, cause_key)
    if isinstance(outcome, Snooze | Continue):
        return _waiting(attempted, outcome, at, cause_key)
    wait_s = None
    if outcome.retryable:
        wait_s = job_type.retry.wait_s(record.start_count, outcome.retry_after)
    next_at = None if wait_s is None else at + timedelta(seconds=wait_s)
    return _failed(attempted, outcome, next_at, at, cause_key)


def _succeeded(record: JobRecord, at: datetime, cause_key: str) -> JobRecord:
    return record.moved(
        JOB.move(record.state, "succeed", at, Cause(cause_key)),
        attempts=(*record.attempts, _ended(record, at)),
        failure_code="",
        failure_message="",
        snooze_count=0,
        earlier_parts_ms=0,
    )


def _waiting(
    attempted: AttemptResult, wait: Snooze | Continue, at: datetime, cause_key: str
) -> JobRecord:
    """The record scheduled again without a failure: a part of the attempt has ended. The part is
    recorded, but its start does not count against the retry limit.
    """
    record = attempted.record
    has_progressed = isinstance(wait, Continue)
    # All parts of an attempt count towards the time limit of a campaign. So does a wait, unless the
    # source or another server asked for it.
    spent_s = (at - record.at).total_seconds()
    if not attempted.is_interrupted and _is_unfinished(wait):
        spent_s += wait.seconds
    code = PART if has_progressed else WAITED
    attempt = _ended(record, at, attempted.step, code, wait.message)
    return record.moved(
        JOB.move(record.state, "reschedule", at, Cause(cause_key, reason=wait.message)),
        attempts=(*record.attempts, attempt),
        next_at=at + timedelta(seconds=wait.seconds),
        start_count=record.start_count - 1,
        snooze_count=0 if has_progressed else record.snooze_count + 1,
        earlier_parts_ms=record.earlier_parts_ms + round(1000 * spent_s),
    )


def _failed(
    attempted: AttemptResult, failure: Fail, next_at: datetime | None, at: datetime, cause_key: str
) -> JobRecord:
    """The record scheduled for a retry at `next_at`; failed for good if that is None."""
    record, code = attempted.record, failure.code.value
    event = "fail" if next_at is None else "reschedule"
    attempt = _ended(record, at, attempted.step, code, failure.message)
    return record.moved(
        JOB.move(record.state, event, at, Cause(cause_key)),
        attempts=(*record.attempts, attempt),
        next_at=next_at,
        failure_code=code,
        failure_message=failure.message,
        requeueable=failure.requeueable,
        snooze_count=0,
        earlier_parts_ms=0,
    )


def _ended(
    record: JobRecord, at: datetime, step: str = "", code: str = "", message: str = ""
) -> Attempt:
    """The attempt of a running record, which ends at `at`."""
    return Attempt(record.at, at, step, code, message, request_id=record.request_id)


def _bounded_wait(
    record: JobRecord, wait: Snooze, at: datetime, retry: RetryPolicy
) -> Snooze | Fail:
    """The wait, made longer if another server asked for it; a failure after too many in a row."""
    if wait.exhausted_code:
        return _longer_wait(record, wait, wait.exhausted_code, at, retry)
    if record.snooze_count < MAX_SNOOZES:
        return wait
    reason = f"waited {MAX_SNOOZES} times: {wait.message}"
    return Fail(Failure.TIMEOUT, reason, retryable=True)


def _longer_wait(
    record: JobRecord, wait: Snooze, code: Failure, at: datetime, retry: RetryPolicy
) -> Snooze | Fail:
    """The wait that another server asked for, made longer each time. After a day in all it is a
    failure with `code`, unless the job waits forever.
    """
    # The size of a record is limited, so attempts that are alike are merged into one, and old ones
    # left out. If the first waits are gone, `since` is later and the next waits are shorter;
    # `_MAX_ASKED_WAITS` still ends them.
    waits = list(takewhile(lambda each: each.failure_code == WAITED, reversed(record.attempts)))
    since = waits[-1].started_at if waits else record.at
    waited_s = (at - since).total_seconds()
    seconds = max(wait.seconds, _MIN_ASKED_WAIT_S, waited_s * _ASKED_WAIT_GROWTH)
    if retry.waits_forever:
        return replace(wait, seconds=min(seconds, max(wait.seconds, _LONGEST_ASKED_WAIT_S)))
    if waited_s >= _MAX_ASKED_WAIT_S or record.snooze_count >= _MAX_ASKED_WAITS:
        times, hours = record.snooze_count + 1, round(waited_s / 3600)
        return Fail(code, f"{wait.message}: {times} times, over {hours} hours")
    return replace(wait, seconds=min(seconds, _MAX_ASKED_WAIT_S - waited_s))


def failed_as_orphaned(
    record: JobRecord, at: datetime, cause_key: str, code: Failure = Failure.WORKER_LOST
) -> JobRecord:
    """The record after an orphaned job fails. `code` says why: too many of its workers vanished,
    one exceeded the time limit, or none started it when its retry was due.
    """
    was_running = record.state is JobState.RUNNING
    move = JOB.move(record.state, "fail" if was_running else "give_up", at, Cause(cause_key))
    lost = [_ended(record, at, "", code.value, code.description)] if was_running else []
    return record.moved(
        move,
        attempts=(*record.attempts, *lost),
        next_at=None,
        failure_code=code.value,
        failure_message=code.description,
    )


def unexpected_failure(progress: Progress, at: datetime) -> AttemptResult:
    """The result of an attempt that raised an unexpected error: a failure to be retried."""
    # The depositor's report has this message, so it does not quote the error.
    reason = f"step {progress.step or '-'} failed; the cause is logged under the job's id"
    outcome = Fail(Failure.STEP_ERROR, reason, retryable=True)
    with progress.lock:
        if progress.began is not None:
            times = (progress.step, progress.began, at)
            progress.record, progress.began = _with_step(progress, times, outcome), None
        return AttemptResult(progress.record, outcome, progress.step)
