"""The deployed stack authenticates people, and raises alarms."""

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.local import deployment
from cli.local.emulator import ROOT, Emulator
from cli.local.stack import Stack
from jobyard.domain.access import ROLES
from tests.harness import Payloads, single_files
from tests.live.api_user import ApiUser
from tests.live.reader import signed_in

Aws = Callable[[str], Any]
TIMEOUT_S = 60


@pytest.fixture
def alarms(stack: Stack, aws: Aws) -> Callable[[], list[str]]:
    """The messages of the alarm topic since the test began, newest last; waits for one."""
    sqs, sns = aws("sqs"), aws("sns")
    queue = sqs.create_queue(QueueName=f"ears-{time.monotonic_ns()}")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    arn = attributes["Attributes"]["QueueArn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
            }
        ],
    }
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": json.dumps(policy)})
    sns.subscribe(TopicArn=_resources(aws)["AlarmTopic"], Protocol="sqs", Endpoint=arn)

    def messages_so_far() -> list[str]:
        give_up = time.monotonic() + TIMEOUT_S
        while time.monotonic() < give_up:
            found = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=2).get("Messages", [])
            if found:
                return [json.loads(message["Body"])["Message"] for message in found]
        return []

    return messages_so_far


def test_deploying_again_replaces_nothing(
    stack: Stack, platform: Emulator, aws: Aws, files_port: int, project: Path
) -> None:
    before = _resources(aws)

    again = deployment.deploy(
        platform.endpoint,
        deployment.parameters(platform, files_port),
        build=platform.home / "build",
        root=project,
    )

    assert again == stack
    assert _resources(aws) == before


def test_a_batch_ends_though_the_code_that_is_not_live_is_broken(
    stack: Stack, aws: Aws, api_user: Callable[[str], ApiUser], payloads: Payloads
) -> None:
    """So does an execution that an update overtakes: it calls versions, which never change."""
    functions = aws("lambda")
    handlers = {
        each["FunctionName"]: each["Handler"] for each in functions.list_functions()["Functions"]
    }
    try:
        for name in handlers:
            functions.update_function_configuration(FunctionName=name, Handler="none.handler")
        depositor = api_user("depositor")
        batch_id = depositor.submit(single_files(payloads, {"a.txt": b"one"}))
        ended = depositor.await_state(f"/api/batches/{batch_id}", "completed", "failed")
    finally:
        for name, handler in handlers.items():
            functions.update_function_configuration(FunctionName=name, Handler=handler)

    assert ended["state"] == "completed"


def test_workers_share_the_unpacked_layers(stack: Stack, platform: Emulator) -> None:
    httpx.get(f"{stack.api_url}/api/docs", trust_env=False, timeout=60)

    layers = [*(platform.home / "workers").glob("ministack-lambda-*/layer_?")]

    assert layers
    assert all(layer.is_symlink() for layer in layers)
    assert len({layer.resolve() for layer in layers}) == 2


@pytest.mark.parametrize("role", ROLES)
def test_everyone_signs_in_and_has_their_role(role: str, token: Callable[[str], str]) -> None:
    claims = _claims(token(role))

    assert claims["cognito:groups"] == [role]
    assert (claims["username"], claims["token_use"]) == (role, "access")


def test_the_api_lets_nobody_in_without_a_token(stack: Stack) -> None:
    answer = httpx.get(f"{stack.api_url}/api/batches", trust_env=False)

    assert answer.status_code == 401


def test_the_api_lets_nobody_in_with_a_token_they_changed(
    stack: Stack, token: Callable[[str], str]
) -> None:
    head, body, signature = token("viewer").split(".")
    claims = json.loads(_decoded(body)) | {"cognito:groups": ["admin"]}
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    answer = httpx.get(
        f"{stack.api_url}/api/batches",
        headers={"Authorization": f"Bearer {head}.{forged}.{signature}"},
        trust_env=False,
    )

    assert answer.status_code == 401


def test_the_root_is_a_page_for_those_who_are_signed_in(stack: Stack, platform: Emulator) -> None:
    stranger = httpx.get(f"{stack.api_url}/", trust_env=False, timeout=60)
    with signed_in(platform, "viewer") as reader:
        page = reader.get(f"{stack.api_url}/")

    assert (stranger.status_code, stranger.headers["Location"]) == (303, "/sign-in?to=/")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "viewer" in page.text


def test_no_page_is_at_the_address_of_the_aws_services(platform: Emulator) -> None:
    """Objects of S3 have that address too, so a page there would share its origin with them."""
    answer = httpx.get(f"{platform.endpoint}/", trust_env=False, timeout=60)

    assert "text/html" not in answer.headers.get("Content-Type", "")


def test_a_failed_execution_is_sent_to_the_alarm_topic(
    stack: Stack, aws: Aws, alarms: Callable[[], list[str]]
) -> None:
    started = aws("stepfunctions").start_execution(stateMachineArn=stack.batch_machine, input="{}")
    aws("stepfunctions").stop_execution(executionArn=started["executionArn"])

    messages = [json.loads(message) for message in alarms()]

    assert [event["detail"]["status"] for event in messages] == ["ABORTED"]
    assert messages[0]["detail"]["executionArn"] == started["executionArn"]


def test_a_batch_that_is_open_for_too_long_raises_the_alarm(
    stack: Stack, aws: Aws, alarms: Callable[[], list[str]]
) -> None:
    """The emulator makes no metrics of the log lines that functions write them in."""
    aws("cloudwatch").put_metric_data(
        Namespace="Jobyard",
        MetricData=[
            {
                "MetricName": "OldestOpenBatchAgeSeconds",
                "Dimensions": [{"Name": "service", "Value": "jobyard"}],
                "Timestamp": datetime.now(UTC),
                "Value": 7 * 86400,
            }
        ],
    )

    messages = [json.loads(message) for message in alarms()]

    assert [(alarm["NewStateValue"], alarm["AlarmDescription"]) for alarm in messages] == [
        ("ALARM", "A batch has been open for too long")
    ]


def test_every_alarm_is_deployed_and_notifies_the_topic(stack: Stack, aws: Aws) -> None:
    template = deployment.read_template(ROOT, "infra/monitoring.yaml")
    wanted = {name for name in template["Resources"] if name.endswith("Alarm")}
    resources = _resources(aws)

    found = aws("cloudwatch").describe_alarms(MaxRecords=100)["MetricAlarms"]
    boards = aws("cloudwatch").list_dashboards()["DashboardEntries"]

    assert {alarm["AlarmName"] for alarm in found} == {resources[name] for name in wanted}
    assert {*(tuple(alarm["AlarmActions"]) for alarm in found)} == {(resources["AlarmTopic"],)}
    assert [board["DashboardName"] for board in boards] == [resources["Dashboard"]]


def _resources(aws: Aws) -> dict[str, str]:
    """The physical name of each resource, those of nested stacks included, by logical id."""
    found = {}
    stacks = [deployment.STACK]
    while stacks:
        rows = aws("cloudformation").describe_stack_resources(StackName=stacks.pop())
        for row in rows["StackResources"]:
            found[row["LogicalResourceId"]] = row["PhysicalResourceId"]
            if row["ResourceType"] == "AWS::CloudFormation::Stack":
                stacks.append(row["PhysicalResourceId"])
    return found


def _claims(token: str) -> Any:
    return json.loads(_decoded(token.split(".")[1]))


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
