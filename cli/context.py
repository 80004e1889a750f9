"""What commands need from outside: the stack, the network and pauses."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from cli.client import ApiClient
from cli.deployments import Deployment, find_deployment
from cli.session import Session, SessionTokens, open_session


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
