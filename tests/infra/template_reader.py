"""Expands templates, finds resources in them, and writes intrinsics as text."""

import copy
import json
import re
from typing import Any

from cli.local import deployment
from cli.local.emulator import ROOT

Resources = dict[str, dict[str, Any]]

# Counted by tests/scenarios/test_idle_minute.py.
OWN_JOB_WRITE_UNITS = 38.0  # of a system job that finds no work
IDLE_READ_UNITS = 12.5  # of a minute without work


def expanded_of(
    template: dict[str, Any], layer: str = "layer", **parameters: str
) -> dict[str, Any]:
    """A template after the SAM transform, as if packaged, layers as the file `layer`."""
    packaged = copy.deepcopy(template)
    packaged["Globals"]["Function"]["CodeUri"] = "s3://bucket/functions.zip"
    for resource in packaged["Resources"].values():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            resource["Properties"]["ContentUri"] = f"s3://bucket/{layer}.zip"
        if resource["Type"] == "AWS::Serverless::StateMachine":
            resource["Properties"]["DefinitionUri"] = "s3://bucket/machine.asl.json"
    return deployment.expand(packaged, parameters)


def with_nested(resources: Resources) -> Resources:
    """`resources` and those of the stacks nested in them, whose parameters are replaced by values.

    So a nested alarm names a function as if it stood in the template that nests it.
    """
    found = dict(resources)
    for stack in of_type(resources, "AWS::CloudFormation::Stack").values():
        template = deployment.read_template(ROOT, stack["Properties"]["TemplateURL"])
        nested = _with_values(template["Resources"], stack["Properties"]["Parameters"])
        assert not found.keys() & nested.keys(), "a logical id stands for two resources"
        found |= nested
    return found


def _with_values(part: Any, values: dict[str, Any]) -> Any:
    """`part` of a template with its parameters replaced by `values`."""
    if isinstance(part, list):
        return [_with_values(each, values) for each in part]
    if not isinstance(part, dict):
        return part
    if part.keys() == {"Ref"}:
        return values.get(part["Ref"], part)
    if isinstance(part.get("Fn::Sub"), str):
        put_in = {f"${{{name}}}": written(value) for name, value in values.items()}
        text = re.sub(r"\$\{\w+\}", lambda found: put_in.get(found[0], found[0]), part["Fn::Sub"])
        return {"Fn::Sub": text}
    return {key: _with_values(value, values) for key, value in part.items()}


def of_type(resources: Resources, kind: str) -> Resources:
    """The resources of one type by logical id, at least one."""
    found = {name: one for name, one in resources.items() if one["Type"] == kind}
    assert found, f"the template has no {kind}"
    return found


def called_by(reference: str) -> str:
    """The function behind a `reference` to its alias, as text. Fails for a function itself."""
    found = re.fullmatch(r"\$\{(\w+Function)Aliaslive\}", reference)
    assert found, f"{reference} is not the alias of a function"
    return found[1]


def version_of(reference: str) -> str:
    """The function behind a `reference` to its version, as text. Fails for a function itself."""
    found = re.fullmatch(r"\$\{(\w+Function)Version[0-9a-f]{10}\}", reference)
    assert found, f"{reference} is not a version of a function"
    return found[1]


def written(value: Any) -> str:
    """`value` with its references in ${}: {"Fn::GetAtt": ["A", "Arn"]} is "${A.Arn}".

    An If becomes both branches, with a bar between them.
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
