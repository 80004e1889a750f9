"""The stack on this laptop: what the template declares, and the demo's people and collections."""

from collections.abc import Callable

from cli.local import clients, demo_collections, demo_users, deployment
from cli.local.emulator import HOME, Emulator
from cli.local.stack import Stack


def deploy(running: Emulator, files_port: int | None, say: Callable[[str], None]) -> Stack:
    """Deploy the project to an emulator that runs, and make whom and what the demo needs.

    Files may be fetched from `files_port`; None is the port of the last deployment.

    Raises:
        DeploymentError: the template cannot be deployed. Refused, Unreachable: by the API.
    """
    files_port = files_port or deployment.files_port(running.endpoint)
    deployed = deployment.deploy(
        running.endpoint,
        deployment.parameters(running.endpoint, files_port),
        build=HOME / "build",
        say=say,
    )
    cognito = clients.client("cognito-idp", running.endpoint)
    demo_users.ensure(cognito, deployed.user_pool)
    demo_collections.ensure(cognito, deployed)
    return deployed
