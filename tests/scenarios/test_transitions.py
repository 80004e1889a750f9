"""The billed transitions are those that the machines make."""

from typing import Any

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Fail
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy
from jobyard.services.schedules import commands as schedule_commands
from jobyard.services.schedules.commands import ScheduleSpec
from jobyard.store import usage
from tests.harness import Harness, Payloads, single_files
from tests.machines import Function
from tests.scripted_job_type import NAME, scripted


def test_billed_transitions_are_the_states_the_machines_enter(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, {f"{each}.txt": b"x" for each in "abcde"})
    payloads.status["/c.txt"] = 503  # tried again, so that there is a second pass

    batch_id = harness.drop(manifest)

    entered = harness.machines.visited
    children = entered.count("ExecuteChunk")
    assert harness.batch(batch_id).batch.state == "failed"
    assert entered.count("Wait") > 1
    assert usage.of_origin(batch_id).transitions == len(entered) + children  # each one's start


def test_billed_transitions_of_a_schedule_s_job_are_the_states_its_machine_enters(
    harness: Harness,
) -> None:
    busy = Fail(Failure.PAYLOAD_BUSY, "busy", retryable=True)
    rule = {"kind": "daily", "at": "13:00", "zone": "UTC", "anchor": "2026-11-22"}
    wanted = ScheduleSpec("billed", NAME, recurrence_of(rule), Policy(), {})
    answers: list[tuple[str, dict[str, Any]]] = []
    invoke_once = harness.machines.invoke

    def invoke(name: str, function: Function, event: dict[str, Any]) -> dict[str, Any]:
        answer = invoke_once(name, function, event)
        answers.append((name, answer))
        return answer

    harness.machines.invoke = invoke
    with scripted() as script:
        script.answers = [busy]  # so that the machine waits
        schedule = schedule_commands.create(wanted, harness.context())
        harness.advance(3601)
        harness.tick()
        harness.machines.run_all()

    tried = [answer["next"] for name, answer in answers if name == "ExecuteJobFunction"]
    settled = [answer["next"] for name, answer in answers if name == "SettleFunction"]
    assert (tried, settled) == (["next_pass", "settle"], ["end"])
    assert usage.of_origin(schedule.schedule_id).transitions == len(harness.machines.visited)
