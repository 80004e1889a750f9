"""What people ask of a batch or a job: one declared move, written, then the machine told of it.

The move is written first. If the machine could not be told, the same request sent again finds its
own move, takes it for done and tells the machine; an execution of the same name starts once.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from jobyard.domain.batches.batch import BATCH, Batch, BatchState
from jobyard.domain.batches.chunks import summed
from jobyard.domain.batches.operation import Filter, Operation
from jobyard.domain.collection import Collection, Depositor
from jobyard.domain.errors import BadRequest, Gone, InvalidTransition, NotFound, StaleState
from jobyard.domain.ids import batch_id_of, is_batch_id
from jobyard.domain.jobs.job import JOB, JobAddress, JobRecord, JobState, apply_event, new_job
from jobyard.domain.lifecycle import ROLES, Cause
from jobyard.domain.mail_addresses import Addresses, addresses
from jobyard.domain.schedules.occurrence import Occurrence
from jobyard.jobtypes import TYPES, takes_no_manifests
from jobyard.services.access import READERS, authorize_deposit
from jobyard.services.executions import Executions
from jobyard.services.settings import UPLOAD_TIME, Settings
from jobyard.store import batches, chunks, jobs, operations

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

# What may be asked of the jobs of a batch in these states. A report that is being written is let
# be: a job requeued under it would be told as it stood before.
_REPAIRABLE = frozenset({BatchState.PROCESSING, BatchState.FAILED})
_RELEASABLE = _REPAIRABLE | {BatchState.UPDATE_REPORTING}  # which waits for what is held
_OPEN_TO_JOBS = _REPAIRABLE | {BatchState.CANCELLING, BatchState.UPDATE_REPORTING}
# What the batch machine is told after a person's event.
COMMANDS = {"release": "open", "cancel": "settle", "update_reporting": "settle"}
_JOB_IDS = 1000  # ids one operation may name; more are a filter's work


@dataclass(frozen=True)
class Actor:
    """Who asks. Their id, `sub`, decides; a name is shown, and may be given anew to another.

    `groups` are all they are in, roles or not. `email` is where reports go when a submission names
    nobody.
    """

    sub: str
    name: str
    groups: frozenset[str]
    email: str = ""

    @property
    def roles(self) -> frozenset[str]:
        """The groups that are roles."""
        return self.groups & ROLES

    @property
    def depositor(self) -> Depositor:
        """They as those whose right to deposit is asked for."""
        return Depositor(self.sub, self.groups)


@dataclass(frozen=True)
class CommandContext:
    """What asking needs: the deployment, S3, the state machines, the clock, and who asks why.

    `key` is unique per request and the same when the request is repeated. `skipped` hears of the
    times of schedules that the request found had come and no job was started for.
    """

    settings: Settings
    s3: "S3Client"
    machines: "SFNClient"
    now: Callable[[], datetime]
    person: Actor
    key: str
    reason: str = ""
    skipped: Callable[[Sequence[Occurrence]], None] = lambda _: None

    @property
    def cause(self) -> Cause:
        """The cause of what is asked."""
        return Cause(self.run, self.person.name, self.reason, self.person.sub)

    @property
    def starting(self) -> Executions:
        """How to tell the state machines."""
        return Executions(self.settings, self.machines)

    @property
    def run(self) -> str:
        """The name of the run this request may begin; short, for it lies in every job of it."""
        return "r" + hashlib.sha256(self.key.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Submission:
    """What a depositor says about a manifest before uploading it.

    `notify` is who is told how it ended: nobody when empty, None when the depositor left it open.
    """

    collection: str
    filename: str
    job_type: str
    profile: str
    notify: tuple[str, ...] | None
    parameters: Mapping[str, Any]
    note: str


@dataclass(frozen=True)
class UploadForm:
    """Where and how to POST the manifest, as an HTML form would. Good until `expires_at`."""

    url: str
    fields: Mapping[str, str]
    expires_at: datetime


def submit(
    submission: Submission, maximum: int, asking: CommandContext
) -> tuple[Batch, UploadForm]:
    """Promise a batch and say where its manifest goes; `maximum` is the largest one in bytes.

    The same request sent again is answered with the batch it promised before.

    Raises:
        Forbidden, NotFound: the person may not deposit into the collection, or knows of none of
        that
            name.
        BadRequest: there is no such job type. InvalidParameters: it takes none of a name.
        Gone: it was promised before and never uploaded.
    """
    collection = authorize_deposit(submission.collection, asking.person.depositor)
    if words := takes_no_manifests(submission.job_type):
        raise BadRequest(words)
    TYPES[submission.job_type].check_names(submission.parameters.keys() - {"callback_url"})
    now = asking.now()
    told = _told(submission, collection, asking)
    batch = Batch(
        batch_id=batch_id_of(f"{asking.person.sub}\n{asking.key}".encode()),
        state=BatchState.PENDING,
        version=0,
        collection=submission.collection,
        submitter=asking.person.name,
        submitter_sub=asking.person.sub,
        submitter_groups=asking.person.groups & {*collection.groups, "admin"},
        job_type=submission.job_type,
        filename=submission.filename,
        submitted_at=now,
        profile=submission.profile,
        notify=told.good,
        untold=told.bad,
        parameters=submission.parameters,
        note=submission.note,
        upload_until=now + UPLOAD_TIME,
    )
    try:
        batch = batches.put_new(batch)
    except StaleState:
        batch = batches.get(batch.batch_id, now)
    return batch, _upload(batch, maximum, asking)


def _told(submission: Submission, collection: Collection, asking: CommandContext) -> Addresses:
    """Who is told: whom the submission names, else the collection, else who submits, else the
    deployment's people."""
    if submission.notify is not None:
        return Addresses(submission.notify)
    if collection.notify:
        return Addresses(collection.notify)
    return addresses(asking.person.email or asking.settings.mail_to)


def _upload(batch: Batch, maximum: int, asking: CommandContext) -> UploadForm:
    post = asking.s3.generate_presigned_post(
        asking.settings.intake_bucket,
        batch.upload_key,
        Conditions=[["content-length-range", 1, maximum]],
        ExpiresIn=int(UPLOAD_TIME.total_seconds()),
    )
    return UploadForm(post["url"], post["fields"], batch.submitted_at + UPLOAD_TIME)


def visible_batch(batch_id: str, person: Actor, now: datetime) -> Batch:
    """The batch, if `person` may see it.

    Raises:
        NotFound: there is none, or none this person may know of.
        Gone: it was promised and never came, or it was archived.
    """
    if not is_batch_id(batch_id):
        raise NotFound(f"{batch_id!r} is no batch id; one is b and 20 of a to z, 2 to 7")
    try:
        batch = batches.get(batch_id, now)
    except Gone:
        tombstone = batches.tombstone(batch_id)
        if tombstone is None:
            raise
        _check_visible(tombstone.batch, person)
        raise Gone(tombstone.words) from None
    _check_visible(batch, person)
    return batch


def _check_visible(batch: Batch, person: Actor) -> None:
    own = "depositor" in person.roles and batch.is_of(person.sub)
    if not (own or person.roles & READERS):
        raise NotFound(f"there is no batch {batch.batch_id}")


def send_batch_event(batch_id: str, event: str, asking: CommandContext) -> Batch:
    """Send a batch a person's event.

    Raises:
        NotFound, Gone: there is no such batch, or not any more.
        InvalidTransition: its state does not know the event. Forbidden: not for this person.
        StaleState: someone else moved it at the same time.
        BadRequest: no reason is given.
    """
    batch = visible_batch(batch_id, asking.person, asking.now())
    last = batch.history[-1] if batch.history else None
    if not (last and last.cause == asking.run and last.event == event):
        require_reason(asking, event)
        move = BATCH.asked(batch.state, event, asking.now(), asking.cause, asking.person.roles)
        if event == "update_reporting" and not batch.last_report:
            raise InvalidTransition(f"batch {batch_id} was never reported")
        if event == "update_reporting" and not batch.entries:
            raise InvalidTransition(
                f"batch {batch_id} never had a job; there is nothing to compare"
            )
        if event == "delete" and _is_at_work(batch_id):
            raise InvalidTransition(
                f"jobs of batch {batch_id} are at work; force fail or await them"
            )
        ended = {"ended_at": asking.now()} if move.after == BatchState.DELETED else {}
        batch = batches.apply(batch, move, **ended)
    command = COMMANDS.get(event)
    if command:
        asking.starting.batch(batch_id, command, asking.run)
    return batch


def _is_at_work(batch_id: str) -> bool:
    counts = summed(record.counts for record in chunks.of_batch(batch_id))
    busy = counts.get("running", 0) + counts.get("scheduled", 0)
    return bool(busy) or operations.is_any_running(batch_id)


def send_job_event(job_id: str, event: str, asking: CommandContext) -> JobRecord:
    """Send a job a person's event; one that starts it again starts it by itself.

    Raises:
        NotFound, Gone: there is no such job, or its batch is no more.
        InvalidTransition: its state, or its batch's, does not know the event. Forbidden: not for
        this
            person. StaleState: someone else moved it. BadRequest: no reason is given.
    """
    batch, place = visible_job(job_id, asking.person, asking.now())
    stored = jobs.get(place)
    if stored and any(e.cause == asking.run and e.event == event for e in stored.history):
        job = stored
    else:
        if place.position >= batch.size_of(place.chunk):
            raise NotFound(f"batch {batch.batch_id} has no job {job_id}")
        before = stored or new_job(place, asking.now())
        JOB.asked(before.state, event, asking.now(), asking.cause, asking.person.roles)
        require_reason(asking, event)
        if not is_open_to(batch, event):
            raise InvalidTransition(f"its batch is {batch.state}: cannot {event} a job of it")
        after = apply_event(before, event, asking.now(), asking.cause)
        job = jobs.apply(before, after, batch.state)
    if job.state is JobState.SCHEDULED:
        asking.starting.job(place, asking.run)
    elif job.state is not JobState.HELD:
        asking.starting.batch(batch.batch_id, "settle", asking.run)
    return job


def is_open_to(batch: Batch, event: str) -> bool:
    """Whether a job of the batch may be sent `event`, as far as the batch is concerned."""
    return batch.state in (_REPAIRABLE if event == "requeue" else _OPEN_TO_JOBS)


def visible_job(job_id: str, person: Actor, now: datetime) -> tuple[Batch, JobAddress]:
    """The batch of a job and the job's place in it, if `person` may see it.

    Raises:
        NotFound, Gone: there is no such job, or none this person may know of.
    """
    place = JobAddress.of(job_id)
    if place is None:
        raise NotFound(f"{job_id!r} is no job id; one is batch_id.chunk.position")
    batch = visible_batch(place.origin_id, person, now)
    if batch.state is BatchState.DELETED:
        raise Gone(f"batch {batch.batch_id} of job {job_id} was deleted")
    if place.chunk >= batch.chunks or place.position >= batch.size_of(place.chunk):
        raise NotFound(f"batch {batch.batch_id} has no job {job_id}")
    return batch, place


@dataclass(frozen=True)
class MatchingJobs:
    """The jobs of a batch that are meant: how many, and the chunks they lie in.

    `refused` of them cannot be requeued; `words` say why of the first, where the jobs were read.
    """

    total: int
    chunks: tuple[int, ...]
    refused: int = 0
    words: str = ""


def matching_jobs(batch_id: str, wanted: Filter) -> MatchingJobs:
    """What `wanted` matches of a batch, by the counts.

    With job ids it is exact; the counts of a chunk that is being worked on may lag.
    """
    if wanted.job_ids:
        places = [place for job_id in sorted(wanted.job_ids) if (place := JobAddress.of(job_id))]
        found = [job for place in places if (job := jobs.get(place)) and wanted.matches(job)]
        final = [job for job in found if job.state is JobState.FAILED and not job.recoverable]
        words = f"job {final[0].place.job_id}: {final[0].failure_message}" if final else ""
        numbers = tuple(sorted({job.place.chunk for job in found}))
        return MatchingJobs(len(found), numbers, len(final), words)
    total, refused = 0, 0
    numbers_found: list[int] = []
    for record in chunks.of_batch(batch_id):
        number = wanted.matching(record)
        if number > 0:
            total += number
            refused += wanted.refused(record)
            numbers_found.append(record.chunk)
    return MatchingJobs(total, tuple(numbers_found), refused)


def retry(batch_id: str, wanted: Filter, asking: CommandContext) -> Operation:
    """Requeue all failed jobs that match, as one tracked operation.

    Raises:
        NotFound, Gone, Forbidden, BadRequest, InvalidTransition: as for one job; also when none
        matches. OperationInProgress: a retry of the same jobs is under way.
    """
    return start_operation(batch_id, "requeue", wanted, asking)


def start_operation(batch_id: str, event: str, wanted: Filter, asking: CommandContext) -> Operation:
    """Send `event` to all jobs of a batch that match, as one tracked operation.

    Raises:
        NotFound, Gone, Forbidden, BadRequest, InvalidTransition, StaleState: as for one job;
        InvalidTransition
            also when none matches. OperationInProgress: one that excludes it is under way.
    """
    batch = visible_batch(batch_id, asking.person, asking.now())
    operation = operations.find(batch_id, asking.run)
    if operation is None:
        _check_operable(batch, event, wanted, asking)
        require_reason(asking, event)
        meant = matching_jobs(batch_id, wanted)
        if not meant.total:
            raise InvalidTransition(f"no {wanted.state} job of batch {batch_id} matches")
        if event == "requeue" and meant.refused == meant.total:
            which = "the failed job" if meant.total == 1 else f"all {meant.total} failed jobs"
            why = f" ({meant.words})" if meant.words else ""
            raise InvalidTransition(f"{which} cannot be requeued{why}; the depositor submits again")
        operation = operations.put_new(
            Operation(
                batch_id=batch_id,
                operation_id=asking.run,
                event=event,
                filter=wanted,
                actor=asking.person.name,
                reason=asking.reason,
                asked_at=asking.now(),
                matched=meant.total,
                refused=meant.refused if event == "requeue" else 0,
                chunks=meant.chunks,
                sub=asking.person.sub,
            ),
            batch.state,
        )
    asking.starting.batch(batch_id, "operation", asking.run)
    return operation


def preview_operation(
    batch_id: str, event: str, wanted: Filter, asking: CommandContext
) -> MatchingJobs:
    """Which jobs `operate` would send `event` to now. It changes nothing and needs no reason.

    Raises:
        NotFound, Gone, Forbidden, BadRequest, InvalidTransition: as for `operate`; none matching is
        0.
    """
    batch = visible_batch(batch_id, asking.person, asking.now())
    _check_operable(batch, event, wanted, asking)
    return matching_jobs(batch_id, wanted)


def _check_operable(batch: Batch, event: str, wanted: Filter, asking: CommandContext) -> None:
    JOB.asked(wanted.state, event, asking.now(), asking.cause, asking.person.roles)
    foreign = [each for each in wanted.job_ids if not each.startswith(f"{batch.batch_id}.")]
    if len(wanted.job_ids) > _JOB_IDS or foreign:
        raise BadRequest(f"job_ids are up to {_JOB_IDS} ids of jobs of batch {batch.batch_id}")
    if batch.state not in (_RELEASABLE if event == "release" else _REPAIRABLE):
        raise InvalidTransition(
            f"batch {batch.batch_id} is {batch.state}: cannot {event} jobs of it"
        )


def require_reason(asking: CommandContext, event: str) -> None:
    """Raises:
    BadRequest: no reason is given.
    """
    if not asking.reason.strip():
        raise BadRequest(f"{event} needs a reason: say why, for those who look later")
