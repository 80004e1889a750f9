"""Runs the state machines in process from their own definitions; no time passes.

It knows only what our machines use: Task, Choice, Map over an S3 index, Wait, Succeed, Fail, Retry
and Catch. Unlike Step Functions it retries at once, runs the children of a Map one after another,
and has no timeouts and no limits but `MAX_OUTPUT_BYTES`.
"""

import json
import re
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.call_interceptor import CallInterceptor

DEFINITIONS = Path(__file__).parents[1] / "infra" / "statemachines"
Function = Callable[[dict[str, Any]], dict[str, Any]]
# Errors of a test or of our code that no Retry or Map may hide, as Lambda would.
BUGS = (AssertionError, AttributeError, LookupError, NameError, TypeError)
MAX_OUTPUT_BYTES = 10_000  # of a task, whatever the batch; Step Functions allows 256 KiB


def _definition(machine: str) -> str:
    """The definition of a machine. The system's is the job machine's, with another function."""
    if machine == "system":
        return _definition("job").replace("${ExecuteJobFunction}", "${SystemJobFunction}")
    return (DEFINITIONS / f"{machine}.asl.json").read_text()


class ExecutionAlreadyExists(Exception):
    """There is an execution of that name."""


class ExecutionDoesNotExist(Exception):
    """There is no execution of that name."""


class NoWorkerFree(Exception):
    """Lambda refuses to invoke a function, because the concurrency limit is reached."""

    error_name = "Lambda.TooManyRequestsException"


class ExecutionFailed(Exception):
    """The execution ended in a Fail state."""


class Machines:
    """Replaces the Step Functions client: queues executions, and runs them on request."""

    class exceptions:
        """The client's exceptions."""

        ExecutionAlreadyExists = ExecutionAlreadyExists
        ExecutionDoesNotExist = ExecutionDoesNotExist

    def __init__(
        self,
        functions: Mapping[str, Function],
        s3: Any,
        wait_until: Callable[[datetime], None],
        now: Callable[[], datetime],
        interceptor: CallInterceptor,
    ) -> None:
        self._functions = functions
        self._s3 = s3
        self._wait_until = wait_until
        self._now = now
        self._interceptor = interceptor
        self._waiting: deque[tuple[str, str, dict[str, Any]]] = deque()
        self.executions: dict[str, dict[str, Any]] = {}  # by name
        self._lock = threading.Lock()
        # How a function is invoked; tests replace it, to invoke it twice or to count.
        self.invoke: Callable[[str, Function, dict[str, Any]], dict[str, Any]] = (
            lambda _name, function, event: function(event)
        )
        self.visited: list[str] = []  # the names of the entered states

    # The client

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> None:
        """Queue an execution. A name may repeat only with the same input, while it runs."""
        request = {"stateMachineArn": stateMachineArn, "name": name, "input": input}
        with self._interceptor.intercepted("stepfunctions", "StartExecution", request), self._lock:
            self._start(request)

    def _start(self, request: dict[str, str]) -> None:
        name = request["name"]
        if name in self.executions:
            same = request.items() <= self.executions[name].items()
            if same and self.executions[name]["status"] == "RUNNING":
                return
            raise ExecutionAlreadyExists(name)
        assert len(name) <= 80
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
        self.executions[name] = {**request, "status": "RUNNING", "startDate": self._now()}
        self._waiting.append((request["stateMachineArn"], name, json.loads(request["input"])))

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        """The state of an execution."""
        name = executionArn.rpartition(":")[2]
        with self._interceptor.intercepted("stepfunctions", "DescribeExecution", {"name": name}):
            if name not in self.executions:
                raise ExecutionDoesNotExist(name)
            return dict(self.executions[name])

    # For tests

    def run_all(self) -> None:
        """Run every queued execution, and those that they start."""
        while self._waiting:
            machine, name, data = self._waiting.popleft()
            self.run(machine, name, data)

    def run(self, machine: str, name: str, data: Any) -> Any:
        """Run one execution of `machine`, an ARN or a name, to its end. Returns its output."""
        own_name = re.split("[:-]", machine)[-1]
        definition = json.loads(_definition(own_name))
        context = {"Execution": {"Name": name}, "StateMachine": {"Id": machine}}
        execution = self.executions.setdefault(name, {"startDate": self._now()})
        execution["status"] = "RUNNING"
        try:
            output = self._run_states(definition, data, context)
        except BaseException:
            execution |= {"status": "FAILED", "stopDate": self._now()}
            raise
        execution |= {"status": "SUCCEEDED", "stopDate": self._now()}
        return output

    def _run_states(self, definition: dict[str, Any], data: Any, context: dict[str, Any]) -> Any:
        name = definition["StartAt"]
        while True:
            state = definition["States"][name]
            self.visited.append(name)
            match state["Type"]:
                case "Succeed":
                    return data
                case "Fail":
                    raise ExecutionFailed(data.get("error"))
                case "Wait":
                    until = _value_at(state["TimestampPath"], data, context)
                    self._wait_until(
                        datetime.strptime(until, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
                    )
                case "Choice":
                    name = _chosen(state, data, context)
                    continue
                case _:
                    data, caught_by = self._run_with_retries(state, data, context)
                    if caught_by:
                        name = caught_by
                        continue
            if state.get("End"):
                return data
            name = state["Next"]

    def _run_with_retries(
        self, state: dict[str, Any], data: Any, context: dict[str, Any]
    ) -> tuple[Any, str | None]:
        """The output of a Task or Map, and the next state if an error was caught."""
        retries: Counter[int] = Counter()  # by the number of the retry rule
        while True:
            try:
                output = self._run_once(state, data, context)
            except BUGS:
                raise
            except Exception as error:  # as Lambda reports any error of a function
                name = getattr(error, "error_name", type(error).__name__)
                rule = _first_match(state.get("Retry", ()), name)
                if rule is not None and retries[rule] < state["Retry"][rule]["MaxAttempts"]:
                    retries[rule] += 1
                    continue
                catcher = _first_match(state.get("Catch", ()), name)
                if catcher is None:
                    raise
                catch = state["Catch"][catcher]
                if catch["ResultPath"] is None:
                    return data, str(catch["Next"])
                assert catch["ResultPath"] == "$.error"
                return {**data, "error": {"Error": name, "Cause": str(error)}}, str(catch["Next"])
            break
        if "ResultPath" in state and state["ResultPath"] is None:
            return data, None
        return output, None

    def _run_once(self, state: dict[str, Any], data: Any, context: dict[str, Any]) -> Any:
        if state["Type"] == "Map":
            return self._run_map(state, data, context)
        task_input = (
            _resolved(state["Parameters"], data, context) if "Parameters" in state else data
        )
        if state["Resource"].endswith(":startExecution"):
            assert task_input["StateMachineArn"] == "${BatchMachine}"
            self.start_execution(
                stateMachineArn=context["StateMachine"]["Id"],
                name=task_input["Name"],
                input=json.dumps(task_input["Input"]),
            )
            return {}
        name = state["Resource"].removeprefix("${").removesuffix("}")
        output = self.invoke(name, self._functions[name], json.loads(json.dumps(task_input)))
        assert len(json.dumps(output)) < MAX_OUTPUT_BYTES
        return json.loads(json.dumps(output))

    def _run_map(self, state: dict[str, Any], data: Any, context: dict[str, Any]) -> list[Any]:
        reader = _resolved(state["ItemReader"]["Parameters"], data, context)
        lines = self._s3.get_object(**reader)["Body"].read().splitlines()
        assert _value_at(state["MaxConcurrencyPath"], data, context) >= 1
        for line in lines:
            child_context = {**context, "Map": {"Item": {"Value": json.loads(line)}}}
            item = _resolved(state["ItemSelector"], data, child_context)
            try:
                self._run_states(state["ItemProcessor"], item, child_context)
            except BUGS:
                raise
            except Exception:  # a tolerated failure of a child
                continue
        return []


def _chosen(state: dict[str, Any], data: Any, context: dict[str, Any]) -> str:
    """The next state of a Choice."""
    for choice in state["Choices"]:
        if _value_at(choice["Variable"], data, context) == choice["StringEquals"]:
            return str(choice["Next"])
    return str(state["Default"])


def _first_match(rules: Sequence[dict[str, Any]], error_name: str) -> int | None:
    """The number of the first rule of Retry or Catch for that error.

    `States.TaskFailed` is for every error but a timeout, and no error here is one.
    """
    names = {error_name, "States.TaskFailed", "States.ALL"}
    return next((n for n, rule in enumerate(rules) if names & {*rule["ErrorEquals"]}), None)


def _value_at(path: str, data: Any, context: dict[str, Any]) -> Any:
    """The value at a path in the data, or in the context if it begins with `$$`."""
    found: Any = context if path.startswith("$$") else data
    for part in path.lstrip("$").split("."):
        found = found[part] if part else found
    return found


def _resolved(parameters: dict[str, Any], data: Any, context: dict[str, Any]) -> dict[str, Any]:
    """The parameters with the values at their paths."""
    resolved: dict[str, Any] = {}
    for name, value in parameters.items():
        if name.endswith(".$"):
            resolved[name[:-2]] = _value_at(value, data, context)
        elif isinstance(value, dict):
            resolved[name] = _resolved(value, data, context)
        else:
            resolved[name] = value
    return resolved
