"""Reads the file that was uploaded to a job: it becomes the job's changes, or is refused."""

import hashlib
from dataclasses import replace

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob
from jobyard.domain.edits.upload import UploadKind, check_content, upload_digest
from jobyard.domain.edits.upload_report import UploadReport
from jobyard.domain.edits.work import MAX_MINUTES, SentFile, UploadOutcome
from jobyard.domain.errors import BadRequest, InvalidTransition, NotFound
from jobyard.services.edits.access import id_of
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.moves import move_of, write_child, write_job
from jobyard.services.edits.work_files import report_key, write_json
from jobyard.services.edits.workspaces import (
    InvalidUpload,
    UploadedFile,
    WrittenWorkspace,
    write_workspace,
)
from jobyard.store import edits
from jobyard.store.edits import Job


def read_file(job_id: str, context: EditContext) -> Job | None:
    """Read the file that was uploaded to a job. With a mistake it is refused: the job stays with
    its worker, and the report says where the mistakes are. Returns the job; None if it has no file
    that waits, so a repeat does nothing.

    Raises:
        StaleState: somebody changed the job meanwhile; the next try finds out what is to be done.
    """
    job = edits.find(job_id)
    if job is None or job.sent is None or not job.sent.is_reading:
        return None
    try:
        written = _written(job, job.sent, context)
    except InvalidUpload as error:
        return refuse(job, job.sent, str(error), context, error)
    except (BadRequest, InvalidTransition, NotFound) as error:
        return refuse(job, job.sent, str(error), context)
    report = UploadReport.of(
        UploadOutcome.ACCEPTED, written.findings, written.new_ids, changes=written.changes.count
    )
    write_json(report_key(job, job.sent), report.document(), context.datasets)
    return _accept(job, job.sent, written, context)


def _written(job: Job, sent: SentFile, context: EditContext) -> WrittenWorkspace:
    body = _content(sent, context)
    check_content(sent.digest, hashlib.sha256(body).hexdigest())
    source = upload_digest(id_of(job), job.attempt, sent.package_id, sent.digest)
    return write_workspace(
        job, UploadedFile(body, UploadKind(sent.kind), sent.deleting, source), context
    )


def _content(sent: SentFile, context: EditContext) -> bytes:
    s3 = context.s3
    try:
        found = s3.get_object(Bucket=context.settings.intake_bucket, Key=sent.key)
    except s3.exceptions.NoSuchKey as error:
        raise BadRequest("the file is gone: upload it again") from error
    body: bytes = found["Body"].read()
    return body


def _accept(job: Job, sent: SentFile, written: WrittenWorkspace, context: EditContext) -> Job:
    move = move_of(job, "accept", context)
    read = replace(sent, outcome=UploadOutcome.ACCEPTED)
    minutes = min(job.time_spent_minutes + sent.minutes, MAX_MINUTES)
    if isinstance(job, ChildJob):
        after = job.moved(
            move,
            sent=read,
            edits=written.changes,
            time_spent_minutes=minutes,
        )
        return write_child(job, after)
    return write_job(
        job,
        job.moved(
            move,
            sent=read,
            workspace=written.changes,
            approval=None,
            checks=job.checks + 1,
            time_spent_minutes=minutes,
        ),
        context,
    )


def refuse(
    job: Job,
    sent: SentFile,
    problem: str,
    context: EditContext,
    found: InvalidUpload | None = None,
) -> Job:
    """Refuse the file that was uploaded to a job, which stays with its worker.

    Raises:
        StaleState: somebody changed the job meanwhile.
    """
    findings = found.findings if found else ()
    report = UploadReport.of(UploadOutcome.REFUSED, findings, {}, problem=problem)
    write_json(report_key(job, sent), report.document(), context.datasets)
    move = move_of(job, "refuse", context, problem)
    read = replace(sent, outcome=UploadOutcome.REFUSED)
    if isinstance(job, EditJob):
        return write_job(job, job.moved(move, sent=read, problem=problem), context)
    return write_child(job, job.moved(move, sent=read, problem=problem))
