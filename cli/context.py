"""What commands need from outside: the stack, the network and pauses."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from cli.client import ApiClient
from cli.connections import StackConnection, find_connection
from cli.session import Session, SessionTokens, open_session


@dataclass(frozen=True)
class CliContext:
    """What a command needs from outside. Tests replace it."""

    connect: Callable[[str], StackConnection] = find_connection
    transport: httpx.BaseTransport | None = None
    pause: Callable[[float], None] = time.sleep

    def api(self, stack: str, session: Session | None = None) -> ApiClient:
        """A client of the stack's API for `session`, by default the signed-in user."""
        connection = self.connect(stack)
        bearer = SessionTokens(connection, session or open_session(connection))
        roles = ", ".join(bearer.session.roles) or "no role"
        return ApiClient(
            bearer.session.api_url,
            bearer,
            who=f"you are signed in as {bearer.session.username} ({roles}); "
            f"`{connection.login}` signs in as someone else",
            transport=self.transport,
            pause=self.pause,
        )
