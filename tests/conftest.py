"""What every room's tests may ask for."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings

from cli.local import clients
from cli.local import emulator as emulators
from jobyard.services.meter import Meter
from jobyard.store import tables
from jobyard.store.key_values import get_or_create_secret
from tests.call_interceptor import CallInterceptor
from tests.faults.aws_semantics import DynamoDBSemantics, S3Semantics, key_names
from tests.scenarios.harness import Clients, Harness, Payloads, serving

_SOONER = 20  # times

# How long an example takes says how busy the machine is, and nothing of what it tests.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much is tried of what takes long: `make faults` asks for all of it."""
    parser.addoption("--points", choices=("once", "all"), default="once")
    parser.addoption("--load", choices=("small", "full"), default="small")
    parser.addoption("--turn", type=int, help="a day of the year, to try what was tried on it")


def pytest_configure(config: pytest.Config) -> None:
    """It is today's turn unless another is asked for."""
    if config.option.turn is None:
        config.option.turn = datetime.now(UTC).timetuple().tm_yday


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """How to try again what failed, as another day tries something else."""
    if any(terminalreporter.stats.get(kind) for kind in ("failed", "error")):
        terminalreporter.write_line(
            f"what goes by turns is tried again by --turn {config.option.turn}"
        )


@pytest.fixture
def everything(request: pytest.FixtureRequest) -> bool:
    """Whether all is to be tried, not a part by turns."""
    return bool(request.config.getoption("--points") == "all")


@pytest.fixture
def turn(request: pytest.FixtureRequest) -> int:
    """Whose turn it is among what is not all tried at once, and the seed of what is made up by
    chance: the day of the year, or --turn."""
    return int(request.config.getoption("--turn"))


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


@pytest.fixture(scope="session")
def interceptor(bound: str) -> CallInterceptor:
    """What listens to the clients of the emulator: it makes them as unkind as AWS's."""
    get_or_create_secret("warm", "the store's client exists from here on")
    interceptor = CallInterceptor()
    raw = clients.client("s3", bound)
    interceptor.listeners = [DynamoDBSemantics(key_names()), S3Semantics(interceptor, raw)]
    return interceptor


@pytest.fixture
def aws_semantics(interceptor: CallInterceptor, monkeypatch: pytest.MonkeyPatch) -> CallInterceptor:
    """The store's client as unkind as AWS's is; what botocore sends again it sends soon."""
    soon = SimpleNamespace(sleep=lambda pause: time.sleep(pause / _SOONER))
    monkeypatch.setattr("botocore.endpoint.time", soon)
    interceptor.attach(tables.client())  # the store may have been bound anew since the last test
    return interceptor


@pytest.fixture(scope="session")
def services(bound: str, interceptor: CallInterceptor) -> Clients:
    """Clients of the emulator with buckets and a mail identity in it, and what listens to them."""
    s3, ses = clients.client("s3", bound), clients.client("sesv2", bound)
    for bucket in ("intake", "work", "archive"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ses.create_email_identity(EmailIdentity="jobyard@example.org")
    ses.create_configuration_set(ConfigurationSetName="jobyard")
    interceptor.attach(s3)
    interceptor.attach(ses)
    return Clients(s3, ses, interceptor, Meter([s3, ses]))


@pytest.fixture
def payloads() -> Iterator[Payloads]:
    """A depositor's web server."""
    with serving() as server:
        yield server


@pytest.fixture
def harness(
    bound: str, aws_semantics: CallInterceptor, services: Clients, payloads: Payloads
) -> Harness:
    """A deployment whose clock stands at noon; nobody else's batches are in its tables."""
    of_schedules = ("schedules", "occurrences", "calendars", "jobs", "checkpoints")
    for noun in ("batches", "reports", "holds", *of_schedules):
        tables.MODELS[noun].delete_table()
        tables.MODELS[noun].create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    return Harness(bound, services, payloads)
