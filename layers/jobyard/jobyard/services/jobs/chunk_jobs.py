"""The jobs of a chunk and their counts, as one worker reads and writes them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobyard.domain.batches.chunks import ChunkRecord, RunProgress
from jobyard.domain.errors import StaleState
from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.job import OPEN_JOB_STATES, JobRecord, JobState
from jobyard.services.jobs.source import Change
from jobyard.services.runs import ExecutionRun
from jobyard.store import chunks, jobs

_Summarize = Callable[[Iterable[JobRecord]], Mapping[str, Any]]


@dataclass
class ChunkJobs:
    """The jobs of a chunk that have a record, by position, and the counts as `saved`.

    `collection` is that of its batch, "" if it has none. `summarize` returns the summary of all
    jobs for the chunk's record. `is_outdated`: someone else wrote a job or the counts, so the next
    save reads all again. `outcomes` is the number of jobs by outcome of the operation that runs,
    None without one.
    """

    origin_id: str
    number: int
    collection: str
    saved: ChunkRecord
    records: dict[int, JobRecord]
    summarize: "_Summarize" = lambda _: {}
    is_outdated: bool = False
    outcomes: Mapping[str, int] | None = None

    @classmethod
    def read(
        cls,
        origin_id: str,
        number: int,
        collection: str = "",
        summarize: "_Summarize" = lambda _: {},
    ) -> "ChunkJobs":
        """Read the counts, then the jobs."""
        saved = _saved_counts(origin_id, number, collection)
        return cls(origin_id, number, collection, saved, _records(origin_id, number), summarize)

    @classmethod
    def read_before_first_pass(cls, origin_id: str, number: int, collection: str) -> "ChunkJobs":
        """Read the jobs only, because there are no counts yet. If there are, as after the loss of a
        worker, the first `save` is refused and reads them.
        """
        saved = ChunkRecord(origin_id, number, collection=collection)
        return cls(origin_id, number, collection, saved, _records(origin_id, number))

    def write(self, changes: Sequence[Change]) -> list[JobRecord | None]:
        """Write changes to jobs; the next `save` counts them. Returns for each the stored record,
        None if someone else was first.
        """
        written = jobs.write_many(changes)
        for stored in written:
            if stored is None:
                self.is_outdated = True
            else:
                self.records[stored.address.position] = stored
        return written

    def check_version(self) -> None:
        """Have the next `save` read everything again if someone else wrote the counts."""
        if chunks.get(self.origin_id, self.number).version != self.saved.version:
            self.is_outdated = True

    def save(
        self, run: ExecutionRun, *, ends_pass: bool = False, planned: Iterable[JobRecord] = ()
    ) -> None:
        """Save the counts. If someone else changed a job meanwhile, count again.

        `planned` are jobs to count as they will be written; `ends_pass` marks the pass of `run` as
        done.
        """
        while True:
            if self.is_outdated:
                self.is_outdated = False
                self.saved = _saved_counts(self.origin_id, self.number, self.collection)
                self.records = _records(self.origin_id, self.number)
            known = self.records | {job.address.position: job for job in planned}
            retries = [
                job.next_at
                for job in known.values()
                if job.state is JobState.SCHEDULED and job.next_at and run.owns(job.cause)
            ]
            before = self.saved.progress(run.name)
            number = max(before.last_pass, run.number)  # a late worker is in an earlier pass
            next_at = min(retries, default=None)
            progress = RunProgress(number, next_at, self.outcomes) if ends_pass else before
            new = self.saved.with_progress(run.name, progress).with_counts_of(known.values())
            new = replace(
                new,
                summary=self.summarize(known.values()),
                cancels=open_cancels(self.saved.cancels, known),
                replacements=_open_replacements(self.saved.replacements, known),
            )
            if new == self.saved:
                return
            try:
                self.saved = chunks.put(new)
            except StaleState:
                self.is_outdated = True
            else:
                return


def open_cancels(
    cancels: Mapping[int, HistoryEntry], known: Mapping[int, JobRecord]
) -> dict[int, HistoryEntry]:
    """The requests to cancel jobs that have not ended."""
    return {
        position: entry
        for position, entry in cancels.items()
        if position in known and known[position].state in OPEN_JOB_STATES
    }


def _open_replacements(
    replacements: Mapping[int, str], known: Mapping[int, JobRecord]
) -> dict[int, str]:
    """The replacements of jobs that have not ended; one without a record has not."""
    return {
        position: campaign_id
        for position, campaign_id in replacements.items()
        if position not in known or known[position].state in OPEN_JOB_STATES
    }


def _saved_counts(origin_id: str, number: int, collection: str) -> ChunkRecord:
    return replace(chunks.get(origin_id, number), collection=collection)


def _records(origin_id: str, number: int) -> dict[int, JobRecord]:
    return {job.address.position: job for job in jobs.of_chunk(origin_id, number)}
