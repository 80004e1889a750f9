"""What is computed for readers is computed by one at a time, and shown as long as it may be."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count

import pytest

from jobyard.domain.freshness import CLAIM_TIME, MAX_CLOCK_SKEW, MIN_AGE
from jobyard.services.snapshots import OLDEST_SHOWN, shared_snapshot
from tests.call_interceptor import Answer, Call, Listener
from tests.harness import Harness

TAKES_S = 0.5  # how long computing seems to take
MAX_AGE = timedelta(seconds=10 * TAKES_S)
HOUR = timedelta(hours=1)
_numbers = count(1)


class Died(Exception):
    """The reader's process is gone."""


def die() -> None:
    raise Died


@dataclass
class Calls(Listener):
    """Notes calls of DynamoDB, and does something right before one of them."""

    at: int = 0
    do: Callable[[], None] = die
    operations: list[str] = field(default_factory=list)

    def before(self, call: Call) -> Answer | None:
        self.operations.append(call.operation)
        if len(self.operations) == self.at:
            self.do()
        return None


class WritesFail(Listener):
    """DynamoDB accepts no writes."""

    def before(self, call: Call) -> Answer | None:
        if call.operation == "PutItem":
            return Answer.error(500, "InternalServerError", "try later")
        return None


@dataclass
class Number:
    """A number that readers compute and share: `value`, as it is now."""

    harness: Harness
    name: str = field(default_factory=lambda: f"number-{next(_numbers)}")
    value: int = 1
    meanwhile: Callable[[], object] = int

    def look(
        self,
        *,
        clock_ahead: timedelta = timedelta(),
        takes_s: float = TAKES_S,
        changed_at: datetime | None = None,
    ) -> int:
        """The number as a reader sees it, who must see a change made at `changed_at`."""
        seconds = count(0)
        context = replace(
            self.harness.query_context(),
            now=self.harness.now() + clock_ahead,
            clock=lambda: next(seconds) * takes_s,
        )
        found = shared_snapshot(
            self.name,
            context,
            self._compute,
            is_outdated=lambda at: changed_at is not None and at < changed_at,
        )
        value: int = found.document["value"]
        return value

    def _compute(self) -> dict[str, int]:
        value = self.value
        self.meanwhile()
        return {"value": value}

    def calls(self) -> list[str]:
        """The calls of DynamoDB of one look."""
        seen = Calls()
        with self.harness.interceptor.listening(seen):
            self.look()
        return seen.operations

    def wait(self, time: timedelta) -> None:
        """Let time pass."""
        self.harness.advance(time.total_seconds())


@pytest.fixture
def number(harness: Harness) -> Number:
    return Number(harness)


def test_a_fresh_one_costs_one_read_and_an_old_one_is_computed_again(number: Number) -> None:
    assert number.look() == 1
    number.value = 2

    number.wait(MAX_AGE - timedelta(seconds=1))
    assert number.look() == 1
    assert number.calls() == ["GetItem"]
    number.wait(timedelta(seconds=1))

    assert number.calls() == ["GetItem", "PutItem", "PutItem"]
    assert number.look() == 2


def test_what_takes_no_time_is_two_seconds_old_at_most(number: Number) -> None:
    number.look(takes_s=0.0)
    number.value = 2

    number.wait(MIN_AGE - timedelta(seconds=1))
    assert number.look() == 1
    number.wait(timedelta(seconds=1))
    assert number.look() == 2


def test_what_takes_long_is_a_minute_old_at_most(number: Number) -> None:
    number.look(takes_s=20.0)
    number.value = 2

    number.wait(OLDEST_SHOWN - timedelta(seconds=1))
    assert number.look() == 1
    number.wait(timedelta(seconds=1))
    assert number.look() == 2


def test_while_one_computes_the_others_see_the_previous_one(number: Number) -> None:
    number.look()
    number.value = 2
    number.wait(MAX_AGE)
    others: list[int] = []
    other = replace(number, value=3, meanwhile=int)
    number.meanwhile = lambda: others.append(other.look())

    assert number.look() == 2
    assert others == [1]
    assert number.calls() == ["GetItem"]
    assert number.look() == 2


def test_the_first_readers_compute_for_themselves_and_one_stores(number: Number) -> None:
    other = replace(number, value=3, meanwhile=int)
    others: list[int] = []
    number.meanwhile = lambda: others.append(other.look())

    assert number.look() == 1
    assert others == [3]
    assert other.look() == 1


def test_a_change_is_seen_at_once_even_while_another_computes(number: Number) -> None:
    number.look()
    changed_at = number.harness.now() + timedelta(seconds=1)
    number.wait(timedelta(seconds=2))
    changed = replace(number, value=2, meanwhile=int)
    assert number.look() == 1
    others: list[int] = []
    number.meanwhile = lambda: others.append(changed.look(changed_at=changed_at))

    number.look(changed_at=changed_at)

    assert others == [2]


def test_a_reader_who_dies_keeps_nobody_from_a_recent_number(number: Number) -> None:
    number.look()
    number.wait(MAX_AGE)
    number.meanwhile = die
    with suppress(Died):
        number.look()
    other = replace(number, value=2, meanwhile=int)

    assert other.look() == 1  # it may still be shown
    assert other.calls() == ["GetItem", "PutItem"]  # the claim of the dead reader holds
    number.wait(CLAIM_TIME)
    assert other.look() == 2
    assert other.calls() == ["GetItem"]


def test_after_a_minute_readers_compute_for_themselves_although_another_has_begun(
    number: Number,
) -> None:
    number.look()
    number.wait(OLDEST_SHOWN)
    number.meanwhile = die
    with suppress(Died):
        number.look()

    assert replace(number, value=2, meanwhile=int).look() == 2


def test_wherever_a_reader_dies_the_number_is_stored_again_after_its_claim(
    number: Number,
) -> None:
    number.look()
    for value in count(2):
        number.wait(MAX_AGE)
        number.value = value
        listener = Calls(at=value - 1)
        with number.harness.interceptor.listening(listener), suppress(Died):
            number.look()
        if len(listener.operations) < listener.at:
            break
        number.wait(MAX_AGE + CLAIM_TIME)
        assert number.look() == value
        assert number.calls() == ["GetItem"]
    assert value == 5  # three calls


def test_who_takes_longer_than_a_claim_stores_nothing_over_a_later_number(
    number: Number,
) -> None:
    later = replace(number, value=2, meanwhile=int)

    def overtake() -> None:
        number.wait(CLAIM_TIME)
        later.look()

    number.meanwhile = overtake

    assert number.look() == 1
    assert later.look() == 2
    assert later.calls() == ["GetItem"]


@pytest.mark.parametrize("ahead", [HOUR, MAX_CLOCK_SKEW + timedelta(seconds=1)])
def test_a_number_of_a_clock_that_is_ahead_is_computed_again(
    number: Number, ahead: timedelta
) -> None:
    number.look(clock_ahead=ahead)
    number.value = 2

    assert number.look() == 2


def test_clocks_may_differ_a_little(number: Number) -> None:
    number.look(clock_ahead=timedelta(seconds=4))
    number.value = 2

    assert number.look() == 1


@pytest.mark.parametrize("ahead", [HOUR, -HOUR])
def test_a_claim_of_a_clock_that_is_wrong_keeps_nobody_from_computing(
    number: Number, ahead: timedelta
) -> None:
    number.look()
    number.wait(MAX_AGE)
    number.meanwhile = die
    with suppress(Died):
        number.look(clock_ahead=ahead)
    other = replace(number, value=2, meanwhile=int)

    assert other.look() == 2
    assert other.calls() == ["GetItem"]


def test_readers_see_the_number_when_nothing_can_be_stored(number: Number) -> None:
    with number.harness.interceptor.listening(WritesFail()):
        assert number.look() == 1
        number.value = 2
        assert number.look() == 2
