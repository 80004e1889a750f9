"""The emulator's process starts, is found, ends, and leaves nothing that cannot be mended."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.local import clients, emulator
from cli.local.emulator import Emulator, EmulatorError

pytestmark = pytest.mark.emulator


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    emulator.stop(tmp_path / "home")


def test_what_was_started_is_found_where_it_listens(home: Path) -> None:
    started = emulator.start(home, emulator.free_port(), iam=True)

    assert emulator.running(home) == started
    assert emulator.answers(started)
    assert started.iam


def test_nothing_runs_where_nothing_was_started(home: Path) -> None:
    assert emulator.running(home) is None
    assert emulator.stop(home) is False


def test_it_listens_on_the_one_loopback_address_only(home: Path) -> None:
    started = emulator.start(home, emulator.free_port())

    with pytest.raises(OSError, match=r"."):
        socket.create_connection(("127.0.0.2", started.port), timeout=5)


def test_it_keeps_what_it_holds_when_it_is_stopped(home: Path) -> None:
    port = emulator.free_port()
    _make_bucket(emulator.start(home, port))

    emulator.stop(home)

    assert _buckets(emulator.start(home, port)) == ["kept"]


def test_it_keeps_what_it_holds_when_it_is_killed(home: Path) -> None:
    port = emulator.free_port()
    started = emulator.start(home, port)
    _make_bucket(started)
    while not list(home.glob("state/s3.json")):
        time.sleep(0.1)

    os.kill(started.pid, signal.SIGKILL)
    _wait_until_gone(home)

    assert _buckets(emulator.start(home, port)) == ["kept"]


def test_it_forgets_when_it_is_told_to(home: Path) -> None:
    port = emulator.free_port()
    _make_bucket(emulator.start(home, port))

    emulator.stop(home)
    emulator.forget(home)

    assert _buckets(emulator.start(home, port)) == []


def test_a_taken_port_is_refused_with_the_name_of_who_has_it(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(EmulatorError, match=rf"port {port} is taken by .*\(process \d+\)"):
            emulator.start(home, port)


def test_a_lock_that_a_dead_process_left_says_nothing_runs(home: Path) -> None:
    home.mkdir()
    (home / "emulator.lock").write_text('{"pid": 1, "port": 4914, "iam": false}')

    assert emulator.running(home) is None


def test_it_does_not_see_the_callers_credentials(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-a-real-account")
    started = emulator.start(home, emulator.free_port())

    environment = Path(f"/proc/{started.pid}/environ")
    if not environment.exists():
        pytest.skip("this system does not show the environment of a process")
    assert b"of-a-real-account" not in environment.read_bytes()


def _make_bucket(running: Emulator) -> None:
    clients.client("s3", running.endpoint).create_bucket(Bucket="kept")


def _buckets(running: Emulator) -> list[str]:
    return [one["Name"] for one in clients.client("s3", running.endpoint).list_buckets()["Buckets"]]


def _wait_until_gone(home: Path) -> None:
    while emulator.running(home):
        time.sleep(0.05)
