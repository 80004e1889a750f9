"""What state machines pass on: which run of which batch or job, and the next step.

The document is a dozen numbers and short strings whatever the batch. It always has every field,
because a Choice on a missing field ends an execution.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from jobyard.domain.cause_key import MAIN_RUN, Action, CauseKey, Interruption
from jobyard.domain.jobs.job import JobAddress

# Passes of a recovered run count from the next multiple of this: so no cause
# of theirs is one that the execution before may have used.
RECOVERY_PASSES = 1_000_000

NextAction = Literal["execute", "settle", "report", "again", "fresh", "end"]


_TRANSITIONS_BETWEEN: dict[NextAction, int] = {
    "execute": 1,  # the Map
    "settle": 0,
    "report": 0,
    "again": 2,  # Wait, the Map
    "fresh": 2,  # Continue, Done
    "end": 1,  # Done
}


@dataclass(frozen=True)
class ExecutionRun:
    """One go at some jobs of a batch: its own manifest ("main"), an operation, or a single job.

    A job that is running or waits for a retry belongs to the run whose name its cause begins with.
    `number` counts the passes of the run, from 1.
    """

    name: str
    number: int

    @classmethod
    def recovered(cls, name: str, recoveries: int) -> "ExecutionRun":
        """The run at its first pass after `times` recoveries."""
        return cls(name, recoveries * RECOVERY_PASSES + 1)

    @property
    def recoveries(self) -> int:
        """How often it was recovered."""
        return self.number // RECOVERY_PASSES

    def next_pass(self) -> "ExecutionRun":
        """The run at its next pass."""
        return ExecutionRun(self.name, self.number + 1)

    def cause(
        self, address: JobAddress, attempt: int, interruption: Interruption = Interruption.NONE
    ) -> str:
        """The key for what this pass does to the job at `address` at its `attempt`-th start."""
        return str(address.cause_key(self.name, self.number, attempt, interruption))

    def cause_of(self, action: Action) -> str:
        """The key for what this pass does to its whole batch."""
        return str(CauseKey(self.name, self.number, action=action))

    def owns(self, cause: str) -> bool:
        """Whether this run, in any pass, made the job's move that has the key `cause`."""
        key = CauseKey.parse(cause)
        return key.run == self.name and not key.action


@dataclass(frozen=True)
class NextStep:
    """Where an execution goes from here. The index says which chunks `run`'s next pass takes.

    `address` is of the job, in an execution for one job.
    """

    origin_id: str
    next: NextAction
    run: ExecutionRun = ExecutionRun(MAIN_RUN, 1)
    until: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    index_bucket: str = ""
    index_key: str = ""
    index_version: str = ""
    max_concurrency: int = 1
    execution_name: str = ""
    address: JobAddress | None = None

    @property
    def transitions(self) -> int:
        """State transitions from the task that gives this answer up to the next task: the task's
        own, its Choice's, and those of the states between, as infra/statemachines draws them."""
        return 2 + _TRANSITIONS_BETWEEN[self.next]

    def document(self) -> dict[str, Any]:
        """The state the machine carries on, flat and complete."""
        document = asdict(self)
        document.pop("run")
        document.pop("address")
        if self.address:
            document |= self.address.document()
        return document | {
            "run": self.run.name,
            "pass": self.run.number,
            # Rounded up: a pass that comes a moment too early finds nothing to do.
            "until": (self.until.astimezone(UTC) + timedelta(microseconds=999_999)).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
        }
