"""Stores schedules. Every write is conditional on the version that was read.

Decisions about a schedule's times are written in one transaction with their occurrences. So each
occurrence starts one job, even if two clocks decide at the same time.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from jobyard.domain.batches.report import Report
from jobyard.domain.errors import InvalidRule, NotFound, StaleState
from jobyard.domain.jobs.job import JobRecord, JobState
from jobyard.domain.natural_order import natural_key
from jobyard.domain.schedules.occurrence import Occurrence, SkipReason
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import (
    ActiveJob,
    CatchUp,
    LastSkip,
    LatestRun,
    MissedPolicy,
    OverlapPolicy,
    Policy,
    Schedule,
    ScheduleState,
)
from jobyard.store import jobs, occurrences, reports, transactions
from jobyard.store.documents import (
    from_ms,
    from_ms_or_none,
    history_document,
    parse_history,
    to_ms,
    to_ms_or_none,
    without_blanks,
)
from jobyard.store.tables import ScheduleItem, save_if

DUE_SHARDS = 4  # partitions of the due index: 10,000 schedules may start within one minute
_DUE_PAGE = 200  # items of the due index in one read
_PROBLEMS = "schedules"  # the partition of the index by problem
_LIST_PARTITIONS = {False: "schedules", True: "system"}  # of the index by title; by `is_system`


def _item(schedule: Schedule) -> ScheduleItem:
    due_at = schedule.due_at
    problem_at = schedule.problem_at
    is_listed = schedule.state is not ScheduleState.DELETED
    policy = schedule.policy
    latest, skip = schedule.latest, schedule.last_skip
    body = without_blanks(
        {
            "title": schedule.title,
            "job_type": schedule.job_type,
            "rule": schedule.rule.document(),
            "missed": [policy.catch_up.runs, policy.catch_up.limit, policy.catch_up.max_age_h],
            "overlap": policy.overlap,
            "calendar": policy.calendar,
            "owner": schedule.owner,
            "owner_sub": schedule.owner_sub,
            "created_at": to_ms(schedule.created_at),
            "changed_at": to_ms_or_none(schedule.changed_at),
            "parameters": dict(schedule.parameters),
            "is_system": schedule.is_system,
            "next_at": to_ms_or_none(schedule.next_at),
            "decided_until": to_ms_or_none(schedule.decided_until),
            "look_at": to_ms_or_none(schedule.next_check_at),
            "resume_at": to_ms_or_none(schedule.resume_at),
            "queued": to_ms_or_none(schedule.queued_for),
            "kept_from": to_ms_or_none(schedule.retained_from),
            "active": [
                [to_ms(run.scheduled_for), to_ms(run.started_at), run.run]
                for run in schedule.active
            ],
            "latest": latest and _latest_line(latest),
            "skip": skip and [to_ms(skip.scheduled_for), skip.reason, to_ms(skip.decided_at)],
            "history": history_document(schedule.history),
            "notify": list(schedule.notify),
            "mailed_at": to_ms_or_none(schedule.failure_mailed_at),
            "reports": schedule.report_count,
        }
    )
    return ScheduleItem(
        schedule_id=schedule.schedule_id,
        list_partition=_LIST_PARTITIONS[schedule.is_system] if is_listed else None,
        title=f"{natural_key(schedule.title)}#{schedule.schedule_id}" if is_listed else None,
        due_shard=_shard(schedule.schedule_id) if due_at else None,
        due_at=to_ms_or_none(due_at),
        problem_partition=_PROBLEMS if problem_at else None,
        problem_at=to_ms_or_none(problem_at),
        state=schedule.state.value,
        version=schedule.version,
        body=body,
    )


def _shard(schedule_id: str) -> str:
    return str(zlib.crc32(schedule_id.encode()) % DUE_SHARDS)


def _schedule(item: ScheduleItem) -> Schedule:
    body: dict[str, Any] = item.body
    missed, limit, max_age_h = body["missed"]
    return Schedule(
        schedule_id=item.schedule_id,
        state=ScheduleState(item.state),
        version=int(item.version),
        title=body["title"],
        job_type=body["job_type"],
        rule=recurrence_of(body["rule"]),
        policy=Policy(
            CatchUp(MissedPolicy(missed), limit, max_age_h),
            OverlapPolicy(body["overlap"]),
            body.get("calendar", ""),
        ),
        owner=body["owner"],
        owner_sub=body.get("owner_sub", ""),
        created_at=from_ms(body["created_at"]),
        changed_at=from_ms_or_none(body.get("changed_at")),
        parameters=body.get("parameters", {}),
        is_system=body.get("is_system", False),
        next_at=from_ms_or_none(body.get("next_at")),
        decided_until=from_ms_or_none(body.get("decided_until")),
        next_check_at=from_ms_or_none(body.get("look_at")),
        resume_at=from_ms_or_none(body.get("resume_at")),
        queued_for=from_ms_or_none(body.get("queued")),
        retained_from=from_ms_or_none(body.get("kept_from")),
        active=tuple(
            ActiveJob(from_ms(at), from_ms(since), run) for at, since, run in body.get("active", ())
        ),
        latest=_latest(body.get("latest")),
        history=parse_history(body.get("history", [])),
        last_skip=_last_skip(body.get("skip")),
        notify=tuple(body.get("notify", ())),
        failure_mailed_at=from_ms_or_none(body.get("mailed_at")),
        report_count=body.get("reports", 0),
    )


def _last_skip(line: list[Any] | None) -> LastSkip | None:
    if line is None:
        return None
    at, reason, decided_at = line
    return LastSkip(from_ms(at), SkipReason(reason), from_ms(decided_at))


def _latest_line(latest: LatestRun) -> list[Any]:
    return [
        to_ms(latest.scheduled_for),
        latest.state,
        to_ms(latest.ended_at),
        to_ms(latest.started_at),
    ]


def _latest(line: list[Any] | None) -> LatestRun | None:
    if line is None:
        return None
    at, state, ended_at, since = line
    return LatestRun(from_ms(at), from_ms(since), JobState(state), from_ms(ended_at))


def put_new(schedule: Schedule) -> Schedule:
    """Store a new schedule, and return it.

    Raises:
        StaleState: a schedule with this id exists.
    """
    if not save_if(_item(schedule), ScheduleItem.schedule_id.does_not_exist()):
        raise StaleState(f"schedule {schedule.schedule_id} exists already")
    return schedule


def get(schedule_id: str) -> Schedule:
    """The schedule, even if it is deleted.

    Raises:
        NotFound: there is none.
    """
    try:
        return _schedule(ScheduleItem.get(schedule_id, consistent_read=True))
    except ScheduleItem.DoesNotExist:
        raise NotFound(f"there is no schedule {schedule_id}") from None


@dataclass(frozen=True)
class ScheduleWrites:
    """What is written in one transaction with a schedule. Changes are pairs `(before, after)`."""

    new_occurrences: Sequence[Occurrence] = ()
    changed_occurrences: Sequence[tuple[Occurrence, Occurrence]] = ()
    jobs: Sequence[tuple[JobRecord, JobRecord]] = ()
    reports: Sequence[Report] = ()


def write(before: Schedule, after: Schedule, extra: ScheduleWrites = ScheduleWrites()) -> Schedule:
    """Write `after` over `before`, together with `extra`. A repeat of the same write succeeds.

    Raises:
        StaleState: the schedule, or something in `extra`, changed since it was read.
        ClientError: DynamoDB failed. It may have been written; the write can be repeated.
    """
    items = [transactions.put(_item(after), before.version)]
    items += [transactions.put(occurrences.item_of(each), 0) for each in extra.new_occurrences]
    items += [
        transactions.put(occurrences.item_of(now), was.version)
        for was, now in extra.changed_occurrences
    ]
    items += [transactions.put(jobs.item_of(moved), job.version) for job, moved in extra.jobs]
    items += [reports.new_item(each) for each in extra.reports]
    try:
        transactions.write(items)
    except StaleState as error:
        stored = ScheduleItem.get(before.schedule_id, consistent_read=True)
        if stored.version == after.version and stored.body == _item(after).body:
            return after
        raise StaleState(
            f"schedule {before.schedule_id} has changed since it was read; it is {stored.state}"
        ) from error
    return after


@dataclass(frozen=True)
class DueSchedule:
    """A schedule that the tick must check, from the index. It may be outdated; the next write
    checks its version.

    It is parsed only by `schedule`, so that a schedule with an invalid rule does not stop the rest.
    """

    schedule_id: str
    item: ScheduleItem

    def schedule(self) -> Schedule:
        """The schedule.

        Raises:
            InvalidRule: its rule is no longer valid, for example because its time zone was removed.
        """
        return _schedule(self.item)


def due(shard: int, now: datetime) -> Iterator[DueSchedule]:
    """The schedules of a shard that the tick must check by `now`, from the index, first due first.

    They are read in small pages, so that a clock that runs out of time has read few in vain.
    """
    found = ScheduleItem.due.query(
        str(shard),
        range_key_condition=ScheduleItem.due_at <= to_ms(now.astimezone(UTC)),
        page_size=_DUE_PAGE,
    )
    for item in found:
        yield DueSchedule(item.schedule_id, item)


def next_due(number: int) -> list[Schedule]:
    """The `number` schedules that the tick must check next, soonest first, from the index."""
    items = [
        item
        for shard in range(DUE_SHARDS)
        for item in ScheduleItem.due.query(str(shard), limit=number)
    ]
    items.sort(key=lambda item: item.due_at)
    return [*_readable(items[:number])]


@dataclass(frozen=True)
class ProblemSchedules:
    """Schedules with a problem, the latest first, and how many more have one: or even more, unless
    that `is_exact`.
    """

    items: tuple[Schedule, ...]
    more: int
    is_exact: bool


def with_problem(since: datetime, *, limit: int, counted: int) -> ProblemSchedules:
    """Up to `limit` schedules with a problem since a time, of which up to `counted` are counted.

    The index gives the ids. Items from before there was one are in it with their next write.
    """
    keys = [
        *ScheduleItem.problems.query(
            _PROBLEMS,
            range_key_condition=ScheduleItem.problem_at >= to_ms(since),
            scan_index_forward=False,
            limit=counted + 1,
        )
    ]
    ids = [key.schedule_id for key in keys[:limit]]
    found = {each.schedule_id: each for each in _readable(ScheduleItem.batch_get(ids))}
    items = tuple(found[each] for each in ids if each in found)
    more = len(keys[:counted]) - len(ids)
    return ProblemSchedules(items, more, is_exact=len(keys) <= counted)


@dataclass(frozen=True)
class SchedulePage:
    """Schedules by title. `after` is the cursor of the next page; "" if this is the last one."""

    items: tuple[Schedule, ...]
    after: str


def by_title(*, system: bool, limit: int, after: str = "") -> SchedulePage:
    """Up to `limit` schedules after the cursor `after`, without deleted ones.

    Either those of the system or the others. The index gives the ids; the schedules are read with
    strong consistency.
    """
    keys = [
        *ScheduleItem.listed.query(
            _LIST_PARTITIONS[system],
            range_key_condition=ScheduleItem.title > after if after else None,
            limit=limit + 1,
        )
    ]
    shown = keys[:limit]
    ids = [key.schedule_id for key in shown]
    read = _readable(ScheduleItem.batch_get(ids, consistent_read=True))
    found = {each.schedule_id: each for each in read}
    items = [found[key.schedule_id] for key in shown if key.schedule_id in found]
    cursor = str(shown[-1].title) if len(keys) > limit else ""
    return SchedulePage(
        tuple(each for each in items if each.state is not ScheduleState.DELETED), cursor
    )


def with_calendar(calendar: str) -> Iterator[Schedule]:
    """The schedules with this calendar, in no order, without deleted ones. It scans the table."""
    for schedule in _readable(ScheduleItem.scan(consistent_read=True)):
        if schedule.policy.calendar == calendar and schedule.state is not ScheduleState.DELETED:
            yield schedule


def list_all(limit: int, after: str = "") -> list[Schedule]:
    """Up to `limit` schedules after the one with id `after`, deleted ones too, in scan order.

    The table is small: occurrences and jobs are in others.
    """
    start = {"schedule_id": {"S": after}} if after else None
    found = ScheduleItem.scan(limit=limit, last_evaluated_key=start, consistent_read=True)
    return [*_readable(found)]


def _readable(items: Iterable[ScheduleItem]) -> Iterator[Schedule]:
    """The schedules with valid rules. The clock reports the others when they are due."""
    for item in items:
        with suppress(InvalidRule):
            yield _schedule(item)
