"""Batch mode: a function or a URL edits instead of a worker."""

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.settings import EditSettings
from jobyard.domain.edits.upload import UploadKind, upload_digest
from jobyard.domain.errors import BadRequest
from jobyard.domain.text import clean
from jobyard.jobtypes.http_client import FetchRefused
from jobyard.services.edits.context import EditContext
from jobyard.services.edits.moves import move_of, write_job
from jobyard.services.edits.prepare import prepare
from jobyard.services.edits.settings import batch_error, settings_for
from jobyard.services.edits.workspaces import UploadedFile, write_workspace
from jobyard.store import datasets, edits

MAX_EDITED_BYTES = 32 * 1024 * 1024
LINK_SECONDS = 3_600  # how long the link to the package is valid


class BatchFailed(BadRequest):
    """What edits in batch mode could not be called, or its answer was none."""


def run_batch(edit_id: str, context: EditContext, remaining: Callable[[], float]) -> EditJob:
    """Activate a job, prepare it, have it edited and take the answer as its upload. A repeat starts
    where the job is. Returns the job.

    Raises:
        BatchFailed: the function or the URL failed. BadRequest: its answer has errors.
        StaleState: somebody changed the job meanwhile.
    """
    job = edits.get(edit_id)
    if job.is_batch and job.state is EditState.ALLOCATED:
        dataset = datasets.get(job.dataset)
        job = write_job(
            job,
            job.moved(
                move_of(job, "activate", context),
                base_revision=dataset.revision,
                actual_start=context.now(),
            ),
            context,
        )
    if job.is_batch and job.state is EditState.ACTIVATED:
        prepare(edit_id, context)
        job = edits.get(edit_id)
    if job.is_batch and job.state is EditState.PREPARED:
        job = _edited(job, context, remaining)
    return job


def _edited(job: EditJob, context: EditContext, remaining: Callable[[], float]) -> EditJob:
    settings = settings_for(datasets.get(job.dataset), job.edit_type)
    body = _call(settings, _request_of(job, context), context, remaining)
    package_id = job.package.package_id if job.package else ""
    source = upload_digest(job.edit_id, job.attempt, package_id, sha256(body).hexdigest())
    upload = UploadedFile(body, UploadKind.CHANGES, None, source)
    written = write_workspace(job, upload, context)
    move = move_of(job, "accept", context)
    return write_job(
        job, job.moved(move, workspace=written.changes, checks=job.checks + 1), context
    )


def _request_of(job: EditJob, context: EditContext) -> bytes:
    """What the function or the URL gets: the job, and a link to its package."""
    package = job.package
    if package is None:
        raise BatchFailed(f"{job.edit_id} has no package")
    url = context.s3.generate_presigned_url(
        "get_object",
        Params={"Bucket": context.settings.work_bucket, "Key": package.key},
        ExpiresIn=LINK_SECONDS,
    )
    document: dict[str, Any] = {
        "edit_id": job.edit_id,
        "attempt": job.attempt,
        "name": job.name,
        "dataset": job.dataset,
        "edit_type": job.edit_type,
        "extent": job.extent.document(),
        "base_revision": job.base_revision,
        "package_id": package.package_id,
        "package_url": url,
        "package_sha256": package.digest,
    }
    return json.dumps(document).encode()


def _call(
    settings: EditSettings, request: bytes, context: EditContext, remaining: Callable[[], float]
) -> bytes:
    """The answer: changes in GeoJSON, as an upload of the kind `changes` has them."""
    if problem := batch_error(settings, context.settings.allowed_hosts):
        raise BatchFailed(f"the URL {problem}")
    if settings.batch.startswith(("http://", "https://")):
        return _call_url(settings.batch, request, context, remaining)
    answer = context.functions.invoke(FunctionName=settings.batch, Payload=request)
    body: bytes = answer["Payload"].read(MAX_EDITED_BYTES)
    if "FunctionError" in answer:
        raise BatchFailed(f"the function {settings.batch} failed: {_shown(body)}")
    return body


def _call_url(
    url: str, request: bytes, context: EditContext, remaining: Callable[[], float]
) -> bytes:
    headers = {"Content-Type": "application/json"}
    try:
        answer = context.http.send(
            "POST", url, remaining, headers=headers, body=request, max_bytes=MAX_EDITED_BYTES
        )
    except FetchRefused as error:
        raise BatchFailed(f"the URL could not be called: {error}") from error
    if answer.status != 200:
        raise BatchFailed(f"the URL answered {answer.status}: {_shown(answer.body)}")
    return answer.body


def _shown(body: bytes) -> str:
    return clean(body[:300].decode(errors="replace"))
