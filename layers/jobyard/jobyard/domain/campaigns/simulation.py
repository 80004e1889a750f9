"""The simulation of a campaign: its whole timeline, from what its targets would do.

It makes no decision of its own: it calls the functions that the services call for the plan, the
rate, retries and the abort rule. Attempts take the seconds that the input says; all else takes no
time.
"""

import heapq
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.campaigns.abort import OutcomeCounts, is_bad
from jobyard.domain.campaigns.campaign import Campaign, StopReason
from jobyard.domain.campaigns.planning import CampaignPlan, PlannedAction, TaskTotals, plan
from jobyard.domain.campaigns.retry import next_attempt_at
from jobyard.domain.campaigns.rollout import start_offset, starts_by
from jobyard.domain.campaigns.rules import changed_rules
from jobyard.domain.campaigns.simulation_input import (
    ActEvent,
    SimulatedAct,
    SimulatedOutcome,
    SimulationInput,
)
from jobyard.domain.errors import InvalidCampaign, InvalidRule
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.jobs.task import TaskState
from jobyard.domain.lifecycle import MACHINE, Cause

MAX_SIMULATED_ATTEMPTS = 1_000_000
_SECOND = timedelta(seconds=1)
_CAMPAIGN_ID = "simulation"
_CAUSE = Cause("simulation")
_KNOWN = frozenset(Failure)
# Failures that a step says are temporary when the device's answer is 5xx: an outcome is like that.
_TEMPORARY = RETRYABLE | {Failure.DEVICE_ERROR}
# States that a campaign only passes through if it leaves them at once.
_PASSED = frozenset({JobState.SCHEDULED, JobState.STOPPING})


@dataclass(frozen=True, slots=True)
class SimulatedAttempt:
    """An attempt: `result` is "succeeded", "failed" or, if it was stopped for good, "cancelled".
    `pauses` are when it was stopped between two parts, and when it continued.
    """

    started_at: datetime
    ended_at: datetime
    result: str
    code: str = ""
    pauses: tuple[tuple[datetime, datetime], ...] = ()

    def document(self) -> dict[str, str]:
        """The attempt as JSON."""
        return {
            "started_at": format_instant(self.started_at),
            "ended_at": format_instant(self.ended_at),
            "result": self.result,
            "code": self.code,
        }


@dataclass(frozen=True)
class SimulatedTask:
    """The end of a task. `code` says why it failed, "" if it did not."""

    target_id: str
    state: TaskState
    code: str
    attempts: tuple[SimulatedAttempt, ...]

    def document(self) -> dict[str, Any]:
        """The task as JSON."""
        return {
            "id": self.target_id,
            "state": self.state.value,
            "code": self.code,
            "attempts": [each.document() for each in self.attempts],
        }


@dataclass(frozen=True)
class RefusedAct:
    """An event of a person that was refused, as the campaign could not take it at that time."""

    at: datetime
    event: str
    reason: str

    def document(self) -> dict[str, str]:
        """The act as JSON."""
        return {"at": format_instant(self.at), "event": self.event, "reason": self.reason}


@dataclass(frozen=True)
class CampaignTimeline:
    """What became of a simulated campaign. `history` has its states, each with its start."""

    campaign: Campaign
    ended_at: datetime
    history: tuple[tuple[datetime, JobState], ...]
    tasks: tuple[SimulatedTask, ...]
    refused: tuple[RefusedAct, ...] = ()

    @property
    def state(self) -> JobState:
        """The state in which it ended."""
        return self.campaign.state

    def document(self) -> dict[str, Any]:
        """The timeline as JSON. `refused` is there only if something was refused."""
        document: dict[str, Any] = {
            "state": self.state.value,
            "ended_at": format_instant(self.ended_at),
            "history": [
                {"at": format_instant(at), "state": state.value} for at, state in self.history
            ],
            "tasks": [each.document() for each in self.tasks],
        }
        if self.refused:
            document["refused"] = [each.document() for each in self.refused]
        return document


def format_instant(instant: datetime) -> str:
    """An instant in UTC as JSON: `2026-11-25T10:00:00Z`."""
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def simulate(
    simulated: SimulationInput, max_attempts: int = MAX_SIMULATED_ATTEMPTS
) -> CampaignTimeline:
    """The timeline of a campaign.

    Raises:
        InvalidCampaign: it would have more than `max_attempts` attempts.
    """
    return _Simulator(simulated, max_attempts).run()


@dataclass(slots=True)
class _Task:
    """A task, what it does in each attempt, and its attempt that has begun.

    That one started at `started_at`, and `began` as if it had never been stopped. It runs, or was
    stopped at `stopped_at` between two parts.
    """

    target_id: str
    outcomes: Sequence[SimulatedOutcome]
    state: TaskState = TaskState.SCHEDULED
    code: str = ""
    attempts: list[SimulatedAttempt] = field(default_factory=list)
    tries: int = 0  # attempts and waits
    offline: int = 0  # failures in a row because the device is offline
    started_at: datetime | None = None
    began: datetime | None = None
    stopped_at: datetime | None = None
    pauses: list[tuple[datetime, datetime]] = field(default_factory=list)
    is_cancelled: bool = False  # while an attempt runs
    round: int = 0  # of counting, in which its last attempt started
    counts: OutcomeCounts = field(default_factory=OutcomeCounts)  # in that round

    @property
    def is_waiting(self) -> bool:
        return self.state in {TaskState.SCHEDULED, TaskState.RESCHEDULED}

    @property
    def outcome(self) -> SimulatedOutcome:
        """What its next attempt does; the last one repeats."""
        return self.outcomes[min(self.tries, len(self.outcomes) - 1)]

    def end_attempt(self, at: datetime, result: str, code: str = "") -> None:
        """Record the end of its attempt."""
        assert self.started_at is not None
        attempt = SimulatedAttempt(self.started_at, at, result, code, tuple(self.pauses))
        self.attempts.append(attempt)
        self.forget_attempt()

    def forget_attempt(self) -> None:
        """Forget its attempt, as if it had not begun."""
        self.started_at = self.began = self.stopped_at = None
        self.pauses = []


@dataclass
class _Slice:
    """A slice of time with a grant, of which `used` attempts have started."""

    start: datetime
    end: datetime
    grant: int
    used: int = 0


class _Simulator:
    """A campaign at a time, which only moves on."""

    def __init__(self, simulated: SimulationInput, max_attempts: int) -> None:
        self.now = simulated.created_at
        self.campaign = Campaign(
            campaign_id=_CAMPAIGN_ID,
            state=JobState.SCHEDULED,
            version=1,
            name=_CAMPAIGN_ID,
            job_type="",
            creator=MACHINE,
            created_at=simulated.created_at,
            rules=simulated.rules,
            tasks=len(simulated.targets),
        )
        self.openings = self.campaign.openings
        self.tasks = [_Task(each.target_id, each.outcomes) for each in simulated.targets]
        self.by_id = {task.target_id: task for task in self.tasks}
        self.has_parts = any(each.part_s for task in self.tasks for each in task.outcomes)
        self.acts = deque(sorted(simulated.acts, key=lambda act: act.at))
        self.hold: Hold | None = None
        self.history = [(self.now, JobState.SCHEDULED)]
        self.refused: list[RefusedAct] = []
        self.slice: _Slice | None = None
        self.untouched = deque(range(len(self.tasks)))
        self.waiting: list[tuple[datetime, int]] = []  # a heap; may have tasks that have ended
        self.busy: list[tuple[datetime, int]] = []  # the same, for those whose device was busy
        self.running: list[tuple[datetime, int]] = []  # a heap of ends
        self.stopped: list[int] = []  # between two parts; may have tasks that have ended
        self.counts = dict.fromkeys(TaskState, 0) | {TaskState.SCHEDULED: len(self.tasks)}
        self.outcomes = OutcomeCounts()
        self.round = 0
        self.attempt_count = 0
        self.max_attempts = max_attempts

    def run(self) -> CampaignTimeline:
        """The timeline, until the campaign has ended."""
        while self.campaign.is_open:
            self._end_attempts()
            if self._is_over():  # done, or expired, wins over what a person does at that time
                self._plan()
                continue
            self._act()
            planned = self._plan()
            self._plan_ends()
            if planned.action is PlannedAction.END:
                break
            if planned.action is PlannedAction.EXECUTE and planned.grant:
                self._start_attempts(planned)
            self.now = self._next_time(planned)
        ended_at = self.now
        self._end_waiting()
        self.refused += [
            RefusedAct(act.at, act.event, f"the campaign has ended: {self.campaign.state}")
            for act in self.acts
        ]
        tasks = tuple(
            SimulatedTask(each.target_id, each.state, each.code, tuple(each.attempts))
            for each in self.tasks
        )
        return CampaignTimeline(
            self.campaign, ended_at, tuple(self.history), tasks, tuple(self.refused)
        )

    def _is_over(self) -> bool:
        """Whether it ends now, or stops because its time is over."""
        is_stopping = self.campaign.state is JobState.STOPPING
        return not is_stopping and (self._totals().has_ended or self.now >= self.openings.end)

    def _plan(self) -> CampaignPlan:
        """What the campaign does now, after its moves, a hold that it places, and the ends of tasks
        of a campaign that is stopping.
        """
        while True:
            planned = plan(self.campaign, self._totals(), self.openings, self.hold, self.now)
            for event in planned.events:
                self._move(event, planned.stop)
            if planned.places_hold:
                self.hold = Hold(
                    f"campaign:{_CAMPAIGN_ID}", MACHINE, planned.reason, placed_at=self.now
                )
            elif planned.state is not JobState.STOPPING or not self._end_waiting():
                return planned

    def _totals(self) -> TaskTotals:
        self._drop_ended()
        return TaskTotals(
            untouched=self.counts[TaskState.SCHEDULED],
            waiting=self.counts[TaskState.RESCHEDULED],
            next_at=self._next_at(),
            running=self.counts[TaskState.RUNNING],
            succeeded=self.counts[TaskState.SUCCEEDED],
            failed=self.counts[TaskState.FAILED],
            cancelled=self.counts[TaskState.CANCELLED],
            outcomes=self.outcomes,
        )

    def _next_at(self) -> datetime | None:
        """When the first task that waits may start; now if one was stopped between two parts."""
        if self.stopped:
            return self.now
        return min((heap[0][0] for heap in (self.waiting, self.busy) if heap), default=None)

    def _drop_ended(self) -> None:
        """Remove tasks that were ended while they waited: those at the start of both queues."""
        self.stopped = [each for each in self.stopped if self.tasks[each].is_waiting]
        while self.untouched and not self.tasks[self.untouched[0]].is_waiting:
            self.untouched.popleft()
        for heap in (self.waiting, self.busy):
            while heap and not self.tasks[heap[0][1]].is_waiting:
                heapq.heappop(heap)

    def _move(self, event: str, stop: StopReason | None = None) -> None:
        move = JOB.move(self.campaign.state, event, self.now, _CAUSE)
        after = JobState(move.after)
        reason = stop if after is JobState.STOPPING else self.campaign.stop_reason
        self.campaign = replace(self.campaign, state=after, stop_reason=reason)
        at, before = self.history[-1]
        if at == self.now and before in _PASSED:
            self.history.pop()
        self.history.append((self.now, after))

    # Attempts

    def _start_attempts(self, planned: CampaignPlan) -> None:
        """Start what the grant, the spread of the slice and the free slots allow now."""
        assert planned.until is not None
        if self.slice is None or self.now >= self.slice.end:
            self.slice = _Slice(self.now, planned.until, planned.grant)
        for stopped in self.stopped:
            self._continue(stopped)
        self.stopped = []
        self._continue_busy()
        current, rules = self.slice, self.campaign.rules
        allowed = starts_by(rules.rollout, current.grant, self.now - current.start)
        number = min(allowed - current.used, rules.at_once - self.counts[TaskState.RUNNING])
        for _ in range(number):
            index = self._next_ready()
            if index is None:
                break
            current.used += 1
            self._start(index)

    def _continue_busy(self) -> None:
        """Start those whose device was busy: they are no attempts, so the grant is not used."""
        self._drop_ended()
        while self.busy and self.busy[0][0] <= self.now and self._has_slot:
            self._start(heapq.heappop(self.busy)[1])
            self._drop_ended()

    @property
    def _has_slot(self) -> bool:
        return self.counts[TaskState.RUNNING] < self.campaign.rules.at_once

    def _next_ready(self) -> int | None:
        """The next task that may start now: one without an attempt first, then by its time."""
        self._drop_ended()
        if self.untouched:
            return self.untouched.popleft()
        if self.waiting and self.waiting[0][0] <= self.now:
            return heapq.heappop(self.waiting)[1]
        return None

    def _start(self, index: int) -> None:
        self.attempt_count += 1
        if self.attempt_count > self.max_attempts:
            allowed = f"at most {self.max_attempts:,} attempts: fewer of them, or less time"
            raise InvalidCampaign([InvalidRule("targets", allowed)])
        task = self.tasks[index]
        self._set_state(task, TaskState.RUNNING)
        task.started_at = task.began = self.now
        self._count(task, OutcomeCounts(started=1))
        heapq.heappush(self.running, (self._end_of(task), index))

    def _continue(self, index: int) -> None:
        """Continue an attempt that was stopped between two parts."""
        task = self.tasks[index]
        assert task.began is not None
        assert task.stopped_at is not None
        task.pauses.append((task.stopped_at, self.now))
        task.began += self.now - task.stopped_at
        task.stopped_at = None
        self._set_state(task, TaskState.RUNNING)
        heapq.heappush(self.running, (self._end_of(task), index))

    def _end_of(self, task: _Task) -> datetime:
        """When the attempt of a task ends: by itself, or because it has taken too long."""
        assert task.began is not None
        deadline = self.campaign.attempt_deadline(task.began)
        if task.outcome.takes_s is None:
            return deadline
        return min(task.began + task.outcome.takes_s * _SECOND, deadline)

    def _plan_ends(self) -> None:
        """Plan when attempts that work in parts end, or stop: that depends on what happens now."""
        if self.has_parts:
            self.running = [(self._stop_of(self.tasks[index]), index) for _, index in self.running]
            heapq.heapify(self.running)

    def _stop_of(self, task: _Task) -> datetime:
        """When the attempt of a task ends; after its part, if it must stop."""
        part_s, ends_at = task.outcome.part_s, self._end_of(task)
        if part_s is None or not self._must_stop(task):
            return ends_at
        assert task.began is not None
        parts = max(-((task.began - self.now) // (part_s * _SECOND)), 1)
        return min(task.began + parts * part_s * _SECOND, ends_at)

    def _must_stop(self, task: _Task) -> bool:
        is_stopping = self.campaign.state is JobState.STOPPING or self.hold is not None
        return task.is_cancelled or is_stopping or self.openings.opening_at(self.now) is None

    def _end_attempts(self) -> None:
        while self.running and self.running[0][0] <= self.now:
            _, index = heapq.heappop(self.running)
            self._end_attempt(index)

    def _end_attempt(self, index: int) -> None:
        task = self.tasks[index]
        if self.now < self._end_of(task):
            self._stop_attempt(index)
            return
        outcome, began = task.outcome, task.began
        assert began is not None
        task.tries += 1
        code = outcome.code
        if outcome.takes_s is None or began + outcome.takes_s * _SECOND > self.now:
            is_late = self.now >= began + self.campaign.rules.attempt_s * _SECOND
            code = Failure.TIMEOUT if is_late else Failure.EXPIRED
        if code == Failure.DEVICE_BUSY:  # no attempt: nothing was done
            task.forget_attempt()
            self._wait(index, self.now + max(self._busy_s(outcome), 1) * _SECOND, self.busy)
            return
        task.end_attempt(self.now, "failed" if code else "succeeded", code)
        task.offline = task.offline + 1 if code == Failure.DEVICE_OFFLINE else 0
        if task.round == self.round:  # else it started before a release, and does not count
            bad = int(is_bad(code))
            self._count(task, OutcomeCounts(1, bad or int(not code), bad))
        if not code:
            self._set_state(task, TaskState.SUCCEEDED)
        elif not _is_retryable(code):
            self._end(task, TaskState.FAILED, code)
        else:
            rules = self.campaign.rules
            needs, openings = rules.schedule.needs, self.openings
            at = next_attempt_at(self.now, rules.retry_s, task.offline, openings, needs)
            self._wait(index, at, self.waiting)

    def _stop_attempt(self, index: int) -> None:
        """Stop an attempt between two parts, for good if its task is cancelled."""
        task = self.tasks[index]
        task.stopped_at = self.now
        if task.is_cancelled:
            self._end(task, TaskState.CANCELLED, "")
            return
        self._set_state(task, TaskState.RESCHEDULED)
        self.stopped.append(index)

    def _busy_s(self, outcome: SimulatedOutcome) -> int:
        after = outcome.retry_after_s
        return self.campaign.rules.retry_s if after is None else after

    def _wait(self, index: int, until: datetime, heap: list[tuple[datetime, int]]) -> None:
        task = self.tasks[index]
        if task.is_cancelled:
            self._end(task, TaskState.CANCELLED, "")
            return
        self._set_state(task, TaskState.RESCHEDULED)
        heapq.heappush(heap, (until, index))

    def _count(self, task: _Task, counts: OutcomeCounts) -> None:
        """Count the last attempt of a task for the abort rule, in place of an earlier one."""
        before = task.counts if task.round == self.round else OutcomeCounts()
        self.outcomes = OutcomeCounts(
            self.outcomes.started - before.started + counts.started,
            self.outcomes.ended - before.ended + counts.ended,
            self.outcomes.bad - before.bad + counts.bad,
        )
        task.counts, task.round = counts, self.round

    def _set_state(self, task: _Task, state: TaskState) -> None:
        self.counts[task.state] -= 1
        self.counts[state] += 1
        task.state = state

    def _end(self, task: _Task, state: TaskState, code: str) -> None:
        if task.stopped_at:
            result = "failed" if state is TaskState.FAILED else "cancelled"
            task.end_attempt(task.stopped_at, result, code)
        self._set_state(task, state)
        task.code = code

    def _end_waiting(self) -> bool:
        """End the tasks that wait, by the reason why the campaign stops; whether there was one."""
        if not self.counts[TaskState.SCHEDULED] and not self.counts[TaskState.RESCHEDULED]:
            return False
        is_expired = self.campaign.stop_reason is StopReason.EXPIRE
        for task in self.tasks:
            if not task.is_waiting:
                continue
            if is_expired:
                self._end(task, TaskState.FAILED, Failure.EXPIRED)
            else:
                self._end(task, TaskState.CANCELLED, "")
        return True

    # People

    def _act(self) -> None:
        while self.acts and self.acts[0].at <= self.now:
            act = self.acts.popleft()
            reason = self._apply(act)
            if reason:
                self.refused.append(RefusedAct(act.at, act.event, reason))

    def _apply(self, act: SimulatedAct) -> str:
        """Do what a person does. Returns why it is refused, "" if it is not."""
        is_final = act.event in {ActEvent.CANCEL, ActEvent.FORCE, ActEvent.REPLACE}
        if self.campaign.state is JobState.STOPPING and not is_final:
            return "it is stopping"
        if act.event is ActEvent.PAUSE:
            if self.hold:
                return "it is on hold already"
            self.hold = Hold(f"campaign:{_CAMPAIGN_ID}", "a person", "paused", placed_at=act.at)
        elif act.event is ActEvent.RESUME:
            if not self.hold:
                return "it is not on hold"
            self.hold, self.slice = None, None
            self.outcomes, self.round = OutcomeCounts(), self.round + 1
        elif act.event is ActEvent.CHANGE:
            return self._change(act.changes)
        elif act.targets is not None:
            self._cancel_tasks(act.targets, is_replaced=act.event is ActEvent.REPLACE)
        else:
            is_replaced = act.event is ActEvent.REPLACE
            self._stop(StopReason.REPLACE if is_replaced else StopReason.CANCEL)
            if act.event is ActEvent.FORCE:
                self._end_running()
        return ""

    def _change(self, changes: Mapping[str, Any]) -> str:
        try:
            rules = changed_rules(self.campaign.rules, changes, self.campaign.created_at)
        except InvalidCampaign as error:
            return str(error)
        self.campaign = replace(self.campaign, rules=rules)
        self.openings = self.campaign.openings
        self.slice = None
        self.running = [(self._end_of(self.tasks[index]), index) for _, index in self.running]
        heapq.heapify(self.running)
        return ""

    def _stop(self, reason: StopReason) -> None:
        if self.campaign.state is not JobState.STOPPING:
            self._move("stop", reason)

    def _cancel_tasks(self, targets: Sequence[str], *, is_replaced: bool) -> None:
        """Cancel some tasks. If another campaign has all that are open, it replaces this one."""
        chosen = {*targets}
        is_open = {TaskState.SCHEDULED, TaskState.RESCHEDULED, TaskState.RUNNING}
        open_tasks = [task for task in self.tasks if task.state in is_open]
        if is_replaced and all(task.target_id in chosen for task in open_tasks):
            self._stop(StopReason.REPLACE)
            return
        for task in open_tasks:
            if task.target_id not in chosen:
                continue
            if task.state is TaskState.RUNNING:
                task.is_cancelled = True
            else:
                self._end(task, TaskState.CANCELLED, "")

    def _end_running(self) -> None:
        for _, index in self.running:
            task = self.tasks[index]
            task.end_attempt(self.now, "cancelled")
            self._end(task, TaskState.CANCELLED, "")
        self.running = []

    # Time

    def _next_time(self, planned: CampaignPlan) -> datetime:
        """The next time at which something may change; now if an attempt ends at once."""
        assert planned.until is not None
        times = [planned.until]
        if self.running:
            times.append(self.running[0][0])
        if self.acts:
            times.append(self.acts[0].at)
        if planned.action is PlannedAction.EXECUTE and planned.grant and self.slice:
            times.append(self._next_start(self.slice))
        return max(min(times), self.now)

    def _next_start(self, current: _Slice) -> datetime:
        """When the next attempt may start, by the slice, or when the next task may."""
        if not self._has_slot:
            return current.end
        self._drop_ended()
        ready_at = self.waiting[0][0] if self.waiting else current.end
        if self.untouched:
            ready_at = self.now
        allowed_at = current.end
        if current.used < current.grant:
            rollout = self.campaign.rules.rollout
            allowed_at = current.start + start_offset(rollout, current.grant, current.used)
        busy_until = self.busy[0][0] if self.busy else current.end
        return min(max(ready_at, allowed_at), busy_until, current.end)


def _is_retryable(code: str) -> bool:
    """Whether a task is tried again after a failure: not if a retry cannot help. Codes that are not
    on Jobyard's list are tried again.
    """
    return code in _TEMPORARY or code not in _KNOWN
