"""A whole stack of the session's own, whose roles are enforced as AWS enforces them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.local import clients, deployment, emulator, people
from cli.local.emulator import Emulator
from cli.local.stack import Stack

BY_NAME = {person.username: person for person in people.DEMO}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The emulator the stack is on. It enforces IAM, so a role that lacks a right fails a test."""
    home = tmp_path_factory.mktemp("live")
    yield emulator.start(home, emulator.free_port(), iam=True, persist=False)
    emulator.stop(home)


@pytest.fixture(scope="session")
def aws(platform: Emulator) -> Callable[[str], Any]:
    """A client of an AWS service, with every right."""
    return lambda service: clients.client(service, platform.endpoint)


@pytest.fixture(scope="session")
def files_port() -> int:
    """The one port of the loopback address that the stack may fetch payloads from."""
    return emulator.free_port()


@pytest.fixture(scope="session")
def stack(platform: Emulator, aws: Callable[[str], Any], files_port: int) -> Stack:
    """template.yaml, deployed, with the demo's people."""
    deployed = deployment.deploy(
        platform.endpoint,
        deployment.parameters(platform.endpoint, files_port),
        build=platform.home / "build",
    )
    people.ensure(aws("cognito-idp"), deployed.user_pool)
    return deployed


@pytest.fixture(scope="session")
def token(stack: Stack, aws: Callable[[str], Any]) -> Callable[[str], str]:
    """An access token of the demo's person of that name, which is also a role's."""
    return lambda name: people.sign_in(aws("cognito-idp"), stack.user_pool_client, BY_NAME[name])
