"""What happens to the calls of a worker: it dies at one of them, or their units are counted."""

from typing import Any

from tests.call_interceptor import Answer, Call, Listener


class Died(Exception):
    """The worker died."""


class DyingAt(Listener):
    """Dies at a call, counted from 0: before it is sent, or after it was carried out."""

    def __init__(self, number: int, *, is_sent: bool) -> None:
        self.calls: list[str] = []
        self._number, self._is_sent = number, is_sent

    def before(self, call: Call) -> Answer | None:
        self.calls.append(call.operation)
        if not self._is_sent and len(self.calls) == self._number + 1:
            raise Died(call.operation)
        return None

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if self._is_sent and len(self.calls) == self._number + 1:
            raise Died(call.operation)


class Units(Listener):
    """The capacity units of the calls, of writes and of reads."""

    def __init__(self) -> None:
        self.written = self.read = 0.0

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        found = parsed.get("ConsumedCapacity", [])
        units = sum(
            each["CapacityUnits"] for each in (found if isinstance(found, list) else [found])
        )
        if any(verb in call.operation for verb in ("Put", "Write", "Statement")):
            self.written += units
        else:
            self.read += units
