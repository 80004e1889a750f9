"""The emulator's process: MiniStack, saving its state every few seconds.

Run by path with the interpreter of .venv-emulator, whose pins differ from the project's, so it
imports nothing of ours. Apart because MiniStack by itself saves on SIGTERM only: a laptop that
loses power would lose everything.

Its whole configuration is its environment (see `cli.local.emulator`). It holds the lock file named
by its first argument for as long as it lives, and notes in it where it is: that lock, and not a
pid which may have become somebody else's, says whether it runs.
"""

import fcntl
import json
import logging
import os
import sys
import threading
import time
from pathlib import Path

import ministack.app as ministack  # type: ignore[import-not-found]  # only in .venv-emulator

SAVE_EVERY_S = 5.0
# Saving holds up the emulator's one thread: at most this share of its time goes into it.
SAVE_SHARE = 0.05

saving = threading.Lock()
save_all = ministack.save_all


def save_one_at_a_time(services: object) -> None:
    """MiniStack's own save at the end must not meet the timer's in one file, and is the end:
    executions that still run would hold the process for as long as their functions do."""
    with saving:
        save_all(services)
        if threading.current_thread() is threading.main_thread():
            os._exit(0)


def save_forever() -> None:
    pause_s = SAVE_EVERY_S
    while True:
        time.sleep(pause_s)
        began = time.monotonic()
        try:
            ministack.save_all(ministack._build_persistence_save_dict())
        except RuntimeError as error:
            # A table that grows while it is read. The next save, or the one after, gets through.
            print(f"could not save, will try again: {error}", file=sys.stderr, flush=True)  # noqa: T201
        pause_s = max(SAVE_EVERY_S, (time.monotonic() - began) / SAVE_SHARE)


def main() -> None:
    path, port, iam = sys.argv[1:]
    with Path(path).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate()
        json.dump({"pid": os.getpid(), "port": int(port), "iam": iam == "true"}, lock)
        lock.flush()
        sys.argv = sys.argv[:1]
        if ministack.PERSIST_STATE:
            ministack.save_all = save_one_at_a_time
            logging.getLogger("persistence").setLevel(logging.WARNING)
            threading.Thread(target=save_forever, name="saver", daemon=True).start()
        ministack.main()


if __name__ == "__main__":
    main()
