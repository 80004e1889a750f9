"""The weathers in which stories are told again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from jobyard.store import holds
from tests.faults.unkind import Capacity, Conflicting, Refusing, Stale, Throttling, key_names
from tests.walk.yard import Yard


@contextmanager
def _refusing(yard: Yard, _raw: Any, code: str, *, applied: bool) -> Iterator[Refusing]:
    refusing = Refusing(code, applied=applied)
    with yard.wire.heard_by(refusing):
        yield refusing


@contextmanager
def throttled(yard: Yard, raw: Any) -> Iterator[Refusing]:
    """Each third statement is throttled."""
    with _refusing(yard, raw, "ThrottlingError", applied=False) as refusing:
        yield refusing


@contextmanager
def failing(yard: Yard, raw: Any) -> Iterator[Refusing]:
    """Each third statement fails and is not applied."""
    with _refusing(yard, raw, "InternalServerError", applied=False) as refusing:
        yield refusing


@contextmanager
def applied(yard: Yard, raw: Any) -> Iterator[Refusing]:
    """Each third statement is said to have failed, and was applied."""
    with _refusing(yard, raw, "InternalServerError", applied=True) as refusing:
        yield refusing


@contextmanager
def stale(yard: Yard, raw: Any) -> Iterator[Stale]:
    """Reads that are not strong are three writes old, unless time has passed.

    So a lift may not find what was held just before. Where there is a hold, a minute passes and its
    rule comes: it lifts again what lingers.
    """
    run_all = yard.machines.run_all

    def run_all_and_wait() -> None:
        run_all()
        if any(True for _ in holds.every()):
            yard.later(61)
            yard.minute()
            run_all()

    yard.machines.run_all = run_all_and_wait  # type: ignore[method-assign]
    tables = ("test-batches", "test-chunks", "test-reports", "test-schedules")
    indexed = {table: key_names()[table] for table in tables}
    with Stale(raw, indexed, now=yard.now).copying() as copies, yard.wire.heard_by(copies):
        yield copies


@contextmanager
def conflicting(yard: Yard, _raw: Any) -> Iterator[Conflicting]:
    """Every second transaction is cancelled for a conflict."""
    cancelling = Conflicting()
    with yard.wire.heard_by(cancelling):
        yield cancelling


@contextmanager
def single(yard: Yard, _raw: Any) -> Iterator[Throttling]:
    """Single writes, transactions and reads are throttled now and then."""
    throttling = Throttling()
    with yard.wire.heard_by(throttling):
        yield throttling


@contextmanager
def capacity(yard: Yard, _raw: Any) -> Iterator[Capacity]:
    """A partition takes two write units a second, and five are asked for."""
    asked = count()
    narrow = Capacity(key_names(), key=2, clock=lambda: next(asked) / 5)
    with yard.wire.heard_by(narrow):
        yield narrow


WEATHERS: Mapping[str, Callable[[Yard, Any], Any]] = {
    each.__name__: each
    for each in (throttled, failing, applied, stale, conflicting, single, capacity)
}
