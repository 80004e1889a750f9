"""A minute without work costs what docs/aws.md adds up."""

from datetime import timedelta
from typing import Any

from jobyard.services.meter import units_of
from jobyard.services.schedules.commands import make_system_schedules, system_schedule_id
from jobyard.store import schedules
from tests.call_interceptor import Call, Listener
from tests.harness import Harness
from tests.infra.template_reader import IDLE_READ_UNITS, OWN_JOB_WRITE_UNITS


class CallRecorder(Listener):
    """Records the calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def prepare(self, call: Call) -> None:
        self.calls.append(call)


def test_an_idle_minute_reads_as_much_as_documented_and_does_nothing_else(harness: Harness) -> None:
    recorder = CallRecorder()
    with harness.interceptor.listening(recorder):
        harness.tick()

    assert {call.operation for call in recorder.calls} <= {"GetItem", "Query", "Scan"}
    # Each finds less than 4 KB: half a unit, and a whole one if it is a strong read.
    strong = [call.parameters.get("ConsistentRead", False) for call in recorder.calls]
    assert sum(1.0 if each else 0.5 for each in strong) == IDLE_READ_UNITS


class Charged(Listener):
    """The write units that DynamoDB reports."""

    units = 0.0

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.service == "dynamodb" and call.operation not in {"GetItem", "Query", "Scan"}:
            self.units += units_of(parsed, writes=True)


def test_a_system_job_that_finds_nothing_writes_as_much_as_documented(harness: Harness) -> None:
    make_system_schedules(harness.now())
    due = schedules.get(system_schedule_id("reconcile")).next_at
    assert due is not None
    harness.at = due + timedelta(seconds=1)
    charged = Charged()

    with harness.interceptor.listening(charged):
        harness.tick()
        harness.machines.run_all()

    assert schedules.get(system_schedule_id("reconcile")).label == "Completed"
    assert charged.units == OWN_JOB_WRITE_UNITS
