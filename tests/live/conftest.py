"""The session's own stack, whose roles are enforced as far as the emulator can.

Every call of the product is signed with the role of its function; only tests use the root's key.
`test_rights.py` holds that: the deployed functions have a recorder that notes each call and the key
that signed it, and the test compares the calls with the actions that AWS requires.
"""

import shutil
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.coldstart import HANDLERS
from cli.local import clients, demo_collections, demo_users, deployment, emulator
from cli.local.emulator import ROOT, Emulator
from cli.local.stack import Stack
from tests.built_layers import with_layers
from tests.harness import Payloads, serving
from tests.live.api_user import ApiUser

COLLECTIONS = (
    *demo_collections.DEMO_COLLECTIONS,
    "brief",
    "broken",
    "quiet",
    "drops",
)  # those of the tests
BY_NAME = {person.username: person for person in demo_users.DEMO_USERS}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.live)
    # Last, so that it checks the calls of all the others too.
    items.sort(key=lambda item: item.path == here / "test_rights.py")


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """The stack's emulator. It enforces IAM, so a missing permission fails a test."""
    home = tmp_path_factory.mktemp("live")
    yield emulator.start(home, emulator.free_port(), iam=True, persist=False)
    emulator.stop(home)


@pytest.fixture(scope="session")
def aws(platform: Emulator) -> Callable[[str], Any]:
    """A client of an AWS service, with every right."""
    return cache(partial(clients.client, endpoint=platform.endpoint))


@pytest.fixture(scope="session")
def files_port() -> int:
    """The only port on the loopback address from which the stack may fetch payloads."""
    return emulator.free_port()


@pytest.fixture(scope="session")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file into which the functions' recorders write; see `tests.live.recorder`."""
    return tmp_path_factory.mktemp("notes") / "calls.jsonl"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, notes: Path) -> Path:
    """A copy of the project in which each function records its AWS calls."""
    root = tmp_path_factory.mktemp("project")
    without = shutil.ignore_patterns("__pycache__")
    for folder in ("functions", "infra", "layers"):
        shutil.copytree(ROOT / folder, root / folder, ignore=without)
    shutil.copyfile(ROOT / "template.yaml", root / "template.yaml")
    _keep_for_no_time(root)
    functions = root / "functions"
    shutil.copyfile(Path(__file__).with_name("recorder.py"), functions / "recorder.py")
    for folder in {handler.partition(".")[0] for handler in HANDLERS}:
        package = functions / folder / "__init__.py"
        line = f"import recorder\nrecorder.record({folder!r}, {str(notes)!r})\n"
        package.write_text(package.read_text() + line)
    return root


def _keep_for_no_time(root: Path) -> None:
    """Let retention archive all that has ended in this month and the next, when a test runs it."""
    types = root / "layers" / "jobyard" / "jobyard"
    for path, was, now in (
        (
            types / "domain" / "jobs" / "job_type.py",
            "retention_days: int = 90",
            "retention_days: int = -40",
        ),
        (types / "jobtypes" / "retention" / "__init__.py", "2026-01-01", "2926-01-01"),
    ):
        text = path.read_text()
        assert text.count(was) == 1
        path.write_text(text.replace(was, now))


@pytest.fixture(scope="session")
def stack(
    platform: Emulator, aws: Callable[[str], Any], files_port: int, project: Path, layers: Path
) -> Stack:
    """template.yaml, deployed, with the demo's people and collections."""
    deployed = deployment.deploy(
        platform.endpoint,
        deployment.parameters(platform, files_port),
        build=with_layers(platform.home / "build", layers),
        root=project,
    )
    demo_users.ensure(aws("cognito-idp"), deployed.user_pool)
    demo_collections.ensure(aws("cognito-idp"), deployed, COLLECTIONS)
    return deployed


@pytest.fixture(scope="session")
def token(stack: Stack, aws: Callable[[str], Any]) -> Callable[[str], str]:
    """An access token of the demo's person of that name, which is a role's name too."""
    return lambda name: demo_users.sign_in(
        aws("cognito-idp"), stack.user_pool_client, BY_NAME[name]
    )


@pytest.fixture
def payloads(files_port: int) -> Iterator[Payloads]:
    """A depositor's web server, at the only address that the stack may call."""
    with serving(files_port) as server:
        yield server


@pytest.fixture(scope="module")
def api_user(
    platform: Emulator, stack: Stack, token: Callable[[str], str]
) -> Iterator[Callable[[str], ApiUser]]:
    """The API as used by the demo's people, by role."""
    clients: list[httpx.Client] = []

    def user(role: str) -> ApiUser:
        api = httpx.Client(
            base_url=stack.api_url,
            headers={"Authorization": f"Bearer {token(role)}"},
            trust_env=False,
            timeout=60,
        )
        clients.append(api)
        return ApiUser(api, platform.endpoint)

    yield user
    for each in clients:
        each.close()
