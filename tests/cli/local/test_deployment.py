import json

from cli.local.deployment import (
    with_emulated_throttling,
    with_known_conditions,
    with_plain_concurrency,
)
from cli.local.emulator import ROOT
from cli.local.machine_aliases import without_machine_aliases
from cli.local.template_file import read_template


def test_a_map_on_the_local_stack_keeps_its_concurrency_limit() -> None:
    machine = (ROOT / "infra" / "statemachines" / "batch.asl.json").read_bytes()

    states = json.loads(with_plain_concurrency(machine, "4"))["States"]

    limits = [state.get("MaxConcurrency") for state in states.values() if state["Type"] == "Map"]
    assert limits == [4]
    assert b"MaxConcurrencyPath" not in with_plain_concurrency(machine, "4")


def test_throttled_workers_are_retried_on_the_local_stack_too() -> None:
    machine = (ROOT / "infra" / "statemachines" / "job.asl.json").read_bytes()

    execute = json.loads(with_emulated_throttling(machine))["States"]["ExecuteJob"]

    throttled = ["Lambda.TooManyRequestsException", "Lambda.Unknown"]
    (retry,) = [each for each in execute["Retry"] if each["ErrorEquals"] == throttled]
    last = retry["IntervalSeconds"] * retry["BackoffRate"] ** (retry["MaxAttempts"] - 1)
    assert round(last) == retry["MaxDelaySeconds"]
    assert [each["Next"] for each in execute["Catch"] if each["ErrorEquals"] == throttled]


def test_the_emulator_accepts_mail_without_the_condition_key_of_the_sender() -> None:
    template = read_template(ROOT)

    with_known_conditions(template)

    statements = template["Resources"]["ReportRole"]["Properties"]["Policies"][0]["PolicyDocument"][
        "Statement"
    ]
    (condition,) = (each["Condition"] for each in statements if "Condition" in each)
    assert condition == {"StringEqualsIfExists": {"ses:FromAddress": {"Ref": "MailFrom"}}}


def test_the_emulator_gets_the_arns_of_machines_instead_of_aliases() -> None:
    start = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": {"Ref": "AMachine"}}
    expanded = {
        "Resources": {
            "AMachine": {"Type": "AWS::StepFunctions::StateMachine"},
            "AMachineVersion": {"Type": "AWS::StepFunctions::StateMachineVersion"},
            "AMachineAliaslive": {"Type": "AWS::StepFunctions::StateMachineAlias"},
            "Rule": {"Type": "AWS::Events::Rule", "Targets": [{"Ref": "AMachineAliaslive"}]},
            "Role": {"Type": "AWS::IAM::Role", "Statement": [start]},
        }
    }

    resources = without_machine_aliases(expanded)["Resources"]

    assert resources.keys() == {"AMachine", "Rule", "Role"}
    assert resources["Rule"]["Targets"] == [{"Fn::Sub": "${AMachine}:live"}]
    assert resources["Role"]["Statement"] == [
        start
        | {"Resource": [{"Ref": "AMachine"}, {"Fn::Join": [":", [{"Ref": "AMachine"}, "live"]]}]}
    ]
