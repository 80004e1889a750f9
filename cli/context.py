"""What commands need from outside: the stack, the network and pauses."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from cli.client import ApiClient
from cli.connections import StackConnection, find_connection
from cli.program import ProgramCredentials, ProgramTokens
from cli.session import Session, SessionTokens, open_session


@dataclass(frozen=True)
class CliContext:
    """What a command needs from outside. Tests replace it."""

    connect: Callable[[str], StackConnection] = find_connection
    transport: httpx.BaseTransport | None = None
    pause: Callable[[float], None] = time.sleep
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def tokens(self, stack: str) -> SessionTokens | ProgramTokens:
        """The tokens of the program in the environment, or else of the signed-in user."""
        program = ProgramCredentials.of_environment(self.environment)
        connection = self.connect(stack)
        if program is None:
            return SessionTokens(connection, open_session(connection))
        return ProgramTokens(program, connection, self.transport)

    def api(self, stack: str, session: Session | None = None) -> ApiClient:
        """A client of the stack's API for `session`, by default the signed-in user."""
        connection = self.connect(stack)
        bearer = SessionTokens(connection, session) if session else self.tokens(stack)
        roles = ", ".join(bearer.session.roles) or "no role"
        who = (
            f"you are signed in as {bearer.session.username} ({roles}); "
            f"`{connection.login}` signs in as someone else"
        )
        if isinstance(bearer, ProgramTokens):
            who = f"you are the program in JOBYARD_CLIENT_ID ({roles})"
        return ApiClient(
            bearer.session.api_url,
            bearer,
            who=who,
            transport=self.transport,
            pause=self.pause,
        )
