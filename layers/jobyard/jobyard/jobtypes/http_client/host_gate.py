"""Limits the requests to each host, and backs off from a host for as long as it asks."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Condition, get_ident

from jobyard.domain.jobs.failures import Failure
from jobyard.jobtypes.http_client.pace import RESERVE_S
from jobyard.jobtypes.http_client.refusal import FetchRefused

_LONGEST = timedelta(hours=1)  # that we back off from a host, whatever it asks
_MAX_HOSTS = 100  # that we back off from; more are requested again
_POLL_S = 1.0  # how long a thread waits for its turn before it checks its time
_TRY_AGAIN_S = 30.0  # after a thread waited for its turn until its time was up
_TOO_MANY_REQUESTS = 429


class HostGate:
    """The requests in progress by host, and the hosts that asked us to wait. Thread-safe.

    A host is named with its port. `now` is aware UTC. Without `allow`, any number is allowed.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._changed = Condition()
        self._active: Counter[str] = Counter()
        self._threads: Counter[int] = Counter()  # requests in progress by thread
        self._limit = math.inf
        self._busy: dict[str, datetime] = {}
        self._learned: dict[str, datetime] = {}

    def allow(self, per_host: float, busy: Mapping[str, datetime]) -> None:
        """Allow `per_host` requests to a host at the same time, and none to the hosts that other
        workers found `busy`, until their times.
        """
        with self._changed:
            self._limit = per_host
            for host, until in busy.items():
                self._busy[host] = max(until, self._busy.get(host, until))
            self._changed.notify_all()

    def enter(self, host: str, remaining: Callable[[], float]) -> None:
        """Wait until another request to the host may begin; end it with `leave`, in this thread. A
        thread with a request in progress does not wait, so that no two wait for each other.

        Raises:
            FetchRefused: PAYLOAD_BUSY, the host asked us to wait, or the worker's time is up.
        """
        with self._changed:
            while True:
                self._check_busy(host)
                if self._active[host] < self._limit or self._threads[get_ident()]:
                    self._active[host] += 1
                    self._threads[get_ident()] += 1
                    return
                left_s = remaining() - RESERVE_S
                if left_s <= 0:
                    raise _busy(f"{host} has as many requests as it may have", _TRY_AGAIN_S)
                self._changed.wait(min(left_s, _POLL_S))

    @contextmanager
    def turn(self, host: str, remaining: Callable[[], float]) -> Iterator[None]:
        """A request to a host, as by `enter` and `leave`."""
        self.enter(host, remaining)
        try:
            yield
        finally:
            self.leave(host)

    def leave(self, host: str) -> None:
        """End a request that `enter` began."""
        with self._changed:
            self._active -= Counter({host: 1})  # which removes zeros
            self._threads -= Counter({get_ident(): 1})
            self._changed.notify_all()

    def back_off(self, host: str, seconds: float) -> None:
        """Send no requests to a host for a while, because it asked for that."""
        now = self._now()
        until = now + min(timedelta(seconds=min(seconds, 1e6)), _LONGEST)
        with self._changed:
            self._busy = {each: at for each, at in self._busy.items() if at > now}
            if len(self._busy) < _MAX_HOSTS:
                self._busy[host] = self._learned[host] = until

    def learned(self) -> dict[str, datetime]:
        """The hosts that asked this worker for a pause, as long as others may not know it."""
        with self._changed:
            return dict(self._learned)

    def shared(self, learned: Mapping[str, datetime]) -> None:
        """Note that other workers know about these hosts now."""
        with self._changed:
            for host, until in learned.items():
                if self._learned.get(host) == until:
                    del self._learned[host]

    def _check_busy(self, host: str) -> None:
        until = self._busy.get(host)
        if until is None:
            return
        left_s = (until - self._now()).total_seconds()
        if left_s <= 0:
            del self._busy[host]
            return
        message = f"{host} asked for no requests until {until:%H:%M:%S} UTC"
        raise _busy(message, math.ceil(left_s))


def _busy(message: str, wait_s: float) -> FetchRefused:
    """A refusal after which the job waits, without an attempt that failed."""
    status = _TOO_MANY_REQUESTS
    return FetchRefused(Failure.PAYLOAD_BUSY, message, retry_after=wait_s, status=status)
