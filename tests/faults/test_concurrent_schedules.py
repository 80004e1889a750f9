"""Two ticks, a person and a worker at one schedule at once: nothing is lost, nothing done twice.

One stops right before each of its calls in turn, while the other finishes.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile
from typing import Any

import pytest

from cli.local import clients
from jobyard.domain.errors import Gone, InvalidTransition, NotFound, StaleState
from jobyard.domain.jobs.job import OPEN_JOB_STATES, JobState
from jobyard.domain.schedules.occurrence import Occurrence, SkipReason, Trigger, Verdict
from jobyard.domain.schedules.planning import rule_times_from
from jobyard.domain.schedules.recurrence import Recurrence
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import CatchUp, MissedPolicy, OverlapPolicy, Policy, Schedule
from jobyard.services import holds as hold_commands
from jobyard.services.context import CommandContext
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.schedules import commands as schedule_commands
from jobyard.services.schedules.clock import ClockResult, start_due_schedules
from jobyard.services.schedules.commands import ScheduleEdit, ScheduleSpec
from jobyard.store import holds, jobs, occurrences, schedules
from tests.call_interceptor import Call, Listener
from tests.faults.fault_profiles import FAULT_PROFILES
from tests.faults.test_concurrent_people import Meanwhile
from tests.harness import Harness
from tests.killed_executions import Death, Killed
from tests.scripted_job_type import NAME, Script, scripted

HOURLY = {"kind": "hourly", "at": "00:00", "zone": "UTC", "anchor": "2026-11-25"}
HALF_PAST = HOURLY | {"at": "00:30"}
MADE = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
DUE = datetime(2026, 11, 25, 13, 0, 1, tzinfo=UTC)
REFUSED = (StaleState, InvalidTransition, Gone, NotFound)
ENDED = set(JobState) - OPEN_JOB_STATES
_numbers = count()


@pytest.fixture(autouse=True)
def script() -> Iterator[Script]:
    """What the jobs do."""
    with scripted(retries=3) as script:
        yield script


@dataclass
class Watched:
    """A schedule, the rules it has had with the moments from which each counted, and the requests
    about it: done or refused, by the cause in the history."""

    harness: Harness
    id: str
    rules: list[tuple[Recurrence, datetime]]
    until: datetime | None = None  # its deletion
    done: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def stored(self) -> Schedule:
        """The schedule as it is."""
        return schedules.get(self.id)

    @property
    def history(self) -> list[Occurrence]:
        """Its occurrences, oldest first."""
        return [*reversed(occurrences.newest(self.id, limit=900))]

    def send(self, command: Callable[[CommandContext], Any]) -> datetime | None:
        """Send a request. Returns when it was done by the schedule\'s history; None if refused."""
        request = self.harness.context(key=f"at once {next(_numbers)}")
        try:
            command(request)
        except REFUSED:
            self.refused.append(request.run)
            return None
        self.done.append(request.run)
        moments = [entry.at for entry in self.stored.history if entry.cause == request.run]
        return moments[0] if moments else self.harness.at


def watched(
    harness: Harness, policy: Policy | None = None, rule: dict[str, Any] | None = None
) -> Watched:
    """A schedule created half an hour before its next time."""
    harness.at = MADE
    made = recurrence_of(rule or HOURLY)
    wanted = ScheduleSpec("watched", NAME, made, policy or Policy(), {})
    schedule = schedule_commands.create(wanted, harness.context(key=f"watched {next(_numbers)}"))
    return Watched(harness, schedule.schedule_id, [(made, harness.at)])


def tick(harness: Harness) -> ClockResult:
    """The scheduler tick."""
    return start_due_schedules(harness.executions, harness.now, lambda: 30.0)


def run_to_the_end(watched: Watched) -> None:
    """Minutes without faults, until nothing is left to do."""
    for _ in range(90):
        tick(watched.harness)
        watched.harness.machines.run_all()
        schedule = watched.stored
        is_due = schedule.next_at and schedule.next_at <= watched.harness.at
        if not (is_due or schedule.active or schedule.queued_for):
            return
        watched.harness.advance(61)
    raise AssertionError(f"it never comes to rest: {watched.stored}")


def pass_quiet_minutes(harness: Harness, minutes: int = 4) -> None:
    """Some minutes without faults, in which all is done."""
    for _ in range(minutes):
        harness.machines.run_all()
        harness.advance(61)
        tick(harness)
    harness.machines.run_all()


def expected_times(watched: Watched) -> list[datetime]:
    """Every time of its rules from its creation until now, or until its deletion."""
    now = watched.until or watched.harness.at
    ends = [since for _, since in watched.rules[1:]] + [now]
    return [
        at
        for (rule, since), end in zip(watched.rules, ends, strict=True)
        for at in takewhile(lambda at, end=end: at <= end, rule_times_from(rule, since))  # type: ignore[misc]
        if at >= since
    ]


def audit(watched: Watched, script: Script, *, once: bool = True) -> None:
    """Each time has one record; what was to run ran, only `once` unless a function died.
    Nothing is active. A request that succeeded is in the history once, a refused one is not.
    """
    schedule, found = watched.stored, watched.history
    own = [each.scheduled_for for each in found if each.trigger is not Trigger.MANUAL]
    assert own == expected_times(watched)
    assert (schedule.active, schedule.queued_for, schedule.next_check_at) == ((), None, None)
    assert {each.verdict for each in found} <= {Verdict.RUN, Verdict.SKIP}
    assert all((each.skip_reason is None) == (each.verdict is Verdict.RUN) for each in found)
    worked = Counter(each.job_id for each in script.inputs if each.job_id.startswith(watched.id))
    ran = [each for each in found if each.verdict is Verdict.RUN]
    causes = Counter(entry.cause for entry in schedule.history)
    for each in ran:
        job = jobs.find(each.address)
        assert job is not None
        assert job.state in ENDED
        assert each.outcome is not None
        assert each.outcome.state is job.state
        assert sum(entry.event == "succeed" for entry in job.history) <= 1
        assert worked[job.address.job_id] >= (job.state is JobState.SUCCEEDED)
        assert worked[job.address.job_id] <= 1 or not once
        causes.update(entry.cause for entry in job.history)
    assert worked.keys() <= {each.address.job_id for each in ran}
    assert {cause: causes[cause] for cause in watched.done} == dict.fromkeys(watched.done, 1)
    assert [cause for cause in watched.refused if causes[cause]] == []


# Ticks at once

SCHEDULES = 6


def tick_at_once(harness: Harness, clocks: int, *listeners: Listener) -> list[ClockResult]:
    """Run so many ticks at the same moment."""
    together = threading.Barrier(clocks)

    def come(_: int) -> ClockResult:
        together.wait()
        return tick(harness)

    with harness.interceptor.listening(*listeners), ThreadPoolExecutor(clocks) as pool:
        return [*pool.map(come, range(clocks))]


class Unreachable(Listener):
    """No execution can be started: a function that tries dies after its writes."""

    def __init__(self) -> None:
        self.hits = 0

    def prepare(self, call: Call) -> None:
        if call.operation == "StartExecution":
            self.hits += 1
            raise Killed


class LostAnswer(Listener):
    """The answer to each second transaction is lost, and the client sends it again."""

    def __init__(self, send: Callable[[Call], None]) -> None:
        self._send, self._lock = send, threading.Lock()
        self.hits = self._number = 0

    def prepare(self, call: Call) -> None:
        if call.operation == "TransactWriteItems":
            with self._lock:
                self._number += 1
                again = self._number % 2
                self.hits += again
            if again:
                call.parameters.setdefault("ClientRequestToken", f"token-{self._number}")
                self._send(call)


@contextmanager
def unreachable(harness: Harness, _raw: Any) -> Iterator[Unreachable]:
    """No execution can be started."""
    found = Unreachable()
    with harness.interceptor.listening(found):
        yield found


@contextmanager
def lost_answer(harness: Harness, raw: Any) -> Iterator[LostAnswer]:
    """Each second transaction is sent twice."""
    found = LostAnswer(lambda call: raw.transact_write_items(**call.parameters))
    with harness.interceptor.listening(found):
        yield found


PROFILES = {
    "calm": lambda _harness, _raw: nullcontext(),
    "unreachable": unreachable,
    "lost_answer": lost_answer,
    **{name: FAULT_PROFILES[name] for name in ("stale", "conflicting", "single")},
}


@pytest.mark.turns(4)
@pytest.mark.parametrize("profile_name", PROFILES)
@pytest.mark.parametrize("clocks", [2, 8])
def test_each_time_has_one_job_whatever_number_of_ticks_run_at_once(
    clocks: int, profile_name: str, harness: Harness, script: Script, store_endpoint: str
) -> None:
    """For an hour with faults, then some minutes without."""
    all_of_them = [watched(harness) for _ in range(SCHEDULES)]
    with PROFILES[profile_name](harness, clients.client("dynamodb", store_endpoint)) as profile:
        harness.at = DUE
        tick_at_once(harness, clocks)
        tick_at_once(harness, clocks)
        if profile_name != "unreachable":
            harness.machines.run_all()
    pass_quiet_minutes(harness)

    for subject in all_of_them:
        audit(subject, script)
        assert [each.verdict for each in subject.history] == [Verdict.RUN]
    assert len(script.inputs) == SCHEDULES
    assert profile is None or profile.hits > 0


def test_a_run_that_ends_in_the_moment_the_next_is_due_leaves_no_time_out(
    harness: Harness, script: Script
) -> None:
    """Eight schedules whose job ends in the moment their next time comes."""
    all_of_them = [watched(harness, Policy(overlap=OverlapPolicy.QUEUE_ONE)) for _ in range(8)]
    harness.at = DUE
    tick(harness)
    harness.at = DUE + timedelta(hours=1)
    together = threading.Barrier(2)

    def end() -> None:
        together.wait()
        harness.machines.run_all()

    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(end)
        together.wait()
        for _ in range(4):
            tick(harness)
        ending.result()
    pass_quiet_minutes(harness)

    for subject in all_of_them:
        audit(subject, script)
        assert {each.skip_reason for each in subject.history} <= {None, SkipReason.ONE_WAITS}


# Two at once, call by call


def clock(watched: Watched) -> None:
    """A minute passes, with a tick."""
    tick(watched.harness)


def work(watched: Watched) -> None:
    """Run the started executions."""
    watched.harness.machines.run_all()


def suspend(watched: Watched) -> None:
    """A person suspends it."""
    watched.send(lambda request: schedule_commands.suspend(watched.id, None, request))


def resume(watched: Watched) -> None:
    """A person resumes it."""
    watched.send(lambda request: schedule_commands.resume(watched.id, request))


def edit(watched: Watched) -> None:
    """A person gives it other times."""
    new = HOURLY if watched.rules[-1][0] == recurrence_of(HALF_PAST) else HALF_PAST
    rule = recurrence_of(new)
    at = watched.send(
        lambda request: schedule_commands.edit(watched.id, ScheduleEdit(rule=rule), request)
    )
    if at:
        watched.rules.append((rule, at))


def run_now(watched: Watched) -> None:
    """A person starts a job now."""
    watched.send(lambda request: schedule_commands.run_now(watched.id, request))


def delete(watched: Watched) -> None:
    """A person deletes it."""
    watched.until = (
        watched.send(lambda request: schedule_commands.delete(watched.id, request)) or watched.until
    )


def cancel(watched: Watched) -> None:
    """A person cancels the newest job, if there is one."""
    newest = [each.address for each in watched.history[-1:]]
    if newest:
        watched.send(lambda request: send_job_event(newest[0].job_id, "cancel", request))


Doing = Callable[[Watched], None]
MEETINGS: list[tuple[Doing, Doing]] = [
    (clock, clock),
    (clock, work),
    (work, clock),
    *((clock, each) for each in (suspend, edit, run_now, delete)),
    *((each, clock) for each in (suspend, edit, run_now, delete, cancel)),
    *((work, each) for each in (suspend, edit, run_now, delete, cancel)),
    *((each, work) for each in (run_now, delete, cancel)),
    *((run_now, each) for each in (delete, suspend, run_now)),
]
OVERLAPS = [OverlapPolicy.FORBID, OverlapPolicy.QUEUE_ONE, OverlapPolicy.REPLACE]


@pytest.mark.turns(4)  # each time with one of three policies
@pytest.mark.parametrize(
    ("one", "other"), MEETINGS, ids=lambda each: getattr(each, "__name__", str(each))
)
def test_of_two_requests_to_one_schedule_none_is_lost_or_done_twice(
    one: Doing, other: Doing, harness: Harness, script: Script, everything: bool, turn: int
) -> None:
    for overlap in OVERLAPS if everything else [OVERLAPS[turn % len(OVERLAPS)]]:
        reached = [*meetings(one, other, overlap, harness, script)]
        assert reached[0]


def meetings(
    one: Doing, other: Doing, overlap: OverlapPolicy, harness: Harness, script: Script
) -> Iterator[bool]:
    """Whether the first had a call for the second to come before: the first, the second, and so on.

    It is one o'clock, a time of the schedule; an execution that is to work was started before.
    """
    for at in count(1):
        subject = watched(harness, Policy(overlap=overlap))
        harness.at = DUE
        if work in (one, other) or cancel in (one, other):
            tick(harness)
            harness.advance(5)

        def come(subject: Watched = subject) -> None:
            harness.advance(0.01)
            other(subject)
            harness.advance(0.01)

        meanwhile = Meanwhile(at, come)
        with harness.interceptor.listening(meanwhile):
            one(subject)
        pass_quiet_minutes(harness)
        audit(subject, script)
        yield meanwhile.calls >= at
        if meanwhile.calls < at:
            return


REQUESTS: dict[str, Callable[[str, CommandContext], Any]] = {
    "suspend": lambda of, request: schedule_commands.suspend(of, None, request),
    "resume": lambda of, request: schedule_commands.resume(of, request),
    "edit": lambda of, request: schedule_commands.edit(of, ScheduleEdit(title="another"), request),
    "run_now": lambda of, request: schedule_commands.run_now(of, request),
    "delete": lambda of, request: schedule_commands.delete(of, request),
}


@pytest.mark.parametrize("event", REQUESTS)
def test_a_request_and_its_simultaneous_repeat_are_done_once_and_both_succeed(
    event: str, harness: Harness, script: Script
) -> None:
    at, was_reached = 0, True
    while was_reached:
        at += 1
        subject = watched(harness, Policy(overlap=OverlapPolicy.QUEUE_ONE))
        if event == "resume":
            suspend(subject)
        request = harness.context(key=f"twice {next(_numbers)}")
        answers = []

        def send(
            of: str = subject.id, request: CommandContext = request, answers: list[Any] = answers
        ) -> None:
            harness.advance(0.01)
            answers.append(REQUESTS[event](of, request))

        meanwhile = Meanwhile(at, send)
        with harness.interceptor.listening(meanwhile):
            send()
        was_reached = meanwhile.calls >= at
        pass_quiet_minutes(harness, minutes=1)

        events = [entry.event for entry in subject.stored.history if entry.cause == request.run]
        assert events == [event], at
        assert len(answers) == 1 + was_reached
        assert len(subject.history) == (event == "run_now"), at

    assert at > 2


# Any order of events

PAUSES_S = (0.003, 5.003, 61.003, 1000.003, 3600.003, 9000.003)


def suspend_for_a_while(watched: Watched) -> None:
    """A person suspends it for an hour and a half."""
    until = watched.harness.at + timedelta(hours=1.5)
    watched.send(lambda request: schedule_commands.suspend(watched.id, until, request))


def change_overlap(watched: Watched) -> None:
    """A person changes the policy for overlapping runs."""
    known = [*OverlapPolicy]
    other = known[(known.index(watched.stored.policy.overlap) + 1) % len(known)]
    watched.send(
        lambda request: schedule_commands.edit(watched.id, ScheduleEdit(overlap=other), request)
    )


def hold(watched: Watched) -> None:
    """A person holds its job type, or lifts the hold."""
    request = watched.harness.context(key=f"hold {next(_numbers)}")
    if holds.find(f"type:{NAME}"):
        hold_commands.lift_hold(f"type:{NAME}", request)
    else:
        hold_commands.place_hold(f"type:{NAME}", None, request)


PEOPLE = [suspend, suspend_for_a_while, resume, edit, change_overlap, run_now, cancel, hold]
ACTORS = [clock, clock, clock, work, work, work, *PEOPLE]


def live(watched: Watched, script: Script, dice: random.Random) -> list[str]:
    """Some days of a schedule, with events in any order at any time; any function may die."""
    log: list[str] = []

    def come(doing: Doing) -> None:
        log.append(doing.__name__)
        watched.harness.advance(0.01)
        doing(watched)
        watched.harness.advance(0.01)

    def during() -> None:
        if dice.random() < 0.2 and not isinstance(listeners[0], Death):  # nobody knows what died
            come(dice.choice([clock, *PEOPLE]))

    script.during = during
    listeners: list[Listener] = [Listener()]
    for _ in range(30):
        watched.harness.advance(dice.choice(PAUSES_S))
        one, other, at = dice.choice(ACTORS), dice.choice(ACTORS), dice.randint(1, 12)
        what = dice.random()
        listeners = [Listener()]
        if what < 0.4:
            listeners = [Meanwhile(at, lambda other=other: come(other))]  # type: ignore[misc]
        elif what < 0.6 and one not in PEOPLE:
            listeners = [Death(at, applied=dice.random() < 0.5)]
            log.append(f"death {at}")
        with suppress(Killed), watched.harness.interceptor.listening(*listeners):
            come(one)
    script.during = lambda: None
    if dice.random() < 0.3:
        come(delete)
    return log


@pytest.mark.turns(3)
@pytest.mark.parametrize("number", range(6))
def test_with_any_order_of_events_each_time_has_one_record_and_each_job_one_end(
    number: int, harness: Harness, script: Script, everything: bool, turn: int
) -> None:
    for again in range(20 if everything else 1):
        seed = (turn * 100 + again) * 10 + number
        dice = random.Random(seed)
        missed = CatchUp(dice.choice([*MissedPolicy]), dice.randint(1, 4), dice.choice([1, 24]))
        subject = watched(harness, Policy(missed, dice.choice([*OverlapPolicy])))
        log = live(subject, script, dice)
        for kept in list(holds.list_all()):
            hold_commands.lift_hold(kept.scope, harness.context(key=f"lift {next(_numbers)}"))
        run_to_the_end(subject)

        try:
            audit(subject, script, once=False)
        except AssertionError as error:
            error.add_note(f"seed {seed}: {', '.join(log)}")
            raise
