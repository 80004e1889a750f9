"""The emulator's process starts, is found and ends, and never leaves a state beyond repair."""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cli.local import clients, emulator, mail, snapshots
from cli.local.emulator import Emulator, EmulatorError

pytestmark = pytest.mark.emulator


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    emulator.stop(tmp_path / "home")


def test_a_started_emulator_is_found_with_its_port(home: Path) -> None:
    started = emulator.start(home, emulator.free_port(), iam=True)

    assert emulator.running(home) == started
    assert emulator.is_ready(started)
    assert started.iam


def test_nothing_is_found_where_nothing_was_started(home: Path) -> None:
    assert emulator.running(home) is None
    assert emulator.stop(home) is False


def test_the_emulator_listens_on_loopback_only(home: Path) -> None:
    started = emulator.start(home, emulator.free_port())

    with pytest.raises(OSError, match=r"."):
        socket.create_connection(("127.0.0.2", started.port), timeout=5)


def test_the_state_survives_a_stop(home: Path) -> None:
    port = emulator.free_port()
    _make_bucket(emulator.start(home, port))

    emulator.stop(home)

    assert _buckets(emulator.start(home, port)) == ["kept"]


def test_the_state_survives_a_kill(home: Path) -> None:
    port = emulator.free_port()
    started = emulator.start(home, port)
    _make_bucket(started)
    while not list(home.glob("state/s3.json")):
        time.sleep(0.1)

    os.kill(started.pid, signal.SIGKILL)
    _wait_until_gone(home)

    assert _buckets(emulator.start(home, port)) == ["kept"]


def test_the_state_can_be_deleted(home: Path) -> None:
    port = emulator.free_port()
    _make_bucket(emulator.start(home, port))

    emulator.stop(home)
    emulator.delete_state(home)

    assert _buckets(emulator.start(home, port)) == []


def test_a_used_port_is_refused_with_the_program_that_uses_it(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(EmulatorError, match=rf"port {port} is used by .*\(process \d+\)"):
            emulator.start(home, port)


def test_a_stale_lock_file_means_nothing_runs(home: Path) -> None:
    home.mkdir()
    (home / "emulator.lock").write_text('{"pid": 1, "port": 4914, "iam": false}')

    assert emulator.running(home) is None


def test_the_emulator_does_not_get_the_callers_credentials(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-a-real-account")
    started = emulator.start(home, emulator.free_port())

    environment = Path(f"/proc/{started.pid}/environ")
    if not environment.exists():
        pytest.skip("this system does not show the environment of a process")
    assert b"of-a-real-account" not in environment.read_bytes()


# Code that the emulator's process runs first: it saves all the time, and loads slowly, as with tens
# of thousands of objects.
SAVE_ALL_THE_TIME = """
import threading, time
sleep = time.sleep
time.sleep = lambda s: sleep(0.02 if threading.current_thread().name == "saver" else s)
"""
LOAD_SLOWLY = """
import json, os
load, walk = json.load, os.walk
def load_slowly(file, **named):
    if getattr(file, "name", "").endswith(".json"):
        time.sleep(0.02)
    return load(file, **named)
def walk_slowly(top, **named):
    if "/objects/" in os.fspath(top):
        time.sleep(0.2)
    return walk(top, **named)
json.load, os.walk = load_slowly, walk_slowly
"""


@pytest.fixture
def startup_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of code that the emulator's process runs first."""
    site_packages = tmp_path / "site_packages"
    site_packages.mkdir()
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site_packages} exec {emulator.PYTHON} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(emulator, "PYTHON", python)
    return site_packages / "sitecustomize.py"


@pytest.fixture(scope="module")
def filled_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a stopped emulator that has a bucket with an object and a table with a row."""
    home = tmp_path_factory.mktemp("filled")
    _fill(emulator.start(home, emulator.free_port()))
    emulator.stop(home)
    return home


@pytest.fixture
def full(home: Path, startup_code: Path, filled_home: Path) -> Path:
    """A copy of `filled_home`, whose emulator loads slowly and saves all the time."""
    shutil.copytree(filled_home, home)
    startup_code.write_text(SAVE_ALL_THE_TIME + LOAD_SLOWLY)
    return home


@pytest.mark.turns(2)
def test_saving_while_loading_loses_nothing(full: Path) -> None:
    _check_content(emulator.start(full, emulator.free_port()))
    emulator.stop(full)

    _check_content(emulator.start(full, emulator.free_port()))


@pytest.mark.turns(2)
def test_kills_while_loading_and_saving_lose_nothing(full: Path, startup_code: Path) -> None:
    port = emulator.free_port()
    with ThreadPoolExecutor(1) as executor:
        for after in (0.0, 0.4, 0.8, 1.6):
            start_of_other = executor.submit(emulator.start, full, port)
            while (running := emulator.running(full)) is None:
                time.sleep(0.01)
            time.sleep(after)
            os.killpg(running.pid, signal.SIGKILL)
            failed = start_of_other.exception()
            assert failed is None or isinstance(failed, EmulatorError)
            _wait_until_gone(full)

    startup_code.write_text("")
    _check_content(emulator.start(full, port))


@pytest.mark.turns(2)
def test_a_stop_while_loading_loses_nothing(full: Path, startup_code: Path) -> None:
    with ThreadPoolExecutor(1) as executor:
        start_of_other = executor.submit(emulator.start, full, emulator.free_port())
        while emulator.running(full) is None:
            time.sleep(0.01)
        assert emulator.stop(full)
        assert "exited at once" in str(start_of_other.exception())

    startup_code.write_text("")
    _check_content(emulator.start(full, emulator.free_port()))


# It is late in writing its process and port to the file that it has locked.
LOCK_LATE = """
import fcntl, time
lock = fcntl.flock
def lock_and_wait(*how):
    lock(*how)
    time.sleep(0.5)
fcntl.flock = lock_and_wait
"""


@pytest.mark.turns(2)
def test_an_emulator_that_starts_is_not_taken_for_the_one_before(
    home: Path, startup_code: Path
) -> None:
    home.mkdir()
    (home / "emulator.lock").write_text('{"pid": 1, "port": 4914, "iam": false}')
    startup_code.write_text(LOCK_LATE)

    with ThreadPoolExecutor(1) as executor:
        started = executor.submit(emulator.start, home, emulator.free_port())
        while (found := emulator.running(home)) is None:
            time.sleep(0.01)

    assert found == started.result()


@pytest.mark.turns(2)
def test_of_two_simultaneous_starts_one_is_refused_with_a_message(full: Path) -> None:
    at_once = threading.Barrier(2)

    def start() -> Emulator:
        at_once.wait()
        return emulator.start(full, emulator.free_port())

    with ThreadPoolExecutor(2) as executor:
        starts = [executor.submit(start) for _ in range(2)]
    (refused,) = [error for each in starts if (error := each.exception())]

    assert isinstance(refused, EmulatorError)
    assert "running" in str(refused)
    (started,) = [each.result() for each in starts if not each.exception()]
    _check_content(started)


@pytest.mark.turns(2)
def test_a_damaged_snapshot_loses_only_the_changes_since_the_previous_one(full: Path) -> None:
    shutil.copytree(full / snapshots.LAST, full / snapshots.PREVIOUS)
    (full / snapshots.LAST / "dynamodb.json").write_text('{"__ministack')
    messages: list[str] = []

    started = emulator.start(full, emulator.free_port(), say=messages.append)

    assert (
        "the last snapshot is damaged (dynamodb.json has changed since it was saved)" in messages[0]
    )
    _check_content(started)


@pytest.mark.turns(2)
def test_if_all_snapshots_are_damaged_the_error_says_what_to_do(full: Path) -> None:
    (full / snapshots.LAST / "s3.json").write_text("")

    with pytest.raises(EmulatorError, match=r"s3\.json has changed.*local reset"):
        emulator.start(full, emulator.free_port())


@pytest.mark.turns(2)
def test_the_state_of_a_later_emulator_is_refused_and_unchanged(full: Path) -> None:
    # As an older version left it, without a list of its files.
    (full / snapshots.LAST / snapshots.CHECKSUMS).unlink()
    later = full / snapshots.LAST / "dynamodb.json"
    later.write_text('{"__ministack_format__": 99, "payload": {}}')

    with pytest.raises(EmulatorError, match=r"(?s)cannot load its saved state: dynamodb.*reset"):
        emulator.start(full, emulator.free_port())

    assert json.loads(later.read_text())["__ministack_format__"] == 99


@pytest.mark.turns(2)
def test_a_full_disk_is_reported_and_loses_nothing_that_was_saved(
    full: Path, startup_code: Path
) -> None:
    if not hasattr(resource, "prlimit"):
        pytest.skip("this system does not limit the files of another process")
    startup_code.write_text(SAVE_ALL_THE_TIME)
    started = emulator.start(full, emulator.free_port())
    resource.prlimit(started.pid, resource.RLIMIT_FSIZE, (500, 500))

    _make_bucket(started, "later")
    emulator.stop(full)

    assert "File too large" in emulator.save_error(full)
    _check_content(emulator.start(full, emulator.free_port()))


_PAUSES = """
import importlib.util, sys, time, types

_, path, lock = sys.argv
sys.argv = [path, lock]
spec = importlib.util.spec_from_file_location("emulator_server", path)
server = importlib.util.module_from_spec(spec)
spec.loader.exec_module(server)
pauses = []

def pause(seconds):
    pauses.append(seconds)
    if len(pauses) == 2:
        print(pauses)
        sys.exit()

server.save = lambda: time.sleep(0.5)
server.time = types.SimpleNamespace(**vars(time) | {"sleep": pause})
server.save_forever()
"""


def test_a_snapshot_that_waited_for_the_disk_does_not_delay_the_next(tmp_path: Path) -> None:
    server = emulator.ROOT / "cli" / "local" / "emulator_server.py"
    command = [str(emulator.PYTHON), "-c", _PAUSES, str(server), str(tmp_path / "lock")]

    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines()[-1] == "[5.0, 5.0]"


def test_mails_survive_a_stop(home: Path) -> None:
    started = emulator.start(home, emulator.free_port())
    ses = clients.client("sesv2", started.endpoint)
    ses.create_email_identity(EmailIdentity="me@example.org")
    ses.send_email(
        FromEmailAddress="me@example.org",
        Destination={"ToAddresses": ["you@example.org"]},
        Content={
            "Simple": {
                "Subject": {"Data": "kept"},
                "Body": {"Text": {"Data": "a text"}, "Html": {"Data": "<p>a page</p>"}},
            }
        },
    )
    before = mail.sent(started.endpoint)

    emulator.stop(home)

    assert mail.sent(emulator.start(home, emulator.free_port()).endpoint) == before
    assert [each.subject for each in before] == ["kept"]


def test_a_truncated_lock_file_means_nothing_runs(home: Path) -> None:
    home.mkdir()
    (home / "emulator.lock").write_text('{"pid": 1, "po')

    assert emulator.running(home) is None
    assert emulator.save_error(home) == ""
    emulator.start(home, emulator.free_port())


def _fill(running: Emulator) -> None:
    # It is loaded first, and imports all other services before they have loaded their state.
    clients.client("cloudformation", running.endpoint).list_stacks()
    _make_bucket(running)
    clients.client("s3", running.endpoint).put_object(Bucket="kept", Key="a/b", Body=b"bytes")
    dynamodb = clients.client("dynamodb", running.endpoint)
    dynamodb.create_table(
        TableName="kept",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.put_item(TableName="kept", Item={"id": {"S": "row"}})


def _check_content(running: Emulator) -> None:
    s3 = clients.client("s3", running.endpoint)
    assert s3.get_object(Bucket="kept", Key="a/b")["Body"].read() == b"bytes"
    dynamodb = clients.client("dynamodb", running.endpoint)
    assert dynamodb.scan(TableName="kept")["Items"] == [{"id": {"S": "row"}}]


def _make_bucket(running: Emulator, name: str = "kept") -> None:
    clients.client("s3", running.endpoint).create_bucket(Bucket=name)


def _buckets(running: Emulator) -> list[str]:
    return [one["Name"] for one in clients.client("s3", running.endpoint).list_buckets()["Buckets"]]


def _wait_until_gone(home: Path) -> None:
    while emulator.running(home):
        time.sleep(0.05)
