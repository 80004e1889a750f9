"""Many schedules due at once: how long until all their jobs have started, what the scheduler reads
and writes meanwhile, and the cost of a run.

SCHEDULES schedules with a daily rule are written to the local stack, all due at the same moment,
with jobs that do nothing. The stack's own scheduler tick finds them; nothing else starts them.
`seconds` is the time from the first tick after that moment to the start of the last job, by the
occurrences. The scheduler's part ends when it has started the last execution.

Its reads are the items that DynamoDB returns to its function, which logs its calls
(benchmarks/calls.py). `reads_per_schedule` are those until its part ends. Until the last job has
started, each tick also checks the active ones: those reads are shown too.

The cost of a run comes from an earlier round of COST_SCHEDULES schedules, in which no call waits
for another.

The local stack has WORKERS workers for them. A throttled execution retries, as its machine says.
"""

import json
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import median

from benchmarks.output import Figures, main, say
from benchmarks.stacks import LocalStack, local_stack
from cli.local import clients
from cli.local.deployment import JOB_WORKERS as WORKERS
from jobyard.domain.cost import Usage, price_usage, total
from jobyard.domain.ids import schedule_id_of
from jobyard.domain.jobs.job import JobState
from jobyard.domain.schedules.occurrence import Occurrence
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import Policy, Schedule, ScheduleState
from jobyard.store import occurrences, schedules, tables, usage

SCHEDULES = 10_000
COST_SCHEDULES = 20
MIN_CREATED_PER_S = 150  # schedules a second, so that all exist before they are due
TIMEOUT_S = 3600.0
_POLL_S = 2.0
_THREADS = 8
_SAMPLE = 20  # jobs that are polled at a time
_WRITES = {"dynamodb:TransactWriteItems", "dynamodb:PutItem", "dynamodb:UpdateItem"}
PAUSE_S = 5.0  # a longer pause between calls is one between two ticks


class WrongRuns(Exception):
    """Not every schedule ran exactly one job successfully. The message has the counts."""


@dataclass(frozen=True)
class Call:
    """A call of the scheduler: the time of its response, the items in it and the units it used."""

    at: float
    call: str
    items: int
    units: float


@dataclass(frozen=True)
class Round:
    """Schedules that were due at once, after all their jobs. `used` is the usage of the jobs."""

    due_at: float
    occurrences: Sequence[Occurrence]
    calls: Sequence[Call]
    used: Usage

    @cached_property
    def starts(self) -> list[float]:
        """When the jobs started, in order."""
        outcomes = (each.outcome for each in self.occurrences)
        return sorted(o.started_at.timestamp() for o in outcomes if o and o.started_at)

    @cached_property
    def began(self) -> float:
        """When the scheduler got its first response after they were due."""
        return next(call.at for call in self.calls if call.at > self.due_at)

    @cached_property
    def started(self) -> list[float]:
        """When each execution was started, without repeats."""
        at = (each.at for each in self.calls if each.call == "stepfunctions:StartExecution")
        return sorted(each for each in at if each >= self.began)[: len(self.occurrences)]

    @cached_property
    def busy_s(self) -> float:
        """Seconds that the scheduler worked, without the pauses between ticks."""
        pauses = (after - before for before, after in pairwise([self.began, *self.started]))
        return sum(pause for pause in pauses if pause < PAUSE_S)

    @cached_property
    def tick_count(self) -> int:
        """How many ticks started executions."""
        return 1 + sum(after - before >= PAUSE_S for before, after in pairwise(self.started))

    def items_read(self, until: float) -> int:
        """Items that the scheduler read from its first tick until `until`."""
        return sum(each.items for each in self.calls if self.began <= each.at <= until)

    @cached_property
    def written(self) -> float:
        """Write units the scheduler used until all executions were started."""
        ours = [each for each in self.calls if each.call in _WRITES]
        return sum(each.units for each in ours if self.began <= each.at <= self.started[-1])


def measure() -> Figures:
    """Seconds until all jobs of schedules due at one moment have started."""
    with tempfile.TemporaryDirectory(prefix="jobyard-bench-") as folder:
        call_log = Path(folder) / "calls.jsonl"
        with local_stack(call_log=call_log) as local:
            _bind(local)
            cost_round = _run_round(call_log, COST_SCHEDULES)
            full_round = _run_round(call_log, SCHEDULES)
    executions, starts = full_round.started, full_round.starts
    # The read units are an estimate: one for each item that was read.
    scheduler_usage = Usage(
        write_units=cost_round.written, read_units=cost_round.items_read(cost_round.started[-1])
    )
    cost = price_usage(cost_round.used + scheduler_usage)
    return {
        "schedules": SCHEDULES,
        "workers": WORKERS,
        "seconds": round(starts[-1] - full_round.began, 1),
        "median_s": round(median(starts) - full_round.began, 1),
        "scheduler_seconds": round(executions[-1] - full_round.began, 1),
        "scheduler_ticks": full_round.tick_count,
        "scheduler_busy_s": round(full_round.busy_s, 1),
        "reads_per_schedule": round(full_round.items_read(executions[-1]) / SCHEDULES, 3),
        "reads_until_started": round(full_round.items_read(starts[-1]) / SCHEDULES, 3),
        "scheduler_write_units": round(full_round.written / SCHEDULES, 3),
        "write_units_per_run": round(cost.usage.write_units / COST_SCHEDULES, 2),
        "read_units_per_run": round(cost.usage.read_units / COST_SCHEDULES, 2),
        "transitions_per_run": round(cost.usage.transitions / COST_SCHEDULES, 2),
        "invocations_per_run": round(cost.usage.invocations / COST_SCHEDULES, 2),
        "dollars_per_thousand": round(cost.dollars / COST_SCHEDULES * 1000, 4),
    }


def _bind(local: LocalStack) -> None:
    """Bind the store to the stack's tables."""
    os.environ |= {  # noqa: TID251  # PynamoDB looks for them itself
        "AWS_ACCESS_KEY_ID": clients.KEY,
        "AWS_SECRET_ACCESS_KEY": clients.KEY,
    }
    names = {noun: local.tables[f"{noun.capitalize()}Table"] for noun in tables.MODELS}
    tables.bind(names, region=clients.REGION, host=local.emulator.endpoint)


def _run_round(call_log: Path, count: int) -> Round:
    """Create `count` schedules due at one moment, and wait until all their jobs have ended.

    Raises:
        WrongRuns: they were created too late, or not every schedule ran one job successfully.
    """
    created_at = datetime.now(UTC)
    due_at = created_at + timedelta(seconds=5 + count / MIN_CREATED_PER_S)
    due_at = due_at.replace(microsecond=0)  # like every time of a rule
    rule = recurrence_of({"kind": "daily", "anchor": f"{due_at:%Y-%m-%dT%H:%M:%S}", "zone": "UTC"})
    due_schedules = [
        Schedule(
            schedule_id=schedule_id_of(f"{count} {number}".encode()),
            state=ScheduleState.ACTIVE,
            version=1,
            title=f"Schedule {number} of {count}",
            job_type="noop",
            rule=rule,
            policy=Policy(),
            owner="bench",
            created_at=created_at,
            next_at=due_at,
        )
        for number in range(count)
    ]
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(schedules.put_new, due_schedules))
        if datetime.now(UTC) >= due_at:
            raise WrongRuns(f"{count} schedules were not created before they were due")
        say(f"{count:,} schedules created {due_at - datetime.now(UTC)} before they are due")
        made = _wait_for_ends(due_schedules, due_at, pool)
        used = total(pool.map(usage.of_origin, [each.schedule_id for each in due_schedules]))
    calls = [Call(**json.loads(line)) for line in call_log.read_text().splitlines()]
    done = Round(due_at.timestamp(), made, calls, used)
    say(f"{count:,} jobs started {done.starts[-1] - done.began:.1f} s after the first tick")
    return done


def _wait_for_ends(
    due_schedules: Sequence[Schedule], due_at: datetime, pool: ThreadPoolExecutor
) -> list[Occurrence]:
    """Wait until all jobs have ended; the occurrence of each schedule.

    Polls only a few jobs at a time, because polling takes the emulator's time.
    """
    waiting = list(due_schedules)
    deadline = time.monotonic() + TIMEOUT_S
    while waiting and time.monotonic() < deadline:
        sample = waiting[:_SAMPLE]
        found = [occurrences.find(each.job_address(due_at)) for each in sample]
        left = [e for e, got in zip(sample, found, strict=True) if not (got and got.outcome)]
        waiting[:_SAMPLE] = left
        if left:
            time.sleep(_POLL_S)
    newest = pool.map(lambda each: occurrences.newest(each.schedule_id, limit=2), due_schedules)
    made = [each for of_one in newest for each in of_one]
    succeeded = [each for each in made if each.outcome and each.outcome.state is JobState.SUCCEEDED]
    if len(succeeded) == len(made) == len(due_schedules):
        return made
    raise WrongRuns(
        f"{len(due_schedules):,} schedules were due and have {len(made):,} occurrences, of which "
        f"{len(succeeded):,} have a job that succeeded"
    )


if __name__ == "__main__":
    main("due", measure)
