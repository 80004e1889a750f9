"""Who asks, and of which stack: finds the stack, signs in, keeps the tokens and renews them."""

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

LOCAL = "local"  # what the stack on this laptop is called in words
LOCAL_USER = "admin"  # who one is on the local stack until one signs in as somebody else
RENEW_BEFORE_S = 30.0  # a token that ends within these seconds is renewed first


class SignInRequired(JobyardError):
    """Nobody is signed in, or not any more; the message says what to call."""


class SignInFailed(JobyardError):
    """The username, the password or a code is wrong."""


class StackNotRunning(JobyardError):
    """The local stack is down."""


class AwsAccessError(JobyardError):
    """AWS cannot be asked: no credentials, no region, no permission or no network."""


@dataclass(frozen=True)
class Session:
    """One person signed in to one stack: all that a command needs of either."""

    api_url: str
    user_pool: str
    user_pool_client: str
    username: str
    access_token: str
    refresh_token: str

    @property
    def claims(self) -> dict[str, Any]:
        """What the access token says of its owner; the API checks it, not we."""
        payload = self.access_token.split(".")[1]
        claims: dict[str, Any] = json.loads(
            base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        )
        return claims

    @property
    def expires_at(self) -> datetime:
        """When the access token ends."""
        return datetime.fromtimestamp(self.claims["exp"], UTC)

    @property
    def roles(self) -> list[str]:
        """The person's roles; Cognito calls them groups."""
        return list(self.claims.get("cognito:groups", []))


@dataclass(frozen=True)
class Deployment:
    """A deployed stack as the CLI reaches it. `kept` is the file its session is kept in.

    `cognito` makes a client for a user pool; `passwords` are the demo's people, none on AWS, and
    `person` is the one of them who asks until somebody signs in.
    `address` is what the API's URL begins with: on a laptop it tells kept sessions of other ports.
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
        """The command that signs in here."""
        return "jobyard login --as ROLE" if self.passwords else f"jobyard login --stack {self.name}"


def find_deployment(name: str) -> Deployment:
    """The AWS stack `name`, or the local one when no name is given.

    Raises:
        NotRunning: the local stack is down.
    """
    if not name:
        return local_deployment(emulator.HOME)
    folder = Path.home() / ".config" / "jobyard"
    return Deployment(name, folder / f"{name}.json", lambda: _find_aws_stack(name), _aws_cognito)


def local_deployment(home: Path) -> Deployment:
    """The local stack whose emulator lives in `home`.

    Raises:
        NotRunning: nothing runs there.
    """
    running = emulator.running(home)
    if running is None:
        raise StackNotRunning(
            "the local stack is not running: start it with `jobyard local up` or `make local`, "
            "or name an AWS stack with --stack"
        )
    endpoint = running.endpoint
    return Deployment(
        LOCAL,
        home / "session.json",
        lambda: _find_local_stack(endpoint),
        lambda _: _local_cognito(endpoint),
        url_prefix=endpoint,
        passwords={person.username: person.password for person in demo_users.DEMO},
        default_user=LOCAL_USER,
    )


# Signing in and out


def open_session(deployment: Deployment) -> Session:
    """The session kept for `deployment`; on the local stack a new one when none is.

    Raises:
        SignInNeeded: nobody is signed in.
    """
    saved = _read(deployment.session_file)
    if saved and saved.api_url.startswith(deployment.url_prefix):
        return saved
    username = saved.username if saved else deployment.default_user
    if username not in deployment.passwords:
        raise SignInRequired(
            f"you are not signed in to stack {deployment.name}: `{deployment.login}`"
        )
    return sign_in(deployment, username, deployment.passwords[username])


def sign_in(
    deployment: Deployment,
    username: str,
    password: str,
    answer: Callable[[str], str] = lambda challenge: "",
) -> Session:
    """Sign `username` in and keep the session. `answer` is asked what else Cognito wants to know:
    NEW_PASSWORD_REQUIRED or SOFTWARE_TOKEN_MFA.

    Raises:
        SignInRefused: Cognito does not take what it was told. NoStack: there is no such stack.
    """
    stack = deployment.locate()
    cognito = deployment.cognito(stack.user_pool)
    client = stack.user_pool_client
    try:
        told = cognito.initiate_auth(
            ClientId=client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": username, "PASSWORD": password},
        )
        while "ChallengeName" in told:
            name = told["ChallengeName"]
            if name not in _CHALLENGE_RESPONSES:
                raise SignInFailed(f"Cognito asks for {name}, which this program cannot give")
            told = cognito.respond_to_auth_challenge(
                ClientId=client,
                ChallengeName=name,
                Session=told["Session"],
                ChallengeResponses={"USERNAME": username, _CHALLENGE_RESPONSES[name]: answer(name)},
            )
    except ClientError as error:
        raise SignInFailed(_error_text(error)) from error
    except BotoCoreError as error:
        raise AwsAccessError(str(error)) from error
    result = told["AuthenticationResult"]
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
    """Forget the session here and end it at Cognito; False when nobody was signed in."""
    saved = _read(deployment.session_file)
    if saved is None:
        return False
    deployment.session_file.unlink()
    try:
        deployment.cognito(saved.user_pool).revoke_token(
            Token=saved.refresh_token, ClientId=saved.user_pool_client
        )
    except (ClientError, BotoCoreError):
        return True  # it is forgotten here, and ends by itself within hours
    return True


class SessionTokens:
    """Hands out the access token of a session, and renews it silently when it ends."""

    def __init__(self, deployment: Deployment, session: Session) -> None:
        self._deployment = deployment
        self.session = session

    def token(self) -> str:
        """An access token that is good now."""
        if self.session.expires_at.timestamp() - time.time() < RENEW_BEFORE_S:
            return self.renew()
        return self.session.access_token

    def renew(self) -> str:
        """Another access token.

        Raises:
            SignInNeeded: the session has ended.
        """
        self.session = _renew(self._deployment, self.session)
        return self.session.access_token


def _renew(deployment: Deployment, session: Session) -> Session:
    try:
        told = deployment.cognito(session.user_pool).initiate_auth(
            ClientId=session.user_pool_client,
            AuthFlow="REFRESH_TOKEN_AUTH",
            AuthParameters={"REFRESH_TOKEN": session.refresh_token},
        )
    except ClientError as error:
        # A local stack that was reset has other people and keys, but the same names.
        if session.username in deployment.passwords:
            return sign_in(deployment, session.username, deployment.passwords[session.username])
        raise SignInRequired(
            f"your sign-in to stack {deployment.name} has ended: `{deployment.login}`"
        ) from error
    except BotoCoreError as error:
        raise AwsAccessError(str(error)) from error
    renewed = replace(session, access_token=told["AuthenticationResult"]["AccessToken"])
    _write(deployment.session_file, renewed)
    return renewed


def _error_text(error: ClientError) -> str:
    told = error.response["Error"]
    return f"{told.get('Message', 'refused')} ({told['Code']})"


# The session file


def _read(session_file: Path) -> Session | None:
    try:
        return Session(**json.loads(session_file.read_text()))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError):
        return None  # of another version of this program: as good as none


def _write(session_file: Path, session: Session) -> None:
    """Keep `session` for its owner's eyes only; a reader sees the old file or the new."""
    session_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = session_file.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(asdict(session), indent=2))
    unfinished.replace(session_file)


# Finding stacks. What is imported here takes 0.5 s; no command with a good token has to spend it.


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
        raise AwsAccessError(f"CloudFormation refuses: {_error_text(error)}") from error
    except BotoCoreError as error:
        raise AwsAccessError(f"stack {name} cannot be looked up: {error}") from error


def _aws_cognito(user_pool: str) -> Any:
    """A client that signs nothing: signing in needs no AWS credentials."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    region = user_pool.partition("_")[0]
    return boto3.session.Session().client(
        "cognito-idp", region_name=region, config=Config(signature_version=UNSIGNED)
    )


# What commands are handed


@dataclass(frozen=True)
class CliContext:
    """The world a command acts in. Tests bring their own."""

    deployment: Callable[[str], Deployment] = find_deployment
    transport: httpx.BaseTransport | None = None
    pause: Callable[[float], None] = time.sleep

    def api(self, stack: str, session: Session | None = None) -> ApiClient:
        """The API of `stack`, asked by whoever is signed in there or by `session`."""
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
