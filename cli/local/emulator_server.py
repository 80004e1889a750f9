"""The emulator's process: MiniStack, saving its state every few seconds.

Run by path with the interpreter of .venv-emulator, whose pins differ from the project's, so it
imports nothing of ours but what needs the standard library only. Apart because MiniStack by itself
saves on SIGTERM only, over what it saved before, and begins with nothing when it cannot read that:
a laptop that loses power would lose everything.

Its whole configuration is its environment (see `cli.local.emulator`). It holds the lock file named
by its first argument for as long as it lives, and notes in it where it is: that lock, and not a
pid which may have become somebody else's, says whether it runs. While it loads what was kept, and
while it saves at its end, it touches that file: whoever waits for it sees that it is at work.
"""

import copy
import fcntl
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

LOCK = Path(sys.argv[1])
HOME = LOCK.parent
sys.path[0] = str(Path(__file__).resolve().parents[2])  # ours is the project, not this folder

from ministack.core import persistence  # type: ignore[import-not-found]  # noqa: E402

from cli.local import snapshots  # noqa: E402

# Where services look for what was kept. Cognito reads the environment, and has its keys there.
persistence.STATE_DIR = str(HOME / snapshots.LAST)

import ministack.app as ministack  # type: ignore[import-not-found]  # noqa: E402

SAVE_EVERY_S = 5.0
# Saving holds up the emulator's one thread: at most this share of its time goes into it. Only the
# time that the saver itself works counts: on a loaded machine, or a slow disk, it mostly waits.
SAVE_SHARE = 0.05
TOUCH_EVERY_S = 0.5
TRIES = 3  # to read a service that changes while it is read
EXCLUSIVE_S = 30.0  # for the last try all others wait, this long at most

MAILS = "sent_mails"  # MiniStack keeps them in memory only

saving = threading.Lock()
load_state = persistence.load_state


class NotSaved(Exception):
    """Nothing was saved; the message says why."""


def load_snapshot() -> None:
    """Take up what was kept, all of it or nothing; from then on there is something to save."""
    # Until then SIGTERM just ends the process.
    as_it_was = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    at = "objects"
    loaded = False
    try:
        with signs_of_life():
            if _objects_failed():
                raise NotSaved("the objects of S3 cannot be read")
            for at, module in ministack._state_map.items():
                if kept := _saved_state(at):
                    ministack._get_module(module).load_persisted_state(kept)
            at = MAILS
            if mails := _saved_state(MAILS):
                ministack._get_module("ses")._sent_emails.update(mails)
        loaded = True
    finally:
        if not loaded:
            # Going on without would save nothing over what is there.
            logging.exception("loading %s", at)
            log(f"cannot take up what was kept: {at}: {sys.exc_info()[1]}")
            os._exit(1)
    signal.signal(signal.SIGTERM, as_it_was)
    threading.Thread(target=save_forever, name="saver", daemon=True).start()


def _saved_state(key: str) -> Any:
    """What was kept as `key`. MiniStack's own reader answers None for what it cannot read."""
    if not Path(persistence.STATE_DIR, f"{key}.json").exists():
        return None
    kept = load_state(key)
    if kept is None:
        raise NotSaved(f"{key}.json cannot be read, or is a later MiniStack's")
    return kept


def _objects_failed() -> bool:
    """Load the objects, which happens where S3 is imported first, and failing is only logged."""
    told: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.msg)

    listener = Listener(logging.WARNING)
    logging.getLogger("s3").addHandler(listener)
    ministack._get_module("s3")
    logging.getLogger("s3").removeHandler(listener)
    return any(message.startswith("Failed to load") for message in told)


def save() -> None:
    """Save everything, or nothing.

    Raises:
        NotSaved: a stack is being changed, or the disk does not take it.
    """
    with saving:
        stacks = ministack._get_module("cloudformation")._stacks._data
        if any(stack["StackStatus"].endswith("_IN_PROGRESS") for stack in list(stacks.values())):
            raise NotSaved("the stack is being changed")
        try:
            folder = snapshots.begin(HOME)
            # Functions' code lies in the save too, in files that are named by their content.
            ministack._get_module("lambda_svc").CODE_BLOB_DIR = str(folder / "lambda-blobs")
            for key, get_state in ministack._build_persistence_save_dict().items():
                save_service(folder, key, get_state)
            save_service(folder, MAILS, sent_mails)
            snapshots.finish(HOME, datetime.now(UTC))
        except OSError as error:
            snapshots.abandon(HOME)
            raise NotSaved(str(error)) from error


def save_service(folder: Path, key: str, get_state: Callable[[], Any]) -> None:
    """Write what a service keeps. Of one that cannot be read what was saved before stays."""
    for tried in range(1, TRIES + 1):
        try:
            with exclusive_thread(tried == TRIES):
                state = get_state()
                if state is None:  # it could not be imported, and knows nothing of what it kept
                    return
                wrapped = {
                    "__ministack_format__": persistence._state_format_version(key),
                    "payload": state,
                }
                content = json.dumps(wrapped, default=persistence._json_default).encode()
        except RuntimeError as error:  # it grew while it was read
            if tried == TRIES:
                log(f"{key} is kept as it was saved before: {error}")
        except (TypeError, ValueError, LookupError, AttributeError, NameError) as error:
            log(f"{key} is kept as it was saved before: {error!r}")
            return
        else:
            snapshots.put(folder, f"{key}.json", content)
            return


def sent_mails() -> Any:
    return copy.deepcopy(ministack._get_module("ses")._sent_emails)


@contextmanager
def exclusive_thread(wanted: bool) -> Iterator[None]:
    """If `wanted`, no other thread runs meanwhile, unless this one waits for the disk."""
    before = sys.getswitchinterval()
    if wanted:
        sys.setswitchinterval(EXCLUSIVE_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def signs_of_life() -> Iterator[None]:
    """Touch the lock file meanwhile."""
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
            log(f"could not save, will try again: {error}")
        pause_s = max(SAVE_EVERY_S, (time.thread_time() - began) / SAVE_SHARE)


def log(words: str) -> None:
    with suppress(OSError):  # a full disk: the next save may find room
        print(words, file=sys.stderr, flush=True)  # noqa: T201


def main() -> None:
    port, iam = sys.argv[2:]
    with LOCK.open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another emulator runs on {HOME}")

        def note(**more: Any) -> None:
            lock.seek(0)
            lock.truncate()
            json.dump({"pid": os.getpid(), "port": int(port), "iam": iam == "true"} | more, lock)
            lock.flush()

        def save_and_end(_: object) -> None:
            """The end: executions that still run would hold the process for as long as their
            functions do."""
            with signs_of_life():
                try:
                    save()
                except NotSaved as error:
                    log(f"could not save: {error}")
                    with suppress(OSError):
                        note(not_saved=str(error))
            os._exit(0)

        note()
        del sys.argv[1:]
        if ministack.PERSIST_STATE:
            ministack._load_persisted_state = load_snapshot
            ministack.save_all = save_and_end
            logging.getLogger("persistence").setLevel(logging.WARNING)
        ministack.main()


if __name__ == "__main__":
    main()
