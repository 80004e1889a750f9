"""What commands need from outside: the stack, the network and pauses."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from cli.client import ApiClient
from cli.connections import StackConnection, find_connection
from cli.machine_client import ClientCredentials, ClientTokens
from cli.session import Session, SessionTokens, open_session


@dataclass(frozen=True)
class CliContext:
    """What a command needs from outside. Tests replace it."""

    connect: Callable[[str], StackConnection] = find_connection
    transport: httpx.BaseTransport | None = None
    pause: Callable[[float], None] = time.sleep
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def tokens(self, stack: str) -> SessionTokens | ClientTokens:
        """The tokens of the machine client in the environment, or else of the signed-in user."""
        client = ClientCredentials.of_environment(self.environment)
        if client is None:
            connection = self.connect(stack)
            return SessionTokens(connection, open_session(connection))
        return ClientTokens(client, lambda: self.connect(stack).locate(), self.transport)

    def api(self, stack: str, session: Session | None = None) -> ApiClient:
        """A client of the stack's API for `session`, by default the signed-in user."""
        bearer = SessionTokens(self.connect(stack), session) if session else self.tokens(stack)
        roles = ", ".join(bearer.session.roles) or "no role"
        if isinstance(bearer, ClientTokens):
            who = f"you are the machine client in JOBYARD_CLIENT_ID ({roles})"
        else:
            who = (
                f"you are signed in as {bearer.session.username} ({roles}); "
                f"`{bearer.connection.login}` signs in as someone else"
            )
        return ApiClient(
            bearer.session.api_url,
            bearer,
            who=who,
            transport=self.transport,
            pause=self.pause,
        )
