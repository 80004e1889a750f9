"""What people do to schedules: create, edit, suspend, resume, run now, delete.

Before a change, the times that are due by now are decided by the old rule. So a change concerns
future times only, and no due time is lost or decided by another rule.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from jobyard.domain.activity import Subject
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.errors import BadRequest, Gone, InvalidParameters, InvalidTransition, StaleState
from jobyard.domain.ids import Origin, schedule_id_of, system_schedule_id
from jobyard.domain.jobs.job import JobAddress
from jobyard.domain.lifecycle import MACHINE
from jobyard.domain.schedules.next_runs import next_runs
from jobyard.domain.schedules.occurrence import Occurrence, SkipReason, Verdict
from jobyard.domain.schedules.planning import plan_manual_run, rule_times_from
from jobyard.domain.schedules.recurrence import Recurrence
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import (
    SCHEDULE,
    CatchUp,
    OverlapPolicy,
    Policy,
    Schedule,
    ScheduleState,
    job_address,
    occurrence_time,
)
from jobyard.jobtypes import TYPES, job_type_of, types_of
from jobyard.services import activity
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext, require_reason
from jobyard.services.recipients import check_recipients
from jobyard.services.schedules.access import (
    active_schedule,
    check_not_deleted,
    schedule_or_tombstone,
)
from jobyard.services.schedules.clock import ScheduleCache, ScheduleTick, apply_decision, catch_up
from jobyard.store import calendars, occurrences, schedules
from jobyard.store.schedules import ScheduleWrites

MAX_PARAMETER_BYTES = 8 * 1024  # of JSON; each occurrence stores them
SHOWN_RUNS = 5  # next runs that an edit shows, before and after
_TRIES = 5


@dataclass(frozen=True)
class ScheduleSpec:
    """A schedule as a person describes it."""

    title: str
    job_type: str
    rule: Recurrence
    policy: Policy
    parameters: Mapping[str, Any]
    notify: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScheduleEdit:
    """The fields of a schedule to change; None leaves a field as it is."""

    title: str | None = None
    rule: Recurrence | None = None
    parameters: Mapping[str, Any] | None = None
    catch_up: CatchUp | None = None
    overlap: OverlapPolicy | None = None
    calendar: str | None = None
    notify: tuple[str, ...] | None = None

    def policy(self, before: Policy) -> Policy:
        """The policy `before` with the changes."""
        return Policy(
            self.catch_up or before.catch_up,
            self.overlap or before.overlap,
            before.calendar if self.calendar is None else self.calendar,
        )


@dataclass(frozen=True)
class EditResult:
    """A schedule before and after an edit, with its next runs by each version."""

    schedule: Schedule
    before: Schedule
    runs_before: tuple[datetime, ...]
    runs_after: tuple[datetime, ...]


def create(spec: ScheduleSpec, context: CommandContext) -> Schedule:
    """Create a schedule. A repeated request returns the schedule that the first one created.

    Raises:
        Forbidden: the actor may not create schedules.
        InvalidParameters, BadRequest: a field is invalid, the rule has no future time, or the
            deployment may not mail a recipient.
    """
    authorize(context.actor, "schedule", "create")
    _check(spec.job_type, spec.parameters, spec.policy)
    check_recipients(spec.notify, context)
    now = context.now()
    schedule = Schedule(
        schedule_id=schedule_id_of(f"{context.actor.sub}\n{context.key}".encode()),
        state=ScheduleState.ACTIVE,
        version=1,
        title=spec.title,
        job_type=spec.job_type,
        rule=spec.rule,
        policy=spec.policy,
        owner=context.actor.name,
        owner_sub=context.actor.sub,
        created_at=now,
        parameters=spec.parameters,
        notify=spec.notify,
        next_at=_first_run(spec.rule, now),
    )
    try:
        created = schedules.put_new(schedule)
    except StaleState:
        created = schedules.get(schedule.schedule_id)
    activity.record(context, "create", _subject(created), created.created_at)
    return created


def make_system_schedules(now: datetime) -> list[Schedule]:
    """Create the missing schedules of system job types, and return them. Existing ones are left as
    they are: an admin may have edited them.
    """
    created = []
    for job_type in TYPES.values():
        if job_type.rule is None:
            continue
        rule = recurrence_of(job_type.rule)
        schedule = Schedule(
            schedule_id=system_schedule_id(job_type.name),
            state=ScheduleState.ACTIVE,
            version=1,
            title=job_type.title,
            job_type=job_type.name,
            rule=rule,
            policy=Policy(),
            owner=MACHINE,
            created_at=now,
            is_system=True,
            next_at=_first_run(rule, now),
        )
        try:
            created.append(schedules.put_new(schedule))
        except StaleState:
            continue
    return created


def _check(job_type: str, parameters: Mapping[str, Any], policy: Policy) -> None:
    known = [each.name for each in types_of(Origin.SCHEDULE)]
    if job_type not in known:
        raise BadRequest(f"schedules cannot run job type {job_type!r}: give {' or '.join(known)}")
    if len(json.dumps(parameters)) > MAX_PARAMETER_BYTES:
        raise InvalidParameters("", f"must be at most {MAX_PARAMETER_BYTES} bytes of JSON in ASCII")
    TYPES[job_type].check_parameters(parameters)
    _check_policy(policy)


def _check_policy(policy: Policy) -> None:
    if policy.calendar and calendars.find(policy.calendar) is None:
        raise BadRequest(f"there is no calendar {policy.calendar!r}")


def _first_run(rule: Recurrence, now: datetime) -> datetime:
    if rule.first_from(now) is None:
        raise BadRequest(f"the rule has no future run ({rule.description()})")
    return next(rule_times_from(rule, now))


def edit(
    schedule_id: str, changes: ScheduleEdit, context: CommandContext, *, seen: int | None = None
) -> EditResult:
    """Change a schedule. A changed rule applies to all times after now.

    `seen` is the revision that the changes are for; None changes any.

    Raises:
        Forbidden, InvalidParameters: as for `create`. NotFound, Gone: as for `active_schedule`.
        BadRequest: as for `create`, or no reason is given.
        StaleState: the schedule has another revision than `seen`, or others changed it at the same
            time, several times.
    """
    cache = ScheduleCache()
    schedule = active_schedule(schedule_id, context.actor, "edit")
    if not _is_repeat(schedule, "edit", context):
        require_reason(context, "edit")
    for before, now in _caught_up(schedule, cache, context):
        if _is_repeat(before, "edit", context):
            _recorded(before, "edit", context)
            runs = _shown_runs(before, cache, now)
            return EditResult(before, before, runs, runs)
        _check_seen(before, seen)
        policy = changes.policy(before.policy)
        parameters = before.parameters if changes.parameters is None else changes.parameters
        if before.is_system:
            _check_policy(policy)
            job_type_of(before.job_type).check_parameters(parameters)
        else:
            _check(before.job_type, parameters, policy)
        rule = changes.rule or before.rule
        title = changes.title or before.title
        notify = before.notify if changes.notify is None else changes.notify
        check_recipients(tuple(each for each in notify if each not in before.notify), context)
        changed = {
            "title": title,
            "rule": rule,
            "policy": policy,
            "parameters": parameters,
            "notify": notify,
        }
        try:
            if before.state is ScheduleState.ENDED and changes.rule is None:
                raise BadRequest("the schedule has ended: give it a rule with future times")
            if rule != before.rule or before.state is ScheduleState.ENDED:
                _first_run(rule, now)  # refuse a rule without future runs before any write
                tick = ScheduleTick(cache, context.executions, now)
                before = catch_up(before, tick, skip_reason=SkipReason.EDITED)
                changed["next_at"] = _first_run(rule, _undecided(before, now))
            move = SCHEDULE.authorized_move(
                before.state, "edit", now, context.cause, context.actor.roles
            )
            after = schedules.write(before, before.moved(move, **changed))
        except StaleState:
            continue
        what = tuple(
            name
            for name in ("title", "rule", "policy", "parameters", "notify")
            if getattr(before, name) != getattr(after, name)
        )
        _recorded(after, "edit", context, what)
        runs_before, runs_after = (_shown_runs(each, cache, now) for each in (before, after))
        return EditResult(after, before, runs_before, runs_after)
    raise _too_busy(schedule_id)


def _check_seen(schedule: Schedule, seen: int | None) -> None:
    if seen is None or seen == schedule.revision:
        return
    last = next((each for each in reversed(schedule.history) if each.event == "edit"), None)
    who = f" by {last.actor}: {last.reason}" if last else ""
    raise StaleState(f"the schedule has been edited since you read it{who}")


def _undecided(schedule: Schedule, now: datetime) -> datetime:
    """The first time that is not decided yet, for a new rule. It may be later than `now`, because
    the scheduler tick has a clock of its own.
    """
    decided = schedule.decided_until
    return max(now, decided + timedelta(milliseconds=1)) if decided else now


def _shown_runs(schedule: Schedule, cache: ScheduleCache, now: datetime) -> tuple[datetime, ...]:
    """The next runs. A suspended schedule's begin at its resume time, without one as if resumed."""
    if schedule.state is ScheduleState.ENDED:
        return ()
    start = max(each for each in (schedule.next_at, schedule.resume_at, now) if each)
    found = next_runs(schedule.rule, cache.calendar(schedule), start)
    return tuple(islice(found, SHOWN_RUNS))


def _is_repeat(schedule: Schedule, event: str, context: CommandContext) -> bool:
    """Whether this request has already sent the schedule that event."""
    return any(e.cause == context.run and e.event == event for e in schedule.history)


def _recorded(
    schedule: Schedule, event: str, context: CommandContext, changed: Sequence[str] = ()
) -> Schedule:
    """The schedule, after what this request did to it is recorded, with the `changed` fields."""
    at = next(e.at for e in schedule.history if (e.cause, e.event) == (context.run, event))
    texts = [f"{name}: {_field_text(getattr(schedule, name))}" for name in changed]
    activity.record(context, event, _subject(schedule), at, "; ".join(texts))
    return schedule


def _field_text(value: Any) -> str:
    """The value of a field of a schedule, as text."""
    if isinstance(value, Mapping):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    if isinstance(value, tuple):
        return ", ".join(value) or "nobody"
    if isinstance(value, Policy):
        return "; ".join(f"{name} {each}" for name, each in vars(value).items() if each)
    return value if isinstance(value, str) else str(value.description())


def _subject(schedule: Schedule) -> Subject:
    return Subject("schedule", schedule.schedule_id, schedule.title)


def _caught_up(
    schedule: Schedule, cache: ScheduleCache, context: CommandContext
) -> Iterator[tuple[Schedule, datetime]]:
    """Yield the schedule with all times due by now decided, and that time.

    Yields again, up to `_TRIES` times, while the caller's write conflicts with others.
    """
    for tries in range(_TRIES):
        found, now = schedules.get(schedule.schedule_id) if tries else schedule, context.now()
        tick = ScheduleTick(cache, context.executions, now)
        try:
            found = catch_up(found, tick)
        except StaleState:
            continue
        finally:
            if tick.skipped:
                context.on_skipped(tick.skipped)
        yield found, now


def _too_busy(schedule_id: str) -> StaleState:
    return StaleState(f"schedule {schedule_id} changes too fast; try again")


def suspend(schedule_id: str, until: datetime | None, context: CommandContext) -> Schedule:
    """Skip a schedule's times until a person resumes it, or until `until`. Active jobs continue.

    Raises:
        Forbidden, NotFound, Gone, StaleState: as for `edit`.
        InvalidTransition: it is already suspended, or has ended.
        BadRequest: no reason is given, or `until` is in the past.
    """
    return _apply(schedule_id, "suspend", until, context)


def resume(schedule_id: str, context: CommandContext) -> Schedule:
    """Resume a suspended schedule from now on.

    Raises:
        Forbidden, NotFound, Gone, StaleState: as for `edit`.
        InvalidTransition: it is not suspended. BadRequest: no reason is given.
    """
    return _apply(schedule_id, "resume", None, context)


def _apply(
    schedule_id: str, event: str, resume_at: datetime | None, context: CommandContext
) -> Schedule:
    schedule = active_schedule(schedule_id, context.actor, event)
    if not _is_repeat(schedule, event, context):
        require_reason(context, event)
        if resume_at is not None and resume_at <= context.now():
            raise BadRequest("until is in the past; give a future time, or leave it out")
    for before, now in _caught_up(schedule, ScheduleCache(), context):
        if _is_repeat(before, event, context):
            return _recorded(before, event, context)
        roles = context.actor.roles
        move = SCHEDULE.authorized_move(before.state, event, now, context.cause, roles)
        try:
            after = schedules.write(before, before.moved(move, resume_at=resume_at))
        except StaleState:
            continue
        return _recorded(after, event, context)
    raise _too_busy(schedule_id)


def run_now(schedule_id: str, context: CommandContext) -> Occurrence:
    """Run a job of a schedule now, in addition to its own times.

    Raises:
        Forbidden, NotFound, Gone, StaleState: as for `edit`. BadRequest: no reason is given.
        InvalidTransition: a job is active, and the overlap policy forbids a second one.
    """
    schedule = active_schedule(schedule_id, context.actor, "run_now")
    if not _is_repeat(schedule, "run_now", context):
        require_reason(context, "run_now")
    for before, now in _caught_up(schedule, ScheduleCache(), context):
        for entry in before.history:
            if (entry.cause, entry.event) == (context.run, "run_now"):
                _recorded(before, "run_now", context)
                return _repeated_run(job_address(schedule_id, entry.at), context)
        decision = plan_manual_run(before, now, context.cause)
        try:
            apply_decision(before, decision, context.executions)
        except StaleState:
            continue
        _recorded(decision.schedule, "run_now", context)
        return decision.occurrences[0]
    raise _too_busy(schedule_id)


def _repeated_run(address: JobAddress, context: CommandContext) -> Occurrence:
    """The occurrence that the first request created. Its execution is started if it is missing."""
    occurrence = occurrences.find(address)
    if occurrence is None:
        raise Gone(f"the job of {occurrence_time(address):%Y-%m-%d %H:%M}Z was archived")
    if occurrence.verdict is Verdict.RUN and occurrence.outcome is None:
        context.executions.start_job(address, MAIN_RUN)
    return occurrence


def delete(schedule_id: str, context: CommandContext) -> Schedule:
    """Delete a schedule: it has no more times. The history of its jobs stays.

    Raises:
        Forbidden, NotFound, Gone, StaleState: as for `edit`. BadRequest: no reason is given.
        InvalidTransition: a job of it is active, or it is a system schedule.
    """
    schedule = schedule_or_tombstone(schedule_id, context.actor, "delete")
    if not _is_repeat(schedule, "delete", context):
        check_not_deleted(schedule)
        require_reason(context, "delete")
        if schedule.is_system:
            raise InvalidTransition(f"{schedule_id} is a system schedule; suspend it instead")
    cache = ScheduleCache()
    for before, now in _caught_up(schedule, cache, context):
        if _is_repeat(before, "delete", context):
            return _recorded(before, "delete", context)
        if before.active:
            raise InvalidTransition(
                f"a job of schedule {schedule_id} is running; cancel it, or wait for its end"
            )
        try:
            before = catch_up(
                before, ScheduleTick(cache, context.executions, now), skip_reason=SkipReason.DELETED
            )
            move = SCHEDULE.authorized_move(
                before.state, "delete", now, context.cause, context.actor.roles
            )
            after = before.moved(move, next_at=None, resume_at=None, queued_for=None)
            after = schedules.write(
                before, after, ScheduleWrites(changed_occurrences=_without_queued(before))
            )
        except StaleState:
            continue
        return _recorded(after, "delete", context)
    raise _too_busy(schedule_id)


def _without_queued(schedule: Schedule) -> list[tuple[Occurrence, Occurrence]]:
    """The change that skips the queued occurrence; none if no occurrence is queued."""
    if schedule.queued_for is None:
        return []
    queued = occurrences.find(schedule.job_address(schedule.queued_for))
    return [(queued, queued.skipped(SkipReason.DELETED))] if queued else []
