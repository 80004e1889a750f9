"""A campaign on devices that do nothing: what its tasks write, and the memory of a worker.

TASKS tasks run through the real services (benchmarks/devices.py), at once and at the highest rate,
a thousand a minute. Waits are skipped; the rest takes the time that it takes here, so counts are
saved as often as on AWS. Write units are those of the campaign's bill, which counts refused writes
too, and a unit for each further kilobyte of a task's record.

- A further attempt: the same campaign on devices that are all offline once, less the first one.
- A week's rest: REST_TASKS tasks fail in the first minute of a weekly window, and continue in the
  next one. The scheduler's and the outbox's ticks run each hour between. All that is written in
  that week is counted, but for the timeline, where ticks sample the totals of the deployment.
- `growth_mb` is how much more memory a new process needs at most for TASKS tasks than for FEW. It
  runs all functions of the campaign, one after the other, as a worker would.
"""

import math
import multiprocessing
from dataclasses import dataclass
from datetime import datetime, timedelta

from benchmarks.cost import stored_bytes
from benchmarks.devices import Calls, Devices, Stack, counted, emulator_with_tables
from benchmarks.output import Figures, main, say
from benchmarks.processes import peak_mb
from jobyard.domain.cost import Usage
from jobyard.store import campaigns, usage
from jobyard.store.tables import JobItem, client

TASKS = 10_000
FEW = 1_000
REST_TASKS = 1_000
_AT_ONCE = {"kind": "fire_and_forget", "expires_s": 86_400}
_FRIDAYS = {
    "kind": "scheduled",
    "zone": "UTC",
    "to": "2026-12-31",
    "window": {"from": "22:00", "to": "22:05", "weekdays": ["fri"]},
}
_TIMELINE = "timeline"
_LONG = timedelta(days=1)
TICK = timedelta(hours=1)


@dataclass(frozen=True)
class Ran:
    """A campaign that ran in a process of its own: its usage, the process's peak memory."""

    used: Usage
    peak_mb: float


def measure() -> Figures:
    """Writes, transitions and invocations of a campaign, a task each; and memory."""
    with emulator_with_tables() as endpoint:
        few = _run(endpoint, FEW, "few")
        many = _run(endpoint, TASKS, "many")
        again = _run(endpoint, TASKS, "again", offline=1)
        rest = _rest(endpoint)
        record_bytes = _largest_record()
    more = 2 * (math.ceil(record_bytes / 1024) - 1)  # the emulator counts one for each write
    writes = many.used.write_units / TASKS + more
    for name, ran in (("few", few), ("many", many), ("each offline once", again)):
        say(
            f"{name}: {ran.used.write_units:,.0f} write units, {ran.used.transitions} transitions, "
            f"{ran.used.invocations} invocations, {ran.peak_mb:.1f} MB"
        )
    rest.written.pop(_TIMELINE, None)
    say(f"a week's rest: {rest.written.total()} writes in {rest.calls} calls")
    return {
        "tasks": TASKS,
        "writes_per_task": round(writes, 4),
        "growth_mb": round(many.peak_mb - few.peak_mb, 1),
        "writes_per_task_of_few": round(few.used.write_units / FEW + more, 4),
        "writes_per_further_attempt": round(again.used.write_units / TASKS + 2 * more - writes, 4),
        "transitions_per_task": round(many.used.transitions / TASKS, 4),
        "invocations_per_task": round(many.used.invocations / TASKS, 4),
        "read_units_per_task": round(many.used.read_units / TASKS, 4),
        "rest_writes_per_task": round(rest.written.total() / REST_TASKS, 4),
        "peak_mb": round(many.peak_mb, 1),
        "record_bytes": record_bytes,
    }


def _run(endpoint: str, tasks: int, key: str, offline: int = 0) -> Ran:
    """Store a campaign here, and run it in a new process."""
    with Devices().known():
        campaign = Stack(endpoint).store(tasks, key, **_AT_ONCE)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_run_here, (endpoint, campaign.campaign_id, offline))


def _run_here(endpoint: str, campaign_id: str, offline: int) -> Ran:
    with Devices(offline).known():
        Stack(endpoint, is_timed=True).run(campaigns.get(campaign_id))
    return Ran(usage.of_origin(campaign_id), peak_mb())


class _Resting(Stack):
    """A stack that counts what is written while its machines wait for days."""

    rest: Calls | None = None

    def wait_until(self, at: datetime) -> None:
        """Wait, with a tick each hour if it takes long."""
        if at - self.now() < _LONG:
            super().wait_until(at)
            return
        with counted() as found:
            while at - self.now() > TICK:
                self.advance(TICK.total_seconds())
                self.tick()
            super().wait_until(at)
        self.rest = found  # the last one: before it, they wait for the first window


def _rest(endpoint: str) -> Calls:
    stack = _Resting(endpoint)
    with Devices(offline=1).known():
        stack.run(stack.store(REST_TASKS, "rest", **_FRIDAYS))
    assert stack.rest is not None
    return stack.rest


def _largest_record() -> int:
    """Bytes of the largest record of a task."""
    pages = client().get_paginator("scan").paginate(TableName=JobItem.Meta.table_name)
    return max(stored_bytes(item) for page in pages for item in page["Items"])


if __name__ == "__main__":
    main("campaign", measure)
