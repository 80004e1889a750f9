"""A minute in which nothing happens: what it costs is what docs/aws.md adds up."""

from tests.infra.reading import IDLE_READ_UNITS
from tests.walk.yard import Yard
from tests.wire import Call, Listener


class Heard(Listener):
    """The calls that were made."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def asked(self, call: Call) -> None:
        self.calls.append(call)


def test_an_idle_minute_reads_as_much_as_is_told_and_does_nothing_else(yard: Yard) -> None:
    heard = Heard()
    with yard.wire.heard_by(heard):
        yard.minute()

    assert {call.operation for call in heard.calls} <= {"GetItem", "Query", "Scan"}
    # Each finds less than 4 KB: half a unit, and a whole one if it is a strong read.
    strong = [call.parameters.get("ConsistentRead", False) for call in heard.calls]
    assert sum(1.0 if each else 0.5 for each in strong) == IDLE_READ_UNITS
