"""Expands a template, finds things in it, and puts its intrinsics as text to compare and search."""

import copy
import json
from typing import Any

from cli.local import deployment

Resources = dict[str, dict[str, Any]]

OWN_JOB_WRITE_UNITS = 32.0  # of a job of the system's that finds nothing to do; counted there too
IDLE_READ_UNITS = 10.0  # of a minute with nothing to do; tests/walk/test_idle_minute.py counts them


def expanded_of(template: dict[str, Any]) -> dict[str, Any]:
    """What the SAM transform makes of a template, as if it had been packaged."""
    packaged = copy.deepcopy(template)
    packaged["Globals"]["Function"]["CodeUri"] = "s3://bucket/functions.zip"
    for resource in packaged["Resources"].values():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = "s3://bucket/layer.zip"
        if resource["Type"] == "AWS::Serverless::StateMachine":
            resource["Properties"]["DefinitionUri"] = "s3://bucket/machine.asl.json"
    return deployment.expand(packaged, {})


def of_type(resources: Resources, kind: str) -> Resources:
    """The resources of one type, by logical id; never empty."""
    found = {name: one for name, one in resources.items() if one["Type"] == kind}
    assert found, f"the template has no {kind}"
    return found


def written(value: Any) -> str:
    """`value` with its references in ${}: {"Fn::GetAtt": ["A", "Arn"]} is "${A.Arn}".

    Of an If, both branches are given, with a bar between.
    """
    if isinstance(value, str):
        return value
    if not (isinstance(value, dict) and len(value) == 1):
        return json.dumps(value, sort_keys=True)
    ((function, argument),) = value.items()
    match function:
        case "Ref":
            return f"${{{argument}}}"
        case "Fn::GetAtt":
            return "${" + ".".join(argument) + "}"
        case "Fn::Sub":
            return argument if isinstance(argument, str) else str(argument[0])
        case "Fn::Join":
            return str(argument[0]).join(written(part) for part in argument[1])
        case "Fn::If":
            return " | ".join(written(branch) for branch in argument[1:])
        case _:
            return json.dumps(value, sort_keys=True)
