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

from cli.client import Api
from cli.local import demo_users, emulator
from cli.local.stack import Stack
from jobyard.domain.errors import JobyardError

LOCAL = "local"  # what the stack on this laptop is called in words
LOCAL_PERSON = "admin"  # who one is on the local stack until one signs in as somebody else
SOON_S = 30.0  # a token that ends within these seconds is renewed first


class SignInNeeded(JobyardError):
    """Nobody is signed in, or not any more; the message says what to call."""


class SignInRefused(JobyardError):
    """The username, the password or a code is wrong."""


class NotRunning(JobyardError):
    """The local stack is down."""


class NoAccess(JobyardError):
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
    kept: Path
    locate: Callable[[], Stack]
    cognito: Callable[[str], Any]
    address: str = ""
    passwords: Mapping[str, str] = field(default_factory=dict)
    person: str = ""

    @property
    def login(self) -> str:
        """The command that signs in here."""
        return "jobyard login --as ROLE" if self.passwords else f"jobyard login --stack {self.name}"


def deployment_called(name: str) -> Deployment:
    """The AWS stack `name`, or the local one when no name is given.

    Raises:
        NotRunning: the local stack is down.
    """
    if not name:
        return on_this_laptop(emulator.HOME)
    folder = Path.home() / ".config" / "jobyard"
    return Deployment(name, folder / f"{name}.json", lambda: _locate_on_aws(name), _cognito_on_aws)


def on_this_laptop(home: Path) -> Deployment:
    """The local stack whose emulator lives in `home`.

    Raises:
        NotRunning: nothing runs there.
    """
    running = emulator.running(home)
    if running is None:
        raise NotRunning(
            "the local stack is not running: start it with `jobyard local up` or `make local`, "
            "or name an AWS stack with --stack"
        )
    endpoint = running.endpoint
    return Deployment(
        LOCAL,
        home / "session.json",
        lambda: _locate_here(endpoint),
        lambda _: _cognito_here(endpoint),
        address=endpoint,
        passwords={person.username: person.password for person in demo_users.DEMO},
        person=LOCAL_PERSON,
    )


# Signing in and out


def opened(deployment: Deployment) -> Session:
    """The session kept for `deployment`; on the local stack a new one when none is.

    Raises:
        SignInNeeded: nobody is signed in.
    """
    kept = _read(deployment.kept)
    if kept and kept.api_url.startswith(deployment.address):
        return kept
    username = kept.username if kept else deployment.person
    if username not in deployment.passwords:
        raise SignInNeeded(
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
            if name not in _ANSWERS:
                raise SignInRefused(f"Cognito asks for {name}, which this program cannot give")
            told = cognito.respond_to_auth_challenge(
                ClientId=client,
                ChallengeName=name,
                Session=told["Session"],
                ChallengeResponses={"USERNAME": username, _ANSWERS[name]: answer(name)},
            )
    except ClientError as error:
        raise SignInRefused(_words(error)) from error
    except BotoCoreError as error:
        raise NoAccess(str(error)) from error
    result = told["AuthenticationResult"]
    session = Session(
        stack.api_url,
        stack.user_pool,
        client,
        username,
        result["AccessToken"],
        result["RefreshToken"],
    )
    _write(deployment.kept, session)
    return session


_ANSWERS = {
    "NEW_PASSWORD_REQUIRED": "NEW_PASSWORD",
    "SOFTWARE_TOKEN_MFA": "SOFTWARE_TOKEN_MFA_CODE",
}


def sign_out(deployment: Deployment) -> bool:
    """Forget the session here and end it at Cognito; False when nobody was signed in."""
    kept = _read(deployment.kept)
    if kept is None:
        return False
    deployment.kept.unlink()
    try:
        deployment.cognito(kept.user_pool).revoke_token(
            Token=kept.refresh_token, ClientId=kept.user_pool_client
        )
    except (ClientError, BotoCoreError):
        return True  # it is forgotten here, and ends by itself within hours
    return True


class SignedIn:
    """Hands out the access token of a session, and renews it silently when it ends."""

    def __init__(self, deployment: Deployment, session: Session) -> None:
        self._deployment = deployment
        self.session = session

    def token(self) -> str:
        """An access token that is good now."""
        if self.session.expires_at.timestamp() - time.time() < SOON_S:
            return self.renewed()
        return self.session.access_token

    def renewed(self) -> str:
        """Another access token.

        Raises:
            SignInNeeded: the session has ended.
        """
        self.session = _renewed(self._deployment, self.session)
        return self.session.access_token


def _renewed(deployment: Deployment, session: Session) -> Session:
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
        raise SignInNeeded(
            f"your sign-in to stack {deployment.name} has ended: `{deployment.login}`"
        ) from error
    except BotoCoreError as error:
        raise NoAccess(str(error)) from error
    renewed = replace(session, access_token=told["AuthenticationResult"]["AccessToken"])
    _write(deployment.kept, renewed)
    return renewed


def _words(error: ClientError) -> str:
    told = error.response["Error"]
    return f"{told.get('Message', 'refused')} ({told['Code']})"


# The kept file


def _read(kept: Path) -> Session | None:
    try:
        return Session(**json.loads(kept.read_text()))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError):
        return None  # of another version of this program: as good as none


def _write(kept: Path, session: Session) -> None:
    """Keep `session` for its owner's eyes only; a reader sees the old file or the new."""
    kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = kept.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(asdict(session), indent=2))
    unfinished.replace(kept)


# Finding stacks. What is imported here takes 0.5 s; no command with a good token has to spend it.


def _locate_here(endpoint: str) -> Stack:
    from cli.local import clients, deployment, stack

    return stack.read(clients.client("cloudformation", endpoint), deployment.STACK)


def _cognito_here(endpoint: str) -> Any:
    from cli.local import clients

    return clients.client("cognito-idp", endpoint)


def _locate_on_aws(name: str) -> Stack:
    import boto3

    from cli.local import stack

    try:
        return stack.read(boto3.session.Session().client("cloudformation"), name)
    except ClientError as error:
        raise NoAccess(f"CloudFormation refuses: {_words(error)}") from error
    except BotoCoreError as error:
        raise NoAccess(f"stack {name} cannot be looked up: {error}") from error


def _cognito_on_aws(user_pool: str) -> Any:
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
class Surroundings:
    """The world a command acts in. Tests bring their own."""

    deployment: Callable[[str], Deployment] = deployment_called
    transport: httpx.BaseTransport | None = None
    pause: Callable[[float], None] = time.sleep

    def api(self, stack: str, session: Session | None = None) -> Api:
        """The API of `stack`, asked by whoever is signed in there or by `session`."""
        deployment = self.deployment(stack)
        bearer = SignedIn(deployment, session or opened(deployment))
        roles = ", ".join(bearer.session.roles) or "no role"
        return Api(
            bearer.session.api_url,
            bearer,
            who=f"you are signed in as {bearer.session.username} ({roles}); "
            f"`{deployment.login}` signs in as someone else",
            transport=self.transport,
            pause=self.pause,
        )
