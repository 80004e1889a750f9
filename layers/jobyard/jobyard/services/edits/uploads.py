"""Uploads of edits, in two phases: a form to send the file with, and its confirmation.

The machine reads the file then: it may be large. A file that is refused because its attempt is
over stays in the intake bucket for a week.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import PurePosixPath
from types import MappingProxyType

from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.upload import UploadKind, upload_digest
from jobyard.domain.edits.work import MAX_MINUTES, SentFile
from jobyard.domain.errors import BadRequest, Forbidden, InvalidTransition
from jobyard.domain.ids import is_child_id, is_edit_id
from jobyard.domain.text import FILENAME_BYTES, clean
from jobyard.services.context import CommandContext
from jobyard.services.edits.access import (
    authorize_claim,
    authorize_job,
    has_had,
    id_of,
    visible_or_had_job,
)
from jobyard.services.edits.changes import JobChange, change_job, requested_move
from jobyard.services.edits.settings import settings_for
from jobyard.services.edits.tasks import start_task
from jobyard.services.upload_form import UploadForm, presigned_form
from jobyard.store import datasets, edits
from jobyard.store.edits import Job

MAX_EDITS_BYTES = 32 * 1024 * 1024  # of a file of edits
RESCUED_FOR = timedelta(days=7)  # source: DEC 3-3; the intake bucket's rule for edits/
_BLOCK = 1024 * 1024
_MISSING = frozenset({"NoSuchKey", "404", "403"})


class UploadRefused(InvalidTransition):
    """The upload belongs to a claim that is over. The file is kept for a week."""


@dataclass(frozen=True)
class UploadRequest:
    """The confirmation of an upload: what was sent to `key`, and for which claim.

    `digest` is the SHA-256 of the file in hexadecimal, `deleting` the number of features that it
    deletes, None to leave that open, `minutes` the time spent.
    """

    key: str
    attempt: int
    package_id: str
    digest: str
    kind: UploadKind = UploadKind.CHANGES
    deleting: int | None = None
    comment: str = ""
    minutes: int = 0


def upload_form(
    job_id: str,
    attempt: int,
    filename: str,
    context: CommandContext,
    fields: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, UploadForm]:
    """The key and the form to upload edits with; `fields` are more of its fields. Who had a job and
    lost it gets one too: the confirmation is refused, but the file is kept.

    Raises:
        Forbidden: the actor may not work on it, or never had it. NotFound.
        InvalidTransition: they never had it, and its state allows no upload.
    """
    _check_had(job_id, context)
    name = clean(PurePosixPath(filename.replace("\\", "/")).name, FILENAME_BYTES) or "edits"
    key = f"{_folder(job_id, attempt, context.actor.sub)}{context.run}/{name}"
    made = presigned_form(context.s3, context.settings, key, MAX_EDITS_BYTES, context.now(), fields)
    return key, made


def digest_of(job_id: str, sent: UploadRequest, context: CommandContext) -> str:
    """The SHA-256 of an uploaded file, for a confirmation by somebody who did not compute it.

    Raises:
        Forbidden: the actor may not work on it, or never had it. NotFound.
        BadRequest: there is no such file, or it is too large.
    """
    _check_had(job_id, context)
    _check_key(job_id, sent, context)
    _check_size(sent, context)
    found = context.s3.get_object(Bucket=context.settings.intake_bucket, Key=sent.key)
    digest = hashlib.sha256()
    for block in found["Body"].iter_chunks(_BLOCK):
        digest.update(block)
    return digest.hexdigest()


def upload_choices(
    child_id: str, choices: Mapping[str, str], sent: UploadRequest, context: CommandContext
) -> Job:
    """Decide conflicts without a file: `choices` are "mine" or "theirs" by the ids of features. The
    key, the digest and the kind of `sent` do not count.

    Raises:
        Forbidden, NotFound, UploadRefused, InvalidTransition, BadRequest: as for `upload`.
    """
    _check_had(child_id, context)
    document = {"type": "FeatureCollection", "features": [], "choices": dict(choices)}
    body = json.dumps(document, ensure_ascii=False).encode()
    folder = _folder(child_id, sent.attempt, context.actor.sub)
    made = replace(
        sent,
        key=f"{folder}{context.run}/choices.geojson",
        digest=hashlib.sha256(body).hexdigest(),
        kind=UploadKind.CHANGES,
    )
    context.s3.put_object(Bucket=context.settings.intake_bucket, Key=made.key, Body=body)
    return upload(child_id, made, context)


def _check_had(job_id: str, context: CommandContext) -> None:
    """Check that the actor has a job, or had it once.

    Raises:
        Forbidden: another person has it, or nobody. InvalidTransition: nobody can have it now.
    """
    authorize_job(job_id, "upload", context.actor)
    job = visible_or_had_job(job_id, context.actor)
    sub = context.actor.sub
    if has_had(job, sub) or (job.worker is not None and job.worker.sub == sub):
        return
    if job.worker is not None:
        authorize_claim(job, "upload", context.actor)
    requested_move(job, "upload", context)
    raise Forbidden(f"you have not activated {job_id}: activate it first")


def _folder(job_id: str, attempt: int, sub: str) -> str:
    return f"edits/{job_id}/uploads/{attempt}/{sub}/"


def upload(job_id: str, sent: UploadRequest, context: CommandContext) -> Job:
    """Confirm an upload: the machine reads the file, and accepts or refuses it. Returns the job. A
    repeat with the same file is ignored.

    Raises:
        Forbidden: another person has the job; the message names them. NotFound.
        UploadRefused: the attempt or the package is not the current one; the file is kept.
        InvalidTransition: the state does not allow it, or an earlier file is being read.
        BadRequest: there is no such file, or it is too large.
    """
    authorize_job(job_id, "upload", context.actor)
    job = visible_or_had_job(job_id, context.actor)
    _check_key(job_id, sent, context)
    if not 0 <= sent.minutes <= MAX_MINUTES:
        raise BadRequest(f"minutes: 0 to {MAX_MINUTES:,}")
    if _is_repeat(job, sent):
        return _started(job, context)
    _check_current(job, sent, context)
    settings = settings_for(datasets.get(job.dataset), job.edit_type)
    if settings.read_only:
        raise InvalidTransition(f"edit jobs of type {job.edit_type} have no upload: finish it")
    if isinstance(job, ChildJob) and (reason := job.refused_events.get("upload")):
        raise InvalidTransition(reason)
    _check_size(sent, context)
    if isinstance(job, ChildJob):
        after: Job = change_job(
            lambda: edits.get_child(job_id),
            lambda before: _uploaded(before, sent, context),
            context,
            "upload",
        )
    else:
        after = change_job(
            lambda: edits.get(job_id),
            lambda before: _uploaded(before, sent, context),
            context,
            "upload",
        )
    return _started(after, context)


def _check_key(job_id: str, sent: UploadRequest, context: CommandContext) -> None:
    if sent.key.startswith(_folder(job_id, sent.attempt, context.actor.sub)):
        return
    other = sent.key.split("/")[1] if sent.key.count("/") > 1 else ""
    if other != job_id and (is_edit_id(other) or is_child_id(other)):
        raise BadRequest(f"this file was uploaded for {other}, not for {job_id}")
    raise BadRequest(f"{sent.key!r:.300} is not a key that your form for {job_id} has")


def _is_repeat(job: Job, sent: UploadRequest) -> bool:
    """Whether a job has the changes of this upload already, or its file is being read."""
    digest = sent.digest.lower()
    if job.sent is not None and job.sent.is_reading and sent.attempt == job.attempt:
        return (job.sent.package_id, job.sent.digest) == (sent.package_id, digest)
    stored = job.edits if isinstance(job, ChildJob) else job.workspace
    source = upload_digest(id_of(job), sent.attempt, sent.package_id, digest)
    return stored is not None and stored.source == source


def _check_current(job: Job, sent: UploadRequest, context: CommandContext) -> None:
    """Check that an upload answers the current claim and package of a job.

    Raises:
        UploadRefused, Forbidden, BadRequest.
    """
    given = sent.package_id.partition(".")[0]
    if given != id_of(job) and (is_edit_id(given) or is_child_id(given)):
        raise BadRequest(f"this upload is for {given}, and not for {id_of(job)}")
    if sent.attempt == job.attempt and job.worker is not None:
        authorize_claim(job, "upload", context.actor)
        requested_move(job, "upload", context)
        if job.sent is not None and job.sent.is_reading:
            raise InvalidTransition(
                f"{job.sent.filename}, which you uploaded before, is being read: try again in a "
                "moment"
            )
        if job.package is not None and job.package.package_id == sent.package_id:
            return
        why = "its package was written again: download it, and upload what you made of that"
    else:
        why = _why_over(job, context)
    until = (context.now() + RESCUED_FOR).date().isoformat()
    raise UploadRefused(
        f"attempt {sent.attempt} of {id_of(job)} is over: {why}. Your file is kept until {until}, "
        "and shown with its differences under the uploads of this edit job"
    )


def _why_over(job: Job, context: CommandContext) -> str:
    """Who or what ended the claim of the actor."""
    ends = {"revoke", "release", "relinquish", "abandon", "allocate", "retry", "revert"}
    last = next((each for each in reversed(job.history) if each.event in ends), None)
    if last is None:
        return f"it is {job.state}"
    who = "you" if last.sub == context.actor.sub else last.actor
    reason = f" ({last.reason})" if last.reason else ""
    now_of = ""
    if job.worker is not None and job.worker.sub != context.actor.sub:
        now_of = f"; {job.worker.name} has it now"
    return f"{last.event} by {who}{reason}{now_of}"


def _check_size(sent: UploadRequest, context: CommandContext) -> None:
    """Check that there is a file, and that it is not too large.

    Raises:
        BadRequest.
    """
    s3 = context.s3
    try:
        found = s3.head_object(Bucket=context.settings.intake_bucket, Key=sent.key)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        raise BadRequest(f"no file was uploaded to {sent.key!r:.300}") from error
    if found["ContentLength"] > MAX_EDITS_BYTES:
        raise BadRequest(f"the file is larger than {MAX_EDITS_BYTES:,} bytes")


def _uploaded(
    before: EditJob | ChildJob, sent: UploadRequest, context: CommandContext
) -> JobChange:
    _check_current(before, sent, context)
    move = requested_move(before, "upload", context)
    file = SentFile(
        sent.key,
        sent.package_id,
        sent.digest.lower(),
        sent.kind.value,
        sent.deleting,
        sent.minutes,
        before.version + 1,
        context.now(),
    )
    comment = "comment" if isinstance(before, ChildJob) else "upload_comment"
    return JobChange(before.moved(move, sent=file, **{comment: sent.comment}))


def _started(job: Job, context: CommandContext) -> Job:
    """The job, after the execution that reads its file, or checks what was read, was started."""
    if job.is_reading or job.state == EditState.UPLOADED:
        start_task(job, context.executions)
    return job
