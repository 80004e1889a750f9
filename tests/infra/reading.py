"""Finds things in an expanded template, and puts its intrinsics as text to compare and search."""

import json
from typing import Any

Resources = dict[str, dict[str, Any]]


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
