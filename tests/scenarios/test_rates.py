"""The rates of jobs count what workers did, in the minute in which they did it."""

from datetime import timedelta
from typing import Any

from jobyard.domain.rates import WAIT_BOUNDS_S, JobTotals, RateRange, WaitLimit, wait_of
from jobyard.services.queries.rates import rate_history
from jobyard.services.reports.outbox_tick import run_outbox_tick
from tests.call_interceptor import Call, Listener
from tests.harness import Harness, Payloads, single_files


class Writes(Listener):
    """The names of the calls that write to DynamoDB."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def prepare(self, call: Call) -> None:
        if call.service == "dynamodb" and call.operation not in {"GetItem", "Query", "Scan"}:
            self.names.append(call.operation)


def sampled_minute(harness: Harness) -> list[str]:
    """Run the tick of a minute, and return its writes."""
    harness.advance(60)
    writes = Writes()
    with harness.interceptor.listening(writes):
        run_outbox_tick(harness.report_context())
    return writes.names


def newest(harness: Harness, rate_range: RateRange = RateRange.HOUR) -> Any:
    return rate_history(rate_range, harness.query_context())[-1]


def test_a_minute_counts_its_batches_and_an_idle_one_writes_nothing(
    harness: Harness, payloads: Payloads
) -> None:
    sampled_minute(harness)
    before = newest(harness).jobs
    names = [f"rates-{number}.txt" for number in range(5)]
    payloads.status[f"/{names[0]}"] = 404
    harness.drop(single_files(payloads, {name: name.encode() for name in names}))

    writes = sampled_minute(harness)

    assert before == JobTotals()
    found = newest(harness)
    assert (found.jobs.started, found.jobs.ended, found.jobs.failed) == (5, 5, 1)
    assert wait_of([found], 0.95) == WaitLimit(timedelta(seconds=WAIT_BOUNDS_S[0]))
    assert newest(harness, RateRange.WEEK).jobs.ended == 5
    # A step of each graph, what was seen, and at the first time the start of the month.
    assert writes in (["UpdateItem"] * 4, ["UpdateItem"] * 5)
    assert sampled_minute(harness) == []
    assert newest(harness).jobs == JobTotals()


def test_a_repeated_tick_counts_nothing_twice(harness: Harness, payloads: Payloads) -> None:
    sampled_minute(harness)
    harness.drop(single_files(payloads, {"rates-again.txt": b"1"}))

    sampled_minute(harness)
    run_outbox_tick(harness.report_context())

    assert newest(harness).jobs.ended == 1
    harness.advance(timedelta(minutes=5).total_seconds())
    points = rate_history(RateRange.HOUR, harness.query_context())
    assert sum(each.jobs.ended for each in points[-6:]) == 1


def test_a_requeued_job_waits_since_its_requeue(harness: Harness, payloads: Payloads) -> None:
    payloads.status["/rates-requeued.txt"] = 404
    batch_id = harness.drop(single_files(payloads, {"rates-requeued.txt": b"1"}))
    harness.advance(7200)
    sampled_minute(harness)
    payloads.status.clear()

    harness.send_job_event(f"{batch_id}.0.0", "requeue")
    harness.machines.run_all()
    sampled_minute(harness)

    found = newest(harness)
    assert (found.jobs.started, found.jobs.failed) == (1, 0)
    assert wait_of([found], 1.0) == WaitLimit(timedelta(seconds=WAIT_BOUNDS_S[0]))
