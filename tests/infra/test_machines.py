"""The state machines are such as AWS runs, and not only the emulator."""

import copy
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from cli.local.emulator import ROOT
from jobyard.domain.chunks import LINE_BYTES, Chunk
from jobyard.services.settling import FRESH_AFTER
from jobyard.services.steering import Next
from tests.infra.asl import Surroundings, events_in_a_pass, faults
from tests.infra.reading import Resources, of_type

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
# What the functions that a Choice or a Map comes after always give: the whole next state.
FOLLOWING = set(Next("b", "end").document())
GIVES = {
    f"{LAMBDA}OpenFunction": FOLLOWING,
    f"{LAMBDA}SettleFunction": FOLLOWING,
    f"{LAMBDA}ExecuteJobFunction": FOLLOWING | {"chunk", "position"},
}
Break = Callable[[dict[str, Any]], Any]


@pytest.fixture
def around(resources: Resources) -> Surroundings:
    takes_s = {
        f"{LAMBDA}{name}": function["Properties"]["Timeout"]
        for name, function in of_type(resources, "AWS::Lambda::Function").items()
    }
    return Surroundings(takes_s, GIVES)


@pytest.fixture
def batch(definitions: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(definitions["BatchMachine"])


def test_the_machines_have_no_fault(definitions: dict[str, Any], around: Surroundings) -> None:
    for definition in definitions.values():
        assert faults(definition, around) == []


BREAKS: dict[str, tuple[Break, str]] = {
    "a dangling Next": (
        lambda states: states["Wait"].update(Next="Nowhere"),
        "Wait goes to Nowhere, which is no state",
    ),
    "a state nothing goes to": (
        lambda states: states.update(Lost={"Type": "Succeed"}),
        "nothing goes to Lost",
    ),
    "a state without a way on": (
        lambda states: states["Wait"].pop("Next"),
        "Wait has no way on and is no end",
    ),
    "a number in quotes": (
        lambda states: states["Open"].update(TimeoutSeconds="910"),
        "AWS wants a number",
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
        "Report gives up before its function does",
    ),
    "a task without a Retry": (
        lambda states: states["Report"].pop("Retry"),
        "Report tries nothing again",
    ),
    "a Retry that misses timeouts": (
        lambda states: states["Report"]["Retry"][-1].update(ErrorEquals=["States.TaskFailed"]),
        "Report does not try again after States.Timeout",
    ),
    "a Catch of States.ALL alone": (
        lambda states: states["Open"]["Catch"].pop(0),
        "Open does not name States.DataLimitExceeded",
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
        "ExecuteChunk gives something to the Map",
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
        "Settled reads held, which not every way to it gives",
    ),
    "a Map that reads what is not there": (
        lambda states: states["Execute"]["ItemReader"]["Parameters"].update({"Key.$": "$.index"}),
        "Execute reads index, which not every way to it gives",
    ),
    "a placeholder nothing was put in for": (
        lambda states: states["Open"].update(Resource="${OpenFuncton}"),
        "nothing was put in for",
    ),
}


@pytest.mark.parametrize("kind", BREAKS)
def test_the_lint_finds(kind: str, batch: dict[str, Any], around: Surroundings) -> None:
    breaks, words = BREAKS[kind]
    breaks(batch["States"])

    found = faults(batch, around)

    assert any(words in fault for fault in found), found


def test_the_definitions_are_json_before_anything_is_put_in() -> None:
    for path in Path(ROOT, "infra/statemachines").iterdir():
        assert "States" in json.loads(path.read_text())


def test_what_is_put_in_is_what_the_definitions_ask_for(template: dict[str, Any]) -> None:
    for resource in of_type(template["Resources"], "AWS::Serverless::StateMachine").values():
        text = Path(ROOT, resource["Properties"]["DefinitionUri"]).read_text()
        for name, value in resource["Properties"]["DefinitionSubstitutions"].items():
            assert f'"${{{name}}}"' in text
            assert value == {"Fn::GetAtt": [name, "Arn"]}


def test_a_state_has_the_name_of_its_function(definitions: dict[str, Any]) -> None:
    for definition in definitions.values():
        states = definition["States"]
        inner = [_child(states)] if "Execute" in states else []
        for name, state in [pair for scope in (states, *inner) for pair in scope.items()]:
            if state["Type"] == "Task" and state["Resource"].startswith(LAMBDA):
                assert state["Resource"] == f"{LAMBDA}{name}Function"


def test_a_failed_child_does_not_fail_the_map(batch: dict[str, Any]) -> None:
    assert batch["States"]["Execute"]["ToleratedFailurePercentage"] == 100


def test_a_chunk_is_read_by_the_names_its_index_has(batch: dict[str, Any]) -> None:
    selected = batch["States"]["Execute"]["ItemSelector"]
    read = {path.removeprefix("$$.Map.Item.Value.") for path in selected.values() if "$$" in path}

    assert read == {field.name for field in fields(Chunk)}


def test_as_many_passes_as_settle_allows_fit_into_a_history(batch: dict[str, Any]) -> None:
    events = events_in_a_pass(batch, ("Execute", "Settle", "Settled", "Wait"))

    assert events * FRESH_AFTER < 25_000 / 2  # AWS's bound; the other half is for retries


def test_the_largest_index_and_its_children_fit_into_a_map() -> None:
    chunks = 1_000_000 // 100

    assert chunks * len("{},") < 200_000  # of the 256 KiB a state may be
    assert chunks * LINE_BYTES < 10 * 2**30  # of what an ItemReader reads


def _child(states: dict[str, Any]) -> dict[str, Any]:
    child: dict[str, Any] = states["Execute"]["ItemProcessor"]["States"]
    return child
