"""Sessions: signs a user in and out, stores tokens and renews them."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.connections import AwsAccessError, StackConnection, error_text
from jobyard.domain.errors import JobyardError
from jobyard.domain.machine_clients import roles_of_scopes

_RENEW_BEFORE_S = 30.0  # renew a token this long before it expires


class SignInRequired(JobyardError):
    """Nobody is signed in, or the session has expired. The message names the command to use."""


class SignInFailed(JobyardError):
    """Cognito rejected the username, the password or a code."""


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
    def is_expiring(self) -> bool:
        """Whether the access token has expired or is about to, so that it must be renewed."""
        return self.expires_at.timestamp() - time.time() < _RENEW_BEFORE_S

    @property
    def roles(self) -> list[str]:
        """The roles: a person's Cognito groups, or those of a machine client's scopes."""
        if "username" in self.claims:
            return list(self.claims.get("cognito:groups", []))
        return sorted(roles_of_scopes(str(self.claims.get("scope", "")).split()))


def open_session(connection: StackConnection) -> Session:
    """The stored session of `connection`. On the local stack it signs in the default user.

    Raises:
        SignInRequired: nobody is signed in.
    """
    saved = _read(connection.session_file)
    if saved and saved.api_url.startswith(connection.url_prefix):
        return saved
    username = saved.username if saved else connection.default_user
    if username not in connection.passwords:
        raise SignInRequired(
            f"you are not signed in to stack {connection.name}: run `{connection.login}`"
        )
    return sign_in(connection, username, connection.passwords[username])


def sign_in(
    connection: StackConnection,
    username: str,
    password: str,
    respond: Callable[[str], str] = lambda challenge: "",
) -> Session:
    """Sign in and store the session.

    `respond` returns the response to one of Cognito's challenges, NEW_PASSWORD_REQUIRED or
    SOFTWARE_TOKEN_MFA.

    Raises:
        SignInFailed: Cognito rejects the credentials or asks for another challenge.
        NoStack: there is no such stack.
        AwsAccessError: Cognito cannot be reached.
    """
    stack = connection.locate()
    cognito = connection.cognito(stack.user_pool)
    client = stack.user_pool_client
    try:
        response = cognito.initiate_auth(
            ClientId=client,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": username, "PASSWORD": password},
        )
        while "ChallengeName" in response:
            name = response["ChallengeName"]
            if name == "MFA_SETUP":
                raise SignInFailed(
                    "this stack requires an authenticator app: sign in to its pages once to set it "
                    "up, then sign in here"
                )
            if name not in _CHALLENGE_RESPONSES:
                raise SignInFailed(f"Cognito asks for {name}, which jobyard does not support")
            response = cognito.respond_to_auth_challenge(
                ClientId=client,
                ChallengeName=name,
                Session=response["Session"],
                ChallengeResponses={
                    "USERNAME": username,
                    _CHALLENGE_RESPONSES[name]: respond(name),
                },
            )
    except ClientError as error:
        raise SignInFailed(error_text(error)) from error
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
    _write(connection.session_file, session)
    return session


_CHALLENGE_RESPONSES = {
    "NEW_PASSWORD_REQUIRED": "NEW_PASSWORD",
    "SOFTWARE_TOKEN_MFA": "SOFTWARE_TOKEN_MFA_CODE",
}


def authenticator_secret(connection: StackConnection, current: Session) -> str:
    """A new secret for the authenticator app of the person who is signed in. It counts once a code
    is confirmed.

    Raises:
        SignInFailed: Cognito refuses. AwsAccessError: it cannot be reached.
    """
    cognito = connection.cognito(current.user_pool)
    try:
        answer = cognito.associate_software_token(AccessToken=current.access_token)
    except ClientError as error:
        raise SignInFailed(error_text(error)) from error
    except BotoCoreError as error:
        raise AwsAccessError(str(error)) from error
    return str(answer["SecretCode"])


def confirm_authenticator(connection: StackConnection, current: Session, code: str) -> None:
    """Confirm a code of the app. From now on each sign-in of the person asks for one.

    Raises:
        SignInFailed: the code is wrong. AwsAccessError: Cognito cannot be reached.
    """
    cognito, token = connection.cognito(current.user_pool), current.access_token
    try:
        cognito.verify_software_token(AccessToken=token, UserCode=code)
        cognito.set_user_mfa_preference(
            AccessToken=token, SoftwareTokenMfaSettings={"Enabled": True, "PreferredMfa": True}
        )
    except ClientError as error:
        raise SignInFailed(error_text(error)) from error
    except BotoCoreError as error:
        raise AwsAccessError(str(error)) from error


def sign_out(connection: StackConnection) -> bool:
    """Delete the stored session and revoke it at Cognito. False if there was none."""
    saved = _read(connection.session_file)
    if saved is None:
        return False
    connection.session_file.unlink()
    try:
        connection.cognito(saved.user_pool).revoke_token(
            Token=saved.refresh_token, ClientId=saved.user_pool_client
        )
    except (ClientError, BotoCoreError):
        return True  # it is deleted here, and expires within hours
    return True


class SessionTokens:
    """The access tokens of a session, renewed before they expire."""

    def __init__(self, connection: StackConnection, session: Session) -> None:
        self.connection = connection
        self.session = session

    def token(self) -> str:
        """A valid access token."""
        return self.renew() if self.session.is_expiring else self.session.access_token

    def renew(self) -> str:
        """A new access token.

        Raises:
            SignInRequired: the session has expired.
        """
        self.session = _renew(self.connection, self.session)
        return self.session.access_token


def _renew(connection: StackConnection, session: Session) -> Session:
    try:
        response = connection.cognito(session.user_pool).initiate_auth(
            ClientId=session.user_pool_client,
            AuthFlow="REFRESH_TOKEN_AUTH",
            AuthParameters={"REFRESH_TOKEN": session.refresh_token},
        )
    except ClientError as error:
        # A local stack that was reset has new users and keys, but the same usernames.
        if session.username in connection.passwords:
            return sign_in(connection, session.username, connection.passwords[session.username])
        raise SignInRequired(
            f"your session on stack {connection.name} has expired: run `{connection.login}`"
        ) from error
    except BotoCoreError as error:
        raise AwsAccessError(str(error)) from error
    renewed = replace(session, access_token=response["AuthenticationResult"]["AccessToken"])
    _write(connection.session_file, renewed)
    return renewed


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
