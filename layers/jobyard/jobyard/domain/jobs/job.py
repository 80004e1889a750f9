"""A job: the steps of a job type, for an entry of a manifest, an occurrence of a schedule or a
target of a campaign.

All jobs share one set of states, and a campaign has them too; each job type uses some of them. The
labels of a state are its names for users, by audience.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from itertools import accumulate, groupby
from typing import Any, Protocol, Self, TypeVar

from jobyard.domain.access import is_allowed
from jobyard.domain.cause_key import CauseKey, Interruption
from jobyard.domain.compaction import (
    FREE_RESULT_BYTES,
    JOB_SIZE_LIMITS,
    MAX_JOB_BYTES,
    SizeLimits,
    add_counts,
    compact,
    json_bytes,
    summary_text,
)
from jobyard.domain.errors import InvalidTransition
from jobyard.domain.history import HistoryEntry
from jobyard.domain.ids import Origin, origin_of
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.lifecycle import (
    MACHINE,
    Cause,
    Lifecycle,
    Move,
    State,
    StateType,
    Transition,
    UnavailableEvent,
    event_senders,
)
from jobyard.domain.text import MESSAGE_BYTES, clean_fields, truncate


class JobState(StrEnum):
    """The state of a job; `JOB` describes each."""

    SCHEDULED = "scheduled"
    HELD = "held"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REPLACED = "replaced"
    DELETED = "deleted"


_S = JobState


def _labels(deposit: str, schedule: str, device: str) -> Mapping[str, str]:
    return {"deposit": deposit, "schedule": schedule, "device": device}


_by = partial(event_senders, "job")

# A campaign is a job too: pause, resume, stop and succeed_partially are for campaigns.
JOB = Lifecycle(
    name="job",
    initial=_S.SCHEDULED,
    states=(
        State(
            _S.SCHEDULED,
            StateType.WAITING,
            "It has not started, or it waits for a retry. The machine starts it.",
            _labels("Pending", "Idle", "Scheduled"),
        ),
        State(
            _S.HELD,
            StateType.WAITING,
            "A person or a hold stopped it before it started, or before a retry. A person, or the "
            "end of the hold, releases it.",
            _labels("Held", "Idle", "Paused"),
        ),
        State(
            _S.RUNNING,
            StateType.TRANSIENT,
            "A worker runs it. The machine restarts a job whose worker vanished.",
            _labels("Processing", "In Progress", "Running"),
        ),
        State(
            _S.PAUSED,
            StateType.WAITING,
            "Its window closed, or it was put on hold, after it had started. It continues when the "
            "window opens or the hold ends.",
            _labels("Paused", "In Progress", "Paused"),
        ),
        State(
            _S.STOPPING,
            StateType.TRANSIENT,
            "It was cancelled or replaced, has expired, or too much of it failed. What runs ends, "
            "nothing else starts; the machine ends it.",
            _labels("Cancelling", "In Progress", "Cancelling"),
        ),
        State(
            _S.SUCCEEDED,
            StateType.TERMINAL,
            "Every step succeeded or was not needed.",
            _labels("Completed", "Completed", "Succeeded"),
        ),
        State(
            _S.PARTIALLY_SUCCEEDED,
            StateType.TERMINAL,
            "Some of its tasks succeeded. The others failed, were cancelled or had no time left.",
            _labels("Completed in part", "Failed", "Partially Succeeded"),
        ),
        State(
            _S.FAILED,
            StateType.INTERACTION,
            "A step failed and no retry is left, no worker could end it, its time was over, or an "
            "operator failed it. A person requeues or deletes it.",
            _labels("Failed", "Failed", "Failed"),
        ),
        State(
            _S.CANCELLED,
            StateType.TERMINAL,
            "It was cancelled before it ended: by a person, with its batch or campaign, or by an "
            "abort rule.",
            _labels("Cancelled", "Failed", "Cancelled Manually"),
        ),
        State(
            _S.REPLACED,
            StateType.TERMINAL,
            "A newer job replaced it: the next one of its schedule, or a newer campaign on its "
            "targets.",
            _labels("Replaced", "Failed", "Replaced"),
        ),
        State(
            _S.DELETED,
            StateType.TERMINAL,
            "A person deleted it. A tombstone with its history remains.",
            _labels("Deleted", "Failed", "Deleted"),
        ),
    ),
    transitions=(
        Transition(_S.SCHEDULED, "start", _S.RUNNING, (MACHINE,)),
        Transition(_S.SCHEDULED, "hold", _S.HELD, _by("hold", machine=True)),
        Transition(_S.SCHEDULED, "force_fail", _S.FAILED, _by("force_fail")),
        Transition(_S.SCHEDULED, "give_up", _S.FAILED, (MACHINE,)),
        Transition(_S.SCHEDULED, "cancel", _S.CANCELLED, _by("cancel", machine=True)),
        Transition(_S.SCHEDULED, "replace", _S.REPLACED, (MACHINE,)),
        Transition(_S.SCHEDULED, "stop", _S.STOPPING, (MACHINE,)),
        Transition(_S.HELD, "release", _S.SCHEDULED, _by("release", machine=True)),
        Transition(_S.HELD, "cancel", _S.CANCELLED, _by("cancel", machine=True)),
        Transition(_S.HELD, "delete", _S.DELETED, _by("delete")),
        Transition(_S.HELD, "give_up", _S.FAILED, (MACHINE,)),
        Transition(_S.HELD, "replace", _S.REPLACED, (MACHINE,)),
        Transition(_S.HELD, "stop", _S.STOPPING, (MACHINE,)),
        Transition(_S.RUNNING, "succeed", _S.SUCCEEDED, (MACHINE,)),
        Transition(_S.RUNNING, "succeed_partially", _S.PARTIALLY_SUCCEEDED, (MACHINE,)),
        Transition(_S.RUNNING, "fail", _S.FAILED, (MACHINE,)),
        Transition(_S.RUNNING, "reschedule", _S.SCHEDULED, (MACHINE,)),
        Transition(_S.RUNNING, "restart", _S.RUNNING, (MACHINE,)),
        Transition(_S.RUNNING, "pause", _S.PAUSED, (MACHINE,)),
        Transition(_S.RUNNING, "force_fail", _S.FAILED, _by("force_fail")),
        Transition(_S.RUNNING, "cancel", _S.CANCELLED, _by("cancel", machine=True)),
        Transition(_S.RUNNING, "replace", _S.REPLACED, (MACHINE,)),
        Transition(_S.RUNNING, "stop", _S.STOPPING, (MACHINE,)),
        Transition(_S.PAUSED, "resume", _S.RUNNING, (MACHINE,)),
        Transition(_S.PAUSED, "succeed", _S.SUCCEEDED, (MACHINE,)),
        Transition(_S.PAUSED, "succeed_partially", _S.PARTIALLY_SUCCEEDED, (MACHINE,)),
        Transition(_S.PAUSED, "fail", _S.FAILED, (MACHINE,)),
        Transition(_S.PAUSED, "cancel", _S.CANCELLED, _by("cancel", machine=True)),
        Transition(_S.PAUSED, "replace", _S.REPLACED, (MACHINE,)),
        Transition(_S.PAUSED, "stop", _S.STOPPING, (MACHINE,)),
        Transition(_S.STOPPING, "succeed", _S.SUCCEEDED, (MACHINE,)),
        Transition(_S.STOPPING, "succeed_partially", _S.PARTIALLY_SUCCEEDED, (MACHINE,)),
        Transition(_S.STOPPING, "fail", _S.FAILED, (MACHINE,)),
        Transition(_S.STOPPING, "cancel", _S.CANCELLED, (MACHINE,)),
        Transition(_S.STOPPING, "replace", _S.REPLACED, (MACHINE,)),
        Transition(_S.FAILED, "requeue", _S.SCHEDULED, _by("requeue")),
        Transition(_S.FAILED, "delete", _S.DELETED, _by("delete")),
    ),
)


def labels_for(audience: str) -> Mapping[str, str]:
    """The label of each job state for an audience: `deposit`, `schedule` or `device`."""
    return {state.name: state.labels[audience] for state in JOB.states}


OPEN_JOB_STATES = frozenset({_S.SCHEDULED, _S.HELD, _S.RUNNING, _S.PAUSED, _S.STOPPING})
# How bars and strips show the states, from left to right: what has ended first.
PROGRESS_ORDER = (
    _S.SUCCEEDED,
    _S.PARTIALLY_SUCCEEDED,
    _S.FAILED,
    _S.CANCELLED,
    _S.REPLACED,
    _S.DELETED,
    _S.STOPPING,
    _S.RUNNING,
    _S.PAUSED,
    _S.HELD,
    _S.SCHEDULED,
)


@dataclass(frozen=True)
class JobAddress:
    """Where a job is. Only its origin and the store read `chunk` and `position`.

    In a batch and in a campaign, `chunk` and `position` count from 0. In a schedule, `chunk` is 0
    and `position` is the time of the occurrence in milliseconds since 1970.
    """

    origin_id: str
    chunk: int
    position: int

    @property
    def job_id(self) -> str:
        """The job's id in the API, in reports and in logs."""
        return f"{self.origin_id}.{self.chunk}.{self.position}"

    @property
    def origin(self) -> Origin:
        """What created the job: a batch, a schedule or a campaign."""
        return origin_of(self.origin_id)

    @property
    def kind(self) -> str:
        """The job's kind in the access table: `job`, `schedule job` or `task`."""
        return self.origin.job_kind

    def id_of(self, origin: Origin) -> str:
        """The id of the job's origin; "" if it is not of this kind of origin."""
        return self.origin_id if self.origin is origin else ""

    def document(self) -> dict[str, Any]:
        """The address in the input of a state machine."""
        return {"origin_id": self.origin_id, "chunk": self.chunk, "position": self.position}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "JobAddress | None":
        """The address in the input of a state machine; None if it has none."""
        if "position" not in document:
            return None
        return cls(document["origin_id"], document["chunk"], document["position"])

    def cause_key(
        self, run: str, pass_number: int, attempt: int, interruption: Interruption
    ) -> CauseKey:
        """The cause key of a pass of a run for the job. `attempt` is its `start_count`; the run and
        the pass tell equal numbers apart.
        """
        return CauseKey(run, pass_number, self.chunk, attempt, interruption=interruption)

    @classmethod
    def parse(cls, job_id: str) -> "JobAddress | None":
        """The address in `job_id`; None if it is not the id of a job."""
        origin_id, *rest = job_id.split(".")
        if len(rest) != 2 or not all(part.isdecimal() and part.isascii() for part in rest):
            return None
        address = cls(origin_id, int(rest[0]), int(rest[1]))
        return address if address.job_id == job_id else None


class StepStatus(StrEnum):
    """The status of a step of a job."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"


FINISHED_STEPS = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})  # not run again by a retry


@dataclass(frozen=True)
class StepRecord:
    """A step of a job, with its times. `message` is a warning to show. `percent` of it is done,
    None if it does not say.

    A step is stored as running only if it takes long: decisions/0017.
    """

    name: str
    status: StepStatus
    started_at: datetime
    ended_at: datetime | None = None
    message: str = ""
    percent: int | None = None

    def __post_init__(self) -> None:
        clean_fields(self, message=MESSAGE_BYTES)

    def truncated(self, limit: int) -> "StepRecord":
        """A copy with at most `limit` bytes of its message."""
        return replace(self, message=truncate(self.message, limit))


# In place of a failure code, of a part of an attempt that continues later:
WAITED = "WAIT"  # it ended with a snooze
PART = "PART"  # it made progress
NO_FAILURES = frozenset({WAITED, PART})
SUMMARY_CODE = "MORE"  # the failure code of the entry that replaces omitted attempts


@dataclass(frozen=True)
class Attempt:
    """An attempt at a job, or a part of one: what one worker ran of it, from its start to its end.

    It is appended, and never edited. `failure_code` is "" if it succeeded, and one of `NO_FAILURES`
    if the attempt continues in another part.

    `request_id` is that of the invocation that ran it; "" for old ones, which did not store it.
    In a long list, attempts that follow each other and are alike in step and code are folded into
    one, with how many `times`, the first's start, the last's end and message, and no request id. A
    list that is still long replaces several by one with the code `SUMMARY_CODE`: `counts` has their
    number by code, "" included; its times are the first's start and the last's end.
    """

    started_at: datetime
    ended_at: datetime | None
    step: str = ""
    failure_code: str = ""
    failure_message: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    request_id: str = ""
    times: int = 1

    def __post_init__(self) -> None:
        clean_fields(self, failure_message=MESSAGE_BYTES)

    @classmethod
    def folded(cls, attempts: "Sequence[Attempt]") -> "Attempt":
        """The one entry for `attempts`, which are alike."""
        if len(attempts) == 1:
            return attempts[0]
        times = sum(each.times for each in attempts)
        return replace(attempts[-1], started_at=attempts[0].started_at, times=times, request_id="")

    @classmethod
    def summary_of(cls, attempts: "Sequence[Attempt]") -> "Attempt":
        """The one entry that replaces `attempts`."""
        counts = add_counts((each.failure_code, each.code_counts) for each in attempts)
        return cls.summary(counts, attempts[0].started_at, attempts[-1].ended_at)

    @classmethod
    def summary(
        cls, counts: Mapping[str, int], started_at: datetime, ended_at: datetime | None
    ) -> "Attempt":
        """The entry that replaces several attempts. `counts` has their number by failure code."""
        by_name = {code or "done": number for code, number in counts.items()}
        message = summary_text(by_name, "attempt")
        return cls(started_at, ended_at, "", SUMMARY_CODE, message, counts)

    def truncated(self, limit: int) -> "Attempt":
        """A copy with at most `limit` bytes of its message; a summary is not cut."""
        if self.counts:
            return self
        return replace(self, failure_message=truncate(self.failure_message, limit))

    @property
    def code_counts(self) -> Mapping[str, int]:
        """The number of attempts that this entry stands for, by failure code."""
        return self.counts or {self.failure_code: self.times}

    @property
    def count(self) -> int:
        """The number of attempts that this entry stands for."""
        return sum(self.code_counts.values())


@dataclass(frozen=True)
class JobRecord:
    """A job as it is stored from its first change on. A row without a record is a scheduled job; in
    a cancelled batch, a cancelled one.

    `cause` is the key of the last move's cause. Since the last requeue, `start_count` counts the
    starts that did not end in a snooze or a continue, `orphan_count` the workers that vanished, and
    `snooze_count` the latest snoozes in a row. A vanished worker leaves no entry in `attempts`,
    unless the job fails for it: the `restart` in the history stands for it.
    Each snooze and each continue ends a part of an attempt. `earlier_parts_ms` is how many
    milliseconds the earlier parts of this attempt took. It includes the waits that steps chose, but
    not those for a window, a hold or a busy server.
    `at` is the time of the last move, `next_at` when the next attempt may start. `requeueable` is
    False if no requeue can help. `request_id` is that of the invocation that runs it; "" if none
    does. `keeps_claim`: a task of a campaign waits for its retry with the claim on its target.
    `data` is what the steps returned, merged.

    A record has at most `MAX_JOB_BYTES`: long lists are compacted, old texts are truncated.
    """

    address: JobAddress
    state: JobState
    version: int
    cause: str
    at: datetime
    start_count: int = 0
    orphan_count: int = 0
    requeue_count: int = 0
    snooze_count: int = 0
    earlier_parts_ms: int = 0
    next_at: datetime | None = None
    failure_code: str = ""
    failure_message: str = ""
    requeueable: bool = True
    steps: tuple[StepRecord, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[HistoryEntry, ...] = ()
    request_id: str = ""
    keeps_claim: bool = False

    def __post_init__(self) -> None:
        clean_fields(self, failure_message=MESSAGE_BYTES)

    @property
    def result(self) -> dict[str, Any]:
        """What its steps returned, for readers: without what only they need, whose names begin
        with an underscore.
        """
        return {name: value for name, value in self.data.items() if not name.startswith("_")}

    @property
    def stored(self) -> "JobRecord | None":
        """The record; None if it is of version 0, which is not stored."""
        return self if self.version else None

    @property
    def attempt_began(self) -> datetime:
        """When this attempt of a running job began, if its parts are counted as one, without the
        pauses that `earlier_parts_ms` leaves out.
        """
        return self.at - timedelta(milliseconds=self.earlier_parts_ms)

    def actions(self, roles: Iterable[str]) -> tuple[str, ...]:
        """The events that a person with `roles` may send it, whatever the state of its origin."""
        return tuple(
            event
            for event in JOB.actions(self.state, roles)
            if is_allowed(self.address.kind, event, roles)
            and (event != "requeue" or self.requeueable)
        )

    def unavailable(
        self, roles: Collection[str], refused: Mapping[str, str]
    ) -> tuple[UnavailableEvent, ...]:
        """The events that a person with `roles` cannot send it, each with the reason. `refused` has
        the reasons of its origin, by event.
        """
        if not self.requeueable:
            refused = {**refused, "requeue": f"a requeue cannot help: {self.failure_message}"}
        return JOB.unavailable(self.state, roles, kind=self.address.kind, refused=refused)

    def moved(self, move: Move, **changes: Any) -> "JobRecord":
        """The record after `move`, with `changes` to its other fields."""
        after = self._without_running_step()._with(
            **{"request_id": "", **changes},
            state=JobState(move.after),
            version=self.version + 1,
            cause=move.cause.key,
            at=move.at,
            history=(*self.history, HistoryEntry.of(move)),
        )
        return after.compacted()

    def _without_running_step(self) -> "JobRecord":
        """A copy in which running steps are pending again, since their attempt has ended."""
        if not any(step.status is StepStatus.RUNNING for step in self.steps):
            return self
        steps = (
            replace(step, status=StepStatus.PENDING) if step.status is StepStatus.RUNNING else step
            for step in self.steps
        )
        return replace(self, steps=tuple(steps))

    def with_step(self, step: StepRecord, data: Mapping[str, Any] | None = None) -> "JobRecord":
        """A copy with `step` in place of its older record, and with `data` if given."""
        others = (each for each in self.steps if each.name != step.name)
        data = self.data if data is None else data
        return self._with(steps=(*others, step), data=data).compacted()

    def with_data(self, data: Mapping[str, Any]) -> "JobRecord":
        """A copy with `data` in place of its own."""
        return self._with(data=data).compacted()

    def _with(self, **changes: Any) -> "JobRecord":
        """A copy with `changes`, several times faster than `dataclasses.replace`."""
        copy = object.__new__(JobRecord)
        vars(copy).update(vars(self), **changes)
        copy.__post_init__()
        return copy

    @property
    def attempt_count(self) -> int:
        """The number of attempts, each part counted as one, including omitted ones."""
        return sum(each.count for each in self.attempts)

    @property
    def numbered_attempts(self) -> tuple[tuple[int, Attempt], ...]:
        """The attempts with their numbers from 1, oldest first; the running one is the last.

        An entry that replaces several attempts has the number of the first of them.
        """
        running = Attempt(self.at, None, request_id=self.request_id)
        attempts = (*self.attempts, running) if self.state is _S.RUNNING else self.attempts
        lengths = (each.count for each in attempts)
        return tuple(zip(accumulate(lengths, initial=1), attempts, strict=False))

    def compacted(self) -> "JobRecord":
        """The record within `MAX_JOB_BYTES`; itself unless it is long."""
        if (
            len(self.history) <= _SHORT_LIST
            and len(self.attempts) <= _SHORT_LIST
            and self._text_bytes() <= _SHORT_TEXT_BYTES
        ):
            return self
        results = json_bytes(self.data)
        max_bytes = MAX_JOB_BYTES - _RESERVED_BYTES - min(results, FREE_RESULT_BYTES)
        compacted = self
        for limits in JOB_SIZE_LIMITS:
            compacted = self._within(limits)
            if compacted._bytes_without_results() <= max_bytes:
                break
        return compacted

    def _text_bytes(self) -> int:
        texts = [self.failure_message, *(each.reason for each in self.history)]
        texts += [each.failure_message for each in self.attempts]
        texts += [each.message for each in self.steps]
        return sum(len(each.encode()) for each in texts)

    def _within(self, limits: SizeLimits) -> "JobRecord":
        """The record within `limits`; the last entry of each list keeps its whole text."""
        history = compact(self.history, HistoryEntry.summary_of, limits.last, _pinned(self.history))
        attempts = compact(_with_folds(self.attempts), Attempt.summary_of, limits.last)
        return replace(
            self,
            history=_truncated(history, limits),
            attempts=_truncated(attempts, limits),
            steps=_truncated(self.steps, limits),
        )

    def _bytes_without_results(self) -> int:
        """The size of the stored record in bytes without `data`, never too low."""
        ms = 10**12  # since 1970, as times are stored
        lines: list[list[Any]] = [[self.cause, ms, ms, self.failure_code, self.failure_message]]
        before = ""
        for entry in self.history:
            line = [entry.counts or entry.event, ms, entry.cause, entry.after]
            line += [] if entry.before == before else [entry.before]
            line += [] if entry.counts or not entry.reason else [entry.reason]
            lines.append(line if entry.by_machine else [*line, entry.actor, entry.sub])
            before = entry.after
        for each in self.attempts:
            line = [ms, ms, each.step, each.counts or each.failure_code, each.request_id]
            lines.append([*line, each.times, "" if each.counts else each.failure_message])
        lines += [[each.name, "c", ms, ms, each.message, 100] for each in self.steps]
        return json_bytes(lines)


def _with_folds(attempts: Sequence[Attempt]) -> tuple[Attempt, ...]:
    """The attempts, alike ones folded, but for the last ones, whose logs can be shown."""
    older = attempts[:-_KEPT_APART]
    groups = groupby(older, lambda each: (each.step, each.failure_code, id(each.counts or None)))
    return (*(Attempt.folded([*group]) for _, group in groups), *attempts[-_KEPT_APART:])


class _Described(Protocol):
    """An entry of a list with a text."""

    def truncated(self, limit: int) -> Self:
        """A copy with at most `limit` bytes of its text."""


_Entry = TypeVar("_Entry", bound=_Described)


def _truncated(entries: Sequence[_Entry], limits: SizeLimits) -> tuple[_Entry, ...]:
    """The entries with their texts within `limits`."""
    last_bytes = MESSAGE_BYTES if limits.last_text_bytes is None else limits.last_text_bytes
    kept = tuple(each.truncated(limits.text_bytes) for each in entries[:-1])
    return kept + tuple(each.truncated(last_bytes) for each in entries[-1:])


_SHORT_LIST = 8  # entries up to which a list is not compacted
_SHORT_TEXT_BYTES = 600  # of text up to which a record is not measured
_RESERVED_BYTES = 320  # for the keys and counts of a record
_KEPT_APART = 3  # the last attempts, which are not folded
_PINNED_REQUESTS = 4  # the last requests of people whose entries are always kept


def _pinned(history: Sequence[HistoryEntry]) -> set[int]:
    """The indices of entries that are always kept.

    These are the last requests of people, to recognize a repeat; the first start; the last
    requeue and the first start after it.
    """
    requests = [
        index
        for index, entry in enumerate(history)
        if entry.cause and CauseKey.parse(entry.cause).is_request
    ]
    starts = [index for index, entry in enumerate(history) if entry.event == "start"]
    requeues = [index for index, entry in enumerate(history) if entry.event == "requeue"]
    requeued_starts = [index for index in starts if requeues and index > requeues[-1]]
    return {*requests[-_PINNED_REQUESTS:], *starts[:1], *requeues[-1:], *requeued_starts[:1]}


def new_job(address: JobAddress, at: datetime) -> JobRecord:
    """The job of a row without a record: scheduled, version 0."""
    return JobRecord(address, JobState.SCHEDULED, version=0, cause="", at=at)


def apply_event(job: JobRecord, event: str, at: datetime, cause: Cause) -> JobRecord:
    """The record after an event that a person sent.

    Raises:
        InvalidTransition: the job's state does not allow the event, or a requeue cannot help.
    """
    move = JOB.move(job.state, event, at, cause)
    changes: dict[str, Any] = {"next_at": None}
    if event == "requeue":
        if not job.requeueable:
            raise InvalidTransition(
                f"job {job.address.job_id} cannot be requeued: {job.failure_message}; "
                "submit it again"
            )
        changes |= {
            "start_count": 0,
            "orphan_count": 0,
            "snooze_count": 0,
            "earlier_parts_ms": 0,
            "keeps_claim": False,
            "requeue_count": job.requeue_count + 1,
        }
    if event == "force_fail":
        message = cause.reason or Failure.FORCED.description
        changes |= {"failure_code": Failure.FORCED.value, "failure_message": message}
    return job.moved(move, **changes)


def failed_as_unwritable(before: JobRecord | None, after: JobRecord) -> JobRecord | None:
    """`before`, failed because `after` cannot be stored; None if its state does not allow that.

    `before` is None if the job has no record yet.
    """
    job = before or new_job(after.address, after.at)
    allowed = JOB.actions(job.state, (MACHINE,))
    event = next((each for each in ("fail", "give_up") if each in allowed), None)
    if event is None:
        return None
    code = Failure.UNWRITABLE
    attempts = job.attempts
    if event == "fail":
        lost = Attempt(
            job.at, after.at, "", code.value, code.description, request_id=job.request_id
        )
        attempts = (*attempts, lost)
    return job.moved(
        JOB.move(job.state, event, after.at, Cause(after.cause)),
        attempts=attempts,
        next_at=None,
        failure_code=code.value,
        failure_message=code.description,
    )
