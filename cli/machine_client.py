"""Tokens of a machine client, by the credentials in the environment; no person signs in.

`JOBYARD_CLIENT_ID` and `JOBYARD_CLIENT_SECRET` are those of the stack's `MachineClient`. With
`JOBYARD_API_URL` and `JOBYARD_SIGN_IN_URL`, the outputs ApiUrl and SignInUrl, no AWS credentials
are needed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import httpx

from cli.local.stack import Stack
from cli.session import Session, SignInFailed

_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class ClientCredentials:
    """A machine client, and where it gets tokens; URLs are "" to look the stack up."""

    client_id: str
    client_secret: str
    api_url: str = ""
    sign_in_url: str = ""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> "ClientCredentials | None":
        """The credentials in the environment; None if there are none.

        Raises:
            SignInFailed: there is an id without a secret.
        """
        client_id = environment.get("JOBYARD_CLIENT_ID", "")
        if not client_id:
            return None
        secret = environment.get("JOBYARD_CLIENT_SECRET", "")
        if not secret:
            raise SignInFailed("JOBYARD_CLIENT_ID is set without JOBYARD_CLIENT_SECRET")
        urls = (environment.get(f"JOBYARD_{each}_URL", "") for each in ("API", "SIGN_IN"))
        return cls(client_id, secret, *(url.rstrip("/") for url in urls))


class ClientTokens:
    """The access tokens of a machine client. They are kept in memory only.

    `locate` finds the stack, unless the credentials have its URLs.
    """

    def __init__(
        self,
        credentials: ClientCredentials,
        locate: Callable[[], Stack],
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._credentials, self._transport = credentials, transport
        api_url, self._sign_in_url = credentials.api_url, credentials.sign_in_url
        if not (api_url and self._sign_in_url):
            stack = locate()
            api_url = api_url or stack.api_url
            self._sign_in_url = self._sign_in_url or stack.sign_in_url
        self.session = Session(api_url, "", credentials.client_id, "", self._new_token(), "")

    def token(self) -> str:
        """A valid access token."""
        return self.renew() if self.session.is_expiring else self.session.access_token

    def renew(self) -> str:
        """A new access token.

        Raises:
            SignInFailed: the sign-in page refuses the credentials, or does not answer.
        """
        self.session = replace(self.session, access_token=self._new_token())
        return self.session.access_token

    def _new_token(self) -> str:
        given = self._credentials
        try:
            with httpx.Client(
                transport=self._transport,
                mounts={"all://127.0.0.1": self._transport},
                timeout=_TIMEOUT_S,
            ) as http:
                answer = http.post(
                    f"{self._sign_in_url}/oauth2/token",
                    auth=(given.client_id, given.client_secret),
                    data={"grant_type": "client_credentials"},
                )
            document = answer.json()
        except (httpx.TransportError, httpx.InvalidURL, ValueError) as error:
            raise SignInFailed(f"{self._sign_in_url} returned no token: {error}") from error
        token = document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(token, str):
            code = document.get("error") if isinstance(document, dict) else answer.status_code
            raise SignInFailed(f"the client in JOBYARD_CLIENT_ID gets no token: {code}")
        return token
