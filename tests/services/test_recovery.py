"""An execution may die anywhere: a scheduler tick recovers its work, once, and only then."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from jobyard.domain.batches.batch import BatchState
from jobyard.domain.batches.operation import Filter
from jobyard.domain.errors import NotFound
from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.services.batches import operations
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.batches.recovery import BATCHES_CHECKED, EXECUTIONS_STARTED, recover_batches
from jobyard.services.executions import Executions
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.runs import RECOVERY_PASSES
from jobyard.store import batches, jobs
from tests.archived_fixtures import batch_of
from tests.harness import Harness, Payloads, single_files
from tests.killed_executions import Death, Killed

THREE = {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}
_numbers = count(1)


def run_all(harness: Harness, death: Death) -> None:
    """Run what was started; the death of one execution does not stop the others."""
    alive = True
    while alive:
        death.start()
        try:
            with harness.interceptor.listening(death):
                harness.machines.run_all()
            alive = False
        except Killed:
            alive = True


def let_minutes_pass(harness: Harness, death: Death, batch_id: str) -> None:
    """Deliver mail events; an hour of ticks, every 15 minutes."""
    for _ in range(4):
        harness.deliver_mail_after_15_minutes(batch_id)
        harness.tick()
        run_all(harness, death)


def run_story(harness: Harness, payloads: Payloads, death: Death) -> dict[str, Any]:
    """Three jobs, one fails, is requeued and reported again; the result."""
    collection = f"reconciled-{next(_numbers)}"
    payloads.status["/c.txt"] = 404
    event = harness.upload(single_files(payloads, THREE), name="may.checkm", collection=collection)
    for name in ("event", "event-again"):
        death.start()
        with suppress(Killed), harness.interceptor.listening(death):
            harness.machines.run("batch", f"{name}-{collection}", event)
        with suppress(NotFound):
            batch_id = harness.batch_id_of(event)
            break  # else it died before its first write: the event is delivered again
    run_all(harness, death)
    let_minutes_pass(harness, death, batch_id)
    payloads.status.clear()
    operations.change_jobs(batch_id, "requeue", Filter(JobState.FAILED), harness.context())
    run_all(harness, death)
    harness.tick()
    run_all(harness, death)
    send_batch_event(batch_id, "update_reporting", harness.context())
    run_all(harness, death)
    let_minutes_pass(harness, death, batch_id)
    found = [job for chunk in (0, 1) for job in jobs.of_chunk(batch_id, chunk)]
    view = harness.batch(batch_id)
    return {
        "state": view.batch.state.value,
        "counts": {name: number for name, number in view.counts.items() if number},
        "ends": [sum(entry.event == "succeed" for entry in job.history) for job in found],
        "mails": ["OK" in each.subject for each in harness.mails_of(batch_id)],
    }


@pytest.mark.turns(2)
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
def test_a_batch_ends_the_same_wherever_an_execution_dies(
    applied: bool, harness: Harness, payloads: Payloads, request: pytest.FixtureRequest
) -> None:
    calm = Death()
    undisturbed = run_story(harness, payloads, calm)
    step = 1 if request.config.getoption("--points") == "all" else 48
    turn = request.config.getoption("--turn") or datetime.now(UTC).timetuple().tm_yday

    wrong = {}
    for at in range(1 + (turn // 2 + step // 2 * applied) % step, calm.calls + 1, step):
        result = run_story(harness, payloads, Death(at, applied=applied))
        if result != undisturbed:
            wrong[at] = result

    assert undisturbed["mails"] == [False, True]
    assert undisturbed["ends"] == [1, 1, 1]
    assert wrong == {}


def recover_orphans(harness: Harness, most: int = EXECUTIONS_STARTED) -> int:
    """Recover orphaned work, as a tick does. Returns the number of started executions."""
    executions = Executions(harness.settings, harness.machines)  # type: ignore[arg-type]
    return recover_batches(executions, harness.now(), most)


def killed_in(harness: Harness, payloads: Payloads, state: str) -> str:
    """A batch whose execution died before it invoked `state` for the first time."""

    def invoke(name: str, function: Callable[..., Any], event: Any) -> Any:
        if name == f"{state}Function":
            harness.machines.invoke = invoke_once
            raise Killed
        return function(event)

    invoke_once = harness.machines.invoke
    harness.machines.invoke = invoke
    collection = f"killed-{next(_numbers)}"
    event = harness.upload(single_files(payloads, THREE), name="may.checkm", collection=collection)
    with pytest.raises(Killed):
        harness.machines.run("batch", f"event-{collection}", event)
    return harness.batch_id_of(event)


def started(harness: Harness) -> list[str]:
    """The names of the queued executions."""
    return [
        name
        for name, stands in harness.machines.executions.items()
        if stands["status"] == "RUNNING"
    ]


@pytest.mark.parametrize("state", ["ExecuteChunk", "Settle", "Report"])
def test_what_an_execution_left_is_recovered_by_the_next_tick_and_only_once(
    state: str, harness: Harness, payloads: Payloads
) -> None:
    batch_id = killed_in(harness, payloads, state)

    assert (recover_orphans(harness), recover_orphans(harness)) == (1, 0)
    assert started(harness) == [f"{batch_id}-settle-main-1"]
    harness.machines.run_all()

    assert harness.batch(batch_id).batch.state == "completed"
    assert len(harness.mails_of(batch_id)) == 1
    harness.advance(3600)
    assert recover_orphans(harness) == 0


def test_a_pass_that_is_recovered_has_causes_of_its_own(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = killed_in(harness, payloads, "ExecuteChunk")

    recover_orphans(harness)
    harness.machines.run_all()

    job = jobs.find(JobAddress(batch_id, 0, 0))
    assert job is not None
    assert job.cause == f"main.p{RECOVERY_PASSES + 2}.c0.t1"


def test_while_an_execution_lives_nothing_is_recovered(
    harness: Harness, payloads: Payloads
) -> None:
    started_counts = []
    invoke_once = harness.machines.invoke

    def invoke(name: str, function: Callable[..., Any], event: Any) -> Any:
        harness.advance(1000)  # a slow task
        started_counts.append(recover_orphans(harness))
        return invoke_once(name, function, event)

    harness.machines.invoke = invoke
    batch_id = harness.drop(single_files(payloads, THREE), collection="alive")

    assert harness.batch(batch_id).batch.state == "completed"
    assert started_counts == [0] * len(started_counts)
    assert len(started_counts) > 3


def test_an_execution_that_was_stopped_is_followed_when_its_workers_have_ended(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = killed_in(harness, payloads, "Settle")
    name = next(name for name in harness.machines.executions if name.startswith("event-killed"))
    harness.machines.executions[name]["status"] = "ABORTED"

    harness.advance(14 * 60)
    assert recover_orphans(harness) == 0
    harness.advance(60)
    assert recover_orphans(harness) == 1
    harness.machines.run_all()
    assert harness.batch(batch_id).batch.state == "completed"


def test_executions_that_fail_one_after_the_other_come_at_growing_intervals(
    harness: Harness, payloads: Payloads
) -> None:
    killed_in(harness, payloads, "Settle")
    invoke_once = harness.machines.invoke

    def invoke(name: str, function: Callable[..., Any], event: Any) -> Any:
        if name == "SettleFunction":
            raise Killed
        return invoke_once(name, function, event)

    harness.machines.invoke = invoke
    at = []
    for minute in range(16):
        if recover_orphans(harness):
            at.append(minute)
            with pytest.raises(Killed):
                harness.machines.run_all()
        harness.advance(60)

    assert at == [0, 1, 3, 7, 15]


@pytest.mark.parametrize(("failed", "minutes"), [(1, 1), (2, 2), (6, 32), (7, 60), (20, 60)])
def test_however_many_executions_failed_the_next_comes_within_an_hour(
    failed: int, minutes: int, harness: Harness, payloads: Payloads
) -> None:
    batch_id = killed_in(harness, payloads, "Settle")
    ended = {"status": "FAILED", "startDate": harness.at, "stopDate": harness.at}
    names = [f"{batch_id}-settle-main-{number}" for number in range(1, failed + 1)]
    harness.machines.executions |= dict.fromkeys(names, ended)

    harness.advance(minutes * 60 - 1)
    assert recover_orphans(harness) == 0
    harness.advance(1)
    assert recover_orphans(harness) == 1
    assert started(harness) == [f"{batch_id}-settle-main-{failed + 1}"]


def test_a_request_has_a_minute_to_start_the_machine_however_long_ago_an_execution_ended(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(**_: Any) -> None:
        raise Killed

    batch_id = killed_in(harness, payloads, "Settle")
    harness.advance(3600)
    with monkeypatch.context() as patch:
        patch.setattr(harness.machines, "start_execution", killed)
        with pytest.raises(Killed):
            send_batch_event(batch_id, "cancel", harness.context())

    harness.advance(59)
    assert recover_orphans(harness) == 0
    harness.advance(1)
    assert recover_orphans(harness) == 1


def test_a_job_whose_own_execution_died_is_recovered_though_its_batch_had_failed(
    harness: Harness, payloads: Payloads
) -> None:
    payloads.status["/c.txt"] = 404
    batch_id = harness.drop(single_files(payloads, THREE), collection="one-job")
    payloads.status.clear()
    invoke_once = harness.machines.invoke

    def invoke(name: str, function: Callable[..., Any], event: Any) -> Any:
        answer = invoke_once(name, function, event)
        if name == "ExecuteJobFunction":
            harness.machines.invoke = invoke_once
            raise Killed
        return answer

    send_job_event(f"{batch_id}.1.0", "requeue", harness.context())
    harness.machines.invoke = invoke
    with pytest.raises(Killed):
        harness.machines.run_all()
    send_batch_event(batch_id, "update_reporting", harness.context())

    harness.advance(61)
    recover_orphans(harness)
    harness.machines.run_all()

    assert harness.batch(batch_id).batch.state == "completed"


def test_a_manifest_that_no_function_could_open_is_opened_later(
    harness: Harness, payloads: Payloads
) -> None:
    invoke_once = harness.machines.invoke

    def invoke(name: str, function: Callable[..., Any], event: Any) -> Any:
        if name == "OpenFunction":
            raise RuntimeError("the tables cannot be reached")
        return invoke_once(name, function, event)

    harness.machines.invoke = invoke
    event = harness.upload(single_files(payloads, THREE), name="may.checkm", collection="unopened")
    harness.machines.run("batch", "event-unopened", event)
    batch_id = harness.batch_id_of(event)
    waiting = batches.get(batch_id, harness.now())
    harness.machines.invoke = invoke_once
    harness.advance(61)
    recover_orphans(harness)
    harness.machines.run_all()

    assert waiting.state == "pending"
    assert "could not be opened; the cause is logged under" in waiting.history[-1].reason
    assert harness.batch(batch_id).batch.state == "completed"
    assert len(harness.mails_of(batch_id)) == 1


def test_a_tick_starts_so_many_jobs_and_the_next_continues_with_the_oldest_left(
    harness: Harness, payloads: Payloads
) -> None:
    first = killed_in(harness, payloads, "Settle")
    harness.advance(1)
    second = killed_in(harness, payloads, "Settle")

    assert recover_orphans(harness, most=1) == 1
    assert started(harness) == [f"{first}-settle-main-1"]
    assert recover_orphans(harness, most=1) == 1
    assert started(harness) == [f"{first}-settle-main-1", f"{second}-settle-main-1"]


def test_what_one_tick_has_no_time_to_check_the_next_one_checks(
    harness: Harness,
) -> None:
    for number in range(BATCHES_CHECKED + 2):
        at = harness.at + timedelta(seconds=number)
        batches.put_new(batch_of(f"waiting {number}", BatchState.PENDING, at, entries=0))
    harness.advance(600)

    assert recover_orphans(harness, most=BATCHES_CHECKED + 2) == BATCHES_CHECKED
    harness.advance(60)
    assert recover_orphans(harness, most=BATCHES_CHECKED + 2) == 2
