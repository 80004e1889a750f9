"""What people do to schedules: create, edit, suspend, resume, run now, delete.

Before a change, the times that are due by now are decided by the old rule. So a change concerns
future times only, and no due time is lost or judged by another rule.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from jobyard.domain.errors import BadRequest, Gone, InvalidParameters, InvalidTransition, StaleState
from jobyard.domain.ids import Origin, schedule_id_of
from jobyard.domain.jobs.job import JobAddress
from jobyard.domain.lifecycle import MACHINE
from jobyard.domain.schedules.next_runs import next_runs
from jobyard.domain.schedules.occurrence import Occurrence, SkipReason, Verdict
from jobyard.domain.schedules.planning import plan_manual_run, times
from jobyard.domain.schedules.recurrence import Recurrence
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import (
    MAIN,
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
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext, require_reason
from jobyard.services.schedules.access import (
    active_schedule,
    check_not_deleted,
    schedule_or_tombstone,
)
from jobyard.services.schedules.clock import ScheduleCache, ScheduleTick, apply_decision, catch_up
from jobyard.store import calendars, occurrences, schedules
from jobyard.store.schedules import ScheduleWrites

MAX_PARAMETER_BYTES = 8 * 1024  # bytes of JSON; they are kept with each of a schedule's runs
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


@dataclass(frozen=True)
class ScheduleEdit:
    """The fields of a schedule to change; None leaves a field as it is."""

    title: str | None = None
    rule: Recurrence | None = None
    parameters: Mapping[str, Any] | None = None
    missed: CatchUp | None = None
    overlap: OverlapPolicy | None = None
    calendar: str | None = None

    def policy(self, before: Policy) -> Policy:
        """The policy `before`, changed."""
        return Policy(
            self.missed or before.catch_up,
            self.overlap or before.overlap,
            before.calendar if self.calendar is None else self.calendar,
        )


@dataclass(frozen=True)
class EditResult:
    """A schedule after an edit and before it, with its next runs by each."""

    schedule: Schedule
    before: Schedule
    runs_before: tuple[datetime, ...]
    runs_after: tuple[datetime, ...]


def create(wanted: ScheduleSpec, context: CommandContext) -> Schedule:
    """Make a schedule with its first run.

    The same request sent again returns the schedule it made.

    Raises:
        Forbidden: the actor may not make schedules.
        InvalidParameters, BadRequest: a field is invalid, or the rule has no time after now.
    """
    authorize(context.actor, "schedule", "create")
    _check(wanted.job_type, wanted.parameters, wanted.policy)
    now = context.now()
    schedule = Schedule(
        schedule_id=schedule_id_of(f"{context.actor.sub}\n{context.key}".encode()),
        state=ScheduleState.ACTIVE,
        version=1,
        title=wanted.title,
        job_type=wanted.job_type,
        rule=wanted.rule,
        policy=wanted.policy,
        owner=context.actor.name,
        owner_sub=context.actor.sub,
        created_at=now,
        parameters=wanted.parameters,
        next_at=_first_run(wanted.rule, now),
    )
    try:
        return schedules.put_new(schedule)
    except StaleState:
        return schedules.get(schedule.schedule_id)


def make_system_schedules(now: datetime) -> list[Schedule]:
    """Make the missing schedules of system job types, and return them. Existing ones stay as an
    admin left them.
    """
    made = []
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
            made.append(schedules.put_new(schedule))
        except StaleState:
            continue
    return made


def system_schedule_id(job_type: str) -> str:
    """The id of the schedule of a system job type."""
    return schedule_id_of(f"system\n{job_type}".encode())


def _check(job_type: str, parameters: Mapping[str, Any], policy: Policy) -> None:
    known = [each.name for each in types_of(Origin.SCHEDULE)]
    if job_type not in known:
        raise BadRequest(
            f"there is no job type {job_type!r} to be scheduled: give {' or '.join(known)}"
        )
    if len(json.dumps(parameters)) > MAX_PARAMETER_BYTES:
        raise InvalidParameters("", f"no more than {MAX_PARAMETER_BYTES} bytes of JSON in ASCII")
    TYPES[job_type].check_parameters(parameters)
    _check_policy(policy)


def _check_policy(policy: Policy) -> None:
    if policy.calendar and calendars.find(policy.calendar) is None:
        raise BadRequest(f"there is no calendar {policy.calendar!r}")


def _first_run(rule: Recurrence, now: datetime) -> datetime:
    if rule.first_from(now) is None:
        reason = "no run is left: all its times are past, or none of them exists"
        raise BadRequest(f"{reason} ({rule.description()})")
    return next(times(rule, now))


def edit(schedule_id: str, changes: ScheduleEdit, context: CommandContext) -> EditResult:
    """Change a schedule. A changed rule moves its next run at once.

    Raises:
        Forbidden, InvalidParameters, BadRequest: as for `create`; also when no reason is given.
        NotFound, Gone, StaleState.
    """
    cache = ScheduleCache()
    schedule = active_schedule(schedule_id, context.actor, "edit")
    if not _is_repeat(schedule, "edit", context):
        require_reason(context, "edit")
    for before, now in _caught_up(schedule, cache, context):
        if _is_repeat(before, "edit", context):
            runs = _shown_runs(before, cache, now)
            return EditResult(before, before, runs, runs)
        policy = changes.policy(before.policy)
        parameters = before.parameters if changes.parameters is None else changes.parameters
        if before.is_system:
            _check_policy(policy)
            job_type_of(before.job_type).check_parameters(parameters)
        else:
            _check(before.job_type, parameters, policy)
        rule = changes.rule or before.rule
        changed = {"rule": rule, "policy": policy, "parameters": parameters}
        changed["title"] = changes.title or before.title
        try:
            if before.state is ScheduleState.ENDED and changes.rule is None:
                raise BadRequest("it has ended: an edit has to give it a rule with times to come")
            if rule != before.rule or before.state is ScheduleState.ENDED:
                _first_run(rule, now)  # refused before any write, if there is none
                tick = ScheduleTick(cache, context.executions, now)
                before = catch_up(before, tick, skip_reason=SkipReason.EDITED)
                changed["next_at"] = _first_run(rule, _undecided(before, now))
            move = SCHEDULE.authorized_move(
                before.state, "edit", now, context.cause, context.actor.roles
            )
            after = schedules.write(before, before.moved(move, **changed))
        except StaleState:
            continue
        runs_before, runs_after = (_shown_runs(each, cache, now) for each in (before, after))
        return EditResult(after, before, runs_before, runs_after)
    raise _too_busy(schedule_id)


def _undecided(schedule: Schedule, now: datetime) -> datetime:
    """The first time that a new rule may have: the scheduler tick may have decided ahead of our
    clock.
    """
    decided = schedule.decided_until
    return max(now, decided + timedelta(milliseconds=1)) if decided else now


def _shown_runs(schedule: Schedule, cache: ScheduleCache, now: datetime) -> tuple[datetime, ...]:
    """The next runs; of a suspended schedule those after the suspension, or if it ended now."""
    if schedule.state is ScheduleState.ENDED:
        return ()
    start = max(each for each in (schedule.next_at, schedule.resume_at, now) if each)
    found = next_runs(schedule.rule, cache.calendar(schedule), start)
    return tuple(islice(found, SHOWN_RUNS))


def _is_repeat(schedule: Schedule, event: str, context: CommandContext) -> bool:
    return any(e.cause == context.run and e.event == event for e in schedule.history)


def _caught_up(
    schedule: Schedule, cache: ScheduleCache, context: CommandContext
) -> Iterator[tuple[Schedule, datetime]]:
    """Yield the schedule with all due times decided, and the time of that; again after each
    conflict, also with the same request sent twice. Times after it belong to the change.
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
                context.skipped(tick.skipped)
        yield found, now


def _too_busy(schedule_id: str) -> StaleState:
    return StaleState(f"schedule {schedule_id} changes too fast; try again")


def suspend(schedule_id: str, until: datetime | None, context: CommandContext) -> Schedule:
    """Skip a schedule's times until it is resumed: by a person, or by itself at `until`. Active
    jobs go on.

    Raises:
        Forbidden, NotFound, Gone, StaleState. InvalidTransition: it is suspended already, or
            has ended.
        BadRequest: no reason is given, or `until` is past.
    """
    return _apply(schedule_id, "suspend", until, context)


def resume(schedule_id: str, context: CommandContext) -> Schedule:
    """Resume a suspended schedule from now on.

    Raises:
        Forbidden, NotFound, Gone, StaleState. InvalidTransition: it is not suspended.
            BadRequest: no
            reason is given.
    """
    return _apply(schedule_id, "resume", None, context)


def _apply(
    schedule_id: str, event: str, resume_at: datetime | None, context: CommandContext
) -> Schedule:
    schedule = active_schedule(schedule_id, context.actor, event)
    if not _is_repeat(schedule, event, context):
        require_reason(context, event)
        if resume_at is not None and resume_at <= context.now():
            raise BadRequest("until is past; leave it out, or name a time to come")
    for before, now in _caught_up(schedule, ScheduleCache(), context):
        if _is_repeat(before, event, context):
            return before
        roles = context.actor.roles
        move = SCHEDULE.authorized_move(before.state, event, now, context.cause, roles)
        try:
            return schedules.write(before, before.moved(move, resume_at=resume_at))
        except StaleState:
            continue
    raise _too_busy(schedule_id)


def run_now(schedule_id: str, context: CommandContext) -> Occurrence:
    """Run a job of a schedule now, beside its own times.

    Raises:
        Forbidden, NotFound, Gone, StaleState. InvalidTransition: a job is active, and the
            overlap
            policy forbids a second one. BadRequest: no reason is given.
    """
    schedule = active_schedule(schedule_id, context.actor, "run_now")
    if not _is_repeat(schedule, "run_now", context):
        require_reason(context, "run_now")
    for before, now in _caught_up(schedule, ScheduleCache(), context):
        for asked in before.history:
            if (asked.cause, asked.event) == (context.run, "run_now"):
                return _repeated_run(job_address(schedule_id, asked.at), context)
        decision = plan_manual_run(before, now, context.cause)
        try:
            apply_decision(before, decision, context.executions)
        except StaleState:
            continue
        return decision.occurrences[0]
    raise _too_busy(schedule_id)


def _repeated_run(address: JobAddress, context: CommandContext) -> Occurrence:
    """The occurrence that the same request made before; its execution is started again if it
    must.
    """
    occurrence = occurrences.get(address)
    if occurrence is None:
        raise Gone(f"the job asked for at {occurrence_time(address):%Y-%m-%d %H:%M} was archived")
    if occurrence.verdict is Verdict.RUN and occurrence.outcome is None:
        context.executions.start_job(address, MAIN)
    return occurrence


def delete(schedule_id: str, context: CommandContext) -> Schedule:
    """Delete a schedule: it has no more times. The history of its jobs stays.

    Raises:
        Forbidden, NotFound, Gone, StaleState. InvalidTransition: a job of it is active, or it
            is a
            system schedule. BadRequest: no reason is given.
    """
    schedule = schedule_or_tombstone(schedule_id, context.actor, "delete")
    if not _is_repeat(schedule, "delete", context):
        check_not_deleted(schedule)
        require_reason(context, "delete")
        if schedule.is_system:
            raise InvalidTransition(f"schedule {schedule_id} is the system's; suspend it instead")
    cache = ScheduleCache()
    for before, now in _caught_up(schedule, cache, context):
        if _is_repeat(before, "delete", context):
            return before
        if before.active:
            raise InvalidTransition(
                f"a job of schedule {schedule_id} is running; await or cancel it"
            )
        try:
            before = catch_up(
                before, ScheduleTick(cache, context.executions, now), skip_reason=SkipReason.DELETED
            )
            move = SCHEDULE.authorized_move(
                before.state, "delete", now, context.cause, context.actor.roles
            )
            after = before.moved(move, next_at=None, resume_at=None, queued_for=None)
            return schedules.write(
                before, after, ScheduleWrites(changed_occurrences=_without_queued(before))
            )
        except StaleState:
            continue
    raise _too_busy(schedule_id)


def _without_queued(schedule: Schedule) -> list[tuple[Occurrence, Occurrence]]:
    """The queued occurrence of a schedule without an active job, skipped for good."""
    waiting = (
        occurrences.get(schedule.job_address(schedule.queued_for)) if schedule.queued_for else None
    )
    if waiting is None:
        return []
    return [(waiting, waiting.skipped(SkipReason.DELETED))]
