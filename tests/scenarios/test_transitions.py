"""The billed transitions are those that the machines make."""

from typing import Any

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Fail
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy
from jobyard.services.runs import NextStep
from jobyard.services.schedules import commands as schedule_commands
from jobyard.services.schedules.commands import ScheduleSpec
from tests.harness import Harness, Payloads, single_files
from tests.machines import Function
from tests.scripted_job_type import NAME, scripted


def test_billed_transitions_are_the_states_the_machines_enter(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, {f"{each}.txt": b"x" for each in "abcde"})
    payloads.status["/c.txt"] = 503  # tried again, so that there is a second pass
    followed: list[NextStep] = []
    answered = NextStep.document

    def document(self: NextStep) -> dict[str, Any]:
        followed.append(self)
        return answered(self)

    NextStep.document = document  # type: ignore[method-assign]
    try:
        batch_id = harness.drop(manifest)
    finally:
        NextStep.document = answered  # type: ignore[method-assign]

    entered = harness.machines.visited
    children = entered.count("ExecuteChunk")
    reports = entered.count("Report")
    assert harness.batch(batch_id).batch.state == "failed"
    assert entered.count("Wait") > 1
    assert sum(each.transitions for each in followed) + 3 * reports + children == len(entered)


def test_billed_transitions_of_a_schedule_s_job_are_the_states_its_machine_enters(
    harness: Harness,
) -> None:
    busy = Fail(Failure.PAYLOAD_BUSY, "busy", retryable=True)
    rule = {"kind": "daily", "at": "13:00", "zone": "UTC", "anchor": "2026-11-22"}
    wanted = ScheduleSpec("billed", NAME, recurrence_of(rule), Policy(), {})
    answers: list[tuple[str, dict[str, Any]]] = []
    plainly = harness.machines.invoke

    def invoke(name: str, function: Function, event: dict[str, Any]) -> dict[str, Any]:
        answer = plainly(name, function, event)
        answers.append((name, answer))
        return answer

    harness.machines.invoke = invoke
    with scripted() as script:
        script.answers = [busy]  # so that the machine waits
        schedule_commands.create(wanted, harness.context())
        harness.advance(3601)
        harness.tick()
        harness.machines.run_all()

    tried = [answer["next"] for name, answer in answers if name == "ExecuteJobFunction"]
    settled = [answer["next"] for name, answer in answers if name == "SettleFunction"]
    assert (tried, settled) == (["again", "settle"], ["end"])
    of_tries = 2 * len(tried) + tried.count("again")  # as functions/execute/job.py bills them
    assert of_tries + NextStep("", "end").transitions == len(harness.machines.visited)
