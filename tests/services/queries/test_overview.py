"""The overview shows what is open, what fails and what is next, within its bounds."""

from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from jobyard.domain.errors import Forbidden
from jobyard.services import holds
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.context import Actor
from jobyard.services.queries import overview as overview_queries
from jobyard.services.queries.overview import Overview, StateCount, overview
from jobyard.services.schedules import commands as schedule_commands
from jobyard.store import tables
from tests.call_interceptor import Call, Listener
from tests.harness import Harness, Payloads, single_files
from tests.people import sub_of

_numbers = count(1)


@pytest.fixture(autouse=True)
def _alone(harness: Harness) -> None:
    """Other tests' batches and schedules are not open."""
    for model in (tables.BatchItem, tables.ScheduleItem, tables.ReportItem):
        for item in model.scan():
            item.delete()


def failed(harness: Harness, payloads: Payloads, number: int = 2) -> str:
    """A batch of which `number` jobs fail, and one succeeds."""
    names = [f"overview-{next(_numbers)}.txt" for _ in range(number + 1)]
    payloads.status |= {f"/{name}": 404 for name in names[1:]}
    text = single_files(payloads, {name: name.encode() for name in names})
    return harness.drop(text, collection="maps")


def opened(harness: Harness, payloads: Payloads) -> str:
    """A batch whose jobs have not run."""
    text = single_files(payloads, {f"overview-{next(_numbers)}.txt": b"1"})
    event = harness.upload(text, name="m.checkm", collection="maps")
    batch_id: str = harness.open({"input": event, "execution": f"x{next(_numbers)}"})["origin_id"]
    return batch_id


def ids(shown: Overview) -> list[str]:
    return [view.batch.batch_id for view in shown.open_batches]


def test_open_batches_of_all_states_are_shown_newest_first(
    harness: Harness, payloads: Payloads
) -> None:
    made = []
    for _ in range(3):
        made.append(opened(harness, payloads))
        harness.advance(1)
    send_batch_event(made[1], "cancel", harness.context())

    shown = overview(harness.query_context())

    assert ids(shown) == made[::-1]
    assert shown.counts["processing"] == StateCount(2, is_exact=True)
    assert shown.counts["cancelling"] == StateCount(1, is_exact=True)
    assert shown.counts["failed"] == StateCount(0, is_exact=True)


def test_no_more_is_read_than_shown_and_the_number_says_so(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_queries, "OPEN_SHOWN", 2)
    for _ in range(3):
        opened(harness, payloads)
        harness.advance(1)

    shown = overview(harness.query_context())

    assert len(shown.open_batches) == 2
    assert shown.counts["processing"] == StateCount(2, is_exact=False)


def test_failures_of_a_day_are_grouped_across_batches(harness: Harness, payloads: Payloads) -> None:
    first = failed(harness, payloads, 3)
    harness.advance(timedelta(hours=20).total_seconds())
    second = failed(harness, payloads, 1)

    shown = overview(harness.query_context())

    assert [view.batch.batch_id for view in shown.failing] == [second, first]
    (group,) = shown.failures
    assert (group.code, group.count, group.batch_count) == ("PAYLOAD_NOT_FOUND", 4, 2)
    assert [(batch.batch_id, number) for batch, number in group.batches] == [
        (first, 3),
        (second, 1),
    ]
    harness.advance(timedelta(hours=5).total_seconds())
    assert [group.count for group in overview(harness.query_context()).failures] == [1]


def test_the_oldest_waiting_batch_is_shown(harness: Harness, payloads: Payloads) -> None:
    holds.place_hold("collection:maps", None, harness.context())
    oldest = opened(harness, payloads)
    harness.advance(60)
    opened(harness, payloads)

    waiting = overview(harness.query_context()).oldest_waiting

    assert waiting is not None
    assert waiting.batch_id == oldest
    holds.lift_hold("collection:maps", harness.context())


def test_next_and_last_runs_of_schedules_are_shown_with_the_skipped_ones(
    harness: Harness,
) -> None:
    schedule_commands.make_system_schedules(harness.now())
    harness.advance(3600)
    harness.tick()
    harness.machines.run_all()
    reconcile = schedule_commands.system_schedule_id("reconcile")
    schedule_commands.suspend(reconcile, None, harness.context(reason="a rest"))
    harness.advance(3600)
    harness.tick()

    found = overview(harness.query_context()).schedules

    assert found is not None
    runs = [view.next_run for view in found.next_runs if view.next_run]
    assert runs == sorted(runs)
    assert runs
    newest = [run for schedule, run in found.last_runs if schedule.schedule_id == reconcile]
    assert newest[0].label == "Skipped"
    assert "suspended" in newest[0].why
    assert "Completed" in {run.label for run in newest}


def test_a_depositor_sees_their_own_batches_only(harness: Harness, payloads: Payloads) -> None:
    opened(harness, payloads)
    stranger = Actor(sub_of("stranger"), "stranger", frozenset({"depositor"}))

    shown = overview(replace(harness.query_context(), actor=stranger))

    assert (shown.open_batches, shown.failing, shown.oldest_waiting) == ((), (), None)
    assert (shown.schedules, shown.undelivered, shown.cost, shown.activity) == (None,) * 4
    nobody = Actor(sub_of("nobody"), "nobody", frozenset())
    with pytest.raises(Forbidden):
        overview(replace(harness.query_context(), actor=nobody))


def test_readers_see_the_months_cost_the_activity_and_the_lost_reports(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = opened(harness, payloads)
    send_batch_event(batch_id, "cancel", harness.context(reason="not now"))
    viewer = Actor(sub_of("vera"), "vera", frozenset({"viewer"}))

    shown = overview(replace(harness.query_context(), actor=viewer))

    assert shown.cost is not None
    assert shown.activity is not None
    assert shown.activity[0].subject.subject_id == batch_id
    assert shown.undelivered == ()
    assert shown.schedules is None


class Reads(Listener):
    """The number of calls to DynamoDB."""

    def __init__(self) -> None:
        self.number = 0

    def prepare(self, call: Call) -> None:
        self.number += call.service == "dynamodb"


def test_an_overview_reads_no_more_with_a_longer_history(
    harness: Harness, payloads: Payloads
) -> None:
    def reads() -> int:
        counted = Reads()
        with harness.interceptor.listening(counted):
            overview(harness.query_context())
        return counted.number

    opened(harness, payloads)
    before = reads()
    for _ in range(3):
        text = single_files(payloads, {f"overview-{next(_numbers)}.txt": b"1"})
        harness.drop(text, collection="maps")

    assert reads() == before <= 30
