"""AWS accepts and runs the state machines, not only the emulator."""

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args

import pytest

from cli.local.emulator import ROOT
from jobyard.domain.batches.chunks import INDEX_LINE_BYTES, MAX_CHUNKS, Chunk, PassShare
from jobyard.domain.ids import batch_id_of, schedule_id_of
from jobyard.domain.jobs.job import JobAddress
from jobyard.domain.schedules.schedule import job_address
from jobyard.services.batches.commands import COMMANDS
from jobyard.services.batches.settle import PASSES_PER_EXECUTION
from jobyard.services.executions import batch_execution, job_execution
from jobyard.services.machines.edit import EditStep, EditTask
from jobyard.services.machines.execute_chunk import CHUNK_TRANSITIONS
from jobyard.services.machines.execute_job import JobRun
from jobyard.services.machines.inputs import ChunkInput
from jobyard.services.runs import ExecutionRun, NextAction, NextStep
from tests.infra.asl import INPUT, Functions, events_in_a_pass, faults
from tests.infra.template_reader import Resources, of_type, version_of, written

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
# The functions before a Choice or a Map always return the whole next state.
FOLLOWING = set(NextStep("b", "end").document())
RETURNS = {
    f"{LAMBDA}OpenFunction": FOLLOWING,
    f"{LAMBDA}SettleFunction": FOLLOWING,
    f"{LAMBDA}ExecuteJobFunction": FOLLOWING | {"chunk", "position"},
    f"{LAMBDA}ReportFunction": FOLLOWING,
    **{
        f"{LAMBDA}{each}Function": set(EditStep(EditTask.END, "e", "1").document())
        for each in ("Prepare", "Check", "Commit")
    },
}
STARTED_WITH = {"EditMachine": {"task"}}
OTHER_FUNCTIONS = {"GiveUp": "Commit"}  # states with another function than that of their name
Break = Callable[[dict[str, Any]], Any]


@pytest.fixture
def functions(resources: Resources) -> Functions:
    timeout_s = {
        f"{LAMBDA}{name}": function["Properties"]["Timeout"]
        for name, function in of_type(resources, "AWS::Lambda::Function").items()
    }
    return Functions(timeout_s, RETURNS)


@pytest.fixture
def batch(definitions: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(definitions["BatchMachine"])


def test_the_lint_finds_no_fault_in_the_machines(
    definitions: dict[str, Any], functions: Functions
) -> None:
    for name, definition in definitions.items():
        started = replace(functions, returns={**RETURNS, INPUT: STARTED_WITH.get(name, set())})
        assert faults(definition, started) == []


BREAKS: dict[str, tuple[Break, str]] = {
    "a dangling Next": (
        lambda states: states["Wait"].update(Next="Nowhere"),
        "Wait goes to Nowhere, which is not a state",
    ),
    "a state that cannot be reached": (
        lambda states: states.update(Lost={"Type": "Succeed"}),
        "Lost cannot be reached",
    ),
    "a state without a next state": (
        lambda states: states["Wait"].pop("Next"),
        "Wait has no next state and no end",
    ),
    "a number in quotes": (
        lambda states: states["Open"].update(TimeoutSeconds="910"),
        "AWS expects a number",
    ),
    "concurrency in the definition": (
        lambda states: states["Execute"].update(MaxConcurrency=40),
        "Execute has its concurrency in the definition",
    ),
    "a task without a timeout": (
        lambda states: states["Settle"].pop("TimeoutSeconds"),
        "Settle has no TimeoutSeconds",
    ),
    "a timeout shorter than the function's": (
        lambda states: states["Report"].update(TimeoutSeconds=900),
        "Report times out before its function",
    ),
    "a task without a Retry": (
        lambda states: states["Report"].pop("Retry"),
        "Report retries nothing",
    ),
    "a Retry that misses timeouts": (
        lambda states: states["Report"]["Retry"][-1].update(ErrorEquals=["States.TaskFailed"]),
        "Report does not retry States.Timeout",
    ),
    "a Catch of States.ALL alone": (
        lambda states: states["Open"]["Catch"].pop(0),
        "Open does not catch States.DataLimitExceeded",
    ),
    "a task without a Catch": (
        lambda states: states["Settle"].pop("Catch"),
        "Settle catches nothing",
    ),
    "a Map that keeps its result": (
        lambda states: states["Execute"].pop("ResultPath"),
        "Execute keeps its result",
    ),
    "a Map without a Catch": (
        lambda states: states["Execute"].pop("Catch"),
        "Execute catches nothing",
    ),
    "a child with a result": (
        lambda states: _child(states)["ExecuteChunk"].pop("OutputPath"),
        "ExecuteChunk returns a result to the Map",
    ),
    "a child that waits": (
        lambda states: _child(states).update(
            Pause={"Type": "Wait", "Seconds": 1, "Next": "ExecuteChunk"}
        ),
        "Pause waits in a Map's child",
    ),
    "a Choice without a Default": (
        lambda states: states["Opened"].pop("Default"),
        "Opened has no Default",
    ),
    "a Choice on a field that may be absent": (
        lambda states: states["Settled"]["Choices"][0].update(Variable="$.held"),
        "Settled reads held, which not every path to it sets",
    ),
    "a Map that reads a missing field": (
        lambda states: states["Execute"]["ItemReader"]["Parameters"].update({"Key.$": "$.index"}),
        "Execute reads index, which not every path to it sets",
    ),
    "an error that does not exist": (
        lambda states: states["Open"]["Catch"][0].update(ErrorEquals=["States.DataLimitExeeded"]),
        "Open names an error that does not exist: States.DataLimitExeeded",
    ),
    "an index without a version": (
        lambda states: states["Execute"]["ItemReader"]["Parameters"].pop("VersionId.$"),
        "Execute reads the latest version of its index",
    ),
    "a cause that is the same in every pass": (
        lambda states: states["Execute"]["ItemSelector"].update({"pass.$": "$$.Execution.Name"}),
        "Execute passes $$.Execution.Name to its children",
    ),
    "a child that reads the parent's execution": (
        lambda states: _child(states)["ExecuteChunk"].update(
            Parameters={"run.$": "$$.Execution.Id"}
        ),
        "Execute has children that read $$.Execution",
    ),
    "a Retry that misses throttling": (
        lambda states: _child(states)["ExecuteChunk"]["Retry"].pop(0),
        "ExecuteChunk does not retry Lambda.TooManyRequestsException",
    ),
    "a timestamp that AWS refuses": (
        lambda states: states.update(
            Wait={"Type": "Wait", "Timestamp": "2026-11-22 12:00:00", "Next": "Execute"}
        ),
        "AWS expects T and Z in it",
    ),
    "a placeholder without a value": (
        lambda states: states["Open"].update(Resource="${OpenFuncton}"),
        "a placeholder without a value",
    ),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_the_lint_finds(kind: str, batch: dict[str, Any], functions: Functions) -> None:
    breaks, words = BREAKS[kind]
    breaks(batch["States"])

    found = faults(batch, functions)

    assert any(words in fault for fault in found), found


def test_the_definitions_are_json_before_substitution() -> None:
    for path in Path(ROOT, "infra/statemachines").glob("*.asl.json"):
        assert "States" in json.loads(path.read_text())


def test_a_machine_names_versions_so_that_an_execution_ends_with_the_code_it_began_with(
    template: dict[str, Any], resources: Resources
) -> None:
    for machine in of_type(template["Resources"], "AWS::Serverless::StateMachine"):
        text = Path(ROOT, template["Resources"][machine]["Properties"]["DefinitionUri"]).read_text()
        substitutions = resources[machine]["Properties"]["DefinitionSubstitutions"]
        assert {*re.findall(r"\$\{(\w+)\}", text)} == substitutions.keys(), machine
        for name, value in substitutions.items():
            if name.endswith("Function"):
                system = machine == "SystemMachine" and name == "ExecuteJobFunction"
                assert version_of(written(value)) == ("SystemJobFunction" if system else name)


def test_a_new_execution_of_a_batch_has_the_version_that_is_live_then(
    definitions: dict[str, Any], resources: Resources
) -> None:
    """AWS does not say whether $$.StateMachine.Id has the alias."""
    substitutions = resources["BatchMachine"]["Properties"]["DefinitionSubstitutions"]

    assert written(substitutions["BatchMachine"]).endswith("${AWS::StackName}-batch:live")
    assert "$$.StateMachine" not in json.dumps(definitions)


def test_a_state_has_the_name_of_its_function(definitions: dict[str, Any]) -> None:
    for definition in definitions.values():
        states = definition["States"]
        inner = [_child(states)] if "Execute" in states else []
        for name, state in [pair for scope in (states, *inner) for pair in scope.items()]:
            if state["Type"] == "Task" and state["Resource"].startswith(LAMBDA):
                function = OTHER_FUNCTIONS.get(name, name)
                assert state["Resource"] == f"{LAMBDA}{function}Function"


def test_a_failed_child_does_not_fail_the_map(batch: dict[str, Any]) -> None:
    assert batch["States"]["Execute"]["ToleratedFailurePercentage"] == 100


@pytest.mark.parametrize(
    "chunk", [Chunk(7, 0, 1), Chunk(7, 0, 1, PassShare(25, 5, NOON, NOON, is_spread=True))]
)
def test_a_child_of_the_map_gets_its_line_of_the_index(batch: dict[str, Any], chunk: Chunk) -> None:
    document = _selected(batch, {"origin_id": "b1", "run": "main", "pass": 2}, chunk)

    assert ChunkInput.of(document) == ChunkInput("b1", ExecutionRun("main", 2), chunk)


def _selected(batch: dict[str, Any], state: dict[str, Any], chunk: Chunk) -> dict[str, Any]:
    """What the Map selects from the state and the line of a chunk, for a child."""
    line = json.loads(chunk.index_line())
    return {
        name.removesuffix(".$"): line if path == "$$.Map.Item.Value" else state[path[2:]]
        for name, path in batch["States"]["Execute"]["ItemSelector"].items()
    }


def test_a_child_of_an_execution_before_0_2_has_the_fields_of_its_line() -> None:
    document = {"origin_id": "b1", "run": "main", "pass": 2, "chunk": 7, "start": 0, "end": 1}

    assert ChunkInput.of(document).chunk == Chunk(7, 0, 1)


def test_the_passes_of_an_execution_fit_into_its_history(batch: dict[str, Any]) -> None:
    events = events_in_a_pass(batch, ("Execute", "Settle", "Settled", "Wait"))

    assert events * PASSES_PER_EXECUTION < 25_000 / 2  # AWS's limit; half of it is for retries


def test_one_more_state_in_the_loop_is_counted(batch: dict[str, Any]) -> None:
    loop = ("Execute", "Settle", "Settled", "Wait")

    assert events_in_a_pass(batch, (*loop, "Report")) == events_in_a_pass(batch, loop) + 5


def test_two_passes_over_a_chunk_have_different_causes(batch: dict[str, Any]) -> None:
    def cause(number: int) -> str:
        state = NextStep("b", "execute", ExecutionRun("main", number)).document()
        request = ChunkInput.of(_selected(batch, state, Chunk(7, 0, 1)))
        return request.run.cause(JobAddress(request.origin_id, request.chunk.number, 0), attempt=1)

    assert cause(1) != cause(2)


def test_a_wait_has_a_timestamp_that_aws_accepts() -> None:
    at = datetime(2026, 11, 22, 13, 30, 0, 1, tzinfo=timezone(timedelta(hours=1)))

    assert NextStep("b", "next_pass", until=at).document()["until"] == "2026-11-22T12:30:01Z"


def test_the_state_is_small_for_every_batch() -> None:
    largest = NextStep(
        origin_id="b" + "a" * 20,
        next="next_pass",
        run=ExecutionRun("z" * 40, 9_999_999),
        index_bucket="b" * 63,
        index_key="k" * 1024,
        index_version="v" * 1024,
        max_concurrency=1000,
        execution_name="n" * 80,
    )

    assert len(json.dumps(largest.document())) < 10_000  # of 256 KiB


def test_aws_accepts_the_names_of_executions() -> None:
    """1 to 80 characters; source: the Step Functions API, StartExecution."""
    address = JobAddress(batch_id_of(b""), 999_999, 999)
    run = "r" + "f" * 12  # as a request names it
    commands = {"open", "operation", "settle", *COMMANDS.values()}
    names = [batch_execution(address.origin_id, command, run, 99) for command in commands]
    names.append(job_execution(address, run, 99))
    names.append(job_execution(job_address(schedule_id_of(b""), LATEST), run, 99))

    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,80}", name), name


def test_the_largest_index_and_its_children_fit_into_a_map(batch: dict[str, Any]) -> None:
    """AWS collects the results of all children, and limits them to the size of a state, although
    the Map drops them."""
    child = _child(batch["States"])["ExecuteChunk"]
    given = {} if child.get("OutputPath", "$") is None else batch["States"]["Execute"]
    together = json.dumps([given] * MAX_CHUNKS, separators=(",", ":"))

    assert len(together) < 256 * 1024
    assert MAX_CHUNKS * INDEX_LINE_BYTES < 10 * 2**30  # of what an ItemReader reads


# Each next step that a task can return; its function bills the transitions that follow.
NEXT_STEPS: list[tuple[str, str, NextAction]] = [
    *(("BatchMachine", "Open", where) for where in ("execute", "settle", "report", "end")),
    *(
        ("BatchMachine", "Settle", where)
        for where in ("next_pass", "report", "continue_as_new", "settle_later", "rest", "end")
    ),
    *(("JobMachine", "Settle", where) for where in ("report", "end")),
    *(("BatchMachine", "Report", where) for where in ("report", "end")),
    *(("JobMachine", "Report", where) for where in ("report", "end")),
]


@pytest.mark.parametrize(("machine", "task", "where"), NEXT_STEPS)
def test_a_task_bills_the_states_up_to_the_next_task(
    definitions: dict[str, Any], machine: str, task: str, where: NextAction
) -> None:
    states = definitions[machine]["States"]

    assert len(_entered(states, task, where)) == NextStep("b", where).transitions


def test_every_next_step_is_billed() -> None:
    assert {where for _, _, where in NEXT_STEPS} == set(get_args(NextAction))


@pytest.mark.parametrize("where", ["next_pass", "settle"])
def test_a_single_job_bills_the_states_up_to_the_next_task(
    definitions: dict[str, Any], where: NextAction
) -> None:
    entered = _entered(definitions["JobMachine"]["States"], "ExecuteJob", where)

    assert JobRun(NextStep("b", where), []).transitions == len(entered)


def test_a_chunk_bills_the_start_and_the_states_of_its_child(batch: dict[str, Any]) -> None:
    assert 1 + len(_child(batch["States"])) == CHUNK_TRANSITIONS


def _entered(states: dict[str, Any], task: str, where: NextAction) -> list[str]:
    """`task` and the states after it, up to the next one that calls a function."""
    entered = [task]
    following = states[task]["Next"]
    while True:
        state = states[following]
        if state.get("Resource", "").startswith(LAMBDA):
            return entered
        entered.append(following)
        if state["Type"] in {"Succeed", "Map"}:  # a Map's children bill themselves
            return entered
        following = _chosen(state, where) if state["Type"] == "Choice" else state["Next"]


def _chosen(choice: dict[str, Any], where: NextAction) -> str:
    for rule in choice["Choices"]:
        assert rule["Variable"] == "$.next"
        if rule["StringEquals"] == where:
            return str(rule["Next"])
    return str(choice["Default"])


def _child(states: dict[str, Any]) -> dict[str, Any]:
    child: dict[str, Any] = states["Execute"]["ItemProcessor"]["States"]
    return child
