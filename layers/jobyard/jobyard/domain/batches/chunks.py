"""Chunks: the unit of fan-out, of partition key and of cost; and the counts that live on them.

A batch's rows lie one after the other in one file; an index says where each chunk of them begins
and ends. An index line has a fixed length, so the line of a chunk is found without reading others.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from jobyard.domain.jobs.job import JobRecord, JobState

_LINE = '{"chunk":%10d,"start":%15d,"end":%15d}\n'
INDEX_LINE_BYTES = len(_LINE % (0, 0, 0))
# A batch has no more: what the children of a Map give is put together, if only to be dropped, and
# three bytes of each are what AWS takes of a state, 256 KiB.
MAX_CHUNKS = 80_000
MAX_RUNS_KEPT = 100  # that came through a chunk and are kept with it
MAIN = "main"  # the run that a batch's own manifest began


@dataclass(frozen=True)
class Chunk:
    """A chunk's number (from 0) and where its rows lie: bytes `start` up to, not with, `end`."""

    chunk: int
    start: int
    end: int

    def index_line(self) -> bytes:
        """The chunk as an index line: JSON, padded to `INDEX_LINE_BYTES` bytes."""
        return (_LINE % (self.chunk, self.start, self.end)).encode()

    @classmethod
    def from_index_line(cls, line: bytes) -> "Chunk":
        """The chunk an index line names."""
        fields = json.loads(line)
        return cls(fields["chunk"], fields["start"], fields["end"])


@dataclass(frozen=True)
class RunProgress:
    """How far a run came with a chunk: the last pass that went through all of it, 0 before one.

    `next_at` is when the first of the run's jobs in it may be tried again, None when none waits.
    """

    last_pass: int = 0
    next_at: datetime | None = None


@dataclass(frozen=True)
class ChunkRecord:
    """What is known of a chunk: how many jobs are in each state, the failures by code, the runs.

    `stopped` is how many of the held ones the machine holds, not a person; `final` how many of the
    failed ones no requeue can help, by code. `collection` is its batch's, "" while nobody said.

    Jobs without a record are in no count. While a worker is in the chunk the counts may lag behind
    its jobs, always so that what has ended may still count as open and never the reverse.
    """

    batch_id: str
    chunk: int
    version: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    runs: Mapping[str, RunProgress] = field(default_factory=dict)
    machine_held: int = 0
    not_retryable: Mapping[str, int] = field(default_factory=dict)
    collection: str = ""

    def with_counts_of(self, jobs: Iterable[JobRecord]) -> "ChunkRecord":
        """The record with the counts of its `jobs`, which are all that have a record."""
        found = list(jobs)
        counts, failures = count_jobs(found)
        final = [job for job in found if job.state is JobState.FAILED and not job.recoverable]
        stopped = sum(job.state is JobState.HELD and job.history[-1].by_machine for job in found)
        return replace(
            self,
            counts=counts,
            failures=failures,
            machine_held=stopped,
            not_retryable=count_jobs(final)[1],
        )

    def progress(self, run: str) -> RunProgress:
        """How far `run` came with it."""
        return self.runs.get(run, RunProgress())

    def count(self, state: str) -> int:
        """How many of its jobs are recorded in `state`."""
        return self.counts.get(state, 0)

    def with_progress(self, run: str, passage: RunProgress) -> "ChunkRecord":
        """The record once `run` came that far with it. Of runs that came through, which are as many
        as people ask for, it keeps the newest `RUNS`, and the batch's own."""
        runs = {name: each for name, each in self.runs.items() if name != run} | {run: passage}
        over = [name for name, each in runs.items() if each.next_at is None and name != MAIN]
        for name in over[:-MAX_RUNS_KEPT]:
            del runs[name]
        return replace(self, runs=runs)

    @property
    def recorded(self) -> int:
        """How many of its jobs have a record."""
        return sum(self.counts.values())


def count_jobs(jobs: Iterable[JobRecord]) -> tuple[dict[str, int], dict[str, int]]:
    """How many of `jobs` are in each state, and how many failed for each code."""
    counts: dict[str, int] = {}
    failures: dict[str, int] = {}
    for job in jobs:
        counts[job.state.value] = counts.get(job.state.value, 0) + 1
        if job.state is JobState.FAILED:
            failures[job.failure_code] = failures.get(job.failure_code, 0) + 1
    return counts, failures


def sum_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The counts added up, without the names whose sum is 0."""
    total: dict[str, int] = {}
    for part in counts:
        for name, number in part.items():
            total[name] = total.get(name, 0) + number
    return {name: number for name, number in total.items() if number}
