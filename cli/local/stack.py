"""The outputs of a deployed stack, local or on AWS."""

from dataclasses import dataclass, fields
from typing import Any

from botocore.exceptions import ClientError

from jobyard.domain.errors import JobyardError


class NoStack(JobyardError):
    """The stack does not exist, or is not one of Jobyard's."""


@dataclass(frozen=True)
class Stack:
    """The outputs of template.yaml that the CLI needs. URLs have no slash at the end."""

    name: str
    api_url: str
    intake_bucket: str
    work_bucket: str
    archive_bucket: str
    user_pool: str
    user_pool_client: str
    sign_in_url: str
    batch_machine: str
    job_machine: str


def read(cloudformation: Any, name: str) -> Stack:
    """The stack `name` as CloudFormation describes it.

    Raises:
        NoStack: it does not exist, or an output is missing.
    """
    try:
        found = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        raise NoStack(f"there is no stack called {name}") from error
    outputs = {row["OutputKey"]: row["OutputValue"] for row in found.get("Outputs", [])}
    named = {field.name: output_name(field.name) for field in fields(Stack)[1:]}
    missing = sorted(set(named.values()) - outputs.keys())
    if missing:
        raise NoStack(
            f"stack {name} is {found['StackStatus']} and has no output {', '.join(missing)}"
        )
    return Stack(name=name, **{field: outputs[output] for field, output in named.items()})


def output_name(field: str) -> str:
    """`api_url` is the output ApiUrl."""
    return "".join(part.capitalize() for part in field.split("_"))
