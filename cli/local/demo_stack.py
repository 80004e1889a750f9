"""Deploys the local stack: the template, the demo users and the demo collections."""

from collections.abc import Callable

from cli.local import clients, demo_collections, demo_users, deployment
from cli.local.emulator import HOME, Emulator
from cli.local.stack import Stack


def deploy(running: Emulator, files_port: int | None, say: Callable[[str], None]) -> Stack:
    """Deploy the project to a running emulator, and create the demo's users and collections.

    Jobs may fetch files from `files_port`; None means the port of the last deployment.

    Raises:
        DeploymentError: the template cannot be deployed. ApiError, ApiUnreachable: by the API.
    """
    files_port = files_port or deployment.files_port(running.endpoint)
    deployed = deployment.deploy(
        running.endpoint,
        deployment.parameters(running, files_port),
        build=HOME / "build",
        say=say,
    )
    cognito = clients.client("cognito-idp", running.endpoint)
    demo_users.ensure(cognito, deployed.user_pool)
    demo_collections.ensure(cognito, deployed)
    return deployed
