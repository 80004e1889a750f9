"""Finds a stack, local or on AWS, and says how the command line reaches it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.local import demo_users, emulator
from cli.local.stack import Stack
from jobyard.domain.errors import JobyardError

LOCAL = "local"  # the name of the local stack in messages
LOCAL_USER = "admin"  # the local stack's default user


class StackNotRunning(JobyardError):
    """The local stack is not running."""


class AwsAccessError(JobyardError):
    """AWS cannot be reached: no credentials, no region, no permission or no network."""


@dataclass(frozen=True)
class StackConnection:
    """How the CLI reaches a stack.

    `cognito` makes a client for a user pool. `passwords` has the demo users (none on AWS);
    `default_user` is signed in at first. `url_prefix` begins the API's URL; it reveals a session
    that belongs to a local stack on another port.
    """

    name: str
    session_file: Path
    locate: Callable[[], Stack]
    cognito: Callable[[str], Any]
    url_prefix: str = ""
    passwords: Mapping[str, str] = field(default_factory=dict)
    default_user: str = ""

    @property
    def login(self) -> str:
        """The command that signs in to this stack."""
        return "jobyard login --as ROLE" if self.passwords else f"jobyard login --stack {self.name}"


def find_connection(name: str) -> StackConnection:
    """The AWS stack `name`, or the local one when no name is given.

    Raises:
        StackNotRunning: there is no name, and the local stack is not running.
    """
    if not name:
        return local_connection(emulator.HOME)
    folder = Path.home() / ".config" / "jobyard"
    return StackConnection(
        name, folder / f"{name}.json", lambda: _find_aws_stack(name), _aws_cognito
    )


def local_connection(home: Path) -> StackConnection:
    """The local stack in the folder `home`.

    Raises:
        StackNotRunning: no emulator runs there.
    """
    running = emulator.running(home)
    if running is None:
        raise StackNotRunning(
            "the local stack is not running: start it with `jobyard local up`, or name a stack on "
            "AWS with --stack"
        )
    endpoint = running.endpoint
    return StackConnection(
        LOCAL,
        home / "session.json",
        lambda: _find_local_stack(endpoint),
        lambda _: _local_cognito(endpoint),
        url_prefix=running.web_url,
        passwords={person.username: person.password for person in demo_users.DEMO_USERS},
        default_user=LOCAL_USER,
    )


# These imports take 0.5 s, so a command with a valid token does not make them.


def _find_local_stack(endpoint: str) -> Stack:
    from cli.local import clients, deployment, stack

    return stack.read(clients.client("cloudformation", endpoint), deployment.STACK)


def _local_cognito(endpoint: str) -> Any:
    from cli.local import clients

    return clients.client("cognito-idp", endpoint)


def _find_aws_stack(name: str) -> Stack:
    import boto3

    from cli.local import stack

    try:
        return stack.read(boto3.session.Session().client("cloudformation"), name)
    except ClientError as error:
        raise AwsAccessError(f"CloudFormation refused: {error_text(error)}") from error
    except BotoCoreError as error:
        raise AwsAccessError(f"stack {name} cannot be looked up: {error}") from error


def _aws_cognito(user_pool: str) -> Any:
    """A client without AWS credentials, which signing in does not need."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    region = user_pool.partition("_")[0]
    return boto3.session.Session().client(
        "cognito-idp", region_name=region, config=Config(signature_version=UNSIGNED)
    )


def error_text(error: ClientError) -> str:
    """The message and the code of an error of AWS."""
    details = error.response["Error"]
    return f"{details.get('Message', 'refused')} ({details['Code']})"
