"""The scenario of a schedule's occurrences: one of each kind, hour by hour.

At one o'clock the job fails with a temporary error, and then succeeds. A run now
fails permanently and is requeued. At two the schedule is suspended. At four the previous run is
still active, and one waits for its end; at six one replaces the previous run. Then the schedule is
deleted.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.ids import schedule_id_of
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress, JobRecord
from jobyard.domain.jobs.job_type import Done, Fail, StepInput, StepResult
from jobyard.domain.schedules.occurrence import Occurrence
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import CatchUp, OverlapPolicy, Policy, occurrence_time
from jobyard.services.context import CommandContext
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.schedules import commands as schedule_commands
from jobyard.services.schedules.clock import ClockResult, start_due_schedules
from jobyard.services.schedules.commands import ScheduleEdit, ScheduleSpec
from jobyard.store import jobs, occurrences, schedules, tables
from tests.call_interceptor import Listener
from tests.faults.scenario import NOON, ScenarioRun
from tests.harness import ADMIN
from tests.scripted_job_type import NAME, scripted

HOURLY = {"kind": "hourly", "at": "00:00", "zone": "UTC", "anchor": "2026-11-22"}
_BUSY = Failure.PAYLOAD_BUSY.value


def at(text: str) -> datetime:
    """The instant of `text` on the day of the scenario."""
    hours, minutes = text.split(":")
    return NOON.replace(hour=int(hours), minute=int(minutes))


@dataclass
class ScheduleScenario:
    """A scenario of a schedule that has a time every hour."""

    scenario_run: ScenarioRun
    listeners: tuple[Listener, ...] = ()
    broken: bool = False  # whether jobs fail permanently
    schedule_id: str = field(init=False)
    run_now: Occurrence = field(init=False)

    def __post_init__(self) -> None:
        self.key = f"{self.scenario_run.name} creates a schedule"
        self.schedule_id = schedule_id_of(f"{ADMIN.sub}\n{self.key}".encode())

    @contextmanager
    def prepared(self) -> Iterator[Mapping[str, str]]:
        """Register its job type; no schedule is due."""
        for item in tables.ScheduleItem.scan():
            item.delete()
        with scripted(retries=3) as script:
            script.step = self._step  # type: ignore[method-assign]
            yield {self.schedule_id: "SCHEDULE", self.scenario_run.name: "RUN"}

    def _step(self, step_input: StepInput, _context: Any) -> StepResult:
        """What the job does: the first one fails once, and is retried; all fail while `broken`."""
        address = JobAddress.parse(step_input.job_id)
        assert address
        if self.broken:
            return Fail(Failure.PAYLOAD_NOT_FOUND, "broken")
        with self.scenario_run.harness.interceptor.muted():
            record = jobs.find(address)
        tried = {each.failure_code for each in record.attempts} if record else set()
        if occurrence_time(address) == at("13:00") and _BUSY not in tried:
            return Fail(Failure.PAYLOAD_BUSY, "busy", retryable=True)
        return Done({"records": {"processed": 3, "failed": 1, "total": 4}})

    # Events

    def play(self) -> None:
        """From the creation to the deletion."""
        scenario_run, schedule_id = self.scenario_run, self.schedule_id
        self._set_clock("12:30")
        wanted = ScheduleSpec("hourly", NAME, recurrence_of(HOURLY), Policy(CatchUp()), {})
        scenario_run.send_request(
            lambda request: schedule_commands.create(wanted, request), self.key
        )

        self._run_ticks("13:00")

        self._set_clock("13:30")
        self.broken = True
        scenario_run.send_request(self._run_now)
        self.broken = False
        scenario_run.send_request(
            lambda request: send_job_event(self.run_now.address.job_id, "requeue", request)
        )

        self._set_clock("13:40")
        scenario_run.send_request(
            lambda request: schedule_commands.suspend(schedule_id, at("20:00"), request)
        )
        self._run_ticks("14:00")
        self._set_clock("14:30")
        scenario_run.send_request(lambda request: schedule_commands.resume(schedule_id, request))
        queueing = ScheduleEdit(overlap=OverlapPolicy.QUEUE_ONE)
        scenario_run.send_request(
            lambda request: schedule_commands.edit(schedule_id, queueing, request)
        )

        self._run_ticks("15:00", run=False)
        self._run_ticks("16:00", run=False)
        scenario_run.run_all()
        self._run_ticks("16:20")

        self._set_clock("16:30")
        replacing = ScheduleEdit(overlap=OverlapPolicy.REPLACE)
        scenario_run.send_request(
            lambda request: schedule_commands.edit(schedule_id, replacing, request)
        )
        self._run_ticks("17:00", run=False)
        self._run_ticks("18:00", run=False)
        scenario_run.run_all()
        self._run_ticks("18:20")

        self._set_clock("18:30")
        scenario_run.send_request(lambda request: schedule_commands.delete(schedule_id, request))
        self._run_ticks("19:00")

    def _run_now(self, request: CommandContext) -> None:
        self.run_now = schedule_commands.run_now(self.schedule_id, request)

    def _set_clock(self, text: str) -> None:
        """Set the clock to when a person sends the next request."""
        self.scenario_run.harness.at = at(text) + timedelta(seconds=5)

    def _run_ticks(self, text: str, *, run: bool = True) -> None:
        """Tick at that time and a minute later, for what the first tick could not do."""
        self.scenario_run.harness.at = at(text) + timedelta(seconds=1)
        for _ in range(2):
            self.scenario_run.until_it_succeeds(self._tick)
            if run:
                self.scenario_run.run_all()
            self.scenario_run.harness.advance(61)

    def _tick(self) -> ClockResult:
        harness = self.scenario_run.harness
        return start_due_schedules(harness.executions, harness.now, lambda: 30.0)

    # The result

    def _occurrences(self) -> list[Occurrence]:
        return [*reversed(occurrences.newest(self.schedule_id, limit=50))]

    def _job(self, occurrence: Occurrence) -> dict[str, Any] | None:
        job = jobs.find(occurrence.address)
        return job and {
            "state": job.state,
            "code": job.failure_code,
            "requeues": job.requeue_count,
            "data": dict(job.data),
        }

    def end(self) -> dict[str, Any]:
        """What the tables contain in the end, without the times at which the machine ran."""
        schedule = schedules.get(self.schedule_id)
        return {
            "state": schedule.state,
            "next_at": str(schedule.next_at),
            "active": [str(run.scheduled_for) for run in schedule.active],
            "queued": str(schedule.queued_for),
            "latest": schedule.latest
            and [str(schedule.latest.scheduled_for), schedule.latest.state],
            "history": [(e.event, e.after, e.actor, str(e.at)) for e in schedule.history],
            "occurrences": [
                {
                    "at": f"{each.scheduled_for:%H:%M}",
                    "trigger": each.trigger,
                    "verdict": each.verdict,
                    "reason": each.skip_reason,
                    "words": each.reason,
                    "outcome": each.outcome
                    and {
                        "state": each.outcome.state,
                        "codes": each.outcome.failure_codes,
                        "processed": each.outcome.processed,
                    },
                    "job": self._job(each),
                }
                for each in self._occurrences()
            ],
        }

    def histories(self) -> tuple[tuple[str, ...], ...]:
        """The events of each job."""
        found: list[JobRecord | None] = [jobs.find(each.address) for each in self._occurrences()]
        return tuple(tuple(entry.event for entry in job.history) for job in found if job)

    @staticmethod
    def expect(end: Mapping[str, Any]) -> None:
        """Each occurrence has the expected end, and nothing is left to do."""
        found = [
            (
                each["at"],
                each["verdict"],
                each["reason"] or each["outcome"]["state"],
                each["outcome"] and [*each["outcome"]["codes"]],
            )
            for each in end["occurrences"]
        ]
        assert found == [
            ("13:00", "run", "succeeded", [_BUSY]),
            ("13:30", "run", "succeeded", [Failure.PAYLOAD_NOT_FOUND.value]),
            ("14:00", "skip", "SUSPENDED", None),
            ("15:00", "run", "succeeded", []),
            ("16:00", "run", "succeeded", []),
            ("17:00", "run", "replaced", []),
            ("18:00", "run", "succeeded", []),
        ]
        assert (end["state"], end["active"], end["queued"]) == ("deleted", [], "None")
        assert [event for event, *_ in end["history"]] == [
            "run_now",
            "suspend",
            "resume",
            "edit",
            "edit",
            "delete",
        ]
