"""Snapshots of the emulator's state, written to a new folder and then renamed.

A snapshot is a folder with a list of its files and their digests. The list is written last, so a
folder without it is incomplete. The previous snapshot is kept. A process may be killed at any
moment: `repair` finds the newest complete snapshot.

Standard library only, because the emulator's process has other packages than the project.
"""

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

LAST, PREVIOUS, UNFINISHED = "state", "state.before", "state.unfinished"
DAMAGED = "state.damaged"  # a last snapshot that cannot be read, kept for inspection
KEYS = "keys"  # keys that the emulator signs tokens with; it writes each once
CHECKSUMS = "whole.json"
_OBSOLETE = "state.gone"  # being deleted
FOLDERS = (LAST, PREVIOUS, UNFINISHED, DAMAGED, KEYS, _OBSOLETE)


class DamagedSnapshots(Exception):
    """No snapshot is complete. The message says what is wrong with each."""


def begin(home: Path) -> Path:
    """A folder for the next snapshot, with links to the files of the last one."""
    unfinished = home / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    last = home / LAST
    if not last.exists():
        last = home / PREVIOUS
    for path in sorted(last.rglob("*")):
        copy = unfinished / path.relative_to(last)
        if path.is_dir():
            copy.mkdir()
        elif path != last / CHECKSUMS:
            _link(path, copy)
    return unfinished


def put(folder: Path, name: str, content: bytes) -> None:
    """Write a file of the new snapshot in `folder`, if it differs from the last one's."""
    path = folder / name
    if path.exists() and path.read_bytes() == content:
        return
    temporary = folder / f"{name}.tmp"
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)  # replaces the link; the last snapshot's file stays


def finish(home: Path, at: datetime) -> None:
    """Complete the new snapshot. It becomes the last one, and the last one the previous."""
    unfinished = home / UNFINISHED
    digests = {
        path.relative_to(unfinished).as_posix(): _digest(path)
        for path in sorted(unfinished.rglob("*"))
        if path.is_file()
    }
    listed = {"at": at.isoformat(timespec="seconds"), "files": digests}
    put(unfinished, CHECKSUMS, json.dumps(listed, indent=1).encode())
    _rotate(home)


def abandon(home: Path) -> None:
    """Delete a snapshot that cannot be completed."""
    shutil.rmtree(home / UNFINISHED, ignore_errors=True)


def repair(home: Path) -> str:
    """Make the newest complete snapshot the last one. Returns a message if changes were lost.

    No emulator may be running in `home`.

    Raises:
        DamagedSnapshots: there are snapshots, but none is complete. Nothing is changed.
    """
    damages = {}
    for name in (UNFINISHED, LAST, PREVIOUS):
        if (home / name).exists():
            damage = _damage(home / name)
            if not damage:
                break
            damages[name] = damage
    else:
        if damages.keys() - {UNFINISHED}:
            message = "; ".join(f"{home / name}: {damage}" for name, damage in damages.items())
            raise DamagedSnapshots(message)
        abandon(home)
        return ""
    if name == UNFINISHED:
        _rotate(home)
    message = ""
    if name == PREVIOUS:
        at = _saved_at(home / PREVIOUS)
        message = f"the state is that of the previous snapshot, of {at}"
        if LAST in damages:
            shutil.rmtree(home / DAMAGED, ignore_errors=True)
            (home / LAST).rename(home / DAMAGED)
            message = f"the last snapshot is damaged ({damages[LAST]}), see {DAMAGED}; {message}"
        (home / PREVIOUS).rename(home / LAST)
    abandon(home)
    shutil.rmtree(home / _OBSOLETE, ignore_errors=True)
    _keep_older_keys(home)
    return message


def _rotate(home: Path) -> None:
    last, previous, obsolete = home / LAST, home / PREVIOUS, home / _OBSOLETE
    shutil.rmtree(obsolete, ignore_errors=True)
    if last.exists():
        if previous.exists():
            previous.rename(obsolete)  # at once, not file by file
        last.rename(previous)
    (home / UNFINISHED).rename(last)
    _sync(home)
    shutil.rmtree(obsolete, ignore_errors=True)


def _damage(folder: Path) -> str:
    """What is wrong with a snapshot; "" if it is complete."""
    if not (folder / CHECKSUMS).exists():
        # Snapshots of older versions had no list and were written in place.
        return "incomplete" if folder.name == UNFINISHED else _unreadable(folder)
    try:
        digests = json.loads((folder / CHECKSUMS).read_bytes())["files"]
        for name, digest in digests.items():
            if not (folder / name).exists():
                return f"{name} is missing"
            if _digest(folder / name) != digest:
                return f"{name} has changed since it was saved"
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        return f"{CHECKSUMS} cannot be read: {error}"
    return ""


def _unreadable(folder: Path) -> str:
    for path in sorted(folder.glob("*.json")):
        try:
            json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            return f"{path.name} cannot be read: {error}"
    return ""


def _saved_at(folder: Path) -> str:
    try:
        at = datetime.fromisoformat(json.loads((folder / CHECKSUMS).read_bytes())["at"])
    except (OSError, ValueError, LookupError):
        at = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _keep_older_keys(home: Path) -> None:
    """Copy keys out of the state of an older version."""
    keys = home / KEYS
    older = [*(home / LAST).glob("cognito-*.pem"), *(home / LAST).glob("cognito-pool-keys/*.pem")]
    for path in older:
        copy = keys / path.relative_to(home / LAST)
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _link(path: Path, copy: Path) -> None:
    try:
        os.link(path, copy)
    except OSError:  # a file system without links
        shutil.copyfile(path, copy)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
