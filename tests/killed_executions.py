"""Kills an execution at a call to AWS, as a crash of its worker does."""

import threading
from typing import Any

from tests.call_interceptor import Answer, Call, Listener


class Killed(BaseException):
    """The execution that made this call is killed; no `except Exception` catches this."""


class Death(Listener):
    """Kills the caller at its `at`-th call: before it is made, or after it is `applied`.

    Every later call fails too, until `start`.
    """

    def __init__(self, at: int = -1, *, applied: bool = False) -> None:
        self.at, self.applied = at, applied
        self.calls = 0
        self._dead = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Another execution starts."""
        self._dead = False

    def before(self, call: Call) -> Answer | None:
        with self._lock:
            if self._dead:
                raise Killed
            self.calls += 1
            call.notes["number"] = self.calls
        self._kill_if_due(call, applied=False)
        return None

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        self._kill_if_due(call, applied=True)

    def _kill_if_due(self, call: Call, *, applied: bool) -> None:
        if call.notes.get("number") == self.at and self.applied is applied:
            self._dead = True
            raise Killed
