"""A user pool, as signing in and renewing a session use it."""

import base64
import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from tests.functions.web.browser import Browser
from tests.people import sub_of


class NotAuthorized(Exception):
    """The user pool revoked a refresh token."""


class UserNotFound(Exception):
    """The user pool has no such person any more."""


class InternalError(ClientError):
    """The user pool fails."""

    def __init__(self) -> None:
        super().__init__(
            {
                "Error": {"Code": "InternalErrorException", "Message": "failed"},
                "ResponseMetadata": {"HTTPStatusCode": 500},
            },
            "any",
        )


def token_of(claims: object) -> str:
    """A token with these claims."""
    return f"x.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode()}.y"


class UserPool:
    """The user pool, as sign-in and renewal use it. `groups` are the person's groups now.

    Each call raises `failure`, if there is one. `token` replaces the access token, which is valid
    for `minutes`.
    """

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.groups = ["operator"]
        self.exchanged: list[dict[str, str]] = []
        self.revoked: list[str] = []
        self.failure: type[Exception] | None = None
        self.token: str | None = None
        self.minutes = 15
        self.exceptions = SimpleNamespace(
            NotAuthorizedException=NotAuthorized, UserNotFoundException=UserNotFound
        )

    def exchange(self, form: dict[str, str]) -> dict[str, Any]:
        """The tokens for the code "good"; {} for any other."""
        self.exchanged.append(form)
        if form["code"] != "good":
            return {}
        return {"access_token": self._access_token(), "refresh_token": "r" * 2200}

    def get_tokens_from_refresh_token(self, **given: str) -> dict[str, Any]:
        """New tokens, unless the refresh token was revoked."""
        self._fail()
        if given["RefreshToken"] in self.revoked:
            raise NotAuthorized
        return {"AuthenticationResult": {"AccessToken": self._access_token()}}

    def revoke_token(self, **given: str) -> None:
        """Revoke a refresh token."""
        self._fail()
        self.revoked.append(given["Token"])

    def _fail(self) -> None:
        if self.failure:
            raise self.failure

    def _access_token(self) -> str:
        if self.token is not None:
            return self.token
        until = self.browser.function.SITE.now() + timedelta(minutes=self.minutes)
        claims = {
            "sub": sub_of("anna"),
            "username": "anna",
            "token_use": "access",
            "cognito:groups": self.groups,
            "exp": int(until.timestamp()),
        }
        return token_of(claims)
