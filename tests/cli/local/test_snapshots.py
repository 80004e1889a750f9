"""A snapshot is complete or ignored, whenever its writer is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.local import snapshots
from cli.local.emulator import ROOT

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = ("dynamodb.json", "s3.json", "lambda.json")


class Killed(BaseException):
    """The process ends here."""


def save(home: Path, number: int) -> None:
    """Write a snapshot whose files contain its number, except one that never changes."""
    folder = snapshots.begin(home)
    for name in NAMES:
        snapshots.put(folder, name, json.dumps({"number": number}).encode())
    (folder / "lambda-blobs").mkdir(exist_ok=True)
    snapshots.put(folder, "lambda-blobs/code.zip", b"always the same")
    snapshots.finish(home, NOON)


def saved(home: Path) -> set[int]:
    """The numbers in the files of the last snapshot: one number if it is complete."""
    return {json.loads((home / snapshots.LAST / name).read_bytes())["number"] for name in NAMES}


# What saving does to a disk. The process may be killed at each of these calls.
MOMENTS = (
    (Path, "mkdir"),
    (Path, "open"),
    (Path, "replace"),
    (Path, "rename"),
    (os, "link"),
    (os, "fsync"),
    (os, "rmdir"),
    (os, "unlink"),
    (shutil, "rmtree"),
)


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Kills the process at the n-th call that changes the disk."""
    left = [0]

    def counted(does: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return does(*args, **named)

        return call

    for owner, name in MOMENTS:
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))

    def kill(after: int) -> None:
        left[0] = after

    yield kill
    monkeypatch.undo()


def test_a_kill_while_saving_leaves_a_complete_snapshot(
    tmp_path: Path, kill_at: Callable[[int], None]
) -> None:
    moments = 0
    ended = False
    while not ended:
        moments += 1
        home = tmp_path / str(moments)
        save(home, 1)
        save(home, 2)
        kill_at(moments)
        try:
            save(home, 3)
            ended = True
        except Killed:
            pass
        kill_at(0)

        assert snapshots.repair(home) == ""
        assert saved(home) in ({2}, {3})
        assert not (home / snapshots.UNFINISHED).exists()
        save(home, 4)  # and it continues from there
        assert saved(home) == {4}

    assert moments > 20


def test_a_repair_that_was_killed_can_be_repeated(
    tmp_path: Path, kill_at: Callable[[int], None]
) -> None:
    moments = 0
    ended = False
    while not ended:
        moments += 1
        home = tmp_path / str(moments)
        save(home, 1)
        save(home, 2)
        (home / snapshots.LAST / "s3.json").write_bytes(b'{"num')
        kill_at(moments)
        try:
            snapshots.repair(home)
            ended = True
        except Killed:
            pass
        kill_at(0)

        snapshots.repair(home)
        assert saved(home) == {1}

    assert moments > 3


SAVER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from tests.cli.local.test_snapshots import save
home = Path(sys.argv[1])
for number in range(1, 10**6):
    save(home, number)
    print(number, flush=True)
"""


def test_a_killed_process_loses_nothing_it_had_saved(tmp_path: Path) -> None:
    for killed_after in (1, 3, 8):
        home = tmp_path / str(killed_after)
        saver = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(home)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert saver.stdout is not None
        saved_number = 0
        while saved_number < killed_after:
            saved_number = int(saver.stdout.readline())
        saver.send_signal(signal.SIGKILL)
        saved_number = max([saved_number, *map(int, saver.stdout.read().split())])
        saver.wait()
        saver.stdout.close()

        assert snapshots.repair(home) == ""
        (number,) = saved(home)
        assert number in (saved_number, saved_number + 1)


@pytest.mark.parametrize("damage", [b"", b'{"num', b"null", b"\xff\xfe"])
@pytest.mark.parametrize("name", [*NAMES, snapshots.CHECKSUMS, "lambda-blobs/code.zip"])
def test_a_damaged_snapshot_is_replaced_by_the_previous_one(
    tmp_path: Path, name: str, damage: bytes
) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    # They share unchanged files: written in place, the previous one would be damaged too.
    (tmp_path / snapshots.LAST / name).unlink()
    (tmp_path / snapshots.LAST / name).write_bytes(damage)

    words = snapshots.repair(tmp_path)

    assert "the last snapshot is damaged" in words
    assert "2026-03-01 12:00:00 UTC" in words
    assert saved(tmp_path) == {1}
    assert (tmp_path / snapshots.DAMAGED / name).read_bytes() == damage


def test_a_missing_file_is_found(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    (tmp_path / snapshots.LAST / "s3.json").unlink()

    assert "s3.json is missing" in snapshots.repair(tmp_path)
    assert saved(tmp_path) == {1}


def test_if_no_snapshot_is_complete_nothing_is_changed(tmp_path: Path) -> None:
    save(tmp_path, 1)
    save(tmp_path, 2)
    for folder in (snapshots.LAST, snapshots.PREVIOUS):
        (tmp_path / folder / "dynamodb.json").write_bytes(b"{")

    for _ in range(2):
        with pytest.raises(
            snapshots.DamagedSnapshots, match=r"dynamodb\.json has changed since it was saved"
        ):
            snapshots.repair(tmp_path)


def test_an_empty_home_needs_no_repair(tmp_path: Path) -> None:
    assert snapshots.repair(tmp_path) == ""
    snapshots.begin(tmp_path)  # and the first snapshot is incomplete
    assert snapshots.repair(tmp_path) == ""
    assert not (tmp_path / snapshots.UNFINISHED).exists()


def test_a_folder_of_an_older_version_is_recovered_with_its_keys(tmp_path: Path) -> None:
    state = tmp_path / snapshots.LAST
    (state / "cognito-pool-keys").mkdir(parents=True)
    (state / "cognito-pool-keys" / "pool-id.pem").write_text("a key")
    (state / "cognito-rsa-key.pem").write_text("another")
    for name in NAMES:
        (state / name).write_text('{"number": 7}')
    (state / "dynamodb.json.tmp").write_text('{"numb')  # left by a kill

    assert snapshots.repair(tmp_path) == ""

    assert saved(tmp_path) == {7}
    assert (tmp_path / snapshots.KEYS / "cognito-pool-keys" / "pool-id.pem").read_text() == "a key"
    assert (tmp_path / snapshots.KEYS / "cognito-rsa-key.pem").read_text() == "another"


def test_a_damaged_folder_of_an_older_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / snapshots.LAST).mkdir()
    (tmp_path / snapshots.LAST / "dynamodb.json").write_text('{"__ministack_format__": 2, "payl')

    with pytest.raises(snapshots.DamagedSnapshots, match=r"dynamodb\.json cannot be read"):
        snapshots.repair(tmp_path)


def test_files_that_are_not_written_are_kept(tmp_path: Path) -> None:
    save(tmp_path, 1)
    folder = snapshots.begin(tmp_path)
    snapshots.put(folder, "s3.json", b'{"number": 2}')
    snapshots.finish(tmp_path, NOON)

    assert saved(tmp_path) == {1, 2}
    assert json.loads((tmp_path / snapshots.PREVIOUS / "s3.json").read_bytes()) == {"number": 1}


def test_files_are_copied_where_the_disk_has_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("links are not supported here")

    monkeypatch.setattr(os, "link", refuse)
    save(tmp_path, 1)
    save(tmp_path, 2)

    assert saved(tmp_path) == {2}
    assert snapshots.repair(tmp_path) == ""
