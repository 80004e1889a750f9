"""A lint of state machines: what AWS refuses or ends an execution for, and an emulator lets pass.

`faults` looks at a definition after substitution and answers sentences; none means none found.
Each check names the point it is for; the numbers are AWS's.
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
# What every call of a function has to try again, by AWS's best practice for Step Functions, and
# what stands for a function that raised or ran out of time.
RETRIED = {
    "Lambda.TooManyRequestsException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "States.TaskFailed",
    "States.Timeout",
}
LIMIT = "States.DataLimitExceeded"
# Every error a machine may name; source: the Step Functions developer guide, and the Amazon States
# Language's appendix A. An error of another name is never met, and nobody says so.
NAMED = RETRIED | {
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
    "ExecutionAlreadyExists",  # the emulator's word for it
}
ENDS = {"Succeed", "Fail"}


@dataclass(frozen=True)
class Surroundings:
    """What a machine's tasks are: by resource, the seconds a function may take and what it gives.

    A function that is not in `gives` promises nothing.
    """

    takes_s: Mapping[str, int]
    gives: Mapping[str, Collection[str]]


def faults(definition: Definition, around: Surroundings) -> list[str]:
    """Everything that is wrong with a machine, in the order of its states."""
    return [*_of_scope(definition, around, child=False), *_numbers(definition)]


def events_in_a_pass(definition: Definition, circle: Collection[str]) -> int:
    """History events of one round of the states in `circle`, without retries."""
    events = {"Task": 5, "Choice": 2, "Wait": 2, "Map": 4, "Pass": 2}
    return sum(events[definition["States"][name]["Type"]] for name in circle)


def _of_scope(scope: Definition, around: Surroundings, *, child: bool) -> Iterator[str]:
    states: Mapping[str, Any] = scope["States"]
    if scope.get("StartAt") not in states:
        yield f"StartAt names no state: {scope.get('StartAt')}"
    reached = {scope.get("StartAt")}
    for name, state in states.items():
        for target in _targets(state):
            reached.add(target)
            if target not in states:
                yield f"{name} goes to {target}, which is no state"
        if not _leads_on(state):
            yield f"{name} has no way on and is no end"
    for name in states.keys() - reached:
        yield f"nothing goes to {name}"
    for name, state in states.items():
        yield from _of_state(name, state, states, around, child=child)
        yield from _of_errors(name, state)


def _of_state(
    name: str,
    state: Definition,
    states: Mapping[str, Any],
    around: Surroundings,
    *,
    child: bool,
) -> Iterator[str]:
    match state["Type"]:
        case "Task":
            yield from _of_task(name, state, around, child=child)
        case "Map":
            yield from _of_map(name, state, around)
        case "Choice" if child:
            yield f"{name} is a Choice in a Map's child: a transition for every chunk"
        case "Wait" if child:
            yield f"{name} waits in a Map's child: it would hold a Map open"
    if state["Type"] == "Choice" and "Default" not in state:
        yield f"{name} has no Default: what it does not know ends the execution"
    if not child:
        missing = _asked(state) - _given(name, states, around)
        if missing:
            yield f"{name} reads {', '.join(sorted(missing))}, which not every way to it gives"
    if "Catch" in state:
        yield from _of_catch(name, state["Catch"])


def _of_task(name: str, state: Definition, around: Surroundings, *, child: bool) -> Iterator[str]:
    resource = state["Resource"]
    timeout = state.get("TimeoutSeconds")
    if timeout is None:
        yield f"{name} has no TimeoutSeconds: a lost answer would hang it for a year"
    elif float(timeout) < around.takes_s.get(resource, 0) + 10:
        yield f"{name} gives up before its function does, which then runs beside its successor"
    retried = {error for retry in state.get("Retry", ()) for error in retry["ErrorEquals"]}
    if resource in around.takes_s and not retried >= RETRIED:
        yield f"{name} does not try again after {', '.join(sorted(RETRIED - retried))}"
    if not retried:
        yield f"{name} tries nothing again"
    if child and state.get("OutputPath", "") is not None:
        yield f"{name} gives something to the Map, whose result is one array of them all"
    if not child and "Catch" not in state:
        yield f"{name} catches nothing"
    if "${" in str(resource):
        yield f"{name} has a resource that nothing was put in for: {resource}"


def _of_map(name: str, state: Definition, around: Surroundings) -> Iterator[str]:
    if state.get("ResultPath", "") is not None:
        yield f"{name} keeps its result: over 256 KiB of it ends the execution"
    if "Catch" not in state:
        yield f"{name} catches nothing"
    read = state.get("ItemReader", {}).get("Parameters", {})
    if "VersionId.$" not in read:
        yield f"{name} reads whichever version of its index there is by then"
    own = [path for path in _paths_in(state.get("ItemSelector", {})) if "$$.Execution" in path]
    if own:
        yield f"{name} hands its children {own[0]}, which is the same in every pass"
    processor = state["ItemProcessor"]
    if "$$.Execution" in str(processor["States"]):
        yield f"{name} has children that look at $$.Execution: there it is the child's own"
    if processor["ProcessorConfig"]["Mode"] == "DISTRIBUTED" and "MaxConcurrency" in state:
        yield f"{name} has its concurrency in the definition: take it from the input"
    yield from _of_scope(processor, around, child=True)


def _of_errors(name: str, state: Definition) -> Iterator[str]:
    for each in (*state.get("Retry", ()), *state.get("Catch", ())):
        for error in sorted(set(each["ErrorEquals"]) - NAMED):
            yield f"{name} names an error that there is not: {error}"


def _of_catch(name: str, catches: list[Mapping[str, Any]]) -> Iterator[str]:
    caught = [error for catch in catches for error in catch["ErrorEquals"]]
    if "States.ALL" not in caught or catches[-1]["ErrorEquals"] != ["States.ALL"]:
        yield f"{name} does not end its Catch with States.ALL by itself"
    if LIMIT not in caught or caught.index(LIMIT) > caught.index("States.ALL"):
        yield f"{name} does not name {LIMIT}, which States.ALL does not catch"


def _targets(state: Definition) -> Iterator[str]:
    yield from (state[key] for key in ("Next", "Default") if key in state)
    for branch in (*state.get("Choices", ()), *state.get("Catch", ())):
        yield branch["Next"]


def _leads_on(state: Definition) -> bool:
    if state["Type"] in ENDS:
        return "Next" not in state
    if state["Type"] == "Choice":
        return bool(state.get("Choices"))
    return ("Next" in state) != (state.get("End") is True)


def _asked(state: Definition) -> set[str]:
    """The fields of its input that a state breaks without: of $, not of the context $$."""
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


def _given(name: str, states: Mapping[str, Any], around: Surroundings) -> set[str]:
    """The fields that are there whichever way `name` was come by, but by a Catch.

    A function gives what it promises; every other state hands on what it was handed.
    """
    return _handed(name, states, around, frozenset())


def _handed(
    name: str, states: Mapping[str, Any], around: Surroundings, passed: frozenset[str]
) -> set[str]:
    ways = []
    for before, state in states.items():
        straight = {target for target in _targets({**state, "Catch": ()})}
        if name not in straight or before in passed:
            continue
        if state["Type"] == "Task" and state.get("ResultPath", "") is not None:
            ways.append(set(around.gives.get(state["Resource"], ())))
        else:
            ways.append(_handed(before, states, around, passed | {name}))
    return set.intersection(*ways) if ways else set()


def _numbers(found: Any, where: str = "$") -> Iterator[str]:
    if isinstance(found, list):
        for number, value in enumerate(found):
            yield from _numbers(value, f"{where}[{number}]")
    if not isinstance(found, dict):
        return
    for key, value in found.items():
        if key in NUMBERS and not isinstance(value, int | float):
            yield f"{where}.{key} is {value!r}, and AWS wants a number"
        if key == "Timestamp" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", str(value)):
            yield f"{where}.{key} is {value!r}, and AWS wants T and Z in it"
        yield from _numbers(value, f"{where}.{key}")
