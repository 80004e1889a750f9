"""The state of the state machines: which run of which batch or job, and the next step.

It is a dozen numbers and short strings, however large the batch. It always has every field, because
a Choice on a missing field ends an execution.
"""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from jobyard.domain.cause_key import MAIN_RUN, Action, CauseKey, Interruption
from jobyard.domain.jobs.job import JobAddress

# Passes after a recovery count from the next multiple of this, so that their causes differ from
# those of the execution before.
RECOVERY_PASSES = 1_000_000

# What the machine's Choice decides by. "next_pass" is another pass after a Wait. "continue_as_new"
# is the same in a new execution, because the history of this one is long. "settle_later" settles
# the batch again after a Wait, for workers or for a retry. After "rest", a new execution settles
# the campaign when the Wait is over.
NextAction = Literal[
    "execute",
    "settle",
    "report",
    "next_pass",
    "continue_as_new",
    "settle_later",
    "rest",
    "end",
]

_TRANSITIONS_BETWEEN: dict[NextAction, int] = {
    "execute": 1,  # the Map
    "settle": 0,
    "report": 0,
    "next_pass": 2,  # Wait, the Map
    "continue_as_new": 2,  # Continue, Done
    "settle_later": 1,  # SettleLater
    "rest": 3,  # Rest, Continue, Done
    "end": 1,  # Done
}


@dataclass(frozen=True)
class ExecutionRun:
    """A pass of a run: over all jobs of a batch ("main"), those of an operation, or a single job.

    A job that is running or waits for a retry belongs to the run that its cause names. `number`
    counts the passes of the run, from 1.
    """

    name: str
    number: int

    @classmethod
    def recovered(cls, name: str, recoveries: int) -> "ExecutionRun":
        """The run at its first pass after that many recoveries."""
        return cls(name, recoveries * RECOVERY_PASSES + 1)

    @property
    def recoveries(self) -> int:
        """How often the run was recovered."""
        return self.number // RECOVERY_PASSES

    def before(self) -> "ExecutionRun":
        """The run before this pass, which could not begin."""
        return ExecutionRun(self.name, self.number - 1)

    def next_pass(self) -> "ExecutionRun":
        """The run at its next pass."""
        return ExecutionRun(self.name, self.number + 1)

    def cause(
        self, address: JobAddress, attempt: int, interruption: Interruption = Interruption.NONE
    ) -> str:
        """The cause key of what this pass does to a job at its `attempt`-th start."""
        return str(address.cause_key(self.name, self.number, attempt, interruption))

    def cause_of(self, action: Action) -> str:
        """The cause key of what this pass does to its whole batch."""
        return str(CauseKey(self.name, self.number, action=action))

    def owns(self, cause_key: str) -> bool:
        """Whether this run, in any pass, made the job's move with this key."""
        key = CauseKey.parse(cause_key)
        return key.run == self.name and not key.action


@dataclass(frozen=True)
class Waits:
    """What an execution did before it settles: a pass that began at `pass_began` (aware UTC), or
    None. It has waited `count` times without a pass.
    """

    pass_began: datetime | None = None
    count: int = 0


NEVER_WAITED = Waits()


@dataclass(frozen=True)
class NextStep:
    """The next step of an execution.

    `until` is the earliest time for it (aware UTC). The index lists the chunks of the next pass.
    `waits` counts the "settle_later" of an execution. `address` is set in one for a single job.
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
    waits: int = 0
    address: JobAddress | None = None

    @property
    def transitions(self) -> int:
        """State transitions from the task that returns this step up to the next task: the task's
        own, its Choice's, and those of the states between. Source: infra/statemachines.
        """
        return 2 + _TRANSITIONS_BETWEEN[self.next]

    def document(self) -> dict[str, Any]:
        """The step as the state of the machine: flat, with all fields."""
        document = asdict(self)
        document.pop("run")
        document.pop("address")
        if self.address:
            document |= self.address.document()
        return document | {
            "run": self.run.name,
            "pass": self.run.number,
            # Rounded up: a pass that starts a moment too early finds nothing to do.
            "until": (self.until.astimezone(UTC) + timedelta(microseconds=999_999)).strftime(
                "%Y-%m-%dT%H:%M:%SZ"
            ),
        }
