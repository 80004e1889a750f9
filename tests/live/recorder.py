"""Recorder of the AWS calls of a deployed function, with a line for each kind of call.

It is copied below `functions/` in the project that the live tests deploy. The `__init__.py` of each
folder calls `record` before any client is made. It imports only what a function has.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.handlers

Call = dict[str, str]
_seen: set[str] = set()
_IAM_NAMES = {"monitoring": "cloudwatch"}  # where IAM's name differs from that of signatures


def record(folder: str, notes: str) -> None:
    """Append this process's calls to the file `notes`, as those of `folder`.

    Each line is a JSON object: folder; key (role or another: whose key signs); call (service and
    operation, with what matters in brackets); on (its target, by physical name).
    """

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        for call in _calls(model.service_model.signing_name, model.name, params):
            line = json.dumps({"folder": folder, "key": _key_kind()} | call)
            if line not in _seen:
                _seen.add(line)
                with Path(notes).open("a") as lines:
                    lines.write(line + "\n")

    botocore.handlers.BUILTIN_HANDLERS.append(("before-parameter-build", note))


def _key_kind() -> str:
    """Whose key this process signs with: a role's key begins with ASIA and has a token."""
    environment = os.environ  # noqa: TID251  # a function has its key nowhere else
    temporary = environment["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    return "role" if temporary and environment.get("AWS_SESSION_TOKEN") else "another"


def _calls(service: str, operation: str, params: dict[str, Any]) -> Iterator[Call]:
    match service:
        case "dynamodb":
            yield from _dynamodb(operation, params)
        case "s3":
            yield from _s3(operation, params)
        case "states":
            on = params.get("stateMachineArn") or params["executionArn"]
            yield {"call": f"states:{operation}", "on": on}
        case "cognito-idp":
            on = params.get("UserPoolId") or params["ClientId"]
            yield {"call": f"cognito-idp:{operation}", "on": on}
        case "sqs":
            yield {"call": f"sqs:{operation}", "on": params["QueueUrl"].rpartition("/")[2]}
        case "logs":
            yield {"call": f"logs:{operation}", "on": params["logGroupName"]}
        case "secretsmanager":
            yield {"call": f"secretsmanager:{operation}", "on": f"secret:{params['SecretId']}"}
        case "events":
            for entry in params["Entries"]:
                bus = entry.get("EventBusName", "default")
                yield {"call": f"events:{operation}", "on": f"event-bus/{bus}"}
        case _:
            yield {"call": f"{_IAM_NAMES.get(service, service)}:{operation}", "on": "*"}


def _dynamodb(operation: str, params: dict[str, Any]) -> Iterator[Call]:
    name = f"dynamodb:{operation}"
    if "Statements" in params:
        for statement in params["Statements"]:
            kind, *words = statement["Statement"].split()
            table = next(word for word in words if word.startswith('"'))
            yield {"call": f"{name}({kind.upper()})", "on": table.strip('"')}
    elif "TransactItems" in params:
        for item in params["TransactItems"]:
            for kind, one in item.items():
                yield {"call": f"{name}({kind})", "on": one["TableName"]}
    elif "RequestItems" in params:
        for table in params["RequestItems"]:
            yield {"call": name, "on": table}
    else:
        index = params.get("IndexName")
        on = f"{params['TableName']}/index/{index}" if index else params["TableName"]
        yield {"call": name, "on": on}


def _s3(operation: str, params: dict[str, Any]) -> Iterator[Call]:
    version = "(VersionId)" if params.get("VersionId") else ""
    bucket, key = params["Bucket"], params.get("Key", "")
    if operation == "CreateBucket":  # what botocore builds the address of a presigned POST with
        operation, key = "PostObject", "manifests/"
    if operation == "DeleteObjects":
        first = params["Delete"]["Objects"][0]
        key, version = first["Key"], "(VersionId)" if first.get("VersionId") else ""
    yield {"call": f"s3:{operation}{version}", "on": f"{bucket}/{_shelf(key)}" if key else bucket}
    if "CopySource" in params:
        source, _, key = params["CopySource"].partition("/")  # botocore has made it text already
        yield {"call": "s3:GetObject", "on": f"{source}/{_shelf(key)}"}


def _shelf(key: str) -> str:
    """The first part of a key, by which roles grant access."""
    first, slash, _ = key.partition("/")
    return f"{first}{slash}…"
