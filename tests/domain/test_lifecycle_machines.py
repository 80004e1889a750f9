"""Any event, by any sender, in any state: compared with a model written by hand that never reads
the lifecycles' own tables."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobyard.domain.access import ROLES
from jobyard.domain.errors import Forbidden, InvalidTransition
from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState, apply_event
from jobyard.domain.lifecycle import MACHINE, Cause, Lifecycle, Move
from jobyard.domain.lifecycles import LIFECYCLES

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

# What each state lets happen: "event > state by senders", m for the machine, o for operators, a for
# administrators. The same as in docs/job-lifecycles.md.
BATCH = {
    "pending": "start > processing by m, hold > held by m, cancel > cancelling by oa",
    "held": "release > pending by oa, delete > deleted by a",
    "processing": "cancel > cancelling by moa, report > reporting by m",
    "cancelling": "report > reporting by m",
    "reporting": "complete > completed by m, fail > failed by m, stop > cancelled by m, "
    "clear > deleted by m",
    "failed": "update_reporting > update_reporting by a, delete > deleted by a",
    "update_reporting": "complete > completed by m, fail > failed by m, clear > deleted by m",
    "completed": "",
    "cancelled": "",
    "deleted": "",
}
JOB = {
    "scheduled": "start > running by m, hold > held by moa, force_fail > failed by oa, "
    "give_up > failed by m, cancel > cancelled by moa, replace > replaced by m, "
    "stop > stopping by m",
    "held": "release > scheduled by moa, cancel > cancelled by moa, delete > deleted by oa, "
    "give_up > failed by m, replace > replaced by m, stop > stopping by m",
    "running": "succeed > succeeded by m, succeed_partially > partially_succeeded by m, "
    "fail > failed by m, reschedule > scheduled by m, restart > running by m, pause > paused by m, "
    "force_fail > failed by oa, cancel > cancelled by moa, replace > replaced by m, "
    "stop > stopping by m",
    "paused": "resume > running by m, succeed > succeeded by m, "
    "succeed_partially > partially_succeeded by m, fail > failed by m, "
    "cancel > cancelled by moa, replace > replaced by m, stop > stopping by m",
    "stopping": "succeed > succeeded by m, succeed_partially > partially_succeeded by m, "
    "fail > failed by m, cancel > cancelled by m, replace > replaced by m",
    "failed": "requeue > scheduled by oa, delete > deleted by oa",
    "succeeded": "",
    "partially_succeeded": "",
    "cancelled": "",
    "replaced": "",
    "deleted": "",
}
TASK = {
    "scheduled": "start > running by m, cancel > cancelled by m, fail > failed by m, "
    "give_up > failed by m",
    "running": "succeed > succeeded by m, fail > failed by m, reschedule > rescheduled by m, "
    "restart > running by m, cancel > cancelled by m",
    "rescheduled": "start > running by m, fail > failed by m, cancel > cancelled by m, "
    "give_up > failed by m",
    "failed": "requeue > rescheduled by m, cancel > cancelled by m",
    "succeeded": "",
    "cancelled": "",
}
SCHEDULE = {
    "active": "fire > active by m, track > active by m, end > ended by m, "
    "suspend > suspended by a, edit > active by a, run_now > active by a, delete > deleted by a",
    "suspended": "fire > suspended by m, track > suspended by m, end > ended by m, "
    "resume > active by ma, edit > suspended by a, run_now > suspended by a, delete > deleted by a",
    "ended": "track > ended by m, edit > active by a, run_now > ended by a, delete > deleted by a",
    "deleted": "",
}
EDIT = {
    "proposed": "edit > proposed by pa, delete > deleted by pa, allocate > allocated by pa, "
    "block > blocked by m",
    "blocked": "edit > blocked by pa, answer > blocked by m, unblock > allocated by m, "
    "abandon > abandoned by pa",
    "allocated": "edit > allocated by pa, activate > activated by mw, revoke > proposed by pa, "
    "abandon > abandoned by pa",
    "activated": "prepare > prepared by m, embargo > embargoed by m, revert > allocated by m, "
    "fail > failed by m",
    "embargoed": "edit > embargoed by pa, approve > prepared by m, discard > abandoned by m, "
    "abandon > abandoned by pa",
    "prepared": "edit > prepared by pa, download > downloaded by w, relinquish > allocated by w, "
    "release > allocated by pa, revoke > proposed by pa, abandon > abandoned by pa, "
    "accept > uploaded by m, fail > failed by m",
    "downloaded": "edit > downloaded by pa, download > downloaded by w, upload > downloaded by w, "
    "accept > uploaded by m, refuse > downloaded by m, "
    "finish > completed by w, relinquish > allocated by w, release > allocated by pa, "
    "revoke > proposed by pa, abandon > abandoned by pa",
    "uploaded": "invalidate > invalid by m, quarantine > quarantined by m, "
    "conflict > conflicted by m, commit > committed by m, revert > downloaded by m, "
    "fail > failed by m",
    "invalid": "edit > invalid by pa, merge > uploaded by m, abandon > abandoned by pa",
    "quarantined": "edit > quarantined by pa, approve > uploaded by m, "
    "require_corrections > quarantined by m, merge > uploaded by m, discard > quarantined by m, "
    "prepare > prepared by m, fail > failed by m, abandon > abandoned by pa",
    "conflicted": "edit > conflicted by pa, merge > uploaded by m, abandon > abandoned by pa",
    "committed": "postpone > committed by m, publish_again > committed by a, "
    "publish > published by m",
    "published": "complete > completed by m",
    "completed": "archive > archived by pa",
    "abandoned": "retry > allocated by pa, archive > archived by pa",
    "failed": "retry > allocated by pa, archive > archived by pa",
    "archived": "",
    "deleted": "",
}
FIXUP = {
    "allocated": "allocate > allocated by pa, activate > activated by w, abandon > abandoned by m",
    "activated": "prepare > prepared by m, revert > allocated by m, abandon > abandoned by m",
    "prepared": "download > downloaded by w, relinquish > allocated by w, "
    "allocate > allocated by pa, abandon > abandoned by m",
    "downloaded": "download > downloaded by w, upload > downloaded by w, "
    "accept > uploaded by m, refuse > downloaded by m, "
    "relinquish > allocated by w, allocate > allocated by pa, abandon > abandoned by m",
    "uploaded": "revert > downloaded by m, complete > completed by m, abandon > abandoned by m",
    "completed": "",
    "abandoned": "",
}
REVIEW = {
    "allocated": "allocate > allocated by pa, activate > activated by r, abandon > abandoned by m",
    "activated": "prepare > prepared by m, revert > allocated by m, abandon > abandoned by m",
    "prepared": "download > downloaded by r, relinquish > allocated by r, "
    "allocate > allocated by pa, abandon > abandoned by m",
    "downloaded": "download > downloaded by r, upload > downloaded by r, approve > approved by r, "
    "accept > downloaded by m, refuse > downloaded by m, "
    "require_corrections > corrections_required by r, discard > discarded by r, "
    "relinquish > allocated by r, allocate > allocated by pa, abandon > abandoned by m",
    "approved": "",
    "corrections_required": "",
    "discarded": "",
    "abandoned": "",
}
ENDS_OF_EDITS = {"completed", "abandoned", "failed"}  # which a person may leave after the end
_WHO = {
    "m": MACHINE,
    "o": "operator",
    "a": "admin",
    "p": "planner",
    "w": "worker",
    "r": "reviewer",
}
MODELS = {
    "batch": BATCH,
    "job": JOB,
    "task": TASK,
    "schedule": SCHEDULE,
    "edit": EDIT,
    "fixup": FIXUP,
    "review": REVIEW,
}


def read(model: dict[str, str]) -> dict[str, dict[str, tuple[str, frozenset[str]]]]:
    """By state and event: the next state, and who may send it."""
    known: dict[str, dict[str, tuple[str, frozenset[str]]]] = {}
    for state, lines in model.items():
        known[state] = {}
        for line in filter(None, lines.split(", ")):
            event, _, rest = line.partition(" > ")
            after, _, senders = rest.partition(" by ")
            known[state][event] = after, frozenset(_WHO[letter] for letter in senders)
    return known


EVENTS = sorted(
    {event for model in MODELS.values() for row in read(model).values() for event in row}
)
SENDERS = st.frozensets(st.sampled_from([MACHINE, *sorted(ROLES)]), max_size=3)


# How refusals name events whose own names do not read well.
VERBS = {
    "force_fail": "force-fail a job",
    "publish_again": "publish again an edit",
    "require_corrections": "require corrections in a",
    "run_now": "start a run of a schedule",
    "update_reporting": "update the reporting of a batch",
}


class Walk(RuleBasedStateMachine):
    """One record on its way through a lifecycle, and the model's expectation."""

    lifecycle: ClassVar[Lifecycle]

    def __init__(self, first: str, event: str) -> None:
        super().__init__()
        self.known = read(MODELS[self.lifecycle.name])
        self.now = NOON
        self.state = self.first = first
        self.history: tuple[HistoryEntry, ...] = ()
        self.moves = 0
        self.last: tuple[Any, Move] | None = None
        self.send(event, self.known[first][event][1], 0)

    @rule(event=st.sampled_from([*EVENTS, "explode", ""]), senders=SENDERS, s=st.integers(0, 9**6))
    def send(self, event: str, senders: frozenset[str], s: int) -> None:
        """The event is accepted, refused as impossible, or refused as forbidden."""
        self.now += timedelta(seconds=s)
        request = self.state, event, self.now, Cause(f"request-{self.moves}", "somebody", "because")
        here = self.known[self.state]
        if event not in here:
            with pytest.raises(InvalidTransition, match=f"cannot {event}"):
                self.lifecycle.authorized_move(*request, senders)
            with pytest.raises(InvalidTransition):
                self.lifecycle.move(*request)
        elif not here[event][1] & senders:
            with pytest.raises(Forbidden, match=VERBS.get(event, event)):
                self.lifecycle.authorized_move(*request, senders)
        else:
            move = self.lifecycle.authorized_move(*request, senders)
            self._moved(move, here[event][0])
            self.last = (request, senders), move

    @precondition(lambda self: self.known[self.state])
    @rule(data=st.data())
    def send_possible(self, data: st.DataObject) -> None:
        """A possible event by a permitted sender."""
        here = self.known[self.state]
        event = data.draw(st.sampled_from(sorted(here)))
        self.send(event, frozenset([data.draw(st.sampled_from(sorted(here[event][1])))]), 1)

    def _moved(self, move: Move, after: str) -> None:
        assert (move.before, move.after, move.at) == (self.state, after, self.now)
        self.state, self.moves = after, self.moves + 1
        self.history = (*self.history, HistoryEntry.of(move))

    @rule()
    def send_the_last_again(self) -> None:
        """A repeat with the same cause is the same transition and changes nothing."""
        if self.last:
            (request, senders), move = self.last
            assert self.lifecycle.authorized_move(*request, senders) == move
            assert self.history[-1] == HistoryEntry.of(move)

    @invariant()
    def history_has_no_gap(self) -> None:
        states = [self.first, *(entry.after for entry in self.history)]
        assert [entry.before for entry in self.history] == states[:-1]
        assert states[-1] == self.state
        assert list(self.history) == sorted(self.history, key=lambda entry: entry.at)

    @invariant()
    def each_is_offered_what_the_model_lets_it_send(self) -> None:
        here = self.known[self.state]
        for sender in (MACHINE, *ROLES):
            offered = self.lifecycle.actions(self.state, [sender])
            assert set(offered) == {event for event, (_, who) in here.items() if sender in who}

    @invariant()
    def an_end_is_an_end(self) -> None:
        after_end = self.lifecycle is LIFECYCLES["edit"] and self.state in ENDS_OF_EDITS
        assert self.lifecycle.is_final(self.state) is (after_end or not self.known[self.state])


class JobWalk(Walk):
    """A job's record, with what people's events note in it."""

    lifecycle = LIFECYCLES["job"]
    requeueable = True

    @rule(requeueable=st.booleans())
    def learn_whether_a_requeue_can_help(self, requeueable: bool) -> None:
        self.requeueable = requeueable

    @rule(event=st.sampled_from(["hold", "release", "cancel", "delete", "requeue", "force_fail"]))
    def send_as_person(self, event: str) -> None:
        """A person's event, as requests and operations send it."""
        before = self._stored()
        cause = Cause(f"request-{self.moves}", "admin", "because")
        here = self.known[self.state]
        if event not in here or (event == "requeue" and not self.requeueable):
            with pytest.raises(InvalidTransition):
                apply_event(before, event, self.now, cause)
            assert self._stored() == before
            return
        after = apply_event(before, event, self.now, cause)
        self._moved(Move(self.state, event, here[event][0], self.now, cause), here[event][0])
        assert after.version == before.version + 1
        assert after.history == self.history
        assert (after.state, after.cause, after.at) == (self.state, cause.key, self.now)
        assert after.requeue_count == before.requeue_count + (event == "requeue")
        assert (after.failure_code == "FORCED") is (event == "force_fail")
        self.last = None

    def _stored(self) -> JobRecord:
        """The record after all transitions so far."""
        first, place = JobState(self.first), JobAddress("b", 0, 0)
        record = JobRecord(place, first, 0, "", NOON, requeueable=self.requeueable)
        for entry in self.history:
            cause = Cause(entry.cause, entry.actor, entry.reason)
            record = record.moved(Move(entry.before, entry.event, entry.after, entry.at, cause))
        return record

    @invariant()
    def versions_grow_by_one_with_each_move(self) -> None:
        record = self._stored()
        assert (record.version, record.state) == (self.moves, self.state)


class BatchWalk(Walk):
    """A batch."""

    lifecycle = LIFECYCLES["batch"]


class TaskWalk(Walk):
    """A task."""

    lifecycle = LIFECYCLES["task"]


class ScheduleWalk(Walk):
    """A schedule."""

    lifecycle = LIFECYCLES["schedule"]


class EditWalk(Walk):
    """An edit job."""

    lifecycle = LIFECYCLES["edit"]


class FixupWalk(Walk):
    """A fix-up of an edit job."""

    lifecycle = LIFECYCLES["fixup"]


class ReviewWalk(Walk):
    """A review of an edit job."""

    lifecycle = LIFECYCLES["review"]


_WALKS = (BatchWalk, JobWalk, TaskWalk, ScheduleWalk, EditWalk, FixupWalk, ReviewWalk)
WALKS = {walk.lifecycle.name: walk for walk in _WALKS}


def test_every_lifecycle_is_walked() -> None:
    assert WALKS.keys() == LIFECYCLES.keys() == MODELS.keys()


STEPS = [
    (name, state, event)
    for name, model in MODELS.items()
    for state, row in read(model).items()
    for event in row
]


@pytest.mark.turns(2)
@pytest.mark.parametrize(("name", "state", "event"), STEPS)
def test_after_any_step_what_is_sent_is_accepted_or_refused_as_the_model_says(
    name: str, state: str, event: str, everything: bool, turn: int
) -> None:
    run_state_machine_as_test(
        seed(turn)(lambda: WALKS[name](state, event)),
        settings=settings(
            max_examples=200 if everything else 5,
            stateful_step_count=10,
            deadline=None,
            database=None,
        ),
    )
