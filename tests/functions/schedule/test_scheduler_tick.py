"""The scheduler tick's handler: it starts what is due and recovers orphaned work."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest

from jobyard.domain.hold import Hold
from jobyard.domain.metrics import DIMENSIONS
from jobyard.domain.schedules.occurrence import SkipReason, Verdict
from jobyard.domain.schedules.schedule import MissedPolicy, ScheduleState
from jobyard.services.executions import job_execution
from jobyard.store import holds, occurrences, schedules, tables
from tests.functions.invocations import Context, execution, metrics_of
from tests.functions.records import a_due_schedule, an_orphaned_batch

pytestmark = pytest.mark.emulator


def test_the_tick_starts_what_is_due_and_only_once(
    functions: dict[str, ModuleType], store_endpoint: str
) -> None:
    schedule = a_due_schedule("due", timedelta(minutes=2))

    first = functions["schedule.scheduler_tick"].handler({}, Context())
    again = functions["schedule.scheduler_tick"].handler({}, Context())

    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    assert (first["started"], again["started"]) == (1, 0)
    assert occurrence.verdict is Verdict.RUN
    assert execution(store_endpoint, functions, job_execution(occurrence.address, "main"))["input"]
    assert schedules.get(schedule.schedule_id).active[0].scheduled_for == schedule.next_at


def test_the_tick_logs_and_counts_a_missed_time(
    functions: dict[str, ModuleType],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    schedule = a_due_schedule("missed", timedelta(hours=2), MissedPolicy.NONE)

    answer = functions["schedule.scheduler_tick"].handler({}, Context())

    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    found = metrics_of(capsys)
    lines = [vars(line) for line in caplog.records if line.message == "skipped"]
    assert answer["started"] == 0
    assert occurrence.skip_reason is SkipReason.MISSED
    assert found == {"RunsFailedOrMissed": DIMENSIONS["RunsFailedOrMissed"]}
    assert [line["reason"] for line in lines] == [SkipReason.MISSED]


def test_each_missed_time_is_counted(
    functions: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    a_due_schedule("misseddaily", timedelta(days=2, hours=2), MissedPolicy.NONE)

    functions["schedule.scheduler_tick"].handler({}, Context())

    (line,) = [line for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert json.loads(line)["RunsFailedOrMissed"] == [3.0]


def test_the_tick_logs_the_schedule_that_failed(
    functions: dict[str, ModuleType], caplog: pytest.LogCaptureFixture
) -> None:
    schedule = a_due_schedule("broken", timedelta(minutes=2))
    item = tables.ScheduleItem.get(schedule.schedule_id)
    item.body = {}
    item.save()

    answer = functions["schedule.scheduler_tick"].handler({}, Context())

    lines = [vars(line) for line in caplog.records if line.message == "schedule error"]
    assert answer["started"] == 0
    assert [line["origin_id"] for line in lines] == [schedule.schedule_id]


def test_the_tick_logs_the_campaign_that_cannot_be_read(
    functions: dict[str, ModuleType], caplog: pytest.LogCaptureFixture
) -> None:
    item = tables.CampaignItem(f"c{'b' * 20}", due_shard="open", due_at=0, state="nonsense")
    item.version, item.body = 1, {}
    item.save()

    functions["schedule.scheduler_tick"].handler({}, Context())
    item.delete()

    lines = [vars(line) for line in caplog.records if line.message == "campaign error"]
    assert [line["origin_id"] for line in lines] == [item.campaign_id]


def test_the_tick_starts_nothing_in_the_time_that_recovery_needs(
    functions: dict[str, ModuleType],
) -> None:
    a_due_schedule("hurried", timedelta(minutes=2))

    late = functions["schedule.scheduler_tick"].handler({}, Context(remaining_ms=20_000))
    next_time = functions["schedule.scheduler_tick"].handler({}, Context(remaining_ms=21_000))

    assert (late["started"], next_time["started"]) == (0, 1)


def test_an_expired_hold_is_lifted(functions: dict[str, ModuleType]) -> None:
    a_due_schedule("later", timedelta(days=-1))
    now = datetime.now(UTC)
    minute = timedelta(minutes=1)
    holds.put(Hold("collection:fn", "operator", "a move", now - 2 * minute, now - minute))
    holds.put(Hold("collection:nf", "operator", "a move", now - 2 * minute, now + 9 * minute))

    functions["schedule.scheduler_tick"].handler({}, Context())

    assert [hold.scope for hold in holds.list_all()] == ["collection:nf"]


def test_a_deliberately_skipped_time_is_not_counted(
    functions: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = a_due_schedule("suspended", timedelta(minutes=2), state=ScheduleState.SUSPENDED)

    functions["schedule.scheduler_tick"].handler({}, Context())

    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    assert occurrence.skip_reason is SkipReason.SUSPENDED
    assert metrics_of(capsys) == {}


def test_the_tick_creates_the_system_s_schedules(functions: dict[str, ModuleType]) -> None:
    a_due_schedule("alone", timedelta(minutes=2))
    tick = functions["schedule.scheduler_tick"]
    tick._make_system_schedules.cache_clear()

    tick.handler({}, Context())

    made = schedules.by_title(system=True, limit=9).items
    assert sorted(each.job_type for each in made) == ["pack", "reconcile", "retention"]


def test_the_tick_recovers_an_orphaned_batch(
    functions: dict[str, ModuleType],
) -> None:
    a_due_schedule("later", timedelta(days=-1))
    an_orphaned_batch("b-left")

    answer = functions["schedule.scheduler_tick"].handler({}, Context())

    assert answer == {"started": 0, "recovered": 1}


def test_the_tick_recovers_an_orphaned_run(
    functions: dict[str, ModuleType], store_endpoint: str
) -> None:
    schedule = a_due_schedule("runlost", timedelta(minutes=2))
    functions["schedule.scheduler_tick"].handler({}, Context())
    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    execution(store_endpoint, functions, job_execution(occurrence.address, "main"))  # it has failed
    running = schedules.get(schedule.schedule_id)
    due = replace(running, version=running.version + 1, next_check_at=datetime.now(UTC))
    schedules.write(running, due)

    answer = functions["schedule.scheduler_tick"].handler({}, Context())

    assert answer == {"started": 0, "recovered": 1}
