"""Submissions: a pending batch, and a form to upload its manifest with."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from jobyard.domain.access import roles_for
from jobyard.domain.activity import Subject
from jobyard.domain.batches.batch import INTAKE_PREFIX, Batch, BatchState
from jobyard.domain.collection import Collection
from jobyard.domain.errors import BadRequest, Forbidden, InvalidTransition, StaleState
from jobyard.domain.ids import batch_id_of
from jobyard.domain.mail_addresses import Addresses, addresses
from jobyard.jobtypes import TYPES, batch_refusal
from jobyard.services import activity
from jobyard.services.access import authorize, authorize_deposit, visible_batch
from jobyard.services.context import CommandContext, QueryContext
from jobyard.services.quotas import take_slot
from jobyard.services.recipients import check_recipients
from jobyard.services.settings import MANIFEST_BYTES, UPLOAD_TIME
from jobyard.services.upload_form import UploadForm, presigned_form
from jobyard.store import batches


@dataclass(frozen=True)
class Submission:
    """What a depositor says about a manifest before the upload.

    `notify` are the addresses that get the report. If empty, nobody gets it; if None, the
    collection's addresses do, or the submitter.
    """

    collection: str
    filename: str
    job_type: str
    profile: str
    notify: tuple[str, ...] | None
    parameters: Mapping[str, Any]
    note: str


def submit(submission: Submission, context: CommandContext) -> tuple[Batch, UploadForm]:
    """Create a pending batch, and a form to upload its manifest with.

    The same request sent again returns the same batch.

    Raises:
        Forbidden, NotFound: the actor may not deposit into the collection, or may not see it, or
            may not submit batches of the job type.
        BadRequest: the job type does not exist or takes no manifests, or the deployment may not
            mail a recipient. InvalidParameters: it has
            no such parameter.
        Gone: the request is a repeat, and the time for the upload is over.
        QuotaExceeded: the actor has too many open batches, or sends too many mails today.
    """
    collection = authorize_deposit(submission.collection, context.actor)
    if reason := batch_refusal(submission.job_type):
        raise BadRequest(reason)
    job_type = TYPES[submission.job_type]
    authorize(context.actor, job_type.batch_kind, "submit")
    job_type.check_parameter_names(submission.parameters.keys() - {"callback_url"})
    job_type.check_submission(submission.parameters)
    now = context.now()
    recipients = _recipients(submission, collection, context)
    batch_id, mails = (
        batch_id_of(f"{context.actor.sub}\n{context.key}".encode()),
        len(recipients.valid),
    )
    take_slot(context.actor.sub, batch_id, mails, context.settings.quotas, now)
    batch = Batch(
        batch_id=batch_id,
        state=BatchState.PENDING,
        version=0,
        collection=submission.collection,
        submitter=context.actor.name,
        submitter_sub=context.actor.sub,
        submitter_groups=context.actor.groups
        & {*collection.groups, *roles_for("collection", "deposit")},
        job_type=submission.job_type,
        filename=submission.filename,
        submitted_at=now,
        profile=submission.profile,
        notify=recipients.valid,
        undeliverable=recipients.invalid,
        parameters=submission.parameters,
        note=submission.note,
        upload_until=now + UPLOAD_TIME,
    )
    try:
        batch = batches.put_new(batch)
    except StaleState:
        batch = batches.get(batch.batch_id, now)
    subject = Subject("batch", batch.batch_id, batch.filename)
    activity.record(context, "submit", subject, batch.submitted_at)
    return batch, _upload_form(batch, context)


def upload_form(batch_id: str, return_url: str, context: QueryContext) -> UploadForm:
    """The form for the manifest of a batch that waits for it. After the upload the browser goes to
    `return_url`.

    Raises:
        NotFound, Gone: there is no such batch, or the time for the upload is over.
        Forbidden: somebody else submitted it. InvalidTransition: its manifest has arrived.
    """
    batch = visible_batch(batch_id, context.actor, context.now)
    if not batch.is_submitted_by(context.actor.sub):
        raise Forbidden(f"only {batch.submitter} may upload the manifest of batch {batch_id}")
    if not batch.awaits_upload:
        raise InvalidTransition(f"the manifest of batch {batch_id} has arrived")
    return _upload_form(batch, context, {"success_action_redirect": return_url})


def upload_origin(context: QueryContext) -> str:
    """The origin of the addresses that manifests are uploaded to, for a page's policy."""
    post = context.s3.generate_presigned_post(context.settings.intake_bucket, INTAKE_PREFIX)
    parts = urlsplit(post["url"])
    return f"{parts.scheme}://{parts.netloc}"


def _recipients(
    submission: Submission, collection: Collection, context: CommandContext
) -> Addresses:
    """Who gets the report: the submission's addresses, else the collection's, else the
    submitter's, else the deployment's.
    """
    if submission.notify is not None:
        check_recipients(submission.notify, context)
        return Addresses(submission.notify)
    if collection.notify:  # they were checked when they were set, for other domains perhaps
        return Addresses(collection.notify).within(context.settings.mail_domains)
    return addresses(context.own_email() or context.settings.mail_to)


def _upload_form(
    batch: Batch,
    context: CommandContext | QueryContext,
    fields: Mapping[str, str] = MappingProxyType({}),
) -> UploadForm:
    """The form to upload a batch's manifest with; `fields` are more of its fields."""
    return presigned_form(
        context.s3,
        context.settings,
        batch.upload_key,
        MANIFEST_BYTES,
        batch.submitted_at,
        fields,
    )
