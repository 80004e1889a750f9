"""Attachments: data custodians answer by the link in their mail, or a planner does for them."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from jobyard.domain.edits.attachment import (
    ATTACHMENT_BYTES,
    Attachment,
    AttachmentState,
    request_attachment,
)
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.errors import BadRequest, InvalidTransition, NotFound
from jobyard.domain.link_paths import ATTACHMENTS
from jobyard.domain.mail_text import time_text
from jobyard.domain.text import FILENAME_BYTES, clean
from jobyard.services import cursors
from jobyard.services.access import authorize
from jobyard.services.context import Actor, CommandContext
from jobyard.services.edits.access import visible_edit
from jobyard.services.edits.changes import (
    JobChange,
    caused_move,
    change_job,
    proposing_again,
    requested_move,
)
from jobyard.services.edits.notices import Notice, allocation_notices, link_notice, notice
from jobyard.services.edits.settings import settings_or_default
from jobyard.services.edits.tasks import start_task
from jobyard.services.quotas import take_mails
from jobyard.services.recipients import check_recipients
from jobyard.services.upload_form import UploadForm, presigned_form
from jobyard.store import edits, teams

_LINK = "attachment"  # the kind of signed links
_MISSING = frozenset({"NoSuchKey", "404", "403"})
_CHUNK = 1024 * 1024


def request(
    edit_id: str, custodian: str, email: str, description: str, context: CommandContext
) -> EditJob:
    """Ask a data custodian for an attachment. The mail is sent when the job is allocated.

    Raises:
        Forbidden, NotFound. InvalidTransition: it is not a proposal any more.
        BadRequest: a text is missing, the address is none or one that the deployment may not mail,
            or there are too many requests.
    """
    authorize(context.actor, "attachment", "request")

    def requested(before: EditJob) -> JobChange:
        if before.state is not EditState.PROPOSED:
            raise InvalidTransition(
                f"attachments are requested while an edit job is proposed; {edit_id} is "
                f"{before.state}: {proposing_again(before, context.actor.roles)}"
            )
        more = request_attachment(before.attachments, custodian, email, description)
        check_recipients((more[-1].email,), context)
        return JobChange(before.moved(requested_move(before, "edit", context), attachments=more))

    return change_job(lambda: visible_edit(edit_id, context.actor), requested, context, "request")


def resend(edit_id: str, index: int, context: CommandContext) -> EditJob:
    """Send another link for an attachment. The links before it are not valid any more.

    Raises:
        Forbidden, NotFound. InvalidTransition: it was answered, or the job does not wait for it.
        QuotaExceeded: the actor sends too many mails today.
    """
    authorize(context.actor, "attachment", "resend")

    def sent(before: EditJob) -> JobChange:
        attachment = _attachment(before, index)
        attachment.check_open()
        _check_blocked(before)
        again = attachment.sent(context.now())
        after = before.moved(
            caused_move(before, "answer", context), attachments=_with(before, again)
        )
        return JobChange(after, notices=request_notices(after, [again], context))

    return change_job(lambda: visible_edit(edit_id, context.actor), sent, context, "resend")


def request_notices(
    job: EditJob, attachments: Iterable[Attachment], context: CommandContext
) -> list[Notice]:
    """The mails to custodians, each with a link for one attachment. They count for the actor.

    Raises:
        QuotaExceeded: the actor sends too many mails today.
    """
    asked = [*attachments]
    limits, now = context.settings.quotas, context.now()
    take_mails(context.actor.sub, len(asked), "what custodians are asked", limits, now)
    notices = []
    for each in asked:
        facts = [
            ("Requested", each.description),
            ("By", job.planner.name),
            ("Link valid until", time_text(each.expires_at)),
        ]
        link = f"{context.settings.url}{ATTACHMENTS}{quote(token_of(job, each, context))}"
        headline = "A file is requested from you"
        notices += link_notice(job, each.email, headline, facts, link, context.settings)
    return notices


def token_of(job: EditJob, attachment: Attachment, context: CommandContext) -> str:
    """The token in the last link for an attachment."""
    position = [job.edit_id, attachment.index, attachment.sends]
    return cursors.sign(position, _LINK, context.signing_key())


@dataclass(frozen=True)
class CustodianRequest:
    """What a custodian sees: the name of the edit job, and what is requested."""

    job: EditJob
    attachment: Attachment


def requested_by_link(token: str, context: CommandContext) -> CustodianRequest:
    """What a link requests from a custodian.

    Raises:
        NotFound: the link is not one of this deployment.
        LinkNotValid: it has expired, was replaced or used. InvalidTransition: the job does not wait
            for it.
    """
    job, index, sends = _linked(token, context)
    attachment = _attachment(job, index)
    attachment.check_link(sends, context.now())
    _check_blocked(job)
    return CustodianRequest(job, attachment)


def form_by_link(
    token: str,
    filename: str,
    context: CommandContext,
    fields: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, UploadForm]:
    """The key and the form to upload the file that a link requests, with more `fields` of it.
    With the name "${filename}" S3 puts in that of the file.

    Raises:
        NotFound, InvalidTransition: as for `requested_by_link`.
    """
    found = requested_by_link(token, context)
    return _form(found.job, found.attachment, filename, context, fields)


def upload_by_link(token: str, key: str, context: CommandContext) -> EditJob:
    """Take over the file that a custodian uploaded to `key`.

    Raises:
        NotFound, InvalidTransition: as for `requested_by_link`. BadRequest: there is no such file.
    """
    return _answer_by_link(token, lambda job, index: _uploaded(job, index, key, context), context)


def decline_by_link(token: str, reason: str, context: CommandContext) -> EditJob:
    """Record that a custodian has no such file.

    Raises:
        NotFound, InvalidTransition: as for `requested_by_link`.
    """
    return _answer_by_link(token, lambda *_: {"reason": reason}, context)


def _answer_by_link(
    token: str, answer: Callable[[EditJob, int], dict[str, Any]], context: CommandContext
) -> EditJob:
    job, index, sends = _linked(token, context)
    name = _attachment(job, index).custodian
    actor = Actor(f"custodian {job.edit_id} {index}", name, frozenset())
    context = replace(context, actor=actor)

    def check(attachment: Attachment) -> None:
        attachment.check_link(sends, context.now())

    return _answered(job.edit_id, index, check, answer, context)


def answer_form(
    edit_id: str,
    index: int,
    filename: str,
    context: CommandContext,
    fields: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, UploadForm]:
    """The key and the form for a planner to upload a file for a custodian, with more `fields`.

    Raises:
        Forbidden, NotFound. InvalidTransition: it was answered, or the job does not wait for it.
    """
    authorize(context.actor, "attachment", "answer")
    job = visible_edit(edit_id, context.actor)
    attachment = _attachment(job, index)
    attachment.check_open()
    _check_blocked(job)
    return _form(job, attachment, filename, context, fields)


def answer(edit_id: str, index: int, key: str, context: CommandContext) -> EditJob:
    """Upload a file for a custodian, or decline with the context's reason if `key` is "".

    Raises:
        Forbidden, NotFound. InvalidTransition: it was answered, or the job does not wait for it.
        BadRequest: there is no such file.
    """
    authorize(context.actor, "attachment", "answer")
    visible_edit(edit_id, context.actor)

    def given(job: EditJob, index: int) -> dict[str, Any]:
        return _uploaded(job, index, key, context) if key else {"reason": context.reason}

    return _answered(edit_id, index, Attachment.check_open, given, context)


def _answered(
    edit_id: str,
    index: int,
    check: Callable[[Attachment], None],
    answer: Callable[[EditJob, int], dict[str, Any]],
    context: CommandContext,
) -> EditJob:
    """The job after an answer. The last one lets it be allocated."""

    def answered(before: EditJob) -> JobChange:
        attachment = _attachment(before, index)
        check(attachment)
        _check_blocked(before)
        fields = answer(before, index)
        state = AttachmentState.UPLOADED if "key" in fields else AttachmentState.DECLINED
        done = replace(
            attachment,
            state=state,
            answered_at=context.now(),
            answered_by=context.actor.name,
            **fields,
        )
        attachments = _with(before, done)
        is_last = not any(each.is_open for each in attachments)
        move = caused_move(before, "unblock" if is_last else "answer", context)
        after = before.moved(move, attachments=attachments)
        return JobChange(after, notices=_answer_notices(after, done, is_last, context))

    job = change_job(lambda: edits.get(edit_id), answered, context, "answer")
    if job.state is EditState.ALLOCATED:
        start_task(job, context.executions)
    return job


def _answer_notices(
    job: EditJob, done: Attachment, is_last: bool, context: CommandContext
) -> list[Notice]:
    edit_settings = settings_or_default(job)
    if not edit_settings.mails:
        return []
    notices = []
    if done.state is AttachmentState.DECLINED:
        facts = [("Attachment", done.description), ("Declined by", done.answered_by)]
        facts += [("Reason", done.reason)] if done.reason else []
        headline = "An attachment was declined"
        notices += notice(job, [job.planner_email], headline, facts, context.settings)
    team = teams.find(job.team)
    if is_last and team is not None:
        notices += allocation_notices(job, team, edit_settings, context.settings)
    return notices


def _linked(token: str, context: CommandContext) -> tuple[EditJob, int, int]:
    try:
        edit_id, index, sends = cursors.verify(token, _LINK, context.signing_key())
    except BadRequest as error:
        raise NotFound("this link is not valid: use the one in the mail as it is") from error
    return edits.get(edit_id), index, sends


def _attachment(job: EditJob, index: int) -> Attachment:
    found = next((each for each in job.attachments if each.index == index), None)
    if found is None:
        raise NotFound(f"{job.edit_id} has no attachment {index}")
    return found


def _with(job: EditJob, changed: Attachment) -> tuple[Attachment, ...]:
    return tuple(changed if each.index == changed.index else each for each in job.attachments)


def _check_blocked(job: EditJob) -> None:
    if job.state is not EditState.BLOCKED:
        raise InvalidTransition(
            f"{job.edit_id} is {job.state}: it waits for attachments only while it is blocked"
        )


def _form(
    job: EditJob,
    attachment: Attachment,
    filename: str,
    context: CommandContext,
    fields: Mapping[str, str] = MappingProxyType({}),
) -> tuple[str, UploadForm]:
    name = clean(PurePosixPath(filename.replace("\\", "/")).name, FILENAME_BYTES) or "attachment"
    seed = f"{context.actor.sub}\n{context.run}"
    folder = hashlib.sha256(seed.encode()).hexdigest()[:16]
    key = f"{_folder(job, attachment.index)}/{folder}/{name}"
    made = presigned_form(
        context.s3, context.settings, key, ATTACHMENT_BYTES, context.now(), fields
    )
    return key, made


def _folder(job: EditJob, index: int) -> str:
    return f"edits/{job.edit_id}/attachments/{index}"


def _uploaded(job: EditJob, index: int, key: str, context: CommandContext) -> dict[str, Any]:
    """The fields of an attachment whose file was uploaded to `key`; the file is copied to the work
    bucket, where it stays until the job has ended.

    Raises:
        BadRequest: the key is not one for this attachment, or there is no file.
    """
    if not key.startswith(f"{_folder(job, index)}/"):
        raise BadRequest(f"{key!r:.300} is not a key that a form for this attachment has")
    s3, settings = context.s3, context.settings
    try:
        found = s3.get_object(Bucket=settings.intake_bucket, Key=key)
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in _MISSING:
            raise
        raise BadRequest(f"no file was uploaded to {key!r:.300}") from error
    digest = hashlib.sha256()
    for chunk in found["Body"].iter_chunks(_CHUNK):
        digest.update(chunk)
    filename = PurePosixPath(key).name
    target = f"{_folder(job, index)}-{digest.hexdigest()[:16]}"
    s3.copy_object(
        Bucket=settings.work_bucket,
        Key=target,
        CopySource={
            "Bucket": settings.intake_bucket,
            "Key": key,
            "VersionId": found["VersionId"],  # the form may be sent again meanwhile
        },
    )
    return {
        "filename": filename,
        "key": target,
        "size": found["ContentLength"],
        "digest": digest.hexdigest(),
    }
