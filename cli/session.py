"""Stacks and sessions: finds a stack, signs a user in, stores tokens and renews them."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from botocore.exceptions import BotoCoreError, ClientError

from cli.client import ApiClient
from cli.local import demo_users, emulator
from cli.local.stack import Stack
from jobyard.domain.errors import JobyardError

LOCAL = "local"  # the name of the local stack in messages
LOCAL_USER = "admin"  # the local stack's default user
RENEW_BEFORE_S = 30.0  # renew a token this long before it expires


class SignInRequired(JobyardError):
    """Nobody is signed in, or the session has expired. The message names the command to use."""


class SignInFailed(JobyardError):
    """Cognito rejected the username, the password or a code."""


class StackNotRunning(JobyardError):
    """The local stack is not running."""


class AwsAccessError(JobyardError):
    """AWS cannot be reached: no credentials, no region, no permission or no network."""


@dataclass(frozen=True)
class Session:
    """A signed-in user of a stack, as stored in the session file."""

    api_url: str
    user_pool: str
    user_pool_client: str
    username: str
    access_token: str
    refresh_token: str

    @property
    def claims(self) -> dict[str, Any]:
        """Claims of the access token, not verified here: the API does that."""
        payload = self.access_token.split(".")[1]
        claims: dict[str, Any] = json.loads(
            base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        )
        return claims

    @property
    def expires_at(self) -> datetime:
        """When the access token expires."""
        return datetime.fromtimestamp(self.claims["exp"], UTC)

    @property
    def roles(self) -> list[str]:
        """The user's roles, which are their Cognito groups."""
        return list(self.claims.get("cognito:groups", []))


@dataclass(frozen=True)
class Deployment:
    """How the CLI reaches a deployed stack.

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


def find_deployment(name: str) -> Deployment:
    """The AWS stack `name`, or the local one when no name is given.

    Raises:
        StackNotRunning: there is no name, and the local stack is not running.
    """
    if not name:
        return local_deployment(emulator.HOME)
    folder = Path.home() / ".config" / "jobyard"
    return Deployment(name, folder / f"{name}.json", lambda: _find_aws_stack(name), _aws_cognito)


def local_deployment(home: Path) -> Deployment:
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
    return Deployment(
        LOCAL,
        home / "session.json",
        lambda: _find_local_stack(endpoint),
        lambda _: _local_cognito(endpoint),
        url_prefix=endpoint,
        passwords={person.username: person.password for person in demo_users.DEMO_USERS},
        default_user=LOCAL_USER,
    )


# Signing in and out


def open_session(deployment: Deployment) -> Session:
    """The stored session of `deployment`. On the local stack it signs in the default user.

    Raises:
        SignInRequired: nobody is signed in.
    """
    saved = _read(deployment.session_file)
    if saved and saved.api_url.startswith(deployment.url_prefix):
        return saved
    username = saved.username if saved else deployment.default_user
    if username not in deployment.passwords:
        raise SignInRequired(
            f"you are not signed in to stack {deployment.name}: run `{deployment.login}`"
        )
    return sign_in(deployment, username, deployment.passwords[username])


def sign_in(
    deployment: Deployment,
    username: str,
    password: str,
    answer: Callable[[str], str] = lambda challenge: "",
) -> Session:
    """Sign in and store the session.

    `answer` responds to Cognito's challenges NEW_PASSWORD_REQUIRED and SOFTWARE_TOKEN_MFA.

    Raises:
        SignInFailed: Cognito rejects the credentials or asks for another challenge.
        NoStack: there is no such stack.
        AwsAccessError: Cognito cannot be reached.
    """
    stack = deployment.locate()
    cognito = deployment.cognito(stack.user_pool)
    client = stack.user_pool_client
    try:
        response = cognito.initiate_auth(
            ClientId=client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": username, "PASSWORD": password},
        )
        while "ChallengeName" in response:
            name = response["ChallengeName"]
            if name not in _CHALLENGE_RESPONSES:
                raise SignInFailed(f"Cognito asks for {name}, which jobyard does not support")
            response = cognito.respond_to_auth_challenge(
                ClientId=client,
                ChallengeName=name,
                Session=response["Session"],
                ChallengeResponses={"USERNAME": username, _CHALLENGE_RESPONSES[name]: answer(name)},
            )
    except ClientError as error:
        raise SignInFailed(_error_text(error)) from error
    except BotoCoreError as error:
        raise AwsAccessError(str(error)) from error
    result = response["AuthenticationResult"]
    session = Session(
        stack.api_url,
        stack.user_pool,
        client,
        username,
        result["AccessToken"],
        result["RefreshToken"],
    )
    _write(deployment.session_file, session)
    return session


_CHALLENGE_RESPONSES = {
    "NEW_PASSWORD_REQUIRED": "NEW_PASSWORD",
    "SOFTWARE_TOKEN_MFA": "SOFTWARE_TOKEN_MFA_CODE",
}


def sign_out(deployment: Deployment) -> bool:
    """Delete the stored session and revoke it at Cognito. False if there was none."""
    saved = _read(deployment.session_file)
    if saved is None:
        return False
    deployment.session_file.unlink()
    try:
        deployment.cognito(saved.user_pool).revoke_token(
            Token=saved.refresh_token, ClientId=saved.user_pool_client
        )
    except (ClientError, BotoCoreError):
        return True  # it is deleted here, and expires within hours
    return True


class SessionTokens:
    """The access tokens of a session, renewed before they expire."""

    def __init__(self, deployment: Deployment, session: Session) -> None:
        self._deployment = deployment
        self.session = session

    def token(self) -> str:
        """A valid access token."""
        if self.session.expires_at.timestamp() - time.time() < RENEW_BEFORE_S:
            return self.renew()
        return self.session.access_token

    def renew(self) -> str:
        """A new access token.

        Raises:
            SignInRequired: the session has expired.
        """
        self.session = _renew(self._deployment, self.session)
        return self.session.access_token


def _renew(deployment: Deployment, session: Session) -> Session:
    try:
        response = deployment.cognito(session.user_pool).initiate_auth(
            ClientId=session.user_pool_client,
            AuthFlow="REFRESH_TOKEN_AUTH",
            AuthParameters={"REFRESH_TOKEN": session.refresh_token},
        )
    except ClientError as error:
        # A local stack that was reset has new users and keys, but the same usernames.
        if session.username in deployment.passwords:
            return sign_in(deployment, session.username, deployment.passwords[session.username])
        raise SignInRequired(
            f"your session on stack {deployment.name} has expired: run `{deployment.login}`"
        ) from error
    except BotoCoreError as error:
        raise AwsAccessError(str(error)) from error
    renewed = replace(session, access_token=response["AuthenticationResult"]["AccessToken"])
    _write(deployment.session_file, renewed)
    return renewed


def _error_text(error: ClientError) -> str:
    details = error.response["Error"]
    return f"{details.get('Message', 'refused')} ({details['Code']})"


# The session file


def _read(session_file: Path) -> Session | None:
    try:
        return Session(**json.loads(session_file.read_text()))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError):
        return None  # written by another version of this program


def _write(session_file: Path, session: Session) -> None:
    """Store `session` atomically, readable only by its owner."""
    session_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = session_file.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(asdict(session), indent=2))
    unfinished.replace(session_file)


# Finding stacks. These imports take 0.5 s, so a command with a valid token does not make them.


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
        raise AwsAccessError(f"CloudFormation refused: {_error_text(error)}") from error
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


# The context of commands


@dataclass(frozen=True)
class CliContext:
    """What a command needs from outside. Tests replace it."""

    deployment: Callable[[str], Deployment] = find_deployment
    transport: httpx.BaseTransport | None = None
    pause: Callable[[float], None] = time.sleep

    def api(self, stack: str, session: Session | None = None) -> ApiClient:
        """A client of the stack's API for `session`, by default the signed-in user."""
        deployment = self.deployment(stack)
        bearer = SessionTokens(deployment, session or open_session(deployment))
        roles = ", ".join(bearer.session.roles) or "no role"
        return ApiClient(
            bearer.session.api_url,
            bearer,
            who=f"you are signed in as {bearer.session.username} ({roles}); "
            f"`{deployment.login}` signs in as someone else",
            transport=self.transport,
            pause=self.pause,
        )
