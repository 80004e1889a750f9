"""Two clocks, a person and a worker at one schedule at once: nothing is lost, nothing done twice.

One stops right before each of its calls in turn, while the other does the whole of its own.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

import pytest

from jobyard.domain.errors import Gone, IllegalMove, StaleState, Unknown
from jobyard.domain.job import OPEN_STATES, JobState
from jobyard.domain.occurrence import Occurrence, Trigger, Verdict, times
from jobyard.domain.recurrence import Recurrence, recurrence_of
from jobyard.domain.schedule import Overlap, Policy, Schedule
from jobyard.services import occurring, scheduling
from jobyard.services.asking import Asking
from jobyard.services.firing import Fired, fire_due
from jobyard.services.scheduling import Changes, Wanted
from jobyard.store import jobs, occurrences, schedules
from tests.faults.test_at_once import Meanwhile
from tests.walk.scripted import NAME, Script, scripted
from tests.walk.yard import Yard

HOURLY = {"kind": "hourly", "at": "00:00", "zone": "UTC", "anchor": "2026-11-25"}
HALF_PAST = HOURLY | {"at": "00:30"}
MADE = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
DUE = datetime(2026, 11, 25, 13, 0, 1, tzinfo=UTC)
REFUSED = (StaleState, IllegalMove, Gone, Unknown)
ENDED = set(JobState) - OPEN_STATES
_numbers = iter(range(10**6))


@pytest.fixture(autouse=True)
def script() -> Iterator[Script]:
    """What the jobs do."""
    with scripted(retries=3) as script:
        yield script


@dataclass
class Watched:
    """A schedule, the rules it has had with the moments from which each counted, and what was asked
    of it: how it was answered, by the cause it left in the history."""

    yard: Yard
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

    def ask(self, ask: Callable[[Asking], Any]) -> bool:
        """Someone asks; whether it was done."""
        asked = self.yard.asking(key=f"at once {next(_numbers)}")
        try:
            ask(asked)
        except REFUSED:
            self.refused.append(asked.run)
            return False
        self.done.append(asked.run)
        return True


def watched(
    yard: Yard, policy: Policy | None = None, rule: dict[str, Any] | None = None
) -> Watched:
    """A schedule made half an hour before its next time."""
    yard.at = MADE
    made = recurrence_of(rule or HOURLY)
    wanted = Wanted("watched", NAME, made, policy or Policy(), {})
    schedule = scheduling.create(wanted, yard.asking(key=f"watched {next(_numbers)}"))
    return Watched(yard, schedule.schedule_id, [(made, yard.at)])


def tick(yard: Yard) -> Fired:
    """The clock comes."""
    return fire_due(yard.starting, yard.now, lambda: 30.0)


def settle_down(yard: Yard, minutes: int = 4) -> None:
    """Some minutes pass in which nothing goes wrong: all that is to be done is done."""
    for _ in range(minutes):
        yard.machines.run_all()
        yard.later(61)
        tick(yard)
    yard.machines.run_all()


def expected_times(watched: Watched) -> list[datetime]:
    """Every time of its rules from when it was made until now, or until it was deleted."""
    now = watched.until or watched.yard.at
    ends = [since for _, since in watched.rules[1:]] + [now]
    return [
        at
        for (rule, since), end in zip(watched.rules, ends, strict=True)
        for at in takewhile(lambda at, end=end: at <= end, times(rule, since))  # type: ignore[misc]
        if at >= since
    ]


def audit(watched: Watched, script: Script, *, once: bool = True) -> None:
    """Every time has one record; what was to run ran, and only `once` if nobody died of it; nothing
    goes on; who was told that it is done finds it in a history, once, and who was refused does not.
    """
    schedule, found = watched.stored, watched.history
    own = [each.at for each in found if each.trigger is not Trigger.MANUAL]
    assert own == expected_times(watched)
    assert (schedule.active, schedule.queued, schedule.look_at) == ((), None, None)
    assert {each.verdict for each in found} <= {Verdict.RUN, Verdict.SKIP}
    assert all((each.reason is None) == (each.verdict is Verdict.RUN) for each in found)
    told = Counter(work.job_id for work in script.told if work.job_id.startswith(watched.id))
    ran = [each for each in found if each.verdict is Verdict.RUN]
    causes = Counter(entry.cause for entry in schedule.history)
    for each in ran:
        job = jobs.get(each.place)
        assert job is not None
        assert job.state in ENDED
        assert each.outcome is not None
        assert each.outcome.state is job.state
        assert sum(entry.event == "succeed" for entry in job.history) <= 1
        assert told[job.place.job_id] >= (job.state is JobState.SUCCEEDED)
        assert told[job.place.job_id] <= 1 or not once
        causes.update(entry.cause for entry in job.history)
    assert told.keys() <= {each.place.job_id for each in ran}
    assert {cause: causes[cause] for cause in watched.done} == dict.fromkeys(watched.done, 1)
    assert [cause for cause in watched.refused if causes[cause]] == []


# Two at once, call by call


def clock(watched: Watched) -> None:
    """The minute comes."""
    tick(watched.yard)


def work(watched: Watched) -> None:
    """The executions that were started run."""
    watched.yard.machines.run_all()


def suspend(watched: Watched) -> None:
    """A person suspends it."""
    watched.ask(lambda asked: scheduling.suspend(watched.id, None, asked))


def resume(watched: Watched) -> None:
    """A person resumes it."""
    watched.ask(lambda asked: scheduling.resume(watched.id, asked))


def edit(watched: Watched) -> None:
    """A person gives it other times."""
    rule, now = recurrence_of(HALF_PAST), watched.yard.at
    if watched.ask(lambda asked: scheduling.edit(watched.id, Changes(rule=rule), asked)):
        watched.rules.append((rule, now))


def run_now(watched: Watched) -> None:
    """A person wants a job now."""
    watched.ask(lambda asked: scheduling.run_now(watched.id, asked))


def delete(watched: Watched) -> None:
    """A person gives it up."""
    now = watched.yard.at
    if watched.ask(lambda asked: scheduling.delete(watched.id, asked)):
        watched.until = now


def cancel(watched: Watched) -> None:
    """A person cancels the job of its time that came."""
    place = watched.stored.place(DUE.replace(second=0))
    watched.ask(lambda asked: occurring.ask_occurrence(place, "cancel", asked))


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
OVERLAPS = [Overlap.FORBID, Overlap.QUEUE_ONE, Overlap.REPLACE]


@pytest.mark.parametrize(
    ("one", "other"), MEETINGS, ids=lambda each: getattr(each, "__name__", str(each))
)
@pytest.mark.parametrize("overlap", OVERLAPS)
def test_of_two_at_one_schedule_neither_is_lost_and_nothing_is_done_twice(
    one: Doing,
    other: Doing,
    overlap: Overlap,
    yard: Yard,
    script: Script,
    everything: bool,
    turn: int,
) -> None:
    """The time at one o'clock has come; where an execution is to work, it was started already."""
    if not everything and OVERLAPS.index(overlap) != turn % len(OVERLAPS):
        pytest.skip("another day's turn")
    at, met = 0, True
    while met:
        at += 1
        those = watched(yard, Policy(overlap=overlap))
        yard.at = DUE
        if work in (one, other) or cancel in (one, other):
            tick(yard)
            yard.later(5)

        def come(those: Watched = those) -> None:
            yard.later(0.01)
            other(those)
            yard.later(0.01)

        meanwhile = Meanwhile(at, come)
        with yard.wire.heard_by(meanwhile):
            one(those)
        met = meanwhile.calls >= at
        settle_down(yard)

        audit(those, script)

    assert at > 1


ASKED: dict[str, Callable[[str, Asking], Any]] = {
    "suspend": lambda of, asked: scheduling.suspend(of, None, asked),
    "resume": lambda of, asked: scheduling.resume(of, asked),
    "edit": lambda of, asked: scheduling.edit(of, Changes(title="another"), asked),
    "run_now": lambda of, asked: scheduling.run_now(of, asked),
    "delete": lambda of, asked: scheduling.delete(of, asked),
}


@pytest.mark.parametrize("event", ASKED)
def test_a_request_that_meets_its_own_repeat_is_done_once_and_both_are_told_so(
    event: str, yard: Yard, script: Script
) -> None:
    at, met = 0, True
    while met:
        at += 1
        those = watched(yard, Policy(overlap=Overlap.QUEUE_ONE))
        if event == "resume":
            suspend(those)
        asked = yard.asking(key=f"twice {next(_numbers)}")
        answers = []

        def ask(of: str = those.id, asked: Asking = asked, answers: list[Any] = answers) -> None:
            yard.later(0.01)
            answers.append(ASKED[event](of, asked))

        meanwhile = Meanwhile(at, ask)
        with yard.wire.heard_by(meanwhile):
            ask()
        met = meanwhile.calls >= at
        settle_down(yard, minutes=1)

        events = [entry.event for entry in those.stored.history if entry.cause == asked.run]
        assert events == [event], at
        assert len(answers) == 1 + met
        assert len(those.history) == (event == "run_now"), at

    assert at > 2
