"""Aliases of state machines on the emulator, whose CloudFormation knows none.

Its Step Functions do. It starts the machine as it is, whatever version an alias names; what an
execution runs it reads when it starts.
"""

from collections.abc import Iterable
from typing import Any

from cli.versions import ALIAS

_KINDS = ("AWS::StepFunctions::StateMachineVersion", "AWS::StepFunctions::StateMachineAlias")


def without_machine_aliases(expanded: dict[str, Any]) -> dict[str, Any]:
    """An expanded template without versions and aliases of machines.

    A reference to an alias becomes its ARN. Who may start a machine may start it by its alias: AWS
    checks the ARN of the machine, and the emulator the ARN that it is given.
    """
    resources = expanded["Resources"]
    aliases = {
        name: name.removesuffix(f"Alias{ALIAS}")
        for name, one in resources.items()
        if one["Type"] == _KINDS[1]
    }
    kept = {name: one for name, one in resources.items() if one["Type"] not in _KINDS}
    return expanded | {"Resources": _translated(kept, aliases)}


def _translated(part: Any, aliases: dict[str, str]) -> Any:
    if isinstance(part, list):
        return [_translated(each, aliases) for each in part]
    if not isinstance(part, dict):
        return part
    if part.keys() == {"Ref"} and part["Ref"] in aliases:
        return {"Fn::Sub": f"${{{aliases[part['Ref']]}}}:{ALIAS}"}
    if part.get("Action") == "states:StartExecution":
        machines = part["Resource"] if isinstance(part["Resource"], list) else [part["Resource"]]
        starts = [{"Fn::Join": [":", [machine, ALIAS]]} for machine in machines]
        return part | {"Resource": [*machines, *starts]}
    return {key: _translated(value, aliases) for key, value in part.items()}


def ensure_machine_aliases(stepfunctions: Any, machines: Iterable[str]) -> None:
    """Publish a version of each of the `machines`, by ARN, and create its alias, if it has none."""
    for arn in machines:
        aliases = stepfunctions.list_state_machine_aliases(stateMachineArn=arn)
        if not aliases["stateMachineAliases"]:
            version = stepfunctions.publish_state_machine_version(stateMachineArn=arn)
            route = {"stateMachineVersionArn": version["stateMachineVersionArn"], "weight": 100}
            stepfunctions.create_state_machine_alias(name=ALIAS, routingConfiguration=[route])
