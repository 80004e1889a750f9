"""The tasks of a chunk of a campaign, as the runner runs them.

A pass may start the chunk's share of the grant. Each task takes the claim on its target before it
starts. When the pass or its window ends, attempts end after the step that runs, but for bound
steps.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from jobyard.domain.batches.chunks import Chunk, PassShare
from jobyard.domain.campaigns.campaign import Campaign, StopReason
from jobyard.domain.campaigns.claim import CLAIM_FOR, Claim, claimed, may_keep, without_claim
from jobyard.domain.campaigns.retry import next_attempt_at
from jobyard.domain.campaigns.rules import EXPIRY_GRACE
from jobyard.domain.campaigns.targets import CampaignTarget
from jobyard.domain.campaigns.task_summary import (
    TaskSummary,
    has_begun_bound,
    is_bound,
    is_in_attempt,
    keeps_its_slot,
    offline_in_a_row,
    summary_of,
)
from jobyard.domain.collection import Collection
from jobyard.domain.errors import NotFound
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JOB, JobAddress, JobRecord, JobState, new_job
from jobyard.domain.jobs.job_type import Continue, Fail, JobType, RetryPolicy, StepInput
from jobyard.domain.lifecycle import Cause
from jobyard.jobtypes import job_type_of
from jobyard.services.batches import rows
from jobyard.services.campaigns.held import hold_on
from jobyard.services.campaigns.job_origin import replacement_text
from jobyard.services.campaigns.task_events import cancelled
from jobyard.services.jobs.chunk_jobs import ChunkJobs
from jobyard.services.jobs.request_share import RequestShare
from jobyard.services.jobs.runner import CONCURRENT_JOBS, AttemptOutcome, run_jobs
from jobyard.services.jobs.source import Change, DueJob
from jobyard.services.jobs.worker import Worker
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.store import campaigns, chunks, claims, jobs

_FIRST = datetime.min.replace(tzinfo=UTC)  # before every retry
_UNLIMITED = 1_000_000_000  # retries: a campaign tries until it expires
_MAX_RETRY_AFTER_S = 86_400.0
# Of a step. Until it ends, a pause, a cancel and a closed window wait, and so does the next pass.
STEP_LIMIT_S = 120.0
_FINISH_TRIES = 3
# Or at once, if tasks take more slots of `at_once` than the saved counts say.
_SAVE_EACH = timedelta(seconds=20)


def run_chunk(
    campaign_id: str, chunk: Chunk, run: ExecutionRun, worker: Worker
) -> list[AttemptOutcome]:
    """Run one pass over a chunk's tasks, unless a later execution settles the campaign."""
    campaign = campaigns.get(campaign_id)
    if not campaign.is_open or run.recoveries < campaign.generation or chunk.share is None:
        return []
    return run_jobs(TaskSource.read(campaign, chunk, run, worker), worker)


def _begun_elsewhere(campaign: Campaign, chunk: Chunk) -> int:
    """How many attempts of other chunks have begun and continue later."""
    if campaign.chunk_count == 1:
        return 0
    records = chunks.of_batch(campaign.campaign_id, first=campaign.ended_chunks.number)
    others = (each.summary for each in records if each.chunk != chunk.number)
    return sum(TaskSummary.of_document(each).begun for each in others)


def job_source(address: JobAddress, _run: ExecutionRun, _worker: Worker) -> "TaskSource":
    """Refuse: campaigns run tasks by the chunk, so no execution runs a single task.

    Raises:
        NotFound: always.
    """
    raise NotFound(f"task {address.job_id} has no execution of its own")


def _runs_elsewhere(stored: JobRecord, start: JobRecord) -> bool:
    """Whether another invocation of the same worker wrote a start: it is the one that runs it."""
    return stored.state is JobState.RUNNING and stored.request_id != start.request_id


def _revoke(holders: Sequence[JobRecord]) -> set[JobAddress]:
    """Record that tasks no longer keep their claims, so that their retries have to take them again.
    Returns the addresses of tasks that changed meanwhile, and may have started.
    """
    written = zip(
        holders, jobs.write_many([(each, without_claim(each)) for each in holders]), strict=True
    )
    return {holder.address for holder, after in written if after is None or after.keeps_claim}


@dataclass
class TaskSource:
    """The due tasks of a chunk. `started` counts the attempts that this worker has started.

    Attempts that take slots too are counted by `running_elsewhere`, those of the chunk that other
    workers run; `begun`, the positions of those of the chunk that continue later; and
    `begun_elsewhere`, those of other chunks that continue later.
    """

    campaign: Campaign
    chunk: Chunk
    run: ExecutionRun
    worker: Worker
    job_type: JobType[Any]
    rows: list[rows.Row]
    jobs: ChunkJobs
    hold: Hold | None = None
    started: int = 0
    running_elsewhere: int = 0
    continued: set[int] = field(default_factory=set)  # positions of attempts that have begun
    bound: set[int] = field(default_factory=set)  # of these, those between bound steps
    # Those whose devices were busy: they take no slot of `at_once`.
    busy: set[int] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    begun_elsewhere: int = 0
    saved_at: datetime = _FIRST

    @classmethod
    def read(
        cls, campaign: Campaign, chunk: Chunk, run: ExecutionRun, worker: Worker
    ) -> "TaskSource":
        """Read the rows, counts and tasks of a chunk."""
        job_type = job_type_of(campaign.job_type)
        policy = RetryPolicy(
            _UNLIMITED, campaign.rules.retry_s, 1.0, _MAX_RETRY_AFTER_S, waits_forever=True
        )

        def summarize(tasks: Iterable[JobRecord]) -> dict[str, Any]:
            return summary_of(tasks, job_type.bound_steps, campaign.counted_since).document()

        return cls(
            campaign=campaign,
            chunk=chunk,
            run=run,
            worker=worker,
            job_type=replace(
                job_type, retry=policy, step_limit=min(job_type.step_limit, STEP_LIMIT_S)
            ),
            rows=rows.rows_of(worker.s3, worker.settings, campaign.campaign_id, chunk),
            jobs=ChunkJobs.read(campaign.campaign_id, chunk.number, summarize=summarize),
            begun_elsewhere=_begun_elsewhere(campaign, chunk),
            saved_at=worker.now(),
        )

    def due(self) -> list[DueJob]:
        """Attempts between bound steps, then others that have begun, then those whose device was
        busy, then the tasks that may start.

        Under a hold, and when the campaign is stopping, only the first continue.
        """
        self._read_stops()
        if self._is_over:
            return []
        now = self.worker.now()
        running = [each for each in self.jobs.records.values() if each.state is JobState.RUNNING]
        self.running_elsewhere = sum(each.at + CLAIM_FOR > now for each in running)
        bound: list[DueJob] = []
        begun: list[DueJob] = []
        busy: list[DueJob] = []
        others: list[DueJob] = []
        for position in range(len(self.rows)):
            due = self._due(position, now)
            if due is None:
                continue
            if self._must_finish(due.job, now):
                self.continued.add(position)
                self.bound.add(position)
                bound.append(due)
            elif self._starts_nothing:
                continue
            elif keeps_its_slot(due.job):
                self.continued.add(position)
                begun.append(due)
            elif is_in_attempt(due.job):
                self.busy.add(position)
                busy.append(due)
            else:
                others.append(due)
        others.sort(key=lambda due: due.job.next_at or _FIRST)
        records = self.jobs.records.items()
        self.begun = {position for position, job in records if keeps_its_slot(job)}
        self.begun -= self.continued
        return [*bound, *begun, *busy, *others]

    def _due(self, position: int, now: datetime) -> DueJob | None:
        job = self.jobs.records.get(position)
        must_end = self._is_ending(position)
        if must_end and not (job and self._must_finish(job, now)):
            return None  # it is cancelled or replaced at the end of this pass
        if job is None:
            address = JobAddress(self.campaign.campaign_id, self.chunk.number, position)
            return DueJob(new_job(address, now))
        if job.state is JobState.RUNNING:
            # Its worker may still live until then.
            return DueJob(job, is_orphaned=True) if job.at + CLAIM_FOR <= now else None
        is_due = job.next_at is None or job.next_at <= now
        return DueJob(job) if job.state is JobState.SCHEDULED and is_due else None

    def _is_ending(self, position: int) -> bool:
        """Whether a person cancelled a task, or another campaign takes it over."""
        return position in self.jobs.saved.cancels or position in self.jobs.saved.replacements

    def target(self, position: int) -> CampaignTarget:
        """The target of a task."""
        return CampaignTarget.of_document(self.rows[position])

    def step_input(self, job: JobRecord) -> StepInput:
        """The target, and the parameters of the campaign."""
        return StepInput(
            batch_id="",
            job_id=job.address.job_id,
            collection="",
            entry=self.rows[job.address.position],
            parameters=self.campaign.parameters,
            data=job.data,
            attempt=job.start_count,
        )

    def lock_key(self, job: JobRecord) -> str:
        """The target; claims hold it across workers."""
        return self.target(job.address.position).target_id

    def collection(self) -> Collection | None:
        """A campaign has none."""
        return None

    def remaining_for(
        self, job: JobRecord, worker_remaining: Callable[[], float]
    ) -> Callable[[], float]:
        """The worker's time, and at most until the attempt has taken too long."""
        deadline = self.campaign.attempt_deadline(job.attempt_began)

        def remaining() -> float:
            return min(worker_remaining(), (deadline - self.worker.now()).total_seconds())

        return remaining

    def free_slots(self, active_count: int) -> int:
        """What is left of the chunk's share: slots now, and of the grant by now."""
        slots = self._slots - active_count - self.running_elsewhere
        if self._starts_nothing:
            return min(slots, len(self.bound))  # these are due first
        # Attempts that have begun are due next, and have their slots of `at_once` already. Those
        # whose device was busy follow; they need slots, but are not starts.
        at_once_slots = min(slots, self._at_once_slots - active_count - self.running_elsewhere)
        starts = max(self._share.starts_by(self.worker.now()) - self.started, 0)
        free = at_once_slots - len(self.begun) - len(self.continued)
        may_start = min(starts + len(self.busy), free)
        return min(slots, max(may_start, 0) + len(self.continued))

    @property
    def _slots(self) -> int:
        """How many attempts of the chunk may run at the same time."""
        return min(self._share.slots, CONCURRENT_JOBS)

    @property
    def _at_once_slots(self) -> int:
        """How many slots of `at_once` this chunk may take. Attempts that have begun in other chunks
        since the grant took slots, which may be among those of this chunk.
        """
        begun_since = max(self.begun_elsewhere - self._share.begun_elsewhere, 0)
        room = self.campaign.rules.at_once - self.begun_elsewhere
        return min(self._share.slots - begun_since, room)

    def interruption_before(self, job: JobRecord, step: str) -> Continue | Fail | None:
        """Why the attempt ends before this step; None between bound steps."""
        if self._is_between_bound(job, step):
            return None
        has_passed = self.worker.now() >= self._share.until
        passed = Continue(0, "the pass has ended; the next one continues") if has_passed else None
        return self._stop(job) or passed

    def must_stop(self, job: JobRecord, step: str) -> bool:
        """Whether a step in parts must end after this one; the end of a pass is no reason."""
        return not self._is_between_bound(job, step) and self._stop(job) is not None

    def _is_between_bound(self, job: JobRecord, step: str) -> bool:
        bound_steps = self.job_type.bound_steps
        return step in bound_steps and has_begun_bound(job, bound_steps)

    def _stop(self, job: JobRecord) -> Continue | Fail | None:
        """Why no other step of an attempt may begin, in this pass and the next one."""
        now = self.worker.now()
        openings = self.campaign.openings
        if self._is_ending(job.address.position):
            return Continue(0, "it is cancelled or replaced")
        if failure := self.time_out(job):
            return failure
        if self.campaign.state is JobState.STOPPING:
            return Continue(0, "its campaign is ending")
        if self.hold is not None:
            return Continue(0, self.hold.description())
        if openings.opening_at(now) is None:
            following = openings.next_opening(now)
            at = following.start if following else openings.end
            return Continue(max((at - now).total_seconds(), 0), "its window is closed")
        return None

    def time_out(self, job: JobRecord) -> Fail | None:
        """`TIMEOUT` once the attempt has taken its time, over all of its parts."""
        limit_s = self.campaign.rules.attempt_s
        if (self.worker.now() - job.attempt_began).total_seconds() < limit_s:
            return None
        return Fail(Failure.TIMEOUT, f"it took longer than {limit_s} seconds", retryable=True)

    @property
    def _share(self) -> PassShare:
        assert self.chunk.share is not None
        return self.chunk.share

    def orphan_failure(self, job: JobRecord, at: datetime) -> Failure:
        """Always `WORKER_LOST`."""
        return Failure.WORKER_LOST

    def write(self, changes: Sequence[Change]) -> list[JobRecord | None]:
        """Write changes to tasks; those that start must get the claim on their target first.

        After an act of a person another execution settles the campaign: then none starts here.
        """
        changes = [(before, self._prepared(after)) for before, after in changes]
        starts = [change for change in changes if change[1].state is JobState.RUNNING]
        if starts:
            self.campaign = campaigns.get(self.campaign.campaign_id)
        taken = set[JobAddress]() if self._is_over else self._take_claims(starts)
        allowed = [
            change
            for change in changes
            if change[1].state is not JobState.RUNNING or change[1].address in taken
        ]
        written = {
            after.address: None if stored and _runs_elsewhere(stored, after) else stored
            for (_, after), stored in zip(allowed, self.jobs.write(allowed), strict=True)
        }
        self._count_starts(starts, written)
        self._count_begun(written)
        return [written.get(after.address) for _, after in changes]

    def _count_starts(
        self, starts: Sequence[Change], written: dict[JobAddress, JobRecord | None]
    ) -> None:
        for _, after in starts:
            position = after.address.position
            self.bound.discard(position)
            if position in self.continued | self.busy:
                self.continued.discard(position)
                self.busy.discard(position)
            elif written.get(after.address) is not None:
                self.started += 1

    def _count_begun(self, written: Mapping[JobAddress, JobRecord | None]) -> None:
        for address, task in written.items():
            if task is not None and keeps_its_slot(task):
                self.begun.add(address.position)
            elif task is not None:
                self.begun.discard(address.position)

    def _prepared(self, task: JobRecord) -> JobRecord:
        """The task as it is written. One that waits for a retry keeps its claim, and waits longer
        if its device was offline many times in a row.
        """
        is_retry = task.state is JobState.SCHEDULED and task.next_at is not None
        if not is_retry or not task.attempts or is_in_attempt(task):
            return replace(task, keeps_claim=False) if task.keeps_claim else task
        at = next_attempt_at(
            task.at,
            self.campaign.rules.retry_s,
            offline_in_a_row(task),
            self.campaign.openings,
            self.campaign.rules.schedule.needs,
            jitter=random.uniform(-1, 1),
        )
        return replace(task, next_at=max(at, task.next_at or at), keeps_claim=True)

    def _take_claims(self, starts: Sequence[Change]) -> set[JobAddress]:
        """The addresses of the tasks that have the claim on their target: those that kept it, and
        those that get it now.
        """
        if not starts:
            return set()
        now = self.worker.now()
        targets = {
            after.address: self.target(after.address.position).target_id for _, after in starts
        }
        stored = claims.of_targets(set(targets.values()))
        kept = set[JobAddress]()
        wanted: list[tuple[Claim | None, Claim, JobRecord | None]] = []  # with its holder
        for before, after in starts:
            target_id = targets[after.address]
            claim = stored.get(target_id)
            if claim and before and claim.is_kept_by(before):
                kept.add(after.address)
                continue
            holder = None if claim is None or claim.task == after.address else jobs.find(claim.task)
            if claim is None or claim.is_free(holder, after.address, now):
                task = before or replace(after, attempts=())
                wanted.append((claim, claimed(claim, target_id, task, now), holder))
        keeping = _revoke([holder for _, _, holder in wanted if holder and may_keep(holder)])
        changes = [
            (claim, new)
            for claim, new, holder in wanted
            if holder is None or holder.address not in keeping
        ]
        done = claims.take(changes)
        taken = {new.task for (_, new), is_taken in zip(changes, done, strict=True) if is_taken}
        return kept | taken

    def note_stale_job(self) -> None:
        """Read and count the tasks again at the next save."""
        self.jobs.is_outdated = True

    def refresh(self) -> None:
        """Look for a hold, a cancel and other changes, and save the counts if it is time."""
        version = self.campaign.version
        self.campaign = campaigns.get(self.campaign.campaign_id)
        if self.campaign.version != version:  # a person may have cancelled or requeued a task
            self.jobs.check_version()
        self._read_stops()
        now = self.worker.now()
        if self.jobs.is_outdated or self._takes_more_slots or now - self.saved_at >= _SAVE_EACH:
            self.saved_at = now
            self.jobs.save(self.run)

    @property
    def _takes_more_slots(self) -> bool:
        """Whether more tasks run or have begun than the saved counts say. After an act of a person
        another execution reads how many, to keep to `at_once`.
        """
        saved, known = self.jobs.saved, self.jobs.records.values()
        running = sum(each.state is JobState.RUNNING for each in known)
        begun = TaskSummary.of_document(saved.summary).begun
        return running > saved.count(JobState.RUNNING) or sum(map(keeps_its_slot, known)) > begun

    def _read_stops(self) -> None:
        self.hold = hold_on(self.campaign, self.worker.now())
        self._requests.renew()

    @property
    def _requests(self) -> RequestShare:
        key = f"{self.campaign.campaign_id}.{self.chunk.number}"
        return RequestShare(key, self.worker, self.job_type)

    @property
    def is_stopped(self) -> bool:
        """Whether nothing may start or continue any more in this pass."""
        if self._is_over:
            return True
        if self._starts_nothing:
            return not self.bound
        is_used = self.started >= self._share.grant and not self.busy
        is_full = len(self.begun) >= min(self._slots, self._at_once_slots)
        return (is_used or is_full) and not self.continued

    @property
    def _is_over(self) -> bool:
        return (
            self.worker.now() >= self._share.until
            or self.run.recoveries < self.campaign.generation
            or not self.campaign.is_open
        )

    @property
    def _starts_nothing(self) -> bool:
        """Whether only attempts between bound steps may continue."""
        return self.campaign.state is JobState.STOPPING or self.hold is not None

    def _must_finish(self, task: JobRecord, now: datetime) -> bool:
        """Whether a task is between bound steps, which end together if there is time. One whose
        device is busy has no more after a stop than after the end of its campaign.
        """
        ends = self.campaign.expires_at
        is_busy = task.state is JobState.SCHEDULED and not keeps_its_slot(task)
        if self.campaign.stopped_at and is_busy:
            ends = min(ends, self.campaign.stopped_at)
        is_late = now >= ends + EXPIRY_GRACE or self.campaign.is_forced
        return is_bound(task, self.job_type.bound_steps) and not is_late

    def finish(self, not_started: Iterable[DueJob]) -> None:
        """End what has to end now, and save the counts: the pass is over.

        A person may cancel a task meanwhile, which the save finds out.
        """
        self._requests.release()
        for _ in range(_FINISH_TRIES):
            self.jobs.write(self._ends())
            self.jobs.save(self.run, ends_pass=True)
            if not self._ends():
                return

    def _ends(self) -> list[Change]:
        """The ends of the tasks that wait and that a person cancelled or another campaign takes
        over; of all that wait if the campaign is stopping.
        """
        now, is_stopping = self.worker.now(), self.campaign.state is JobState.STOPPING
        changes: list[Change] = []
        for task in (*self.jobs.records.values(), *self._untouched_ending(now)):
            if not is_stopping and not self._is_ending(task.address.position):
                continue
            is_waited_for = task.at + CLAIM_FOR > now and not self.campaign.is_forced
            is_given_up = task.state is JobState.RUNNING and not is_waited_for
            may_end = task.state is JobState.SCHEDULED or is_given_up
            if may_end and not self._must_finish(task, now):
                changes.append((task.stored, self._ended(task, now)))
        return changes

    def _untouched_ending(self, now: datetime) -> list[JobRecord]:
        """The tasks without a record that another campaign takes over. Those of a campaign that is
        stopping end with it, without a record.
        """
        if self.campaign.state is JobState.STOPPING:
            return []
        campaign_id, number = self.campaign.campaign_id, self.chunk.number
        return [
            new_job(JobAddress(campaign_id, number, position), now)
            for position in self.jobs.saved.replacements
            if position not in self.jobs.records
        ]

    def _ended(self, task: JobRecord, now: datetime) -> JobRecord:
        """The task after its end: cancelled by a person, replaced by another campaign, or with
        its campaign.
        """
        saved, position = self.jobs.saved, task.address.position
        if position in saved.cancels:
            return cancelled(task, saved.cancels[position], now)
        if position in saved.replacements:
            reason = replacement_text(saved.replacements[position])
            cause = Cause(self.run.cause(task.address, task.start_count), reason=reason)
            return task.moved(JOB.move(task.state, "replace", now, cause), next_at=None)
        return self._stopped(task, now)

    def _stopped(self, task: JobRecord, now: datetime) -> JobRecord:
        reason = self.campaign.stop_reason
        cause = Cause(
            self.run.cause(task.address, task.start_count), reason=f"its campaign: {reason}"
        )
        if reason is StopReason.EXPIRE:
            event = "give_up" if task.state is JobState.SCHEDULED else "fail"
            move = JOB.move(task.state, event, now, cause)
            code = Failure.EXPIRED
            return task.moved(
                move, next_at=None, failure_code=code.value, failure_message=code.description
            )
        event = "replace" if reason is StopReason.REPLACE else "cancel"
        return task.moved(JOB.move(task.state, event, now, cause), next_at=None)

    def next_step(self) -> NextStep:
        """The campaign's Settle state. Only executions of a single job ask for it, and `job_source`
        refuses those.
        """
        return NextStep(self.campaign.campaign_id, "settle", run=self.run)
