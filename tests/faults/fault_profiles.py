"""The fault profiles under which all scenarios run again."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

from jobyard.store import holds
from tests.faults.aws_semantics import Capacity, Conflicting, Refusing, Stale, Throttling, key_names
from tests.harness import Harness


@contextmanager
def _refusing(harness: Harness, _raw: Any, code: str, *, applied: bool) -> Iterator[Refusing]:
    refusing = Refusing(code, applied=applied)
    with harness.interceptor.listening(refusing):
        yield refusing


@contextmanager
def throttled(harness: Harness, raw: Any) -> Iterator[Refusing]:
    """Every third statement is throttled."""
    with _refusing(harness, raw, "ThrottlingError", applied=False) as refusing:
        yield refusing


@contextmanager
def failing(harness: Harness, raw: Any) -> Iterator[Refusing]:
    """Every third statement fails and is not applied."""
    with _refusing(harness, raw, "InternalServerError", applied=False) as refusing:
        yield refusing


@contextmanager
def applied(harness: Harness, raw: Any) -> Iterator[Refusing]:
    """Every third statement is applied and reported as failed."""
    with _refusing(harness, raw, "InternalServerError", applied=True) as refusing:
        yield refusing


@contextmanager
def stale(harness: Harness, raw: Any) -> Iterator[Stale]:
    """Eventually consistent reads lack the last three writes, unless time has passed.

    So a lift may not find what was just held. If there is a hold, the scheduler tick a minute
    later lifts again.
    """
    run_all = harness.machines.run_all

    def run_all_and_wait() -> None:
        run_all()
        if any(True for _ in holds.list_all()):
            harness.advance(61)
            harness.tick()
            run_all()

    harness.machines.run_all = run_all_and_wait  # type: ignore[method-assign]
    nouns = ("batches", "campaigns", "chunks", "edits", "reports", "schedules", "timeline")
    indexed = {f"test-{noun}": key_names()[f"test-{noun}"] for noun in nouns}
    with (
        Stale(raw, indexed, now=harness.now).copying() as copies,
        harness.interceptor.listening(copies),
    ):
        yield copies


@contextmanager
def conflicting(harness: Harness, _raw: Any) -> Iterator[Conflicting]:
    """Every second transaction is cancelled for a conflict."""
    cancelling = Conflicting()
    with harness.interceptor.listening(cancelling):
        yield cancelling


@contextmanager
def single(harness: Harness, _raw: Any) -> Iterator[Throttling]:
    """Some single writes, transactions and reads are throttled."""
    throttling = Throttling()
    with harness.interceptor.listening(throttling):
        yield throttling


@contextmanager
def capacity(harness: Harness, _raw: Any) -> Iterator[Capacity]:
    """A partition accepts two write units a second, and five are sent."""
    calls = count()
    narrow = Capacity(key_names(), key=2, clock=lambda: next(calls) / 5)
    with harness.interceptor.listening(narrow):
        yield narrow


FAULT_PROFILES: Mapping[str, Callable[[Harness, Any], Any]] = {
    each.__name__: each
    for each in (throttled, failing, applied, stale, conflicting, single, capacity)
}
