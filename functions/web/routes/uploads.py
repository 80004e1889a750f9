"""Uploads: a manifest is chosen, checked, submitted, and sent straight to S3."""

from pathlib import PurePosixPath

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from gateway.errors import ValidationFailed
from jobyard.domain.errors import JobyardError
from jobyard.domain.mail_addresses import addresses
from jobyard.domain.manifests.profiles import PROFILES
from jobyard.services.access import authorize
from jobyard.services.batches import submissions
from jobyard.services.batches.submissions import Submission
from jobyard.services.queries import collections as collection_queries
from jobyard.services.queries.quotas import own_quota_use
from web.batch_page import finding_rows
from web.forms import handle_form, recipient_errors, refusal_values, status_of
from web.manifest_check import check
from web.request import PageRequest, current_request
from web.responses import page

router = Router()  # type: ignore[no-untyped-call]

_COLLECTIONS_OFFERED = 500
_NAME_BYTES = 200  # of a manifest's file name
_NOTE_BYTES = 1000
_CHECK_TIME_S = 10  # the gateway times out after 30 seconds


@router.get("/batches/new")
def new_batch() -> Response[str]:
    """The form to choose a manifest and its collection."""
    return _new_page(current_request(router))


def _new_page(request: PageRequest, refusal: JobyardError | None = None) -> Response[str]:
    authorize(request.actor, "batch", "submit")
    found = collection_queries.list_collections(
        request.query_context, after="", limit=_COLLECTIONS_OFFERED
    )
    values = {
        "options": [(each.collection.name,) * 2 for each in found.items if each.may_deposit],
        "profiles": [(name, name) for name in PROFILES],
        "collection": request.query.get("collection", ""),
        "used": own_quota_use(request.query_context),
        "quotas": request.site.settings.quotas,
        **refusal_values(request, refusal),
    }
    origin = submissions.upload_origin(request.query_context)
    return page("upload.html", request, values, status=status_of(refusal), upload_origin=origin)


@router.post("/batches/new")
def submit_batch() -> Response[str]:
    """Create the batch that waits for the manifest, then go to the form that sends it."""
    request = current_request(router)

    def act() -> str:
        batch, _ = submissions.submit(_submission(request), request.command_context())
        return f"/batches/{batch.batch_id}/upload"

    return handle_form(act, lambda refusal: _new_page(request, refusal))


def _submission(request: PageRequest) -> Submission:
    """The submission that the form describes.

    Raises:
        ValidationFailed: a field is not valid.
    """
    filename = PurePosixPath(request.field("file").replace("\\", "/")).name
    notify = request.field("notify")
    found = addresses(notify) if notify else None
    errors = []
    # S3 would replace "${filename}" by the name of the uploaded file.
    is_bad = filename in {"", ".."} or "${" in filename or not filename.isprintable()
    if is_bad or len(filename.encode()) > _NAME_BYTES:
        message = f"Choose a manifest whose name has up to {_NAME_BYTES} bytes and no ${{."
        errors.append(("file", message))
    if request.field("profile") not in {"", *PROFILES}:
        errors.append(("profile", f"Choose a profile: {', '.join(PROFILES)}."))
    if found:
        errors += recipient_errors(found)
    if errors:
        raise ValidationFailed(errors)
    return Submission(
        collection=request.field("collection"),
        filename=filename,
        job_type="deposit",
        profile=request.field("profile"),
        notify=found.valid if found else None,
        parameters={},
        note=request.text("note", _NOTE_BYTES),
    )


@router.get("/batches/<batch_id>/upload")
def upload_form(batch_id: str) -> Response[str]:
    """The form that sends the manifest of a batch to S3, which redirects to the batch."""
    request = current_request(router)
    context = request.query_context
    back = f"{request.site.settings.url}/batches/{batch_id}"
    form = submissions.upload_form(batch_id, back, context)
    values = {
        "list": {"label": "Batches", "address": "/batches"},
        "back": f"/batches/{batch_id}",
        "form": form,
        "filename": PurePosixPath(form.fields["key"]).name,
    }
    origin = submissions.upload_origin(context)
    return page("upload_send.html", request, values, upload_origin=origin)


@router.post("/manifests/check")
def check_manifest() -> Response[str]:
    """What is wrong with a manifest. The page's script sends its beginning, compressed with
    gzip.
    """
    request = current_request(router)
    authorize(request.actor, "batch", "submit")
    is_cut = request.query.get("bytes") != request.query.get("size")
    filename = request.query.get("filename", "")[:_NAME_BYTES]
    hosts = request.site.settings.allowed_hosts
    started = request.query_context.clock()
    checked = check(
        request.body,
        filename,
        is_cut=is_cut,
        allowed_hosts=hosts,
        is_late=lambda: request.query_context.clock() - started > _CHECK_TIME_S,
    )
    values = {"checked": checked, "findings": finding_rows([*checked.findings])}
    return page("manifest_check.html", request, values)
