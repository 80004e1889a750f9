"""Job types: their data, the input of their steps, and the results a step may return."""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from math import inf
from typing import Any, Generic, TypeVar

from jobyard.domain.collection import NOBODY, Depositor
from jobyard.domain.errors import InvalidParameters
from jobyard.domain.ids import Origin
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import FINISHED_STEPS, JobRecord, JobState
from jobyard.domain.text import MESSAGE_BYTES, clean_fields

Context = TypeVar("Context")  # what the steps of a job type may use: jobtypes/step_context.py


@dataclass(frozen=True)
class Done:
    """The step is done. The job keeps `result` and passes it to the later steps.

    `result` has JSON values only. The results of all steps of a job have at most 3 KB, else the
    step fails. Keep them small: each KB of a record costs a write unit with each write.
    """

    result: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""  # a warning to show

    def __post_init__(self) -> None:
        clean_fields(self, message=MESSAGE_BYTES)


@dataclass(frozen=True)
class Skipped:
    """The step was not needed."""

    message: str = ""

    def __post_init__(self) -> None:
        clean_fields(self, message=MESSAGE_BYTES)


@dataclass(frozen=True)
class Snooze:
    """Run the step again in `seconds`: it has done nothing yet, and nothing has failed.

    After twenty snoozes in a row, the next one is a failed attempt. With an `exhausted_code`, for a
    wait that another server asked for, the waits grow instead, and after a day the job fails with
    that code.
    """

    seconds: float
    message: str
    exhausted_code: Failure | None = None

    def __post_init__(self) -> None:
        clean_fields(self, message=MESSAGE_BYTES)


@dataclass(frozen=True)
class Continue:
    """A part of the step is done: run the step again in `seconds` for the rest.

    A step may return it any number of times. `result` is kept like that of `Done`, and passed to
    the step when it runs again.
    """

    seconds: float
    message: str
    result: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clean_fields(self, message=MESSAGE_BYTES)


@dataclass(frozen=True)
class Fail:
    """The step failed. If `retryable`, the job type's retry policy applies; else the job fails.

    `retry_after` is the wait in seconds that another server asked for. If not `requeueable`, no
    requeue can help: the depositor has to submit again. `result` is kept like that of `Done`.
    """

    code: Failure
    message: str
    retryable: bool = False
    retry_after: float | None = None
    requeueable: bool = True
    result: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clean_fields(self, message=MESSAGE_BYTES)


StepResult = Done | Skipped | Snooze | Continue | Fail


@dataclass(frozen=True)
class StepInput:
    """The input of a job's steps. `data` is what earlier steps returned, merged in order.

    Jobs of schedules and campaigns have "" as batch and collection. The entry of a schedule's job
    has one field, `scheduled_for`, the time of its occurrence in ISO 8601; that of a task is its
    target.
    """

    batch_id: str
    job_id: str
    collection: str
    entry: Mapping[str, Any]  # the manifest row, as docs/manifests.md names its fields
    parameters: Mapping[str, Any]  # of the whole batch, the schedule or the campaign
    data: Mapping[str, Any]
    attempt: int  # from 1 at each requeue; its parts have the same number
    depositor: Depositor = NOBODY  # the person on whose permission the job deposits


@dataclass(frozen=True)
class RetryPolicy:
    """Automatic retries of a failed attempt, before a person has to requeue it.

    The wait before retry n (from 1) is first_wait * factor ** (n - 1) seconds, at most `max_wait`.
    Waits that another server asks for fail the job after a day, unless `waits_forever`.
    """

    max_retries: int = 3
    first_wait: float = 5.0
    factor: float = 4.0
    max_wait: float = 900.0
    waits_forever: bool = False

    def wait_s(self, failed_attempts: int, retry_after: float | None = None) -> float | None:
        """Seconds to wait after that many failed attempts since the last requeue; None if no retry
        is left.
        """
        if failed_attempts > self.max_retries:
            return None
        wait = min(self.first_wait * self.factor ** (failed_attempts - 1), self.max_wait)
        return min(max(wait, retry_after or 0.0), self.max_wait)


def _do_nothing(
    _step_input: StepInput, _context: Any, _code: str, _message: str, _requeues: int
) -> Mapping[str, Any]:
    return {}


def _no_parameters(parameters: Mapping[str, Any]) -> None:
    for name in parameters:
        raise InvalidParameters(name, "this job type takes no parameters")


def _any_parameters(_parameters: Mapping[str, Any]) -> None:
    """Accept any values."""


@dataclass(frozen=True)
class JobType(Generic[Context]):
    """A job type: its steps, its retry policy, what creates its jobs, and their labels."""

    name: str
    title: str
    steps: tuple[tuple[str, Callable[[StepInput, Context], StepResult]], ...]  # in order, by name
    context: type[Context]  # the class of the context that its steps get
    # Once the first of them has begun, an attempt continues although its window closes.
    bound_steps: frozenset[str] = frozenset()
    # Minutes that must be left when a task starts, if its campaign does not say.
    needs_min: int = 0
    needs_address: bool = False  # whether it fails on targets without an address
    at_once: int | None = None  # tasks of all campaigns that may run at the same time; None: any
    retry: RetryPolicy = RetryPolicy()
    time_limit: float = 840.0  # seconds for one attempt, or for each part of it
    step_limit: float = inf  # seconds for one step; those of campaigns have 120 at most
    labels: Mapping[str, str] = field(default_factory=dict)  # by job state; default: its name
    # The object that a row is about, "" for none: jobs of a chunk with the same lock run in order.
    lock: Callable[[Mapping[str, Any]], str] = lambda entry: ""
    # Called when an attempt ends and its job fails for good, before that is written: with the
    # failure code, the message and the number of requeues so far. The job keeps what it returns,
    # like a step's result. Called again if the worker vanishes before the write. Not called for a
    # job that fails in another way: its worker is lost too often, or an operator fails it.
    on_failure: Callable[[StepInput, Context, str, str, int], Mapping[str, Any]] = _do_nothing
    origins: frozenset[Origin] = frozenset({Origin.BATCH})  # what may create its jobs
    parameters: Mapping[str, str] = field(default_factory=dict)  # descriptions by name
    # Raises InvalidParameters for parameters that a schedule or campaign may not have.
    check_parameters: Callable[[Mapping[str, Any]], object] = _no_parameters
    # Raises InvalidParameters for parameters that a batch may not have, besides unknown names.
    check_submission: Callable[[Mapping[str, Any]], object] = _any_parameters
    # The kind of its batches in domain/access.py: who may submit one.
    batch_kind: str = "batch"
    # What a person can do at the device of a job that is stuck in a step, by step.
    advice: Mapping[str, str] = field(default_factory=dict)
    retention_days: int = 90  # until an ended job is archived
    # Whether lists leave its campaigns out by default: those that only read from devices.
    is_listed_as_system: bool = False
    # The rule, as JSON, of the one schedule that Jobyard itself creates; for its own job types.
    rule: Mapping[str, Any] | None = None

    @property
    def is_system(self) -> bool:
        """Whether only Jobyard itself uses it, in the schedule of its `rule`."""
        return self.rule is not None

    def current_step(self, job: JobRecord) -> str:
        """The first step of a job that is not finished; "" if it needs none any more."""
        if job.state is JobState.SUCCEEDED:
            return ""
        done = {step.name for step in job.steps if step.status in FINISHED_STEPS}
        return next((name for name, _ in self.steps if name not in done), "")

    def label(self, state: str) -> str:
        """What users call the state of its jobs."""
        return self.labels.get(state, state)

    def check_parameter_names(self, names: Set[str]) -> None:
        """Check that the job type has parameters of these names.

        Raises:
            InvalidParameters: it has no parameter with one of the names.
        """
        for name in sorted(names - self.parameters.keys()):
            known = ", ".join(self.parameters)
            known = f"its parameters are {known}" if known else "it takes none"
            raise InvalidParameters(name, f"{self.name} has no such parameter; {known}")
