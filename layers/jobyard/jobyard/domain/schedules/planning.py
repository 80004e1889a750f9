"""The plan for a schedule's due times: which start a job, which wait, and which are skipped.

It depends only on the schedule, its calendar and the time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile

from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.errors import InvalidTransition
from jobyard.domain.jobs.checkpoint import Checkpoint
from jobyard.domain.jobs.job import JobRecord, JobState
from jobyard.domain.lifecycle import Cause, Move
from jobyard.domain.schedules.calendar import Calendar
from jobyard.domain.schedules.next_runs import next_runs
from jobyard.domain.schedules.occurrence import Occurrence, RunOutcome, SkipReason, Trigger, Verdict
from jobyard.domain.schedules.recurrence import Gap, Kind, Recurrence
from jobyard.domain.schedules.schedule import (
    MAX_ACTIVE_RUNS,
    SCHEDULE,
    ActiveJob,
    LastSkip,
    LatestRun,
    MissedPolicy,
    OverlapPolicy,
    Schedule,
    ScheduleState,
)

MAX_OCCURRENCES = 90  # occurrences decided in one write
_MAX_WRITTEN = 99  # records that one write may change besides the schedule (store.transactions)
_WRITTEN_PER_REPLACED = 2  # records that a replaced run may change: its job and its occurrence
_MILLISECOND = timedelta(milliseconds=1)
GRACE_PERIOD = timedelta(minutes=10)  # how late a job may start before its time counts as missed


@dataclass(frozen=True)
class Decision:
    """The schedule after a decision, its new occurrences in order, and the runs they replace."""

    schedule: Schedule
    occurrences: tuple[Occurrence, ...]
    replaced: tuple[ActiveJob, ...] = ()

    @property
    def started(self) -> tuple[Occurrence, ...]:
        """The occurrences whose jobs start now."""
        return tuple(each for each in self.occurrences if each.verdict is Verdict.RUN)


def rule_times_from(rule: Recurrence, start: datetime) -> Iterator[datetime]:
    """The rule's times at or after `start`, including those that a clock change skips."""
    return replace(rule, gap=Gap.SHIFT).occurrences_from(start)


def next_run(schedule: Schedule, calendar: Calendar | None, now: datetime) -> datetime | None:
    """When the next job will run; None if none will.

    For a suspended schedule it is the first time after its resume time.
    """
    start = schedule.next_at
    if start is None or schedule.state in {ScheduleState.ENDED, ScheduleState.DELETED}:
        return None
    if schedule.state is ScheduleState.SUSPENDED:
        if schedule.resume_at is None:
            return None
        start = max(start, schedule.resume_at)
    start = max(start, now - GRACE_PERIOD)  # older times count as missed
    return next(iter(next_runs(schedule.rule, calendar, start)), None)


def plan(
    schedule: Schedule,
    calendar: Calendar | None,
    now: datetime,
    cause: Cause,
    skip_reason: SkipReason | None = None,
) -> Decision | None:
    """Decide at most `MAX_OCCURRENCES` due times of the schedule; None if nothing is to be written.

    A time stays due if its run can neither start yet nor be skipped, so fewer times may be decided
    than are due. With a `skip_reason` all are skipped for it.
    """
    return _Planner(schedule, calendar, now, skip_reason).decide(cause)


class _Planner:
    """Decides the due times of one schedule, in order, and tracks its active and queued runs."""

    def __init__(
        self,
        schedule: Schedule,
        calendar: Calendar | None,
        now: datetime,
        skip_reason: SkipReason | None,
    ) -> None:
        self.schedule = schedule
        self.calendar = calendar
        self.now = now
        self.skip_reason = skip_reason
        self.active = list(schedule.active)
        self.queued = schedule.queued_for
        self.replaced: list[ActiveJob] = []
        self.decided: list[Occurrence] = []

    def decide(self, cause: Cause) -> Decision | None:
        """The decision about the next due times; None if there is nothing to write."""
        schedule = self.schedule
        next_at = self._decide_due() if schedule.next_at else None
        if not self.decided and next_at == schedule.next_at:
            return None
        has_ended = next_at is None
        move = SCHEDULE.move(schedule.state, "end" if has_ended else "fire", self.now, cause)
        decided = self.decided
        decided_until = decided[-1].scheduled_for if decided else schedule.decided_until
        moved = schedule.moved(
            move,
            next_at=next_at,
            decided_until=decided_until,
            active=tuple(self.active),
            queued_for=self.queued,
            resume_at=None if has_ended else schedule.resume_at,
            last_skip=self._last_skip(),
        )
        return Decision(moved, tuple(decided), tuple(self.replaced))

    def _last_skip(self) -> LastSkip | None:
        for each in reversed(self.decided):
            if each.skip_reason and each.skip_reason.needs_attention:
                return LastSkip(each.scheduled_for, each.skip_reason, self.now)
        return self.schedule.last_skip

    def _decide_due(self) -> datetime | None:
        """Decide the next due times. Returns the first time that is not decided, None if none is
        left.
        """
        schedule = self.schedule
        assert schedule.next_at is not None
        start = schedule.next_at
        if schedule.decided_until:  # an edit may have set an earlier `next_at`
            start = max(start, schedule.decided_until + _MILLISECOND)
        due = [*takewhile(lambda at: at <= self.now, rule_times_from(schedule.rule, start))]
        excluded = {at: reason for at in due if (reason := self._exclusion(at))}
        missed = self._missed_reasons([at for at in due if at not in excluded])
        limit = min(MAX_OCCURRENCES, _MAX_WRITTEN - _WRITTEN_PER_REPLACED * len(self.active))
        for at in due[:limit]:
            occurrence = self._decide_one(at, excluded.get(at), missed)
            if occurrence is None:
                return at
            self.decided.append(occurrence)
            start = at + _MILLISECOND
        return next(rule_times_from(schedule.rule, start), None)

    def _exclusion(self, at: datetime) -> tuple[SkipReason, str] | None:
        """Why no job may run at a time, even if no other is active; None if one may."""
        schedule = self.schedule
        if self.skip_reason:
            return self.skip_reason, ""
        if schedule.state is ScheduleState.SUSPENDED:
            suspension = schedule.suspension
            if suspension and at < suspension.at:  # it was due during a hold before the suspension
                return SkipReason.MISSED, ""
            return SkipReason.SUSPENDED, schedule.suspension_reason
        if schedule.rule.first_from(at) != at:
            return SkipReason.CLOCKS, schedule.rule.note(at)
        refusal = self.calendar.refusal(at, schedule.rule.zone) if self.calendar else ""
        return (SkipReason.CALENDAR, refusal) if refusal else None

    def _missed_reasons(self, due: list[datetime]) -> Mapping[datetime, SkipReason | None]:
        """Why each time is skipped as missed; None for those on time and those to catch up."""
        catch_up = self.schedule.policy.catch_up
        is_once = self.schedule.rule.kind is Kind.ONCE  # no later time replaces it
        reasons: dict[datetime, SkipReason | None] = {}
        for index, at in enumerate(due):
            later_count = len(due) - 1 - index
            if self.now - at <= GRACE_PERIOD:
                reasons[at] = None
            elif catch_up.runs is MissedPolicy.NONE or later_count >= self._catch_up_limit():
                reasons[at] = SkipReason.MISSED
            elif self.now - at >= timedelta(hours=catch_up.max_age_h) and not is_once:
                reasons[at] = SkipReason.TOO_OLD
            else:
                reasons[at] = None
        return reasons

    def _catch_up_limit(self) -> int:
        policy = self.schedule.policy
        if policy.catch_up.runs is MissedPolicy.LATEST or policy.overlap is OverlapPolicy.REPLACE:
            return 1
        return policy.catch_up.limit

    def _decide_one(
        self,
        at: datetime,
        exclusion: tuple[SkipReason, str] | None,
        missed: Mapping[datetime, SkipReason | None],
    ) -> Occurrence | None:
        """The occurrence of one time; None if it stays due until a run has ended.

        Records the run that it starts, queues or replaces.
        """
        if exclusion:
            return self._occurrence(at, Verdict.SKIP, *exclusion)
        reason = missed[at]
        if reason:
            return self._occurrence(at, Verdict.SKIP, reason)
        overlap = self.schedule.policy.overlap
        if overlap is OverlapPolicy.REPLACE:
            self.replaced += self.active
            self.active = []
        if not self.active or (
            overlap is OverlapPolicy.ALLOW and len(self.active) < MAX_ACTIVE_RUNS
        ):
            return self._started(at)
        if self.schedule.policy.catch_up.runs is MissedPolicy.ALL and self.now - at > GRACE_PERIOD:
            return None
        conflict = _conflict(overlap, self.active, self.queued)
        if conflict:
            return self._occurrence(at, Verdict.SKIP, conflict)
        self.queued = at
        return self._occurrence(at, Verdict.WAIT)

    def _started(self, at: datetime) -> Occurrence:
        self.active = [*self.active, ActiveJob(at, self.now, MAIN_RUN)]
        return self._occurrence(at, Verdict.RUN)

    def _occurrence(
        self,
        at: datetime,
        verdict: Verdict,
        skip_reason: SkipReason | None = None,
        reason: str = "",
    ) -> Occurrence:
        is_late = self.now - at > GRACE_PERIOD
        is_skipped = verdict is Verdict.SKIP
        return Occurrence(
            schedule_id=self.schedule.schedule_id,
            scheduled_for=at,
            version=1,
            trigger=Trigger.CATCH_UP if is_late and not is_skipped else Trigger.SCHEDULE,
            verdict=verdict,
            decided_at=self.now,
            skip_reason=skip_reason,
            reason=reason,
            job_type=self.schedule.job_type,
            parameters={} if is_skipped else self.schedule.parameters,
        )


def _conflict(
    overlap: OverlapPolicy, active: Sequence[ActiveJob], queued: datetime | None
) -> SkipReason | None:
    """Why another job may neither run nor wait now; None if it may run or wait."""
    if not active or overlap is OverlapPolicy.REPLACE:
        return None
    if overlap is OverlapPolicy.QUEUE_ONE:
        return SkipReason.ONE_WAITS if queued else None
    if overlap is OverlapPolicy.ALLOW:
        return SkipReason.TOO_MANY_ACTIVE if len(active) >= MAX_ACTIVE_RUNS else None
    return SkipReason.PREVIOUS_ACTIVE


_CONFLICT_MESSAGES = {
    SkipReason.PREVIOUS_ACTIVE: "one of its jobs is running, and its overlap policy is forbid: "
    "wait for the job or cancel it",
    SkipReason.ONE_WAITS: "one of its jobs is running, and another one is waiting",
    SkipReason.TOO_MANY_ACTIVE: f"{MAX_ACTIVE_RUNS} of its jobs are running already",
}


def run_now_refusal(schedule: Schedule) -> str:
    """Why the active runs do not allow a person to run a job now; "" if they do."""
    conflict = _conflict(schedule.policy.overlap, schedule.active, schedule.queued_for)
    return _CONFLICT_MESSAGES[conflict] if conflict else ""


def plan_manual_run(schedule: Schedule, now: datetime, cause: Cause) -> Decision:
    """The decision for a manual run.

    Its time has milliseconds, which no rule produces, so job ids never collide.

    Raises:
        InvalidTransition: the schedule is deleted, or its active runs do not allow another one.
    """
    at = now.astimezone(UTC).replace(microsecond=max(now.microsecond // 1000, 1) * 1000)
    move = SCHEDULE.move(schedule.state, "run_now", at, cause)
    overlap = schedule.policy.overlap
    if refusal := run_now_refusal(schedule):
        raise InvalidTransition(f"schedule {schedule.schedule_id}: {refusal}")
    run = ActiveJob(at, now, MAIN_RUN)
    verdict, active, queued = Verdict.RUN, (*schedule.active, run), schedule.queued_for
    replaced: tuple[ActiveJob, ...] = ()
    if schedule.active and overlap is OverlapPolicy.REPLACE:
        active, replaced = (run,), schedule.active
    elif schedule.active and overlap is OverlapPolicy.QUEUE_ONE:
        verdict, active, queued = Verdict.WAIT, schedule.active, at
    occurrence = Occurrence(
        schedule_id=schedule.schedule_id,
        scheduled_for=at,
        version=1,
        trigger=Trigger.MANUAL,
        verdict=verdict,
        decided_at=at,
        reason=cause.reason,
        actor=cause.actor,
        job_type=schedule.job_type,
        parameters=schedule.parameters,
    )
    moved = schedule.moved(move, active=active, queued_for=queued)
    return Decision(moved, (occurrence,), replaced)


def after_end(
    schedule: Schedule, occurrence: Occurrence, job: JobRecord, checkpoint: Checkpoint, move: Move
) -> tuple[Schedule, Occurrence]:
    """The schedule and the occurrence after the end of the occurrence's `job`."""
    previous = occurrence.outcome  # the job had ended before, and is deleted now
    outcome = replace(previous, state=job.state) if previous else RunOutcome.of(job, checkpoint)
    active_run = next(
        (run for run in schedule.active if run.scheduled_for == occurrence.scheduled_for), None
    )
    latest = schedule.latest
    if active_run and (latest is None or latest.started_at <= active_run.started_at):
        latest = LatestRun(
            occurrence.scheduled_for, active_run.started_at, outcome.state, outcome.ended_at
        )
    elif latest and latest.scheduled_for == occurrence.scheduled_for:
        latest = replace(latest, state=outcome.state)
    active = tuple(run for run in schedule.active if run.scheduled_for != occurrence.scheduled_for)
    mailed_at = schedule.failure_mailed_at
    if job.state in {JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED}:
        mailed_at = None
    after = schedule.moved(move, active=active, latest=latest, failure_mailed_at=mailed_at)
    return after, occurrence.with_outcome(outcome)


def after_wait(schedule: Schedule, waiting: Occurrence, move: Move) -> tuple[Schedule, Occurrence]:
    """The schedule and its `waiting` occurrence after the last active run has ended.

    Its job starts. It is skipped if the schedule is suspended and no person requested the run.
    """
    if schedule.state is ScheduleState.SUSPENDED and waiting.trigger is not Trigger.MANUAL:
        skipped = waiting.skipped(SkipReason.SUSPENDED, schedule.suspension_reason)
        return schedule.moved(move, queued_for=None), skipped
    active = (*schedule.active, ActiveJob(waiting.scheduled_for, move.at, MAIN_RUN))
    return schedule.moved(move, active=active, queued_for=None), waiting.started()
