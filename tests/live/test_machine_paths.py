"""The state machines in the emulator's engine, with functions that return what a test wants.

The scenarios run the same definitions in process. Here the engine is tested: it reads the index,
ends a Wait, and catches an error where the definition says.
"""

import json
import shutil
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cli.local import clients, deployment, emulator
from cli.local.emulator import ROOT, Emulator
from cli.local.stack import Stack

# Returns the next answer in the work bucket, and records the event it got.
STUB = """
import json
import os
import boto3

S3 = boto3.client("s3")
BUCKET = os.environ["JOBYARD_WORK_BUCKET"]


def handler(event, context):
    key = "stubs/{name}.json"
    answers = json.loads(S3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    event_key = f"events/{name}/{{context.aws_request_id}}.json"
    S3.put_object(Bucket=BUCKET, Key=event_key, Body=json.dumps(event).encode())
    answer = answers.pop(0) if len(answers) > 1 else answers[0]
    S3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(answers).encode())
    if answer == "raise":
        raise RuntimeError("as requested")
    return answer
"""
HANDLERS = ("ingest.open", "execute.chunk", "execute.job", "report.settle", "report.report")
NEXT: dict[str, Any] = {
    "origin_id": "b1",
    "run": "main",
    "pass": 1,
    "next": "end",
    "until": "1970-01-01T00:00:00Z",
    "index_bucket": "",
    "index_key": "",
    "index_version": "",
    "max_concurrency": 2,
    "execution_name": "",
}
_TIMEOUT_S = 300.0  # then a machine is in a loop; it takes a few seconds otherwise
CHUNKS: list[dict[str, Any]] = [
    {"chunk": number, "start": number * 10, "end": number * 10 + 9} for number in range(5)
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    home = tmp_path_factory.mktemp("engine")
    yield emulator.start(home, emulator.free_port(), persist=False)
    emulator.stop(home)


@pytest.fixture(scope="module")
def stubbed(engine: Emulator) -> Stack:
    """The project's own stack, with other functions and short retries."""
    root = engine.home / "root"
    shutil.copytree(ROOT / "infra", root / "infra")
    shutil.copytree(ROOT / "layers", root / "layers")
    shutil.copyfile(ROOT / "template.yaml", root / "template.yaml")
    for handler in HANDLERS:
        folder, module = handler.split(".")
        (root / "functions" / folder).mkdir(parents=True, exist_ok=True)
        (root / "functions" / folder / "__init__.py").touch()
        (root / "functions" / folder / f"{module}.py").write_text(STUB.format(name=handler))
    for definition in (root / "infra" / "statemachines").glob("*.asl.json"):
        definition.write_text(_impatient(definition.read_text()))
    return deployment.deploy(
        engine.endpoint,
        deployment.parameters(engine.endpoint),
        build=engine.home / "build",
        root=root,
    )


Answers = dict[str, list[Any]]


class Machine:
    """Runs a machine over functions with given answers, and returns how it ended."""

    def __init__(self, engine: Emulator, stack: Stack) -> None:
        self.stack = stack
        self.s3 = clients.client("s3", engine.endpoint)
        self.states = clients.client("stepfunctions", engine.endpoint)

    def run(self, arn: str, document: dict[str, Any], answers_of: Answers) -> dict[str, Any]:
        """The execution after its end."""
        for page in self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.stack.work_bucket, Prefix="events/"
        ):
            for found in page.get("Contents", []):
                self.s3.delete_object(Bucket=self.stack.work_bucket, Key=found["Key"])
        for name, answers in answers_of.items():
            self._put(f"stubs/{name}.json", json.dumps(answers))
        execution = self.states.start_execution(stateMachineArn=arn, input=json.dumps(document))
        return self.end_of(execution["executionArn"])

    def end_of(self, execution: str) -> dict[str, Any]:
        """The execution of that ARN after its end."""
        give_up = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < give_up:
            found: dict[str, Any] = self.states.describe_execution(executionArn=execution)
            if found["status"] != "RUNNING":
                return found
            time.sleep(0.1)
        raise AssertionError(f"{execution} has not ended: {self.states_of(execution)[-20:]}")

    def path(self, execution: dict[str, Any]) -> list[str]:
        """The states of an execution, in order."""
        return self.states_of(execution["executionArn"])

    def states_of(self, execution: str) -> list[str]:
        """The states that the execution of that ARN has entered, in order."""
        events = self.states.get_execution_history(executionArn=execution, maxResults=500)["events"]
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in events
            if event["type"].endswith("StateEntered")
        ]

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events that a function got, in no order."""
        listed = self.s3.list_objects_v2(Bucket=self.stack.work_bucket, Prefix=f"events/{name}/")
        keys = [found["Key"] for found in listed.get("Contents", [])]
        answers = [self.s3.get_object(Bucket=self.stack.work_bucket, Key=key) for key in keys]
        return [json.loads(answer["Body"].read()) for answer in answers]

    def index(self) -> dict[str, Any]:
        """An index of chunks, as the state names it.

        The emulator ignores the version, so no test can show that AWS reads this one.
        """
        lines = "".join(json.dumps(chunk) + "\n" for chunk in CHUNKS)
        version = self._put("work/b1/index.jsonl", lines)
        return {
            "index_bucket": self.stack.work_bucket,
            "index_key": "work/b1/index.jsonl",
            "index_version": version,
        }

    def _put(self, key: str, text: str) -> str:
        answer = self.s3.put_object(Bucket=self.stack.work_bucket, Key=key, Body=text.encode())
        return str(answer["VersionId"])


@pytest.fixture
def machine(engine: Emulator, stubbed: Stack) -> Machine:
    return Machine(engine, stubbed)


def test_every_chunk_of_the_index_is_run_in_every_pass(
    machine: Machine,
) -> None:
    first = NEXT | machine.index()
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))

    ended = machine.run(
        machine.stack.batch_machine,
        {"origin_id": "b1", "command": "settle", "run": "main", "pass": 1},
        {
            "ingest.open": [first | {"next": "execute"}],
            "execute.chunk": [{}],
            "report.settle": [
                first | {"next": "again", "pass": 2, "until": soon},
                first | {"next": "report", "pass": 2},
            ],
            "report.report": [NEXT],
        },
    )

    assert ended["status"] == "SUCCEEDED", ended
    assert machine.path(ended) == [
        *("Open", "Opened", "Execute", "Settle", "Settled", "Wait"),
        *("Execute", "Settle", "Settled", "Report", "Reported", "Done"),
    ]
    run: dict[str, Any] = {"origin_id": "b1", "run": "main"}
    assert sorted(machine.events("execute.chunk"), key=lambda one: (one["pass"], one["chunk"])) == [
        run | {"pass": number} | chunk for number in (1, 2) for chunk in CHUNKS
    ]


def test_a_chunk_that_fails_does_not_stop_the_others(machine: Machine) -> None:
    first = NEXT | machine.index()

    ended = machine.run(
        machine.stack.batch_machine,
        {"origin_id": "b1", "command": "settle", "run": "main", "pass": 1},
        {
            "ingest.open": [first | {"next": "execute"}],
            "execute.chunk": ["raise"],
            "report.settle": [NEXT],
        },
    )

    assert ended["status"] == "SUCCEEDED", ended
    assert machine.path(ended)[-3:] == ["Settle", "Settled", "Done"]
    tried = {one["chunk"] for one in machine.events("execute.chunk")}
    assert tried == {chunk["chunk"] for chunk in CHUNKS}


def test_a_manifest_that_cannot_be_opened_is_settled_with_the_reason(machine: Machine) -> None:
    event = {"detail": {"bucket": {"name": "x"}, "object": {"key": "manifests/c/x", "size": 1}}}

    ended = machine.run(
        machine.stack.batch_machine,
        event,
        {"ingest.open": ["raise"], "report.settle": [NEXT]},
    )

    assert machine.path(ended) == ["Open", "Settle", "Settled", "Done"]
    (event_of_settle,) = machine.events("report.settle")
    assert event_of_settle["detail"] == event["detail"]
    assert "as requested" in event_of_settle["error"]["Cause"]


def test_settling_that_fails_fails_the_execution_in_words(machine: Machine) -> None:
    ended = machine.run(
        machine.stack.batch_machine,
        {"origin_id": "b1", "command": "settle", "run": "main", "pass": 1},
        {"ingest.open": [NEXT | {"next": "settle"}], "report.settle": ["raise"]},
    )

    assert ended["status"] == "FAILED"
    assert machine.path(ended)[-1] == "Broken"
    assert "as requested" in ended["cause"]


def test_after_many_passes_a_new_execution_continues_once(machine: Machine) -> None:
    name = f"b1-main-p{time.time_ns()}"
    fresh = NEXT | {"next": "fresh", "pass": 501, "execution_name": name}

    def settle_once() -> dict[str, Any]:
        return machine.run(
            machine.stack.batch_machine,
            {"origin_id": "b1", "command": "settle", "run": "main", "pass": 500},
            {
                "ingest.open": [NEXT | {"next": "settle"}, NEXT],
                "report.settle": [fresh],
            },
        )

    executions = machine.stack.batch_machine.replace(":stateMachine:", ":execution:")

    ended = settle_once()
    goes_on = machine.end_of(f"{executions}:{name}")
    again = settle_once()  # as when the answer to the start was lost

    assert [machine.path(one)[-2:] for one in (ended, again)] == [["Continue", "Done"]] * 2
    assert [one["status"] for one in (ended, again)] == ["SUCCEEDED"] * 2
    assert json.loads(goes_on["input"]) == {
        "origin_id": "b1",
        "command": "settle",
        "run": "main",
        "pass": 501,
    }


def test_a_job_is_tried_again_when_its_time_has_come(machine: Machine) -> None:
    place: dict[str, Any] = {"chunk": 0, "position": 3}
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))

    ended = machine.run(
        machine.stack.job_machine,
        {"origin_id": "b1", "run": "r1", "pass": 1} | place,
        {
            "execute.job": [
                NEXT | place | {"run": "r1", "next": "again", "pass": 2, "until": soon},
                NEXT | place | {"run": "r1", "next": "settle", "pass": 2},
            ],
            "report.settle": [NEXT | {"next": "report"}],
            "report.report": [NEXT],
        },
    )

    assert machine.path(ended) == [
        *("ExecuteJob", "Executed", "Wait", "ExecuteJob", "Executed"),
        *("Settle", "Settled", "Report", "Reported", "Done"),
    ]
    tried = sorted(machine.events("execute.job"), key=lambda one: one["pass"])
    assert [(one["pass"], one["position"]) for one in tried] == [(1, 3), (2, 3)]


def _impatient(definition: str) -> str:
    """The definition with one retry of each failure, after a second."""

    def hasten(found: Any) -> Any:
        if isinstance(found, list):
            return [hasten(one) for one in found]
        if not isinstance(found, dict):
            return found
        if "IntervalSeconds" in found:
            return found | {"IntervalSeconds": 1, "MaxAttempts": 1}
        return {key: hasten(value) for key, value in found.items()}

    return json.dumps(hasten(json.loads(definition)))
