"""Chunks: the unit of fan-out, of partition keys and of cost, with the counts of their jobs.

The rows of a batch are one file. An index has the byte range of each chunk. Its lines have the same
length, so that one can be read alone.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.batches.batch import Batch
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.job import JobAddress, JobRecord, JobState, new_job

_LINE = '{"chunk":%10d,"start":%15d,"end":%15d}\n'
_SECOND = timedelta(seconds=1)
INDEX_LINE_BYTES = len(_LINE % (0, 0, 0))
# Step Functions joins the results of a Map even if they are dropped. At three bytes for each child,
# more chunks would exceed its limit of 256 KiB.
MAX_CHUNKS = 80_000
MAX_RUNS_KEPT = 100  # finished runs whose progress a chunk keeps

TimeSpan = tuple[datetime, datetime]  # the first and the last of some times


@dataclass(frozen=True)
class PassShare:
    """What a chunk of a campaign may do in a pass: start `grant` tasks from `since` on, spread
    evenly up to `until` if `is_spread`, and run `slots` at the same time. After `until` no step
    begins. When it was granted, `begun_elsewhere` tasks of other chunks kept their slots.
    """

    grant: int
    slots: int
    since: datetime
    until: datetime
    is_spread: bool = False
    begun_elsewhere: int = 0

    def starts_by(self, now: datetime) -> int:
        """How many tasks may have started by `now`."""
        if now < self.since:
            return 0
        if not self.is_spread:
            return self.grant
        total = max((self.until - self.since) // _SECOND, 1)
        return min(self.grant, -(-self.grant * ((now - self.since) // _SECOND + 1) // total))

    def document(self) -> dict[str, Any]:
        """The share as JSON."""
        times = {"since": self.since.isoformat(), "until": self.until.isoformat()}
        numbers = {"grant": self.grant, "slots": self.slots, "begun": self.begun_elsewhere}
        return {**numbers, **times, "is_spread": self.is_spread}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "PassShare":
        """The share in a document."""
        since, until = (datetime.fromisoformat(document[name]) for name in ("since", "until"))
        grant, slots, begun = document["grant"], document["slots"], document.get("begun", 0)
        return cls(grant, slots, since, until, document["is_spread"], begun)


@dataclass(frozen=True)
class Chunk:
    """A chunk's number (from 0) and the byte range of its rows; `end` is exclusive.

    `share` is the part of a limited pass that a chunk has; None if the pass has no limits.
    """

    number: int
    start: int
    end: int
    share: "PassShare | None" = None

    def index_line(self) -> bytes:
        """The chunk as an index line: JSON. Without a share it has `INDEX_LINE_BYTES` bytes."""
        if self.share is None:
            return (_LINE % (self.number, self.start, self.end)).encode()
        fields = {"chunk": self.number, "start": self.start, "end": self.end}
        return (json.dumps(fields | self.share.document()) + "\n").encode()

    @classmethod
    def from_index_line(cls, line: bytes) -> "Chunk":
        """The chunk in an index line."""
        return cls.from_index_fields(json.loads(line))

    @classmethod
    def from_index_fields(cls, fields: Mapping[str, Any]) -> "Chunk":
        """The chunk in the fields of an index line."""
        share = PassShare.of_document(fields) if "grant" in fields else None
        return cls(fields["chunk"], fields["start"], fields["end"], share)


@dataclass(frozen=True)
class RunProgress:
    """The progress of a run in a chunk: the last pass that finished it, 0 before the first.

    `next_at` is when its first waiting job may start again, None if no job waits. `outcomes` is
    the number of jobs by outcome of the operation that runs; None if it is not known, and of a run
    that is no operation.
    """

    last_pass: int = 0
    next_at: datetime | None = None
    outcomes: Mapping[str, int] | None = None


@dataclass(frozen=True)
class ChunkRecord:
    """The counts of a chunk: jobs by state, failures by code, and the progress of each run.

    `machine_held` is how many jobs the machine holds, not a person. `not_requeueable` counts the
    failed jobs that cannot be requeued, by code. `failed_at` says when the first and the last of
    the failed jobs failed, by code; counts from before it was recorded lack it. `collection` is
    its batch's, "" if unknown. `summary` is what its origin knows of the jobs in addition, as JSON;
    a batch has none. `cancels` are requests of people to cancel a task after its step, by position.
    `replacements` are the ids of the campaigns that take over tasks which have not ended, by
    position.

    Jobs without a record are not counted. The counts may lag behind the jobs while a worker runs:
    an ended job may still count as open, never the reverse.
    """

    batch_id: str
    chunk: int
    version: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    runs: Mapping[str, RunProgress] = field(default_factory=dict)
    machine_held: int = 0
    not_requeueable: Mapping[str, int] = field(default_factory=dict)
    collection: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)
    cancels: Mapping[int, HistoryEntry] = field(default_factory=dict)
    replacements: Mapping[int, str] = field(default_factory=dict)
    failed_at: Mapping[str, TimeSpan] = field(default_factory=dict)

    def with_counts_of(self, jobs: Iterable[JobRecord]) -> "ChunkRecord":
        """A copy with new counts. `jobs` are all jobs of the chunk that have a record."""
        recorded = list(jobs)
        counts, failures = count_jobs(recorded)
        failed = [job for job in recorded if job.state is JobState.FAILED]
        not_requeueable = [job for job in failed if not job.requeueable]
        held = [job for job in recorded if job.state is JobState.HELD]
        return replace(
            self,
            counts=counts,
            failures=failures,
            machine_held=sum(job.history[-1].by_machine for job in held),
            not_requeueable=count_jobs(not_requeueable)[1],
            failed_at=spans({job.failure_code: (job.at, job.at)} for job in failed),
        )

    def progress(self, run: str) -> RunProgress:
        """The progress of `run`."""
        return self.runs.get(run, RunProgress())

    def count(self, state: str) -> int:
        """How many of its jobs are recorded in `state`."""
        return self.counts.get(state, 0)

    def with_progress(self, run: str, progress: RunProgress) -> "ChunkRecord":
        """A copy with the progress of `run`.

        It keeps the main run and the newest `MAX_RUNS_KEPT` of the other finished runs.
        """
        runs = {name: each for name, each in self.runs.items() if name != run} | {run: progress}
        finished = [
            name for name, each in runs.items() if each.next_at is None and name != MAIN_RUN
        ]
        for name in finished[:-MAX_RUNS_KEPT]:
            del runs[name]
        return replace(self, runs=runs)

    @property
    def recorded(self) -> int:
        """How many of its jobs have a record."""
        return sum(self.counts.values())


def count_jobs(jobs: Iterable[JobRecord]) -> tuple[dict[str, int], dict[str, int]]:
    """The number of `jobs` by state, and of the failed ones by failure code."""
    counts: dict[str, int] = {}
    failures: dict[str, int] = {}
    for job in jobs:
        counts[job.state.value] = counts.get(job.state.value, 0) + 1
        if job.state is JobState.FAILED:
            failures[job.failure_code] = failures.get(job.failure_code, 0) + 1
    return counts, failures


def sum_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The sums by name, without zeros."""
    total: dict[str, int] = {}
    for part in counts:
        for name, number in part.items():
            total[name] = total.get(name, 0) + number
    return {name: number for name, number in total.items() if number}


def spans(parts: Iterable[Mapping[str, TimeSpan]]) -> dict[str, TimeSpan]:
    """From the first to the last of all times, by name."""
    found: dict[str, TimeSpan] = {}
    for part in parts:
        for name, (first, last) in part.items():
            earliest, latest = found.get(name, (first, last))
            found[name] = min(first, earliest), max(last, latest)
    return found


def unrecorded_state(batch: Batch) -> JobState:
    """The state of a batch's jobs that have no record."""
    return JobState.CANCELLED if batch.is_cancelled else JobState.SCHEDULED


def unrecorded_job(batch: Batch, address: JobAddress) -> JobRecord:
    """A job of a batch that has no record, as it is shown and reported."""
    return replace(new_job(address, batch.submitted_at), state=unrecorded_state(batch))
