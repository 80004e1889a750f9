"""Fixtures and options that all tests share."""

import gc
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from cli.local import clients
from cli.local import emulator as emulators
from jobyard.services.meter import Meter
from jobyard.store import tables
from tests.built_layers import build_layers
from tests.call_interceptor import CallInterceptor
from tests.faults.aws_semantics import DynamoDBSemantics, S3Semantics, key_names
from tests.harness import Clients, Harness, Payloads, serving
from tests.in_process_emulator import ENDPOINT, InProcessEmulator
from tests.in_process_emulator import running as in_process_emulator_running
from tests.tables import KeptRecords, create_tables
from tests.turns import of_other_days
from tests.worker_scheduling import ByFile, in_order

if TYPE_CHECKING:
    from playwright.sync_api import Browser as Chromium

    from tests.functions.api.api_client import Api
    from tests.functions.web.browser import Browser

RETRY_SPEEDUP = 20  # pauses before a retry are this much shorter

# How long an example takes depends on the machine's load.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much to try in long tests; `make faults` tries all."""
    parser.addoption("--points", choices=("once", "all"), default="once")
    parser.addoption("--load", choices=("small", "full"), default="small")
    parser.addoption("--turn", type=int, help="a day of the year, whose part to try")


@pytest.hookimpl(tryfirst=True)  # all tests of a file are there yet, whatever -k chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is for other turns, unless all is wanted or some are named. Start the longest
    tests first."""
    if config.option.points != "all" and not any("::" in each for each in config.args):
        late = {each for each in items if not _is_its_turn(each, config.option.turn)}
        late |= of_other_days(items, config.option.turn)
        if late:
            config.hook.pytest_deselected(items=[*late])
            items[:] = [each for each in items if each not in late]
    items[:] = in_order(items)


def _is_its_turn(item: Any, turn: int) -> bool:
    """What the test's module says, if it has tests for some turns only."""
    decide = getattr(item.module, "is_its_turn", None)
    if decide is None or not hasattr(item, "callspec"):
        return True
    return bool(decide(item.originalname, item.callspec.params, turn))


def pytest_xdist_auto_num_workers() -> int:
    """A worker for each core, and one, since even tests that compute wait for their servers."""
    return (os.cpu_count() or 1) + 1


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """How xdist's workers get their tests."""
    return ByFile(config, log)


def pytest_configure(config: pytest.Config) -> None:
    """Default `--turn` to the day of the year. Collect no garbage until the tests are collected:
    there is little among what they are made of, and looking takes a quarter of the time."""
    if config.option.turn is None:
        config.option.turn = datetime.now(UTC).timetuple().tm_yday
    gc.disable()


def pytest_collection_finish() -> None:
    """Collect garbage from here on, and only among what tests make."""
    gc.freeze()
    gc.enable()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print how to repeat a failed run, since the next day tries something else."""
    if any(terminalreporter.stats.get(kind) for kind in ("failed", "error")):
        terminalreporter.write_line(
            f"repeat the parts of this day with --turn {config.option.turn}"
        )


@pytest.fixture
def everything(request: pytest.FixtureRequest) -> bool:
    """Whether to try all, not a part by turns."""
    return bool(request.config.getoption("--points") == "all")


@pytest.fixture
def turn(request: pytest.FixtureRequest) -> int:
    """Which part to try of what is tried by turns, and the seed of random data: the day of the
    year, or --turn."""
    return int(request.config.getoption("--turn"))


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an emulator process that saves nothing and enforces no IAM."""
    home = tmp_path_factory.mktemp("emulator")
    running = emulators.start(home, emulators.free_port(), persist=False)
    yield running.endpoint
    emulators.stop(home)


@pytest.fixture(scope="session")
def layers(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The folder with the layers of packages, which all of xdist's workers share."""
    folder = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # each worker has a folder in the session's
        folder = folder.parent
    return build_layers(folder / "layers")


@pytest.fixture(scope="session")
def in_process_emulator() -> Iterator[InProcessEmulator]:
    """An emulator in this process, for tests that call AWS often."""
    with in_process_emulator_running() as started:
        yield started


@pytest.fixture(scope="session")
def credentials() -> Iterator[None]:
    """The emulator's root key, where PynamoDB looks for one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", clients.KEY)
        patch.setenv("AWS_SECRET_ACCESS_KEY", clients.KEY)
        yield


@pytest.fixture(scope="session")
def store_endpoint(in_process_emulator: InProcessEmulator, credentials: None) -> str:
    """The address of the in-process emulator, with the tables that the store is bound to."""
    create_tables(ENDPOINT)
    return ENDPOINT


@pytest.fixture(scope="session")
def interceptor(store_endpoint: str) -> CallInterceptor:
    """The interceptor of the emulator's clients. It makes them as strict as AWS's."""
    tables.client()  # connects the store before the clients are made
    interceptor = CallInterceptor()
    raw = clients.client("s3", store_endpoint)
    interceptor.listeners = [DynamoDBSemantics(key_names()), S3Semantics(interceptor, raw)]
    return interceptor


@pytest.fixture
def aws_semantics(interceptor: CallInterceptor, monkeypatch: pytest.MonkeyPatch) -> CallInterceptor:
    """The interceptor, attached to the store's client too. Pauses before a retry are short."""
    short_sleep = SimpleNamespace(sleep=lambda pause: time.sleep(pause / RETRY_SPEEDUP))
    monkeypatch.setattr("botocore.endpoint.time", short_sleep)
    interceptor.attach(tables.client())  # which may be another since the last test
    return interceptor


@pytest.fixture(scope="session")
def aws_clients(
    store_endpoint: str, in_process_emulator: InProcessEmulator, interceptor: CallInterceptor
) -> Clients:
    """Clients of the emulator with buckets and a mail identity, and their interceptor."""
    s3, ses = clients.client("s3", store_endpoint), clients.client("sesv2", store_endpoint)
    for bucket in ("intake", "work", "archive"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ses.create_email_identity(EmailIdentity="jobyard@example.org")
    ses.create_configuration_set(ConfigurationSetName="jobyard")
    interceptor.attach(s3)
    interceptor.attach(ses)
    return Clients(s3, ses, interceptor, Meter([s3, ses]), in_process_emulator.mails)


@pytest.fixture
def payloads() -> Iterator[Payloads]:
    """A depositor's web server."""
    with serving() as server:
        yield server


@pytest.fixture
def harness(
    in_process_emulator: InProcessEmulator,
    aws_semantics: CallInterceptor,
    aws_clients: Clients,
    payloads: Payloads,
) -> Harness:
    """A deployment at noon, with empty tables and buckets."""
    in_process_emulator.clear()
    return Harness(aws_clients, payloads)


@pytest.fixture(scope="session")
def chromium() -> "Iterator[Chromium]":
    """Debian's chromium."""
    from tests.browser.tabs import running_chromium  # brings playwright, which few tests need

    with running_chromium() as started:
        yield started


@pytest.fixture(scope="session")
def deployment() -> Iterator[dict[str, Any]]:
    """A deployment on moto, and what the store is bound to in it."""
    from tests.moto_deployment import deployed  # brings moto, which few tests need

    with deployed() as found:
        yield found


@pytest.fixture(scope="session")
def kept_records(deployment: dict[str, Any]) -> KeptRecords:
    """Records that several tests of the deployment on moto use."""
    return KeptRecords()


@pytest.fixture
def api(deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> "Iterator[Api]":
    """The API of an empty deployment on moto."""
    from tests.moto_deployment import empty_api

    with empty_api(deployment, monkeypatch) as api:
        yield api


@pytest.fixture
def browser(deployment: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> "Iterator[Browser]":
    """A browser at the pages of an empty deployment on moto; nobody is signed in."""
    from tests.moto_deployment import empty_site

    with empty_site(deployment, monkeypatch) as browser:
        yield browser
