"""What every room's tests may ask for."""

from collections.abc import Iterator

import pytest

from cli.local import clients
from cli.local import emulator as emulators
from jobyard.store import tables


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much is tried of what takes long: `make faults` asks for all of it."""
    parser.addoption("--points", choices=("once", "all"), default="once")
    parser.addoption("--load", choices=("small", "full"), default="small")


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an emulator of the session's own, which keeps nothing and asks no rights."""
    home = tmp_path_factory.mktemp("emulator")
    running = emulators.start(home, emulators.free_port(), persist=False)
    yield running.endpoint
    emulators.stop(home)


@pytest.fixture(scope="session")
def bound(emulator: str) -> Iterator[str]:
    """The emulator's address, with tables in it that the store is bound to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", clients.KEY)  # PynamoDB looks for them itself
        patch.setenv("AWS_SECRET_ACCESS_KEY", clients.KEY)
        names = {noun: f"test-{noun}" for noun in tables.MODELS}
        tables.bind(names, region=clients.REGION, host=emulator)
        for model in tables.MODELS.values():
            model.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
        yield emulator
