"""The state machines in the emulator's engine, with functions that return what a test wants.

The scenarios run the same definitions in process. Here the engine is tested: it reads the index,
ends a Wait, and catches an error where the definition says.
"""

import io
import json
import re
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.local.stack import Stack

# Returns the next answer of its file, and records the event it got.
STUB = """
import json
import os
from pathlib import Path

FOLDER, NAME = Path(os.environ["STUBS"]), os.environ["STUB"]


def handler(event, context):
    path = FOLDER / f"{NAME}.json"
    answer, *others = json.loads(path.read_text())
    if others:
        path.write_text(json.dumps(others))
    event_path = FOLDER / NAME / f"{context.aws_request_id}.json"
    event_path.write_text(json.dumps(event))
    if answer == "raise":
        raise RuntimeError("as requested")
    return answer
"""
HANDLERS = ("ingest.open", "execute.chunk", "execute.job", "report.settle", "report.report")
BUCKET = "stubs"  # for the index
ALLOW_ALL = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
_LAMBDA = re.compile(r"arn:aws:lambda:[\w-]+:\d+:function:[\w-]+:\d+")
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


Aws = Callable[[str], Any]
Answers = dict[str, list[Any]]


@pytest.fixture(scope="module")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the answers and the events of each function."""
    return tmp_path_factory.mktemp("stubs")


@pytest.fixture(scope="module")
def role(aws: Aws) -> str:
    """A role with every right."""
    trusted = {"Effect": "Allow", "Principal": {"Service": "*"}, "Action": "sts:AssumeRole"}
    policy = json.dumps(ALLOW_ALL | {"Statement": [trusted]})
    made = aws("iam").create_role(RoleName="stubs", AssumeRolePolicyDocument=policy)
    aws("iam").put_role_policy(
        RoleName="stubs", PolicyName="anything", PolicyDocument=json.dumps(ALLOW_ALL)
    )
    return str(made["Role"]["Arn"])


@pytest.fixture(scope="module")
def functions(aws: Aws, role: str, stubs: Path) -> dict[str, str]:
    """The ARN of the function that stands in for each handler."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as code:
        code.writestr("stub.py", STUB)
    return {
        name: aws("lambda").create_function(
            FunctionName=f"stub-{name.replace('.', '-')}",
            Runtime="python3.13",
            Role=role,
            Handler="stub.handler",
            Code={"ZipFile": packed.getvalue()},
            Environment={"Variables": {"STUBS": str(stubs), "STUB": name}},
            Timeout=60,
        )["FunctionArn"]
        for name in HANDLERS
    }


@pytest.fixture(scope="module")
def stubbed(aws: Aws, stack: Stack, role: str, functions: dict[str, str]) -> dict[str, str]:
    """The ARNs of the deployed machines' copies, with other functions and short retries."""
    aws("s3").create_bucket(Bucket=BUCKET)
    aws("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return {
        kind: _copied(aws, arn, f"stub-{kind}", role, functions)
        for kind, arn in (("batch", stack.batch_machine), ("job", stack.job_machine))
    }


def _copied(aws: Aws, arn: str, name: str, role: str, functions: dict[str, str]) -> str:
    """The ARN of a copy of a machine, which starts executions of itself."""
    definition: str = aws("stepfunctions").describe_state_machine(stateMachineArn=arn)["definition"]
    for function in {*_LAMBDA.findall(definition)}:
        deployed = aws("lambda").get_function_configuration(FunctionName=function)
        handler = deployed["Handler"].rpartition(".")[0]
        definition = definition.replace(function, functions[handler])
    copy = arn.rpartition(":")[0] + f":{name}"
    made = aws("stepfunctions").create_state_machine(
        name=name,
        definition=_with_short_retries(definition.replace(f"{arn}:live", copy)),
        roleArn=role,
    )
    assert made["stateMachineArn"] == copy
    return copy


class Machine:
    """Runs a machine over functions with given answers, and returns how it ended."""

    def __init__(self, aws: Aws, machines: dict[str, str], stubs: Path) -> None:
        self.s3, self.states = aws("s3"), aws("stepfunctions")
        self.machines = machines
        self.stubs = stubs

    def run(self, kind: str, document: dict[str, Any], answers_of: Answers) -> dict[str, Any]:
        """The execution after its end."""
        shutil.rmtree(self.stubs)
        for name in HANDLERS:
            (self.stubs / name).mkdir(parents=True)
        for name, answers in answers_of.items():
            (self.stubs / f"{name}.json").write_text(json.dumps(answers))
        execution = self.states.start_execution(
            stateMachineArn=self.machines[kind], input=json.dumps(document)
        )
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
        return [json.loads(path.read_text()) for path in (self.stubs / name).iterdir()]

    def index(self) -> dict[str, Any]:
        """An index of chunks, as the state names it.

        The emulator ignores the version, so no test can show that AWS reads this one.
        """
        lines = "".join(json.dumps(chunk) + "\n" for chunk in CHUNKS)
        answer = self.s3.put_object(Bucket=BUCKET, Key="index.jsonl", Body=lines.encode())
        return {
            "index_bucket": BUCKET,
            "index_key": "index.jsonl",
            "index_version": answer["VersionId"],
        }


@pytest.fixture
def machine(aws: Aws, stubbed: dict[str, str], stubs: Path) -> Machine:
    return Machine(aws, stubbed, stubs)


def test_every_chunk_of_the_index_is_run_in_every_pass(
    machine: Machine,
) -> None:
    first = NEXT | machine.index()
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))

    ended = machine.run(
        "batch",
        {"origin_id": "b1", "command": "settle", "run": "main", "pass": 1},
        {
            "ingest.open": [first | {"next": "execute"}],
            "execute.chunk": [{}],
            "report.settle": [
                first | {"next": "next_pass", "pass": 2, "until": soon},
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
    events = machine.events("execute.chunk")
    assert sorted(events, key=lambda one: (one["pass"], one["line"]["chunk"])) == [
        run | {"pass": number, "line": chunk} for number in (1, 2) for chunk in CHUNKS
    ]


def test_a_chunk_that_fails_does_not_stop_the_others(machine: Machine) -> None:
    first = NEXT | machine.index()

    ended = machine.run(
        "batch",
        {"origin_id": "b1", "command": "settle", "run": "main", "pass": 1},
        {
            "ingest.open": [first | {"next": "execute"}],
            "execute.chunk": ["raise"],
            "report.settle": [NEXT],
        },
    )

    assert ended["status"] == "SUCCEEDED", ended
    assert machine.path(ended)[-3:] == ["Settle", "Settled", "Done"]
    tried = {one["line"]["chunk"] for one in machine.events("execute.chunk")}
    assert tried == {chunk["chunk"] for chunk in CHUNKS}


def test_a_manifest_that_cannot_be_opened_is_settled_with_the_reason(machine: Machine) -> None:
    event = {"detail": {"bucket": {"name": "x"}, "object": {"key": "manifests/c/x", "size": 1}}}

    ended = machine.run(
        "batch",
        event,
        {"ingest.open": ["raise"], "report.settle": [NEXT]},
    )

    assert machine.path(ended) == ["Open", "Settle", "Settled", "Done"]
    (event_of_settle,) = machine.events("report.settle")
    assert event_of_settle["detail"] == event["detail"]
    assert "as requested" in event_of_settle["error"]["Cause"]


def test_a_failure_of_settle_fails_the_execution_with_its_cause(machine: Machine) -> None:
    ended = machine.run(
        "batch",
        {"origin_id": "b1", "command": "settle", "run": "main", "pass": 1},
        {"ingest.open": [NEXT | {"next": "settle"}], "report.settle": ["raise"]},
    )

    assert ended["status"] == "FAILED"
    assert machine.path(ended)[-1] == "Broken"
    assert "as requested" in ended["cause"]


@pytest.mark.parametrize(
    ("where", "states"),
    [("continue_as_new", ["Continue", "Done"]), ("rest", ["Rest", "Continue", "Done"])],
)
def test_a_new_execution_continues_once(machine: Machine, where: str, states: list[str]) -> None:
    name = f"b1-main-p{time.time_ns()}"
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))
    settled = NEXT | {"next": where, "pass": 501, "execution_name": name, "until": soon}

    def settle_once() -> dict[str, Any]:
        return machine.run(
            "batch",
            {"origin_id": "b1", "command": "settle", "run": "main", "pass": 500},
            {
                "ingest.open": [NEXT | {"next": "settle"}, NEXT],
                "report.settle": [settled],
            },
        )

    executions = machine.machines["batch"].replace(":stateMachine:", ":execution:")

    ended = settle_once()
    continued = machine.end_of(f"{executions}:{name}")
    again = settle_once()  # as when the answer to the start was lost

    assert [machine.path(one)[4:] for one in (ended, again)] == [states] * 2
    assert [one["status"] for one in (ended, again)] == ["SUCCEEDED"] * 2
    assert json.loads(continued["input"]) == {
        "origin_id": "b1",
        "command": "settle",
        "run": "main",
        "pass": 501,
    }


def test_a_job_is_retried_at_its_time(machine: Machine) -> None:
    address: dict[str, Any] = {"chunk": 0, "position": 3}
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1))

    ended = machine.run(
        "job",
        {"origin_id": "b1", "run": "r1", "pass": 1} | address,
        {
            "execute.job": [
                NEXT | address | {"run": "r1", "next": "next_pass", "pass": 2, "until": soon},
                NEXT | address | {"run": "r1", "next": "settle", "pass": 2},
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


def _with_short_retries(definition: str) -> str:
    """The definition with one retry of each failure, after a second."""

    def shortened(found: Any) -> Any:
        if isinstance(found, list):
            return [shortened(one) for one in found]
        if not isinstance(found, dict):
            return found
        if "IntervalSeconds" in found:
            return found | {"IntervalSeconds": 1, "MaxAttempts": 1}
        return {key: shortened(value) for key, value in found.items()}

    return json.dumps(shortened(json.loads(definition)))
