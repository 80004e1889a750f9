"""A lint for state machines: it finds what the emulator accepts and AWS refuses or fails at.

`faults` checks a definition after substitution. Each fault is a line of text. The limits are AWS's.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Definition = Mapping[str, Any]

NUMBERS = {
    "BackoffRate",
    "HeartbeatSeconds",
    "IntervalSeconds",
    "MaxAttempts",
    "MaxConcurrency",
    "MaxDelaySeconds",
    "Seconds",
    "TimeoutSeconds",
    "ToleratedFailurePercentage",
}
# The errors that every call of a function must retry: those of AWS's best practices for Step
# Functions, and those of a function that raised an exception or timed out.
RETRIED = {
    "Lambda.TooManyRequestsException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "States.TaskFailed",
    "States.Timeout",
}
LIMIT = "States.DataLimitExceeded"
# Every error name that exists. Sources: the Step Functions developer guide; the Amazon States
# Language, appendix A. Step Functions accepts any other name and never matches it.
KNOWN = RETRIED | {
    LIMIT,
    "States.ALL",
    "States.BranchFailed",
    "States.ExceedToleratedFailureThreshold",
    "States.HeartbeatTimeout",
    "States.ItemReaderFailed",
    "States.Permissions",
    "States.ResultWriterFailed",
    "Lambda.ClientExecutionTimeoutException",
    "StepFunctions.ExecutionAlreadyExistsException",
    "ExecutionAlreadyExists",  # the emulator's name for it
}
ENDS = {"Succeed", "Fail"}
INPUT = "input"  # stands for a function that returns the input of each execution


@dataclass(frozen=True)
class Functions:
    """The functions that a machine calls, by resource: their timeouts and the fields they return.

    A function that is not in `returns` guarantees no field.
    """

    timeout_s: Mapping[str, int]
    returns: Mapping[str, Collection[str]]


def faults(definition: Definition, functions: Functions) -> list[str]:
    """All faults of a machine, in the order of its states."""
    return [*_of_scope(definition, functions, child=False), *_numbers(definition)]


def events_in_a_pass(definition: Definition, loop: Collection[str]) -> int:
    """The history events of one pass through the states of `loop`, without retries."""
    events = {"Task": 5, "Choice": 2, "Wait": 2, "Map": 4, "Pass": 2}
    return sum(events[definition["States"][name]["Type"]] for name in loop)


def _of_scope(scope: Definition, functions: Functions, *, child: bool) -> Iterator[str]:
    states: Mapping[str, Any] = scope["States"]
    if scope.get("StartAt") not in states:
        yield f"StartAt names {scope.get('StartAt')}, which is not a state"
    reached = {scope.get("StartAt")}
    for name, state in states.items():
        for target in _targets(state):
            reached.add(target)
            if target not in states:
                yield f"{name} goes to {target}, which is not a state"
        if not _has_way_out(state):
            yield f"{name} has no next state and no end"
    for name in states.keys() - reached:
        yield f"{name} cannot be reached"
    # What an execution is started with comes from a task before the first state.
    entry = {"Type": "Task", "Resource": INPUT, "Next": scope.get("StartAt")}
    for name, state in states.items():
        yield from _of_state(name, state, {**states, INPUT: entry}, functions, child=child)
        yield from _of_errors(name, state)


def _of_state(
    name: str,
    state: Definition,
    states: Mapping[str, Any],
    functions: Functions,
    *,
    child: bool,
) -> Iterator[str]:
    match state["Type"]:
        case "Task":
            yield from _of_task(name, state, functions, child=child)
        case "Map":
            yield from _of_map(name, state, functions)
        case "Choice" if child:
            yield f"{name} is a Choice in a Map's child, which costs a transition for every chunk"
        case "Wait" if child:
            yield f"{name} waits in a Map's child, which keeps the Map open"
    if state["Type"] == "Choice" and "Default" not in state:
        yield f"{name} has no Default: an unknown value fails the execution"
    if not child:
        missing = _required(state) - _guaranteed(name, states, functions)
        if missing:
            yield f"{name} reads {', '.join(sorted(missing))}, which not every path to it sets"
    if "Catch" in state:
        yield from _of_catch(name, state["Catch"])


def _of_task(name: str, state: Definition, functions: Functions, *, child: bool) -> Iterator[str]:
    resource = state["Resource"]
    timeout = state.get("TimeoutSeconds")
    if timeout is None:
        yield f"{name} has no TimeoutSeconds: it would wait a year for a lost answer"
    elif float(timeout) < functions.timeout_s.get(resource, 0) + 10:
        yield f"{name} times out before its function, which then runs next to its successor"
    retried = {error for retry in state.get("Retry", ()) for error in retry["ErrorEquals"]}
    if resource in functions.timeout_s and not retried >= RETRIED:
        yield f"{name} does not retry {', '.join(sorted(RETRIED - retried))}"
    if not retried:
        yield f"{name} retries nothing"
    if child and state.get("OutputPath", "") is not None:
        yield f"{name} returns a result to the Map, which collects all results in one array"
    if not child and "Catch" not in state:
        yield f"{name} catches nothing"
    if "${" in str(resource):
        yield f"{name} has a placeholder without a value: {resource}"


def _of_map(name: str, state: Definition, functions: Functions) -> Iterator[str]:
    if state.get("ResultPath", "") is not None:
        yield f"{name} keeps its result: more than 256 KiB fails the execution"
    if "Catch" not in state:
        yield f"{name} catches nothing"
    read = state.get("ItemReader", {}).get("Parameters", {})
    if "VersionId.$" not in read:
        yield f"{name} reads the latest version of its index, not a certain one"
    own = [path for path in _paths_in(state.get("ItemSelector", {})) if "$$.Execution" in path]
    if own:
        yield f"{name} passes {own[0]} to its children, which is the same in every pass"
    processor = state["ItemProcessor"]
    if "$$.Execution" in str(processor["States"]):
        yield f"{name} has children that read $$.Execution, which is the child's own there"
    if processor["ProcessorConfig"]["Mode"] == "DISTRIBUTED" and "MaxConcurrency" in state:
        yield f"{name} has its concurrency in the definition, not from the input"
    yield from _of_scope(processor, functions, child=True)


def _of_errors(name: str, state: Definition) -> Iterator[str]:
    for each in (*state.get("Retry", ()), *state.get("Catch", ())):
        for error in sorted(set(each["ErrorEquals"]) - KNOWN):
            yield f"{name} names an error that does not exist: {error}"


def _of_catch(name: str, catches: list[Mapping[str, Any]]) -> Iterator[str]:
    caught = [error for catch in catches for error in catch["ErrorEquals"]]
    if "States.ALL" not in caught or catches[-1]["ErrorEquals"] != ["States.ALL"]:
        yield f"{name} does not end its Catch with States.ALL alone"
    if LIMIT not in caught or caught.index(LIMIT) > caught.index("States.ALL"):
        yield f"{name} does not catch {LIMIT}, which States.ALL does not include"


def _targets(state: Definition) -> Iterator[str]:
    yield from (state[key] for key in ("Next", "Default") if key in state)
    for branch in (*state.get("Choices", ()), *state.get("Catch", ())):
        yield branch["Next"]


def _has_way_out(state: Definition) -> bool:
    if state["Type"] in ENDS:
        return "Next" not in state
    if state["Type"] == "Choice":
        return bool(state.get("Choices"))
    return ("Next" in state) != (state.get("End") is True)


def _required(state: Definition) -> set[str]:
    """The fields of the input that a state needs: of $, not of the context $$."""
    paths = [choice["Variable"] for choice in state.get("Choices", ()) if "Variable" in choice]
    paths += [state[key] for key in ("TimestampPath", "MaxConcurrencyPath") if key in state]
    for key in ("ItemSelector", "Parameters"):
        paths += _paths_in(state.get(key, {}))
    paths += _paths_in(state.get("ItemReader", {}).get("Parameters", {}))
    return {path.removeprefix("$.").split(".")[0] for path in paths if path.startswith("$.")}


def _paths_in(template: Any) -> list[str]:
    if not isinstance(template, dict):
        return []
    paths = [value for key, value in template.items() if key.endswith(".$")]
    return paths + [path for value in template.values() for path in _paths_in(value)]


def _guaranteed(name: str, states: Mapping[str, Any], functions: Functions) -> set[str]:
    """The fields that every path to `name` sets, without the paths through a Catch.

    A task sets the fields that its function returns. Every other state passes its input on.
    """
    return _set_before(name, states, functions, frozenset())


def _set_before(
    name: str, states: Mapping[str, Any], functions: Functions, visited: frozenset[str]
) -> set[str]:
    paths = []
    for before, state in states.items():
        targets = set(_targets({**state, "Catch": ()}))
        if name not in targets or before in visited:
            continue
        if state["Type"] == "Task" and state.get("ResultPath", "") is not None:
            paths.append(set(functions.returns.get(state["Resource"], ())))
        else:
            paths.append(_set_before(before, states, functions, visited | {name}))
    return set.intersection(*paths) if paths else set()


def _numbers(found: Any, where: str = "$") -> Iterator[str]:
    if isinstance(found, list):
        for number, value in enumerate(found):
            yield from _numbers(value, f"{where}[{number}]")
    if not isinstance(found, dict):
        return
    for key, value in found.items():
        if key in NUMBERS and not isinstance(value, int | float):
            yield f"{where}.{key} is {value!r}, but AWS expects a number"
        if key == "Timestamp" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(value)):
            yield f"{where}.{key} is {value!r}, but AWS expects T and Z in it"
        yield from _numbers(value, f"{where}.{key}")
