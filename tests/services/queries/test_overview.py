"""The overview shows what is open, what fails and what is next, within its bounds."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from jobyard.domain.activity import Act, Subject
from jobyard.domain.batches.report import (
    LATE_AFTER,
    Delivery,
    DeliveryState,
    Report,
    ReportKind,
)
from jobyard.domain.errors import Forbidden
from jobyard.domain.freshness import CLAIM_TIME
from jobyard.domain.ids import schedule_id_of, system_schedule_id
from jobyard.domain.jobs.job import JobState
from jobyard.domain.overview import (
    Overview,
    ProblemRun,
    StateCount,
    SystemHealth,
    UndeliveredReport,
    UndeliveredReports,
)
from jobyard.domain.schedules.occurrence import SkipReason
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import LatestRun, Policy, Schedule
from jobyard.services import holds
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.context import Actor
from jobyard.services.queries import overview as overview_queries
from jobyard.services.schedules import commands as schedule_commands
from jobyard.services.schedules.commands import ScheduleSpec
from jobyard.services.system_clients import SystemClients
from jobyard.store import activity, batches, reports, schedules, tables
from tests.call_interceptor import Answer, Call, Listener
from tests.functions.api.schedule_records import sweep
from tests.harness import ADMIN, Harness, Payloads, single_files
from tests.people import sub_of

_numbers = count(1)


@pytest.fixture(autouse=True)
def _alone(harness: Harness) -> None:
    """Other tests' batches and schedules are not open."""
    for model in (tables.BatchItem, tables.ScheduleItem, tables.ReportItem):
        for item in model.scan():
            item.delete()
    for item in tables.KeyValueItem.scan(tables.KeyValueItem.id.startswith("snapshot#")):
        item.delete()


class Monitoring:
    """CloudWatch and SQS, which count how often they are called."""

    def __init__(self) -> None:
        self.calls = 0

    def describe_alarms(self, **_: Any) -> dict[str, Any]:
        self.calls += 1
        return {"MetricAlarms": []}

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        self.calls += 1
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        return {"Attributes": dict.fromkeys(names, "1")}


def look(harness: Harness, person: Actor = ADMIN, monitoring: Monitoring | None = None) -> Overview:
    """The overview that a person sees now."""
    clients = monitoring or Monitoring()
    context = harness.query_context(person)
    return overview_queries.overview(context, SystemClients(clients, clients, _raise))


def _raise(error: Exception) -> None:
    raise error


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
    return [each.batch_id for each in shown.open_batches]


def test_open_batches_of_all_states_are_shown_newest_first(
    harness: Harness, payloads: Payloads
) -> None:
    made = []
    for _ in range(3):
        made.append(opened(harness, payloads))
        harness.advance(1)
    send_batch_event(made[1], "cancel", harness.context())

    shown = look(harness)

    assert ids(shown) == made[::-1]
    assert shown.counts["processing"] == StateCount(2, is_exact=True)
    assert shown.counts["cancelling"] == StateCount(1, is_exact=True)
    assert shown.counts["failed"] == StateCount(0, is_exact=True)
    assert shown.has_all_failures


def test_no_more_is_read_than_shown_and_the_number_says_so(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_queries, "OPEN_SHOWN", 2)
    for _ in range(3):
        opened(harness, payloads)
        harness.advance(1)

    shown = look(harness)

    assert len(shown.open_batches) == 2
    assert shown.counts["processing"] == StateCount(3, is_exact=True)
    assert (shown.has_all_open, shown.has_all_failed) == (False, True)


def test_failed_jobs_are_grouped_across_batches(harness: Harness, payloads: Payloads) -> None:
    first = failed(harness, payloads, 3)
    harness.advance(timedelta(hours=20).total_seconds())
    second = failed(harness, payloads, 1)

    shown = look(harness)

    assert [(each.batch_id, each.jobs) for each in shown.failing] == [(second, 1), (first, 3)]
    (group,) = shown.failures
    assert (group.code, group.count, shown.failed_jobs) == ("PAYLOAD_NOT_FOUND", 4, 4)
    assert [(each.batch_id, each.jobs) for each in group.batches] == [(first, 3), (second, 1)]
    assert group.first_seen_at
    assert group.last_seen_at
    assert timedelta(hours=20) <= group.last_seen_at - group.first_seen_at < timedelta(hours=21)


def test_old_failures_come_after_those_of_a_day(harness: Harness, payloads: Payloads) -> None:
    old = failed(harness, payloads, 3)
    harness.advance(timedelta(days=2).total_seconds())
    names = [f"overview-{next(_numbers)}.txt" for _ in range(2)]
    payloads.status |= {f"/{name}": 403 for name in names}
    new = harness.drop(
        single_files(payloads, {name: name.encode() for name in names}), collection="maps"
    )

    groups = look(harness).failures

    batches_of = [[each.batch_id for each in group.batches] for group in groups]
    assert batches_of == [[new], [old]]
    assert [group.count for group in groups] == [2, 3]


def test_batches_are_counted_up_to_a_bound_and_those_that_ended_for_a_day(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_queries, "OPEN_SHOWN", 2)
    monkeypatch.setattr(overview_queries, "BATCHES_COUNTED", 4)
    for _ in range(4):
        opened(harness, payloads)
    text = single_files(payloads, {f"overview-{next(_numbers)}.txt": b"1"})
    harness.drop(text, collection="maps")
    four = look(harness).counts
    opened(harness, payloads)
    harness.advance(60)
    five = look(harness).counts
    harness.advance(timedelta(days=2).total_seconds())
    later = look(harness).counts

    assert four["processing"] == StateCount(4, is_exact=True)
    assert five["processing"] == StateCount(4, is_exact=False)
    ended = [[each[state] for state in ("completed", "cancelled")] for each in (four, later)]
    one, none = StateCount(1, is_exact=True), StateCount(0, is_exact=True)
    assert ended == [[one, none], [none, none]]


def test_a_depositor_learns_that_not_all_their_failed_batches_were_read(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_queries, "FAILED_READ", 1)
    owner = Actor(sub_of("dora"), "dora", frozenset({"depositor"}))
    for _ in range(2):
        stored = batches.get(failed(harness, payloads, 1), harness.now())
        moved = replace(stored, submitter="dora", submitter_sub=owner.sub)
        batches.add_entry(moved, replace(stored.history[-1], cause=f"c{next(_numbers)}"))

    shown = look(harness, owner)

    assert shown.counts["failed"] == StateCount(2, is_exact=True)
    assert (len(shown.failing), shown.has_all_failures) == (1, False)


def test_the_oldest_waiting_batch_is_shown(harness: Harness, payloads: Payloads) -> None:
    holds.place_hold("collection:maps", None, harness.context())
    oldest = opened(harness, payloads)
    harness.advance(60)
    opened(harness, payloads)

    waiting = look(harness).oldest_waiting

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
    reconcile = system_schedule_id("reconcile")
    schedule_commands.suspend(reconcile, None, harness.context(reason="a rest"))
    harness.advance(3600)
    harness.tick()

    found = look(harness).schedules

    assert found is not None
    runs = [run.at for run in found.next_runs]
    assert runs == sorted(runs)
    assert runs
    newest = [run for run in found.last_runs if run.schedule_id == reconcile]
    assert newest[0].label == "Skipped"
    assert "suspended" in newest[0].why
    assert "Completed" in {run.label for run in newest}


def test_a_run_that_failed_is_shown_for_a_day(harness: Harness) -> None:
    schedule_commands.make_system_schedules(harness.now())
    before = schedules.get(system_schedule_id("reconcile"))
    now = harness.now()
    failed_run = LatestRun(now, now, JobState.FAILED, now)
    schedules.write(before, replace(before, latest=failed_run, version=before.version + 1))

    shown = look(harness).schedules
    harness.advance(timedelta(hours=25).total_seconds())
    later = look(harness).schedules

    assert shown is not None
    assert shown.problem_runs == (ProblemRun(before.schedule_id, before.title, now),)
    assert shown.has_all_schedules
    assert later is not None
    assert later.problem_runs == ()


def test_a_run_that_was_missed_is_shown_for_a_day_though_others_ran_since(
    harness: Harness,
) -> None:
    schedule_commands.make_system_schedules(harness.now())
    for hours in (3, *[1] * 7):
        harness.advance(timedelta(hours=hours).total_seconds())
        harness.tick()
        harness.machines.run_all()

    shown = look(harness).schedules

    assert shown is not None
    assert "Skipped" not in {run.label for run in shown.last_runs}
    reasons = {run.skip_reason for run in shown.problem_runs}
    assert reasons == {SkipReason.MISSED}


def a_daily_schedule(harness: Harness, title: str, at: str) -> Schedule:
    """A schedule with a run each day."""
    rule = recurrence_of({"kind": "daily", "at": at}, harness.now())
    spec = ScheduleSpec(title, "sweep", rule, Policy(), sweep())
    return schedule_commands.create(spec, harness.context(key=title))


def fail_run(harness: Harness, found: Schedule) -> Schedule:
    """The schedule after its latest run has failed now."""
    now = harness.now()
    run = LatestRun(now, now, JobState.FAILED, now)
    return schedules.write(found, replace(found, latest=run, version=found.version + 1))


def test_a_run_that_failed_is_shown_however_many_schedules_there_are(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_queries, "SCHEDULES_READ", 1)
    monkeypatch.setattr(overview_queries, "_NEXT_RUNS_SHOWN", 1)
    a_daily_schedule(harness, "a", "08:00")
    a_daily_schedule(harness, "b", "09:00")
    last = fail_run(harness, a_daily_schedule(harness, "c", "10:00"))

    shown = look(harness).schedules

    assert shown is not None
    assert not shown.has_all_schedules
    assert [run.title for run in shown.problem_runs] == ["c"]
    succeeded = replace(last, latest=None, version=last.version + 1)
    schedules.write(last, succeeded)
    harness.advance(60)
    assert look(harness).schedules.problem_runs == ()  # type: ignore[union-attr]


def test_of_many_schedules_with_a_problem_some_are_named_and_the_rest_counted(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_queries, "_PROBLEMS_COUNTED", 11)
    for number in range(10):
        fail_run(harness, a_daily_schedule(harness, f"n{number}", "08:00"))
        harness.advance(1)
    ten = look(harness).schedules
    for number in (10, 11):
        fail_run(harness, a_daily_schedule(harness, f"n{number}", "08:00"))
        harness.advance(60)
    twelve = look(harness).schedules

    assert ten is not None
    assert [run.title for run in ten.problem_runs] == [f"n{number}" for number in range(9, 1, -1)]
    assert (ten.more_problems, ten.is_exact) == (2, True)
    assert twelve is not None
    assert (twelve.more_problems, twelve.is_exact) == (3, False)


def test_a_deleted_schedule_is_no_problem_any_more(harness: Harness) -> None:
    failing = fail_run(harness, a_daily_schedule(harness, "gone", "08:00"))
    assert look(harness).schedules.problem_runs  # type: ignore[union-attr]
    schedule_commands.delete(failing.schedule_id, harness.context(reason="no use"))

    assert look(harness).schedules.problem_runs == ()  # type: ignore[union-attr]


def test_an_overview_says_that_it_did_not_look_at_all_schedules(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview_queries, "SCHEDULES_READ", 1)
    for number in range(2):
        a_daily_schedule(harness, f"r{number}", "09:00")

    shown = look(harness).schedules

    assert shown is not None
    assert not shown.has_all_schedules


def test_a_depositor_sees_their_own_batches_only(harness: Harness, payloads: Payloads) -> None:
    opened(harness, payloads)
    stranger = Actor(sub_of("stranger"), "stranger", frozenset({"depositor"}))

    shown = look(harness, stranger)

    assert (shown.open_batches, shown.failing, shown.oldest_waiting) == ((), (), None)
    assert (shown.schedules, shown.undelivered, shown.usage, shown.activity) == (None,) * 4
    assert shown.system is None
    nobody = Actor(sub_of("nobody"), "nobody", frozenset())
    with pytest.raises(Forbidden):
        look(harness, nobody)


def test_readers_see_the_months_cost_the_activity_and_the_lost_reports(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = opened(harness, payloads)
    send_batch_event(batch_id, "cancel", harness.context(reason="not now"))
    viewer = Actor(sub_of("vera"), "vera", frozenset({"viewer"}))

    shown = look(harness, viewer)

    assert shown.usage is not None
    assert shown.activity is not None
    assert shown.activity[0].subject.subject_id == batch_id
    assert shown.undelivered == UndeliveredReports()
    assert (shown.schedules, shown.system) == (None, None)


def test_a_report_that_was_queued_a_moment_ago_is_not_missing(harness: Harness) -> None:
    now = harness.now()
    queued = Delivery(DeliveryState.QUEUED, now)
    reports.put_new(Report("b-late", 1, ReportKind.FIRST, now, (), "s", "OK", {}, 0, {}, queued))
    new = look(harness).undelivered
    harness.advance(LATE_AFTER.total_seconds())

    late = look(harness).undelivered

    assert new == UndeliveredReports()
    lost = UndeliveredReport("b-late", "s", "queued", now)
    assert late == UndeliveredReports((lost,))


def test_undelivered_reports_are_listed_up_to_a_bound_for_those_who_may_see_them(
    harness: Harness,
) -> None:
    queued = Delivery(DeliveryState.QUEUED, harness.now())
    origins = [f"b-late-{number}" for number in range(20)]
    for origin_id in (*origins, schedule_id_of(b"late")):
        at = harness.now()
        reports.put_new(
            Report(origin_id, 1, ReportKind.FIRST, at, (), "s", "OK", {}, 0, {}, queued)
        )
    harness.advance(LATE_AFTER.total_seconds())

    as_admin, as_viewer = (look(harness, each).undelivered for each in (ADMIN, VIEWER))

    assert as_admin is not None
    assert (len(as_admin.reports), as_admin.is_exact) == (20, False)
    assert as_viewer is not None
    assert {each.kind for each in as_viewer.reports} == {"batch"}
    assert len(as_viewer.reports) == 20 - ("schedule" in {each.kind for each in as_admin.reports})


@dataclass
class Reads(Listener):
    """The calls of DynamoDB by operation, and the items that they read."""

    calls: Counter[str] = field(default_factory=Counter)
    items: int = 0

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        self.calls[call.operation] += 1
        self.items += len(parsed.get("Items", ())) + ("Item" in parsed)


@contextmanager
def reads(harness: Harness) -> Iterator[Reads]:
    """What is read in the block."""
    found = Reads()
    with harness.interceptor.listening(found):
        yield found


@dataclass
class AtBatches(Listener):
    """Does something right before the first read of batches."""

    do: Callable[[], object]
    is_done: bool = False

    def before(self, call: Call) -> Answer | None:
        is_computing = call.operation == "Query" and "batches" in call.parameters["TableName"]
        if is_computing and not self.is_done:
            self.is_done = True
            self.do()
        return None


class Died(Exception):
    """The reader's process is gone."""


def die() -> None:
    raise Died


VIEWER = Actor(sub_of("vera"), "vera", frozenset({"viewer"}))


def test_computing_it_reads_no_more_with_a_longer_history(
    harness: Harness, payloads: Payloads
) -> None:
    opened(harness, payloads)
    look(harness)
    harness.advance(3600)
    with reads(harness) as before:
        look(harness)
    for _ in range(3):
        text = single_files(payloads, {f"overview-{next(_numbers)}.txt": b"1"})
        harness.drop(text, collection="maps")
    harness.advance(3600)

    with reads(harness) as after:
        look(harness)

    assert after.calls.total() == before.calls.total() <= 33


def test_a_fresh_one_reads_one_item_and_calls_neither_cloudwatch_nor_sqs(
    harness: Harness, payloads: Payloads
) -> None:
    opened(harness, payloads)
    monitoring = Monitoring()
    first = look(harness, ADMIN, monitoring)
    assert (first.system, monitoring.calls) == (SystemHealth((), 2), 2)

    with reads(harness) as found:
        again = look(harness, ADMIN, monitoring)
        as_viewer = look(harness, VIEWER, monitoring)

    assert again == first
    assert (as_viewer.open_batches, as_viewer.system) == (first.open_batches, None)
    assert (found.items, found.calls["PutItem"]) == (2, 0)
    assert monitoring.calls == 2


def test_what_a_viewer_computed_shows_an_admin_everything_and_the_viewer_no_schedule(
    harness: Harness,
) -> None:
    schedule_commands.make_system_schedules(harness.now())
    reconcile = system_schedule_id("reconcile")
    schedule_commands.suspend(reconcile, None, harness.context(reason="a secret rest"))
    harness.advance(60)

    seen_first = look(harness, VIEWER)
    seen_by_admin = look(harness)
    harness.advance(60)
    seen_by_viewer_again = (look(harness), look(harness, VIEWER))[1]

    assert seen_by_admin.schedules
    assert seen_by_admin.schedules.next_runs
    assert seen_by_admin.activity
    assert seen_by_admin.activity[0].reason == "a secret rest"
    for seen in (seen_first, seen_by_viewer_again):
        assert (seen.schedules, seen.system) == (None, None)
        assert "a secret rest" not in repr(seen)
        assert reconcile not in repr(seen)


def test_each_role_sees_ten_acts_although_others_are_newer(harness: Harness) -> None:
    for number in range(30):
        kind = "hold" if number < 12 else "schedule"
        subject = Subject(kind, f"{kind}-{number}")
        activity.put(
            Act(harness.now(), "ann", sub_of("ann"), "x", subject, "", f"c{next(_numbers)}")
        )
        harness.advance(1)

    kinds = [
        [act.subject.kind for act in look(harness, person).activity or ()]
        for person in (ADMIN, VIEWER)
    ]

    assert kinds == [["schedule"] * 10, ["hold"] * 10]


def test_depositors_share_nothing_with_each_other(harness: Harness, payloads: Payloads) -> None:
    batch_id = harness.drop(
        single_files(payloads, {f"overview-{next(_numbers)}.txt": b"1"}), collection="maps"
    )
    stranger = Actor(sub_of("stranger"), "stranger", frozenset({"depositor"}))
    look(harness)

    with reads(harness) as found:
        look(harness, stranger)
        look(harness, stranger)

    assert found.calls["PutItem"] == 2  # a claim, and the stranger's own
    assert batch_id not in repr(look(harness, stranger))


def test_a_persons_change_is_seen_at_once(harness: Harness, payloads: Payloads) -> None:
    batch_id = opened(harness, payloads)
    harness.advance(60)
    assert look(harness).counts["cancelling"].number == 0
    send_batch_event(batch_id, "cancel", harness.context(reason="no"))

    assert look(harness).counts["cancelling"].number == 1
    assert look(harness, VIEWER).counts["cancelling"].number == 1


def test_a_change_is_seen_at_once_while_another_reader_computes(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = opened(harness, payloads)
    harness.advance(60)
    others: list[Overview] = []

    def change() -> None:
        send_batch_event(batch_id, "cancel", harness.context(reason="no"))
        others.append(look(harness))

    with harness.interceptor.listening(AtBatches(change)):
        look(harness)

    assert others[0].counts["cancelling"].number == 1
    assert look(harness).counts["cancelling"].number == 1


def test_two_who_look_at_once_compute_it_once(harness: Harness, payloads: Payloads) -> None:
    opened(harness, payloads)
    first = look(harness)
    harness.advance(30)
    others: list[Overview] = []

    with (
        reads(harness) as found,
        harness.interceptor.listening(AtBatches(lambda: others.append(look(harness)))),
    ):
        mine = look(harness)

    assert others == [first]
    assert mine.taken_at == harness.now()
    assert found.calls["Query"] <= 30


def test_a_reader_who_dies_halfway_keeps_nobody_from_the_overview(
    harness: Harness, payloads: Payloads
) -> None:
    opened(harness, payloads)
    first = look(harness)
    harness.advance(30)
    with harness.interceptor.listening(AtBatches(die)), suppress(Died):
        look(harness)
    opened(harness, payloads)

    assert look(harness) == first  # it may still be shown
    harness.advance(CLAIM_TIME.total_seconds())
    assert len(look(harness).open_batches) == 2
    with reads(harness) as found:
        look(harness, VIEWER)
    assert found.items == 1


def test_it_says_which_service_does_not_answer(harness: Harness) -> None:
    class Silent(Monitoring):
        def describe_alarms(self, **_: Any) -> dict[str, Any]:
            raise EndpointConnectionError(endpoint_url="https://monitoring.example.org")

    errors: list[Exception] = []
    clients = SystemClients(Silent(), Monitoring(), errors.append)

    found = overview_queries.overview(harness.query_context(), clients)

    assert found.system == SystemHealth(None, 2)
    assert len(errors) == 1


def test_of_many_active_alarms_some_are_described_and_the_rest_counted(harness: Harness) -> None:
    class Alarming(Monitoring):
        def describe_alarms(self, **_: Any) -> dict[str, Any]:
            alarm = {
                "AlarmDescription": "something is wrong",
                "StateValue": "ALARM",
                "StateUpdatedTimestamp": harness.now(),
            }
            return {"MetricAlarms": [{**alarm, "AlarmName": f"a{number}"} for number in range(20)]}

    found = look(harness, monitoring=Alarming())

    assert found.system == SystemHealth(("something is wrong",) * 16, 2, more_alarms=4)
