"""Takes an update back, and deletes old versions of functions and machines.

`python -m cli.versions go-back STACK` and `python -m cli.versions delete-old STACK [DAYS]`.
CloudFormation retains the versions, so that executions end with the code that they began with, and
so that an update can be taken back.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import boto3

ALIAS = "live"
DAYS = 30  # longer than Step Functions can redrive an execution (14 days)
SHIFT = timedelta(hours=1)  # an update has certainly shifted everything to a new version after that


@dataclass(frozen=True)
class Version:
    """A version of a function or a machine: its number, and when it was published (aware UTC)."""

    number: int
    published: datetime


def unneeded(
    versions: Iterable[Version],
    live: Iterable[int],
    oldest_execution: datetime | None,
    kept_since: datetime,
    shift: timedelta = SHIFT,
) -> list[int]:
    """The numbers of the `versions` that nothing can use any more, in order.

    A version is used until its successor was published, and a `shift` longer, and then by the
    executions that began before. `live` are those of the alias. `oldest_execution` is the start of
    the oldest one that runs. What had its successor after `kept_since` is kept.
    """
    ordered = sorted(versions, key=lambda version: version.number)
    found = []
    for version, successor in pairwise(ordered):
        ended = successor.published + shift
        in_use = oldest_execution is not None and oldest_execution <= ended
        if version.number not in live and successor.published <= kept_since and not in_use:
            found.append(version.number)
    return found


@dataclass(frozen=True)
class Clients:
    """The clients of the services that have versions."""

    functions: Any
    machines: Any


def delete_old(
    clients: Clients,
    functions: Sequence[str],
    machines: Sequence[str],
    kept_since: datetime,
    shift: timedelta = SHIFT,
) -> list[str]:
    """Delete the versions that nothing uses of `functions`, by name, and `machines`, by ARN.

    Returns the names of the deleted versions. A version that is deleted meanwhile is no error.
    """
    starts = [found for arn in machines if (found := _oldest_execution(clients.machines, arn))]
    oldest = min(starts, default=None)
    deleted = []
    for name in functions:
        for number in unneeded(
            _function_versions(clients.functions, name),
            _live_functions(clients.functions, name),
            oldest,
            kept_since,
            shift,
        ):
            # Without a qualifier this call would delete the function.
            clients.functions.delete_function(FunctionName=name, Qualifier=str(number))
            deleted.append(f"{name}:{number}")
    for arn in machines:
        for number in unneeded(
            _machine_versions(clients.machines, arn),
            _live_machines(clients.machines, arn),
            oldest,
            kept_since,
            shift,
        ):
            clients.machines.delete_state_machine_version(stateMachineVersionArn=f"{arn}:{number}")
            deleted.append(f"{arn.rpartition(':')[2]}:{number}")
    return deleted


def go_back(clients: Clients, functions: Sequence[str], machines: Sequence[str]) -> list[str]:
    """Point each alias to the version before the live one, machines first. Returns what is live.

    What has no earlier version stays. While an update shifts gradually, CloudFormation does this.
    """
    live = []
    for arn in machines:
        number = _earlier(
            _machine_versions(clients.machines, arn), _live_machines(clients.machines, arn)
        )
        if number is not None:
            clients.machines.update_state_machine_alias(
                stateMachineAliasArn=f"{arn}:{ALIAS}",
                routingConfiguration=[{"stateMachineVersionArn": f"{arn}:{number}", "weight": 100}],
            )
            live.append(f"{arn.rpartition(':')[2]}:{number}")
    for name in functions:
        number = _earlier(
            _function_versions(clients.functions, name), _live_functions(clients.functions, name)
        )
        if number is not None:
            clients.functions.update_alias(
                FunctionName=name, Name=ALIAS, FunctionVersion=str(number), RoutingConfig={}
            )
            live.append(f"{name}:{number}")
    return live


def _earlier(versions: Iterable[Version], live: Iterable[int]) -> int | None:
    """The newest version before those that are live."""
    oldest = min(live)
    return max((each.number for each in versions if each.number < oldest), default=None)


def _function_versions(functions: Any, name: str) -> list[Version]:
    pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    return [
        Version(int(each["Version"]), datetime.fromisoformat(each["LastModified"]))
        for page in pages
        for each in page["Versions"]
        if each["Version"].isdecimal()  # not $LATEST
    ]


def _live_functions(functions: Any, name: str) -> set[int]:
    alias = functions.get_alias(FunctionName=name, Name=ALIAS)
    shifting = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
    return {int(number) for number in (alias["FunctionVersion"], *shifting)}


def _machine_versions(machines: Any, arn: str) -> list[Version]:
    found = []
    request: dict[str, Any] = {"stateMachineArn": arn}
    while True:
        page = machines.list_state_machine_versions(**request)
        for each in page["stateMachineVersions"]:
            number = each["stateMachineVersionArn"].rpartition(":")[2]
            found.append(Version(int(number), each["creationDate"]))
        if "nextToken" not in page:
            return found
        request["nextToken"] = page["nextToken"]


def _live_machines(machines: Any, arn: str) -> set[int]:
    alias = machines.describe_state_machine_alias(stateMachineAliasArn=f"{arn}:{ALIAS}")
    routes = alias["routingConfiguration"]
    return {int(route["stateMachineVersionArn"].rpartition(":")[2]) for route in routes}


def _oldest_execution(machines: Any, arn: str) -> datetime | None:
    pages = machines.get_paginator("list_executions").paginate(
        stateMachineArn=arn, statusFilter="RUNNING"
    )
    starts = [each["startDate"] for page in pages for each in page["executions"]]
    return min(starts, default=None)


def main(command: str, stack: str, days: int) -> None:
    """Carry out a command for a stack on AWS, with the credentials of the environment."""
    pages = (
        boto3.client("cloudformation")
        .get_paginator("list_stack_resources")
        .paginate(StackName=stack)
    )
    rows = [row for page in pages for row in page["StackResourceSummaries"]]
    functions, machines = (
        [row["PhysicalResourceId"] for row in rows if row["ResourceType"] == kind]
        for kind in ("AWS::Lambda::Function", "AWS::StepFunctions::StateMachine")
    )
    clients = Clients(boto3.client("lambda"), boto3.client("stepfunctions"))
    if command == "go-back":
        changed = go_back(clients, functions, machines)
        what = "are live"
    else:
        kept_since = datetime.now(UTC) - timedelta(days=days)
        changed = delete_old(clients, functions, machines, kept_since)
        what = "old versions were deleted"
    sys.stdout.write("".join(f"{name}\n" for name in changed))
    sys.stdout.write(f"{len(changed)} {what}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else DAYS)
