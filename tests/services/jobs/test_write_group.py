"""Threads that write at the same time share a call, and each gets the result of its own job."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from jobyard.domain.jobs.job import JOB, JobAddress, JobRecord, new_job
from jobyard.domain.lifecycle import Cause
from jobyard.services.jobs.write_group import WriteGroup
from jobyard.store import jobs
from tests.call_interceptor import Answer, Call, CallInterceptor, Listener

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
THREADS = 10


class FirstCallBlocked(Listener):
    """Blocks the first call until it is released, counts all, and may refuse the second."""

    def __init__(self, refusal: Answer | None = None) -> None:
        self.reached, self.released = threading.Event(), threading.Event()
        self.calls = 0
        self._refusal = refusal

    def before(self, call: Call) -> Answer | None:
        if call.operation != "BatchExecuteStatement":
            return None
        self.calls += 1
        if self.calls == 1:
            self.reached.set()
            assert self.released.wait(10)
        return self._refusal if self.calls == 2 else None


def running_jobs(origin_id: str) -> list[JobRecord]:
    move = JOB.move("scheduled", "start", NOON, Cause("main.p1.c0.t1"))
    started = [
        new_job(JobAddress(origin_id, 0, position), NOON).moved(move) for position in range(THREADS)
    ]
    stored = jobs.write_many([(None, each) for each in started])
    return [each for each in stored if each is not None]


def written(job: JobRecord) -> JobRecord:
    return replace(job, version=job.version + 1, data={"bytes": job.address.position})


def write_all(
    group: WriteGroup, found: list[JobRecord], blocked: FirstCallBlocked
) -> list[JobRecord | None]:
    """Write the first job, and all others while its call is on its way."""
    with ThreadPoolExecutor(THREADS) as pool:
        first = pool.submit(group.write, found[0], written(found[0]))
        assert blocked.reached.wait(10)
        others = [pool.submit(group.write, each, written(each)) for each in found[1:]]
        while len(group._waiting) < len(others):
            time.sleep(0.01)
        blocked.released.set()
        return [each.result() for each in (first, *others)]


def test_writes_that_come_while_one_is_on_its_way_share_the_next_call(
    aws_semantics: CallInterceptor,
) -> None:
    found, blocked = running_jobs("b" + 20 * "g"), FirstCallBlocked()

    with aws_semantics.listening(blocked):
        stored = write_all(WriteGroup(), found, blocked)

    assert blocked.calls == 2
    assert stored == [written(each) for each in found]
    assert [jobs.find(each.address) for each in found] == stored


def test_a_job_with_a_stale_record_is_refused_alone(
    aws_semantics: CallInterceptor,
) -> None:
    found, blocked = running_jobs("b" + 20 * "h"), FirstCallBlocked()
    move = JOB.move("running", "cancel", NOON, Cause("somebody"))
    jobs.write_many([(found[3], found[3].moved(move))])

    with aws_semantics.listening(blocked):
        stored = write_all(WriteGroup(), found, blocked)

    assert [each is None for each in stored] == [position == 3 for position in range(THREADS)]


def test_all_that_share_a_call_share_its_failure_and_the_next_call_goes_out(
    aws_semantics: CallInterceptor,
) -> None:
    found = running_jobs("b" + 20 * "i")
    blocked = FirstCallBlocked(Answer.error(400, "AccessDeniedException", "no"))
    group = WriteGroup()

    with aws_semantics.listening(blocked), pytest.raises(ClientError, match="AccessDenied"):
        write_all(group, found, blocked)

    assert jobs.find(found[0].address) == written(found[0])
    assert jobs.find(found[1].address) == found[1]
    assert group.write(found[1], written(found[1])) == written(found[1])
