"""Functions and machines have versions, entry points call aliases, and updates may be gradual."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.template_reader import (
    Resources,
    expanded_of,
    of_type,
    version_of,
    with_nested,
    written,
)

# What people, programs, events and the clock call. The others are called by machines.
ENTRY_POINTS = {
    "ApiFunction",
    "WebFunction",
    "SchedulerTickFunction",
    "OutboxTickFunction",
    "ExecutionFailureFunction",
    "DeliveryFunction",
}


@pytest.fixture(scope="module")
def gradual(template: dict[str, Any]) -> Resources:
    """The resources of a stack whose updates are gradual."""
    return with_nested(expanded_of(template, GradualUpdates="true")["Resources"])


def versions(resources: Resources) -> dict[str, str]:
    """The logical id of each function's version."""
    return {version_of(f"${{{name}}}"): name for name in of_type(resources, "AWS::Lambda::Version")}


def test_each_function_and_machine_has_a_live_version_and_keeps_the_earlier_ones(
    resources: Resources,
) -> None:
    functions, machines = (
        {*of_type(resources, kind)}
        for kind in ("AWS::Lambda::Function", "AWS::StepFunctions::StateMachine")
    )
    kept = [versions(resources)[name] for name in functions]
    kept += [f"{name}Version" for name in machines]

    assert {f"{name}Aliaslive" for name in functions} == {*of_type(resources, "AWS::Lambda::Alias")}
    assert {f"{name}Aliaslive" for name in machines} == {
        *of_type(resources, "AWS::StepFunctions::StateMachineAlias")
    }
    for name in kept:
        assert resources[name]["DeletionPolicy"] == "Retain", name
        assert resources[name]["UpdateReplacePolicy"] == "Retain", name


def test_new_code_of_a_layer_is_a_new_version_of_each_function_that_has_it(
    template: dict[str, Any], resources: Resources
) -> None:
    after = versions(expanded_of(template, layer="new")["Resources"])

    assert not {*after.values()} & {*versions(resources).values()}


def test_parameters_that_change_are_a_new_version_of_each_function(resources: Resources) -> None:
    """CloudFormation publishes a version again if its description changes, and Lambda refuses that
    if nothing of the function has changed.
    """
    for function, version in versions(resources).items():
        described = resources[version]["Properties"]["Description"]
        variables = resources[function]["Properties"]["Environment"]["Variables"]
        assert described == variables["JOBYARD_UPDATE"] == {"Ref": "UpdateId"}, function


def test_nobody_calls_code_that_an_update_is_changing(
    expanded: dict[str, Any], resources: Resources
) -> None:
    """A reference to a function itself would call $LATEST, and so would its ARN."""
    harmless = (
        "AWS::CloudFormation::Stack",  # its metrics are those of all versions
        "AWS::IAM::Role",
        "AWS::Lambda::Alias",
        "AWS::Lambda::Version",
    )
    for name, one in expanded["Resources"].items():
        if one["Type"] == "AWS::Lambda::EventInvokeConfig":
            assert one["Properties"]["Qualifier"] == "live", name
        elif one["Type"] not in harmless:
            assert not {*_references(one.get("Properties"))} & {*versions(resources)}, name


def test_a_machine_is_started_by_its_alias(resources: Resources) -> None:
    for function in versions(resources):
        variables = resources[function]["Properties"]["Environment"]["Variables"]
        assert written(variables["JOBYARD_MACHINES"]).endswith("${AWS::StackName}-*:live")
    targets = [
        target["Arn"]["Ref"]
        for rule in of_type(resources, "AWS::Events::Rule").values()
        for target in rule["Properties"]["Targets"]
        if "Machine" in written(target["Arn"])
    ]
    assert targets == ["BatchMachineAliaslive"]


def test_an_update_takes_effect_at_once_unless_it_is_to_be_gradual(resources: Resources) -> None:
    assert not [one for one in resources.values() if one["Type"].startswith("AWS::CodeDeploy")]
    for alias in of_type(resources, "AWS::Lambda::Alias").values():
        assert "UpdatePolicy" not in alias


def test_a_gradual_update_of_an_entry_point_is_taken_back_by_its_alarm(gradual: Resources) -> None:
    groups = of_type(gradual, "AWS::CodeDeploy::DeploymentGroup")

    assert groups.keys() == {f"{name}DeploymentGroup" for name in ENTRY_POINTS}
    for name in ENTRY_POINTS:
        group = groups[f"{name}DeploymentGroup"]["Properties"]
        (alarm,) = (each["Name"] for each in group["AlarmConfiguration"]["Alarms"])
        watched = gradual[_alarm(alarm, gradual)]["Properties"]
        if name != "ExecutionFailureFunction":  # what it fails to do becomes a dead letter
            assert watched["MetricName"] == "Errors"
            assert watched["Dimensions"][0]["Value"] == {"Ref": name}
        assert group["AutoRollbackConfiguration"]["Enabled"]
        assert gradual[f"{name}Aliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]


def test_a_gradual_update_of_a_machine_is_taken_back_by_alarms_of_it_and_its_functions(
    gradual: Resources,
) -> None:
    for name, machine in of_type(gradual, "AWS::StepFunctions::StateMachine").items():
        shift = gradual[f"{name}Aliaslive"]["Properties"]["DeploymentPreference"]
        condition, alarms, _ = shift["Alarms"]["Fn::If"]
        watched = {
            written(gradual[_alarm(alarm, gradual)]["Properties"]["Dimensions"][0]["Value"])
            for alarm in alarms
        }
        functions = {
            version_of(written(value))
            for key, value in machine["Properties"]["DefinitionSubstitutions"].items()
            if key.endswith("Function")
        }
        assert condition == "ShiftsGradually"
        assert shift["Type"] == {"Fn::If": ["ShiftsGradually", "LINEAR", "ALL_AT_ONCE"]}
        assert watched == {f"${{{each}}}" for each in functions | {name}}


def test_no_resource_of_a_gradual_update_waits_for_itself(gradual: Resources) -> None:
    """The alarms need the functions, and the aliases need the alarms."""
    needs = {name: {*_references(one)} & gradual.keys() for name, one in gradual.items()}
    while ready := {name for name, on in needs.items() if not on & needs.keys()}:
        needs = {name: on for name, on in needs.items() if name not in ready}

    assert needs == {}


def _alarm(output: dict[str, Any], resources: Resources) -> str:
    """The alarm that a reference to an output of the nested stack names."""
    stack, name = output["Fn::GetAtt"]
    name = name.removeprefix("Outputs.")
    assert (stack, resources[name]["Type"]) == ("Monitoring", "AWS::CloudWatch::Alarm")
    return str(name)


def _references(part: Any) -> Iterator[str]:
    """The logical ids to which a part of a template refers."""
    if isinstance(part, list):
        for each in part:
            yield from _references(each)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key == "Ref":
                yield value
            elif key == "Fn::GetAtt":
                yield value[0]
            elif key == "DependsOn":
                yield from [value] if isinstance(value, str) else value
            elif key == "Fn::Sub":
                text = value if isinstance(value, str) else value[0]
                yield from _named_in(text)
                yield from _references(value)
            else:
                yield from _references(value)


def _named_in(text: str) -> Iterator[str]:
    for part in text.split("${")[1:]:
        yield part.split("}")[0].split(".")[0]
