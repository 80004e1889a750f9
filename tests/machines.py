"""Runs the state machines in process from their own definitions; no time passes.

It knows only what our machines use: Task, Choice, Map over an S3 index, Wait, Succeed, Fail, Retry
and Catch. It takes the same steps as the real engine.
"""

import json
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.call_interceptor import CallInterceptor

DEFINITIONS = Path(__file__).parents[1] / "infra" / "statemachines"
Function = Callable[[dict[str, Any]], dict[str, Any]]


class ExecutionAlreadyExists(Exception):
    """There is an execution of that name."""


class ExecutionDoesNotExist(Exception):
    """There is no execution of that name."""


class NoWorkerFree(Exception):
    """Lambda refuses to invoke a function, because as many run as may."""

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
        self.names: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        # How a function is invoked; tests replace it, to invoke it twice or to count.
        self.invoke: Callable[[str, Function, dict[str, Any]], dict[str, Any]] = (
            lambda _name, function, event: function(event)
        )
        self.visited: list[str] = []

    # The client

    def start_execution(self, *, stateMachineArn: str, name: str, input: str) -> None:
        """Queue an execution. A name may repeat only with the same input, while it runs."""
        request = {"stateMachineArn": stateMachineArn, "name": name, "input": input}
        with self._interceptor.intercepted("stepfunctions", "StartExecution", request), self._lock:
            self._start(request)

    def _start(self, request: dict[str, str]) -> None:
        name = request["name"]
        if name in self.names:
            same = request.items() <= self.names[name].items()
            if same and self.names[name]["status"] == "RUNNING":
                return
            raise ExecutionAlreadyExists(name)
        assert len(name) <= 80
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
        self.names[name] = {**request, "status": "RUNNING", "startDate": self._now()}
        self._waiting.append((request["stateMachineArn"], name, json.loads(request["input"])))

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:
        """The state of an execution."""
        name = executionArn.rpartition(":")[2]
        with self._interceptor.intercepted("stepfunctions", "DescribeExecution", {"name": name}):
            if name not in self.names:
                raise ExecutionDoesNotExist(name)
            return dict(self.names[name])

    # For tests

    def run_all(self) -> None:
        """Run every queued execution, and those that they start."""
        while self._waiting:
            machine, name, document = self._waiting.popleft()
            self.run(machine, name, document)

    def run(self, machine: str, name: str, state: Any) -> Any:
        """Run one execution of `machine`, an ARN or a name, to its end."""
        own_name = re.split("[:-]", machine)[-1]
        definition = json.loads((DEFINITIONS / f"{own_name}.asl.json").read_text())
        context = {"Execution": {"Name": name}, "StateMachine": {"Id": machine}}
        noted = self.names.setdefault(name, {"startDate": self._now()})
        noted["status"] = "RUNNING"
        try:
            answer = self._walk(definition, state, context)
        except BaseException:
            noted |= {"status": "FAILED", "stopDate": self._now()}
            raise
        noted |= {"status": "SUCCEEDED", "stopDate": self._now()}
        return answer

    def _walk(self, definition: dict[str, Any], state: Any, context: dict[str, Any]) -> Any:
        here = definition["StartAt"]
        while True:
            step = definition["States"][here]
            self.visited.append(here)
            match step["Type"]:
                case "Succeed":
                    return state
                case "Fail":
                    raise ExecutionFailed(state.get("error"))
                case "Wait":
                    until = _value_at(step["TimestampPath"], state, context)
                    self._wait_until(
                        datetime.strptime(until, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
                    )
                case "Choice":
                    here = self._chosen(step, state, context)
                    continue
                case _:
                    state, caught = self._worked(step, state, context)
                    if caught:
                        here = caught
                        continue
            if step.get("End"):
                return state
            here = step["Next"]

    def _chosen(self, step: dict[str, Any], state: Any, context: dict[str, Any]) -> str:
        for choice in step["Choices"]:
            if _value_at(choice["Variable"], state, context) == choice["StringEquals"]:
                return str(choice["Next"])
        return str(step["Default"])

    def _worked(
        self, step: dict[str, Any], state: Any, context: dict[str, Any]
    ) -> tuple[Any, str | None]:
        tries = 0
        while True:
            try:
                result = self._done(step, state, context)
            except AssertionError:
                raise
            except Exception as error:  # as Lambda reports any error of a function
                tries += 1
                if tries <= _retries(step):
                    continue
                named = getattr(error, "error_name", type(error).__name__)
                for catch in step.get("Catch", ()):
                    if {named, "States.ALL"} & {*catch["ErrorEquals"]}:
                        output = {"Error": named, "Cause": str(error)}
                        return {**state, "error": output}, str(catch["Next"])
                raise
            break
        if "ResultPath" in step and step["ResultPath"] is None:
            return state, None
        return result, None

    def _done(self, step: dict[str, Any], state: Any, context: dict[str, Any]) -> Any:
        if step["Type"] == "Map":
            return self._mapped(step, state, context)
        task_input = _filled(step["Parameters"], state, context) if "Parameters" in step else state
        if step["Resource"].endswith(":startExecution"):
            self.start_execution(
                stateMachineArn=task_input["StateMachineArn"],
                name=task_input["Name"],
                input=json.dumps(task_input["Input"]),
            )
            return {}
        name = step["Resource"].removeprefix("${").removesuffix("}")
        answer = self.invoke(name, self._functions[name], json.loads(json.dumps(task_input)))
        assert len(json.dumps(answer)) < 10_000
        return json.loads(json.dumps(answer))

    def _mapped(self, step: dict[str, Any], state: Any, context: dict[str, Any]) -> list[Any]:
        reader = _filled(step["ItemReader"]["Parameters"], state, context)
        lines = self._s3.get_object(**reader)["Body"].read().splitlines()
        assert _value_at(step["MaxConcurrencyPath"], state, context) >= 1
        for line in lines:
            inside = {**context, "Map": {"Item": {"Value": json.loads(line)}}}
            item = _filled(step["ItemSelector"], state, inside)
            try:
                self._walk(step["ItemProcessor"], item, inside)
            except AssertionError:
                raise
            except Exception:  # a tolerated failure of a child
                continue
        return []


def _retries(step: dict[str, Any]) -> int:
    """How often the definition retries a failed task."""
    return sum(
        each["MaxAttempts"]
        for each in step.get("Retry", ())
        if "States.TaskFailed" in each["ErrorEquals"]
    )


def _value_at(path: str, state: Any, context: dict[str, Any]) -> Any:
    found: Any = context if path.startswith("$$") else state
    for part in path.lstrip("$").split("."):
        found = found[part] if part else found
    return found


def _filled(parameters: dict[str, Any], state: Any, context: dict[str, Any]) -> dict[str, Any]:
    filled: dict[str, Any] = {}
    for name, value in parameters.items():
        if name.endswith(".$"):
            filled[name[:-2]] = _value_at(value, state, context)
        elif isinstance(value, dict):
            filled[name] = _filled(value, state, context)
        else:
            filled[name] = value
    return filled
