"""People, ticks and dying workers in any order: the invariants of a batch hold after each."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from jobyard.domain.batches.batch import OPEN_BATCH_STATES, Batch, BatchState
from jobyard.domain.batches.operation import Filter
from jobyard.domain.batches.report import Report, ReportKind
from jobyard.domain.errors import Forbidden, Gone, InvalidTransition, NotFound, StaleState
from jobyard.domain.jobs.job import OPEN_JOB_STATES, JobState
from jobyard.services import holds as hold_commands
from jobyard.services.batches import operations
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.context import CommandContext
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.queries import tallies
from jobyard.services.queries.batches import BatchView
from jobyard.services.queries.jobs import JobView, list_jobs
from jobyard.store import reports
from tests.call_interceptor import Answer, Call, Listener
from tests.faults.injection import FunctionDied
from tests.harness import Clients, Harness, Payloads, single_files
from tests.in_process_emulator import InProcessEmulator
from tests.machines import Function

REFUSALS = (InvalidTransition, Forbidden, StaleState, NotFound, Gone)
_numbers = count(1)
Act = Callable[[CommandContext], Any]
JOB_EVENTS = ["hold", "release", "cancel", "delete", "requeue", "force_fail"]
BATCH_EVENTS = ["release", "cancel", "delete", "update_reporting"]
FILES = st.lists(st.booleans(), min_size=1, max_size=3)
# What people do when a worker starts: to its batch, to a job of it by its address, to all.
AT_WORK = st.lists(
    st.one_of(
        st.tuples(st.just("batch"), st.sampled_from(BATCH_EVENTS)),
        st.tuples(st.sampled_from(["0.0", "0.1", "1.0"]), st.sampled_from(JOB_EVENTS)),
        st.just(("hold", "")),
    ),
    max_size=2,
)
DIES_AT = st.one_of(st.just(0), st.integers(1, 12))
WHICH = st.integers(0, 2)  # one of the batches, modulo their number


@dataclass
class Dying(Listener):
    """A worker that dies right before its `at`-th call."""

    at: int
    calls: int = 0

    def before(self, call: Call) -> Answer | None:
        self.calls += 1
        if self.calls >= self.at:
            raise FunctionDied
        return None


class Scenario(RuleBasedStateMachine):
    """Some batches of one collection, and all that people and workers may do to them.

    The machines run as far as they can after each rule; events during a worker's run are kept until
    the next one starts.
    """

    def __init__(self, harness: Harness) -> None:
        super().__init__()
        self.harness = harness
        self.collection = f"scenario-{next(_numbers)}"
        self.batches: list[str] = []
        self.meanwhile: list[tuple[str, str]] = []
        self.dies_at = 0
        self.changed = False
        self.seen: dict[str, tuple[int, int]] = {}  # reports and version at the last check
        harness.machines.invoke = self._invoked

    def _invoked(self, name: str, function: Function, task_input: dict[str, Any]) -> dict[str, Any]:
        if not name.startswith("Execute"):
            return function(task_input)
        waiting, self.meanwhile = self.meanwhile, []
        for noun, event in waiting:
            _try(self._act(noun, event, task_input["origin_id"]), self.harness.context())
        if not self.dies_at:
            return function(task_input)
        at, self.dies_at = self.dies_at, 0
        with self.harness.interceptor.listening(Dying(at)):
            return function(task_input)

    def _act(self, noun: str, event: str, batch_id: str) -> Act:
        if noun == "hold":
            return partial(self._place, 5)
        if noun == "batch":
            return partial(send_batch_event, batch_id, event)
        return partial(send_job_event, f"{batch_id}.{noun}", event)

    # Rules

    @initialize(files=FILES, acts=AT_WORK, dies_at=DIES_AT)
    def drop_the_first(self, files: list[bool], acts: list[tuple[str, str]], dies_at: int) -> None:
        self.drop(files, acts, dies_at)

    @precondition(lambda self: len(self.batches) < 3)
    @rule(files=FILES, acts=AT_WORK, dies_at=DIES_AT)
    def drop(self, files: list[bool], acts: list[tuple[str, str]], dies_at: int) -> None:
        """Drop a manifest; the flags say which of its files exist."""
        self.await_the_next_worker(acts, dies_at)
        mark = f"{self.collection}-{len(self.batches)}"
        content = {f"{mark}-{n}.txt": f"{mark} {n}".encode() for n in range(len(files))}
        text = single_files(self.harness.payloads, content)
        for name, is_there in zip(content, files, strict=True):
            self.harness.payloads.status[f"/{name}"] = 200 if is_there else 404
        batch_id = self.harness.drop(text, name=f"{mark}.checkm", collection=self.collection)
        self.batches.append(batch_id)
        self.changed = True

    @rule(which=WHICH)
    def repair(self, which: int) -> None:
        """Repair the payloads; retry what failed, and update the report."""
        for path in self.harness.payloads.status:
            self.harness.payloads.status[path] = 200
        self.retry(which)
        self._do(partial(send_batch_event, self._batch(which), "update_reporting"))

    @rule(which=WHICH, data=st.data())
    def send_batch_event_of_state(self, which: int, data: st.DataObject) -> None:
        """Mostly an event that its state allows."""
        batch_id = self._batch(which)
        open_to_it = self.harness.batch(batch_id).actions
        event = data.draw(st.sampled_from([*open_to_it * 3, *BATCH_EVENTS]))
        self._do(partial(send_batch_event, batch_id, event))

    @rule(which=WHICH, data=st.data())
    def send_job_event_of_state(self, which: int, data: st.DataObject) -> None:
        """Mostly an event that its state allows."""
        if jobs := self._jobs(self._batch(which)):
            job = data.draw(st.sampled_from(jobs))
            event = data.draw(st.sampled_from([*job.actions * 3, *JOB_EVENTS]))
            self._do(partial(send_job_event, job.job.address.job_id, event))

    @rule(which=WHICH)
    def retry(self, which: int) -> None:
        self._do(
            partial(operations.change_jobs, self._batch(which), "requeue", Filter(JobState.FAILED))
        )

    @rule(minutes=st.sampled_from([0, 5]))
    def hold(self, minutes: int) -> None:
        self._do(partial(self._place, minutes))

    def _place(self, minutes: int, request: CommandContext) -> None:
        """Hold all batches for some minutes; 0 means until it is lifted."""
        until = request.now() + timedelta(minutes=minutes) if minutes else None
        hold_commands.place_hold(f"collection:{self.collection}", until, request)

    @rule()
    def lift(self) -> None:
        self._do(partial(hold_commands.lift_hold, f"collection:{self.collection}"))

    @rule(acts=AT_WORK, dies_at=DIES_AT)
    def await_the_next_worker(self, acts: list[tuple[str, str]], dies_at: int) -> None:
        """What people do when the next worker starts, and at which of its calls it dies (0: at
        none)."""
        self.meanwhile, self.dies_at = acts, dies_at

    @rule(minutes=st.sampled_from([1, 6, 20]))
    def let_time_pass(self, minutes: int) -> None:
        """Run the functions of each minute."""
        self.changed = True
        self.harness.advance(60 * minutes)
        self.harness.tick()
        self.harness.machines.run_all()

    def _batch(self, which: int) -> str:
        return self.batches[which % len(self.batches)]

    def _do(self, act: Act) -> None:
        """Send the request and run the machines; a refusal changes nothing."""
        self.changed = True
        _try(act, self.harness.context())
        self.harness.machines.run_all()

    # Invariants

    @invariant()
    def invariants_hold(self) -> None:
        """Check after changes only: reading a batch takes many calls."""
        if not self.changed:
            return
        self.changed = False
        for batch_id in self.batches:
            view, jobs = self.harness.batch(batch_id), self._jobs(batch_id)
            sent = list(reports.of_batch(batch_id))
            jobs_are_counted_as_they_stand(view, jobs)
            a_final_tally_is_exact(self._tallied(batch_id), view)
            an_ended_batch_has_no_open_job_and_is_reported(view.batch, jobs, sent)
            every_report_has_changes(sent)
            who_waits_says_why(view, jobs)
            history_has_no_gap(view.batch, jobs)
            mailed, version = self.seen.get(batch_id, (0, 0))
            if len(sent) != mailed:
                assert len(self.harness.mails_of(batch_id)) == len(sent)
            assert version <= view.batch.version
            self.seen[batch_id] = len(sent), view.batch.version

    def _tallied(self, batch_id: str) -> BatchView:
        """The batch as it would look with more chunks: by its stored tally, if that need not be
        counted again."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tallies, "MAX_UNSTORED_CHUNKS", 0)
            return self.harness.batch(batch_id)

    def _jobs(self, batch_id: str) -> tuple[JobView, ...]:
        context = self.harness.query_context()
        return list_jobs(batch_id, context, state="", after=(0, 0), limit=100).items

    def teardown(self) -> None:
        """Leave nothing of this scenario for the next one's ticks."""
        self.meanwhile, self.dies_at = [], 0
        self._do(partial(hold_commands.lift_hold, f"collection:{self.collection}"))


def jobs_are_counted_as_they_stand(view: BatchView, jobs: Sequence[JobView]) -> None:
    counts = {state: number for state, number in view.counts.items() if number}
    total = counts.pop("total", 0)
    assert sum(counts.values()) == total == view.batch.entries
    assert counts == Counter(job.job.state.value for job in jobs)


def a_final_tally_is_exact(tallied: BatchView, view: BatchView) -> None:
    if tallied.counted_at is None:
        assert tallied == view


def an_ended_batch_has_no_open_job_and_is_reported(
    batch: Batch, jobs: Sequence[JobView], sent: Sequence[Report]
) -> None:
    if batch.state in OPEN_BATCH_STATES or not batch.entries:
        return
    open_jobs = {job.job.state for job in jobs} & OPEN_JOB_STATES
    if batch.state is BatchState.DELETED:
        assert open_jobs <= {JobState.HELD}  # they were given up with it
    elif batch.state is not BatchState.FAILED:  # whose jobs are repaired as it stands
        assert not open_jobs
    assert sent
    assert batch.last_report == len(sent)


def every_report_has_changes(sent: Sequence[Report]) -> None:
    assert [each.seq for each in sent] == list(range(1, len(sent) + 1))
    assert [each.kind for each in sent[1:]] == [ReportKind.UPDATE] * (len(sent) - 1)
    assert all(each.changed_count for each in sent[1:])


def who_waits_says_why(view: BatchView, jobs: Sequence[JobView]) -> None:
    assert view.why or view.batch.state not in OPEN_BATCH_STATES
    assert all(job.why for job in jobs if job.job.state in OPEN_JOB_STATES)


def history_has_no_gap(batch: Batch, jobs: Sequence[JobView]) -> None:
    for history in (batch.history, *(job.job.history for job in jobs)):
        moves = [(entry.before, entry.after) for entry in history]
        assert [after for _, after in moves[:-1]] == [before for before, _ in moves[1:]]


def _try(act: Act, request: CommandContext) -> None:
    try:
        act(request)
    except REFUSALS:
        return


def test_whatever_happens_in_whatever_order_a_batch_is_reported_correctly(
    in_process_emulator: InProcessEmulator,
    aws_semantics: object,
    aws_clients: Clients,
    payloads: Payloads,
    everything: bool,
    turn: int,
) -> None:
    def empty_deployment() -> Scenario:
        in_process_emulator.clear()
        return Scenario(Harness(aws_clients, payloads))

    run_state_machine_as_test(
        seed(turn)(empty_deployment),
        settings=settings(
            max_examples=150 if everything else 6,
            stateful_step_count=30,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink] if everything else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
