"""Requests to a host are bounded over all workers, and all back off from a busy host."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from threading import Lock

import pytest

from jobyard.domain.batches.worker_leases import WorkerLease
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy
from jobyard.jobtypes.http_client import FetchRefused, HttpClient
from jobyard.jobtypes.http_client.host_gate import HostGate
from jobyard.services.batches.worker_leases import count_worker, host_limit, uncount_worker
from jobyard.services.schedules.commands import ScheduleSpec, create
from jobyard.store import worker_leases
from jobyard.store.worker_leases import SharedLimits
from tests.harness import Harness, Payloads, single_files
from tests.jobtypes.payload_server import PayloadServer

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
PER_HOST = 6
WORKERS = 3


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def server() -> Iterator[PayloadServer]:
    with PayloadServer() as started:
        yield started


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workers(server: PayloadServer, clock: Clock) -> Iterator[list[HttpClient]]:
    """The clients of some workers."""
    made = [HttpClient(frozenset({server.host}), clock.now) for _ in range(WORKERS)]
    yield made
    for each in made:
        each.close()


def fetch(http: HttpClient, url: str) -> bytes:
    with http.get(url, lambda: 60.0) as response:
        return b"".join(response.blocks())


def test_concurrent_workers_have_no_more_requests_at_a_host_than_allowed(
    harness: Harness, server: PayloadServer, workers: list[HttpClient]
) -> None:
    lease = WorkerLease(WORKERS, "maps", "", NOON, NOON, workers=WORKERS)
    settings = replace(harness.settings, requests_per_host=PER_HOST)
    limit = host_limit(SharedLimits({"run": lease}), settings)
    lock, active, most = Lock(), 0, 0

    def slow(handler: BaseHTTPRequestHandler) -> None:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
        time.sleep(0.02)
        with lock:
            active -= 1
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")

    url = server.behave("/slow", slow)
    for each in workers:
        each.hosts.allow(limit, {})

    with ThreadPoolExecutor(WORKERS * 8) as threads:
        bodies = [*threads.map(lambda n: fetch(workers[n % WORKERS], url), range(48))]

    assert bodies == [b"x"] * 48
    assert 1 < most <= PER_HOST


def test_a_host_that_answers_429_gets_no_request_until_its_time(
    server: PayloadServer, workers: list[HttpClient], clock: Clock
) -> None:
    http = workers[0]
    busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n"
    server.behave("/a", lambda handler: handler.wfile.write(busy))
    url = server.serve("/b", b"content")
    with pytest.raises(FetchRefused):
        fetch(http, server.url("/a"))

    clock.at += timedelta(seconds=60)
    with pytest.raises(FetchRefused) as refused:
        http.head(url, lambda: 60.0)

    assert refused.value.code is Failure.PAYLOAD_BUSY
    assert refused.value.requested_wait_s == 30
    assert server.requested("HEAD") == []
    clock.at += timedelta(seconds=30)
    assert fetch(http, url) == b"content"


def test_a_missing_file_or_one_in_preparation_leaves_its_host_open(
    server: PayloadServer, workers: list[HttpClient]
) -> None:
    http = workers[0]
    wait = b"HTTP/1.1 202 Accepted\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n"
    server.behave("/soon", lambda handler: handler.wfile.write(wait))
    for path in ("/soon", "/missing"):
        with pytest.raises(FetchRefused):
            fetch(http, server.url(path))

    assert fetch(http, server.serve("/b", b"content")) == b"content"


def test_workers_without_a_lease_share_what_a_host_gets(harness: Harness) -> None:
    """Those of tasks and of a schedule's job: each counts as a leased worker does."""
    settings = replace(harness.settings, requests_per_host=PER_HOST)
    lease = WorkerLease(1, "maps", "", NOON, NOON + timedelta(hours=1), workers=1)
    worker_leases.put(SharedLimits({"b main": lease}))
    clock = Clock()
    gates = [HostGate(clock.now) for _ in range(7)]

    limits = []
    for number, gate in enumerate(gates):
        count_worker(f"task {number}", gate, settings, clock.now())
        limits.append(host_limit(worker_leases.get(), settings))

    assert limits == [3, 2, 1, 1, 1, 1, 1]  # of six, with the leased one
    assert len(worker_leases.get().others) == PER_HOST - 1
    with pytest.raises(FetchRefused, match="as many requests as it may have"):
        gates[6].enter("a:443", lambda: 0.0)  # it found no room
    uncount_worker("task 0", gates[0], clock.now())
    count_worker("task 6", gates[6], settings, clock.now())
    gates[6].enter("a:443", lambda: 0.0)
    clock.at += timedelta(minutes=3)  # all others are dead
    count_worker("task 6", gates[6], settings, clock.now())
    assert worker_leases.get().others.keys() == {"task 6"}
    assert host_limit(worker_leases.get(), settings) == PER_HOST // 2


def test_a_job_of_a_schedule_backs_off_from_a_host_that_a_batch_found_busy(
    harness: Harness, payloads: Payloads
) -> None:
    host = payloads.url.removeprefix("http://")
    rule = {"kind": "daily", "at": "02:00", "zone": "UTC", "anchor": f"{harness.at:%Y-%m-%d}"}
    parameters = {"url": f"{payloads.url}/nightly"}
    spec = ScheduleSpec("Tidy up", "http", recurrence_of(rule), Policy(), parameters)
    schedule = create(spec, harness.context())
    assert schedule.next_at is not None
    harness.at = schedule.next_at
    busy = harness.at + timedelta(hours=1)
    worker_leases.put(SharedLimits({}, {host: busy}))
    harness.tick()

    harness.machines.run_all()

    assert payloads.posted != []
    assert harness.at >= busy
    assert worker_leases.get().others == {}


def test_a_request_that_gets_no_turn_waits_without_a_failed_attempt() -> None:
    gate = HostGate(Clock().now)
    gate.allow(1, {})

    with gate.turn("a:443", lambda: 60.0):
        with gate.turn("a:443", lambda: 60.0):  # of the same thread
            pass
        with ThreadPoolExecutor(1) as threads:
            refused = threads.submit(gate.enter, "a:443", lambda: 0.0).exception()

    assert isinstance(refused, FetchRefused)
    assert refused.requested_wait_s == 30
    gate.enter("a:443", lambda: 0.0)


def test_other_workers_back_off_from_a_busy_host_too(harness: Harness, payloads: Payloads) -> None:
    harness.payloads.retry_after["/a.txt"] = 600
    manifest = single_files(payloads, {"a.txt": b"a"})
    payloads.status["/a.txt"] = 503
    event = harness.upload(manifest, name="1.checkm", collection="maps")
    opened = harness.open({"input": event, "execution": "first"})
    harness.execute_chunk({**opened, "line": {"chunk": 0, "start": 0, "end": 10_000}})
    payloads.status.clear()

    harness.http = HttpClient(harness.settings.allowed_hosts, now=harness.now)  # another worker
    payloads.requests.clear()
    at = harness.at
    other = harness.drop(single_files(payloads, {"b.txt": b"b"}), name="2.checkm")

    assert harness.batch(other).batch.state == "completed"
    assert harness.at >= at + timedelta(seconds=590)
    (job,) = [path for _, path in payloads.requests if path == "/b.txt"][:1]
    assert job == "/b.txt"
