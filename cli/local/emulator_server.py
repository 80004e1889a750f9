"""The emulator's process: MiniStack, with a snapshot of its state every few seconds.

It serves two ports: one for every AWS service, and one for the pages and the API (see `web_port`).

MiniStack itself saves only on SIGTERM, over its previous state, and starts empty if it cannot read
that, so a power failure would lose everything.

This file is run by its path with the interpreter of .venv-emulator, which has other packages. So it
imports only modules of the project that need nothing but the standard library.

Its whole configuration is its environment (see `cli.local.emulator`). It locks the file named by
its first argument while it runs, and writes its pid and ports to it; a pid alone could be of
another process. It touches the file while it loads, and while it saves at its end, to show
activity.
"""

import copy
import fcntl
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LOCK = Path(sys.argv[1])
STACK_HOME = LOCK.parent
# Import from the project, not from this folder.
sys.path[0] = str(Path(__file__).resolve().parents[2])

from ministack.core import (  # type: ignore[import-not-found]  # noqa: E402
    lambda_runtime,
    persistence,
)

from cli.local import snapshots, web_port  # noqa: E402

# The state that services load. Cognito reads the environment instead, for its keys.
persistence.STATE_DIR = str(STACK_HOME / snapshots.LAST)

import ministack.app as ministack  # type: ignore[import-not-found]  # noqa: E402
from hypercorn import config as hypercorn  # type: ignore[import-not-found]  # noqa: E402

SAVE_EVERY_S = 5.0
# Saving blocks the emulator's one thread, so it gets at most this share of the time. Only CPU time
# counts: on a loaded machine or a slow disk the saver mostly waits.
SAVE_SHARE = 0.05
TOUCH_EVERY_S = 0.5
READ_TRIES = 3  # attempts to read a service that changes while it is read
EXCLUSIVE_S = 30.0  # how long other threads wait at most, in the last attempt

MAILS = "sent_mails"  # MiniStack has them in memory only
HOST = "127.0.0.1"

LAYERS = STACK_HOME / "workers" / "layers"  # deleted with the workers' folders

unpacking = threading.Lock()
saving = threading.Lock()
load_state = persistence.load_state


class NotSaved(Exception):
    """Nothing was saved. The message says why."""


class SharedLayer(zipfile.ZipFile):
    """A zip that is unpacked once if it is a layer.

    MiniStack unpacks the layers' 2,000 files for each worker, which takes longer than all the rest
    of its start.
    """

    def extractall(self, path: Any = None, members: Any = None, pwd: bytes | None = None) -> None:
        folder = Path(path)
        if not folder.name.startswith("layer_"):
            super().extractall(path, members, pwd)
            return
        with Path(str(self.filename)).open("rb") as file:
            shared = LAYERS / file_digest(file, "sha256").hexdigest()
        with unpacking:
            if not shared.exists():
                unfinished = shared.with_suffix(".unfinished")
                super().extractall(unfinished)
                unfinished.rename(shared)
        folder.rmdir()
        folder.symlink_to(shared)


lambda_runtime.zipfile = SimpleNamespace(**vars(zipfile) | {"ZipFile": SharedLayer})


def load_snapshot() -> None:
    """Load the last snapshot, all of it or nothing, then start saving."""
    # Until then SIGTERM ends the process without saving.
    previous_handler = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    at = "objects"
    loaded = False
    try:
        with heartbeat():
            if _objects_failed():
                raise NotSaved("the objects of S3 cannot be read")
            for at, module in ministack._state_map.items():
                if state := _saved_state(at):
                    ministack._get_module(module).load_persisted_state(state)
            at = MAILS
            if mails := _saved_state(MAILS):
                ministack._get_module("ses")._sent_emails.update(mails)
        loaded = True
    finally:
        if not loaded:
            # The next save would overwrite the snapshot with an empty state.
            logging.exception("loading %s", at)
            log(f"cannot load its saved state: {at}: {sys.exc_info()[1]}")
            os._exit(1)
    signal.signal(signal.SIGTERM, previous_handler)
    threading.Thread(target=save_forever, name="saver", daemon=True).start()


def _saved_state(key: str) -> Any:
    """The saved state of `key`. MiniStack's own reader returns None for an unreadable file."""
    if not Path(persistence.STATE_DIR, f"{key}.json").exists():
        return None
    state = load_state(key)
    if state is None:
        raise NotSaved(f"{key}.json cannot be read, or is from a later MiniStack")
    return state


def _objects_failed() -> bool:
    """Load the S3 objects and return whether that failed. MiniStack only logs such an error."""
    messages: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.msg)

    listener = Listener(logging.WARNING)
    logging.getLogger("s3").addHandler(listener)
    ministack._get_module("s3")
    logging.getLogger("s3").removeHandler(listener)
    return any(message.startswith("Failed to load") for message in messages)


def save() -> None:
    """Save everything or nothing.

    Raises:
        NotSaved: a stack is being deployed, or writing fails.
    """
    with saving:
        stacks = ministack._get_module("cloudformation")._stacks._data
        if any(stack["StackStatus"].endswith("_IN_PROGRESS") for stack in list(stacks.values())):
            raise NotSaved("the stack is being deployed")
        try:
            folder = snapshots.begin(STACK_HOME)
            # The functions' code is part of the snapshot, in files named by their content.
            ministack._get_module("lambda_svc").CODE_BLOB_DIR = str(folder / "lambda-blobs")
            for key, get_state in ministack._build_persistence_save_dict().items():
                save_service(folder, key, get_state)
            save_service(folder, MAILS, sent_mails)
            snapshots.finish(STACK_HOME, datetime.now(UTC))
        except OSError as error:
            snapshots.abandon(STACK_HOME)
            raise NotSaved(str(error)) from error


def save_service(folder: Path, key: str, get_state: Callable[[], Any]) -> None:
    """Save the state of a service. If it cannot be read, its previous state is kept."""
    for attempt in range(1, READ_TRIES + 1):
        try:
            with exclusive_thread(attempt == READ_TRIES):
                state = get_state()
                if state is None:  # its module could not be imported
                    return
                wrapped = {
                    "__ministack_format__": persistence._state_format_version(key),
                    "payload": state,
                }
                content = json.dumps(wrapped, default=persistence._json_default).encode()
        except RuntimeError as error:  # it grew while it was read
            if attempt == READ_TRIES:
                log(f"{key} keeps its previous state: {error}")
        except (TypeError, ValueError, LookupError, AttributeError, NameError) as error:
            log(f"{key} keeps its previous state: {error!r}")
            return
        else:
            snapshots.put(folder, f"{key}.json", content)
            return


def sent_mails() -> Any:
    return copy.deepcopy(ministack._get_module("ses")._sent_emails)


@contextmanager
def exclusive_thread(wanted: bool) -> Iterator[None]:
    """If `wanted`, keep other threads from running, except while this one waits for the disk."""
    before = sys.getswitchinterval()
    if wanted:
        sys.setswitchinterval(EXCLUSIVE_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def heartbeat() -> Iterator[None]:
    """Touch the lock file regularly, to show activity."""
    done = threading.Event()

    def touch() -> None:
        while not done.wait(TOUCH_EVERY_S):
            os.utime(LOCK)

    threading.Thread(target=touch, name="seen", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def save_forever() -> None:
    pause_s = SAVE_EVERY_S
    while True:
        time.sleep(pause_s)
        began = time.thread_time()
        try:
            save()
        except NotSaved as error:
            log(f"could not save, will retry: {error}")
        pause_s = max(SAVE_EVERY_S, (time.thread_time() - began) / SAVE_SHARE)


def serve_pages(listening: socket.socket) -> None:
    """Let MiniStack's server accept the requests for pages too."""

    class TwoPorts(hypercorn.Config):  # type: ignore[misc]
        bind: list[str]

        def create_sockets(self) -> Any:
            self.bind = [*self.bind, f"fd://{listening.detach()}"]
            return super().create_sockets()

    ministack.app = web_port.WebPort(ministack.app, listening.getsockname()[1])
    hypercorn.Config = TwoPorts


def log(message: str) -> None:
    with suppress(OSError):  # the disk may be full
        print(message, file=sys.stderr, flush=True)  # noqa: T201


def main() -> None:
    port, wanted_web_port, iam = sys.argv[2:]
    with LOCK.open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another emulator is running in {STACK_HOME}")

        try:
            # Until the emulator has loaded its state, requests wait to be accepted.
            pages = socket.create_server((HOST, int(wanted_web_port)))
        except OSError as error:
            sys.exit(f"cannot serve the pages on port {wanted_web_port}: {error}")
        running = {
            "pid": os.getpid(),
            "port": int(port),
            "web_port": pages.getsockname()[1],
            "iam": iam == "true",
        }

        def note(**more: Any) -> None:
            lock.seek(0)
            lock.truncate()
            json.dump(running | more, lock)
            lock.flush()

        def save_and_end(_: object) -> None:
            """Save and exit at once, without waiting for running executions."""
            with heartbeat():
                try:
                    save()
                except NotSaved as error:
                    log(f"could not save: {error}")
                    with suppress(OSError):
                        note(not_saved=str(error))
            os._exit(0)

        note()
        serve_pages(pages)
        del sys.argv[1:]
        if ministack.PERSIST_STATE:
            ministack._load_persisted_state = load_snapshot
            ministack.save_all = save_and_end
            logging.getLogger("persistence").setLevel(logging.WARNING)
        ministack.main()


if __name__ == "__main__":
    main()
