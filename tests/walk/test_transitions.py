"""The transitions that are billed are those the machines make."""

from typing import Any

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Fail
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy
from jobyard.services.runs import NextStep
from jobyard.services.schedules import commands as schedule_commands
from jobyard.services.schedules.commands import ScheduleSpec
from tests.walk.machines import Function
from tests.walk.scripted import NAME, scripted
from tests.walk.yard import Payloads, Yard, single_files


def test_billed_transitions_are_the_states_the_machines_enter(
    yard: Yard, payloads: Payloads
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
        batch_id = yard.drop(manifest)
    finally:
        NextStep.document = answered  # type: ignore[method-assign]

    entered = yard.machines.visited
    children = entered.count("ExecuteChunk")
    reports = entered.count("Report")
    assert yard.batch(batch_id).batch.state == "failed"
    assert entered.count("Wait") > 1
    assert sum(each.transitions for each in followed) + 3 * reports + children == len(entered)


def test_billed_transitions_of_a_schedule_s_job_are_the_states_its_machine_enters(
    yard: Yard,
) -> None:
    busy = Fail(Failure.PAYLOAD_BUSY, "busy", retryable=True)
    rule = {"kind": "daily", "at": "13:00", "zone": "UTC", "anchor": "2026-11-22"}
    wanted = ScheduleSpec("billed", NAME, recurrence_of(rule), Policy(), {})
    answers: list[tuple[str, dict[str, Any]]] = []
    plainly = yard.machines.invoke

    def invoke(name: str, function: Function, handed: dict[str, Any]) -> dict[str, Any]:
        answer = plainly(name, function, handed)
        answers.append((name, answer))
        return answer

    yard.machines.invoke = invoke
    with scripted() as script:
        script.answers = [busy]  # so that the machine waits
        schedule_commands.create(wanted, yard.asking())
        yard.later(3601)
        yard.minute()
        yard.machines.run_all()

    tried = [answer["next"] for name, answer in answers if name == "ExecuteJobFunction"]
    settled = [answer["next"] for name, answer in answers if name == "SettleFunction"]
    assert (tried, settled) == (["again", "settle"], ["end"])
    of_tries = 2 * len(tried) + tried.count("again")  # as functions/execute/job.py bills them
    assert of_tries + NextStep("", "end").transitions == len(yard.machines.visited)
