"""One edit job, or one of its children: what it is about, and what people do with it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from gateway.errors import ValidationFailed
from jobyard.domain.edits.attachment import ATTACHMENT_BYTES
from jobyard.domain.edits.child import ChildJob
from jobyard.domain.edits.edit_job import EditJob, EditState
from jobyard.domain.edits.upload import UploadKind
from jobyard.domain.edits.work import MAX_COMMENT_BYTES
from jobyard.domain.errors import JobyardError, NotFound
from jobyard.domain.ids import is_child_id
from jobyard.services.access import authorize
from jobyard.services.context import CommandContext
from jobyard.services.edits import (
    allocations,
    attachments,
    claims,
    proposals,
    publications,
    reviews,
    uploads,
)
from jobyard.services.edits.access import visible_job, visible_or_had_job
from jobyard.services.edits.uploads import UploadRequest
from jobyard.services.queries import costs as cost_queries
from jobyard.services.queries import edit_details
from jobyard.services.queries import edits as queries
from web import edit_form as form
from web.edit_map import change_shapes
from web.edit_page import (
    change_rows,
    conflict_rows,
    overview_values,
    page_values,
    storage_origins,
    typed_choices,
)
from web.edit_words import Job, id_of, is_conflict
from web.forms import (
    handle_form,
    number_in,
    refusal_text,
    seen_version,
    status_of,
    version_to_send,
)
from web.lazy import Lazy
from web.pictures.map import draw_map
from web.poll_interval import PART_AGE, poll_interval_s
from web.request import PageRequest, current_request, page_links
from web.responses import page, see_other, shared_page
from web.routes.planner import form_values
from web.sign_in import local_path

router = Router()  # type: ignore[no-untyped-call]

_CHANGES_SHOWN = 25
_KEY_BYTES = 1024  # of S3


@router.get("/edits/<job_id>")
def show_edit(job_id: str) -> Response[str]:
    """One edit job or child."""
    request = current_request(router)
    job = visible_job(job_id, request.actor)
    poll_s = _poll_s(job, request)
    return _polled_page("edit.html", job, poll_s, lambda view: overview_values(view, request))


def _polled_page(
    template: str,
    job: Job,
    poll_s: int,
    values_of: Callable[[queries.EditJobView], Mapping[str, Any]],
) -> Response[str]:
    """A page of an edit job or child. Its readers find at once what changes the job and what people
    did, the rest within `PART_AGE`.
    """
    request = current_request(router)
    return shared_page(
        template,
        request,
        lambda: values_of(queries.edit_job(id_of(job), request.query_context)),
        poll_s=poll_s,
        version=f"{job.version}.{request.actor.sub}",  # the buttons depend on who has it
        least_age=PART_AGE,
        upload_origin=storage_origins(request),
    )


def _refused_overview(request: PageRequest, job_id: str, refusal: JobyardError) -> Response[str]:
    view = queries.edit_job(job_id, request.query_context)
    return page(
        "edit.html",
        request,
        overview_values(view, request, refusal),
        status=status_of(refusal),
        poll_s=_poll_s(view.job, request),
        upload_origin=storage_origins(request),
    )


def _poll_s(job: Job, request: PageRequest) -> int:
    """Seconds until the next poll; 0 for what has ended."""
    return poll_interval_s(job.due_since, request.query_context.now) if job.is_open else 0


@router.get("/edits/<job_id>/changes")
def show_changes(job_id: str) -> Response[str]:
    """What an edit job or child changes, feature by feature."""
    request = current_request(router)
    context = request.query_context
    view = queries.edit_job(job_id, context)
    pagination = request.pagination("changes", job_id, str(view.job.version))
    after = int(pagination.start(request.query.get("cursor", ""), 0))
    feature_id = request.query.get("feature", "")
    found = edit_details.changes(
        view.job, context, after=after, limit=_CHANGES_SHOWN, feature_id=feature_id
    )
    own = None
    if isinstance(view.job, ChildJob) and view.job.edits is not None:
        own = edit_details.uploaded_edits(view.job, context, limit=_CHANGES_SHOWN)
    shapes = [*change_shapes(found.items)]
    values = page_values(view, "changes", request) | {
        "rows": change_rows(found.items, after + 1),
        "found": found,
        "feature_id": feature_id,
        "own": change_rows(own.items) if own else [],
        "own_count": own.total if own else 0,
        "drawn": Lazy(
            repr((job_id, view.job.version, after)), lambda: draw_map(shapes, "Map of the changes")
        )
        if shapes
        else None,
        **page_links(
            request,
            pagination.next_cursor(found.after) if found.after and not feature_id else None,
        ),
    }
    return page("edit_changes.html", request, values, upload_origin=storage_origins(request))


@router.get("/edits/<job_id>/conflicts")
def show_conflicts(job_id: str) -> Response[str]:
    """The conflicts of a child side by side, with a choice for each."""
    return _conflicts_page(current_request(router), job_id)


def _conflicts_page(
    request: PageRequest, job_id: str, refusal: JobyardError | None = None
) -> Response[str]:
    view = queries.edit_job(job_id, request.query_context)
    if not isinstance(view.job, ChildJob):
        raise NotFound(f"{job_id} has no conflicts of its own: its CONFLICT child has them")
    found = edit_details.findings(view.job, request.query_context)
    rows = conflict_rows(found)
    total = len(found.conflicts) if found else 0
    chosen = typed_choices(request.form, [each["feature_id"] for each in rows]) if refusal else {}
    values = page_values(view, "conflicts", request, refusal) | {
        "rows": rows,
        "chosen": chosen,
        "is_removed": found is None,
        "total": total,
        "may_choose": "upload" in view.actions and total == len(rows),
    }
    return page(
        "edit_conflicts.html",
        request,
        values,
        status=status_of(refusal),
        upload_origin=storage_origins(request),
    )


@router.post("/edits/<job_id>/conflicts")
def decide_conflicts(job_id: str) -> Response[str]:
    """Decide conflicts by choosing mine or theirs."""
    request = current_request(router)

    def act() -> str:
        child = queries.child_of(job_id, request.query_context)
        found = edit_details.findings(child, request.query_context)
        ids = [each.feature_id for each in found.conflicts] if found else []
        choices = typed_choices(request.form, ids)
        open_ones = [each for each in ids if each not in choices]
        if open_ones:
            raise ValidationFailed(
                [("choice", f"Choose mine or theirs for {', '.join(open_ones[:5])}.")]
            )
        uploads.upload_choices(job_id, choices, _sent(request, child), request.command_context())
        return f"/edits/{job_id}/file"

    return handle_form(act, lambda refusal: _conflicts_page(request, job_id, refusal))


def _sent(request: PageRequest, job: Job) -> UploadRequest:
    """The confirmation of an upload that a form describes. A form for an earlier claim names it.

    Raises:
        ValidationFailed: a number is none.
    """
    deleting = request.field("deleting")
    number = number_in(deleting) if deleting else None
    minutes = number_in(request.field("minutes") or "0")
    errors = []
    if isinstance(number, str):
        errors.append(
            ("deleting", "Give the number of features that you delete, or leave it empty.")
        )
    if isinstance(minutes, str):
        errors.append(("minutes", "Give the time that you spent in whole minutes."))
    if errors:
        raise ValidationFailed(errors)
    given = number_in(request.field("attempt") or str(job.attempt))
    package_id = job.package.package_id if job.package else ""
    kind = request.field("kind")
    return UploadRequest(
        key=request.text("key_of_file", _KEY_BYTES),
        attempt=given if isinstance(given, int) else job.attempt,
        package_id=request.field("package_id") or package_id,
        digest=request.field("digest"),
        kind=UploadKind(kind) if kind in {*UploadKind} else UploadKind.CHANGES,
        deleting=number if isinstance(number, int) else None,
        comment=request.text("comment", MAX_COMMENT_BYTES),
        minutes=minutes if isinstance(minutes, int) else 0,
    )


@router.get("/edits/<job_id>/upload")
def upload_form(job_id: str) -> Response[str]:
    """Upload edits: first the file, which S3 takes, then what it is."""
    return _upload_page(current_request(router), job_id)


def _upload_page(
    request: PageRequest, job_id: str, refusal: JobyardError | None = None
) -> Response[str]:
    view = queries.edit_job(job_id, request.query_context)
    job = view.job
    key = request.query.get("key", "") or (request.field("key_of_file") if refusal else "")
    made = None
    if not key and "upload" in view.actions:
        back = f"{request.site.settings.url}/edits/{job_id}/upload"
        _, made = uploads.upload_form(
            job_id,
            job.attempt,
            "edits",
            request.command_context(),
            {"success_action_redirect": back},
        )
    errors = dict(refusal.errors) if isinstance(refusal, ValidationFailed) else {}
    values = page_values(view, "", request, refusal) | {
        "form": made,
        "key_of_file": key,
        "may_upload": "upload" in view.actions,
        "why_not": next((each.reason for each in view.unavailable if each.event == "upload"), ""),
        "errors": errors,
        "is_conflict": is_conflict(job),
    }
    status = status_of(refusal)
    origins = storage_origins(request)
    return page("edit_upload.html", request, values, status=status, upload_origin=origins)


@router.post("/edits/<job_id>/upload")
def confirm_upload(job_id: str) -> Response[str]:
    """Confirm an upload. The page of the file shows what is found in it."""
    request = current_request(router)
    try:
        sent = _sent(request, visible_or_had_job(job_id, request.actor))
        context = request.command_context()
        if not sent.digest:
            sent = replace(sent, digest=uploads.digest_of(job_id, sent, context))
        uploads.upload(job_id, sent, context)
    except JobyardError as refusal:
        if status_of(refusal) not in {403, 409, 422}:
            raise
        try:
            return _upload_page(request, job_id, refusal)
        except NotFound:  # who had the job does not see it any more, but why the file was refused
            raise refusal from None
    return see_other(f"/edits/{job_id}/file")


@router.get("/edits/<job_id>/file")
def show_file(job_id: str) -> Response[str]:
    """The file that was uploaded last: that it is being read, or what was found in it."""
    request = current_request(router)
    job = visible_job(job_id, request.actor)
    poll_s = _poll_s(job, request) if job.is_reading else 0

    def values(view: queries.EditJobView) -> dict[str, Any]:
        report = edit_details.upload_report(view.job, request.query_context)
        if report is None:
            raise NotFound(f"nothing was uploaded to the current claim of {job_id}")
        return page_values(view, "", request) | {"report": report}

    return _polled_page("edit_file.html", job, poll_s, values)


@router.get("/edits/<job_id>/uploads")
def list_uploads(job_id: str) -> Response[str]:
    """The uploads that came too late."""
    request = current_request(router)
    found = edit_details.rescued_uploads(job_id, request.query_context)
    prefix = f"edits/{job_id}/uploads/"
    values = _values_if_visible(job_id, request) | {
        "uploads": [{"upload": each, "name": each.key.removeprefix(prefix)} for each in found],
    }
    return page("edit_uploads.html", request, values, upload_origin=storage_origins(request))


def _values_if_visible(job_id: str, request: PageRequest) -> dict[str, Any]:
    """The values of the layout; less for a person who had the job, and does not see it any more."""
    try:
        view = queries.edit_job(job_id, request.query_context)
    except NotFound:
        return {"view": None, "job_id": job_id, "address": f"/edits/{job_id}"}
    return page_values(view, "uploads", request) | {"job_id": job_id}


@router.get("/edits/<job_id>/uploads/diff")
def show_diff(job_id: str) -> Response[str]:
    """How a late upload differs from the dataset."""
    request = current_request(router)
    name = request.query.get("name", "")
    found = edit_details.rescued_diff(job_id, name, request.query_context)
    shapes = [*change_shapes(found.changes[:_CHANGES_SHOWN])]
    values = _values_if_visible(job_id, request) | {
        "found": found,
        "name": name,
        "rows": change_rows(found.changes[:_CHANGES_SHOWN]),
        "drawn": draw_map(shapes, "Map of the late upload") if shapes else None,
    }
    return page("edit_late.html", request, values, upload_origin=storage_origins(request))


@router.get("/edits/<job_id>/uploads/file")
def get_upload(job_id: str) -> Response[str]:
    """A late upload, by a link of S3 that is valid for some minutes."""
    request = current_request(router)
    name = request.query.get("name", "")
    return see_other(edit_details.rescued_link(job_id, name, request.query_context))


@router.get("/edits/<job_id>/log")
def show_log(job_id: str) -> Response[str]:
    """What the machine and people did with an edit job and its children, for administrators."""
    request = current_request(router)
    log = queries.process_log(job_id, request.query_context)
    view = queries.edit_job(job_id, request.query_context)
    titles = {each.child_id: each.title for each in view.children}
    values = page_values(view, "log", request) | {
        "log": log,
        "entries": [
            {"entry": each, "job_id": of, "title": titles.get(of, "")}
            for of, each in reversed(log.entries)
        ],
    }
    return page("edit_log.html", request, values, upload_origin=storage_origins(request))


@router.get("/edits/<job_id>/cost")
def show_cost(job_id: str) -> Response[str]:
    """What the machine's part of an edit job has cost so far."""
    request = current_request(router)
    view = queries.edit_job(job_id, request.query_context)
    cost = cost_queries.edit_cost(job_id, request.query_context)
    values = page_values(view, "cost", request) | {"cost": cost}
    return page("edit_cost.html", request, values, upload_origin=storage_origins(request))


@router.get("/edits/<job_id>/edit")
def edit_form(job_id: str) -> Response[str]:
    """The form that changes an edit job."""
    return _edit_page(current_request(router), job_id)


def _edit_page(
    request: PageRequest,
    job_id: str,
    refusal: JobyardError | None = None,
    *,
    frame: str = "",
) -> Response[str]:
    authorize(request.actor, "edit", "edit")
    view = queries.edit_job(job_id, request.query_context)
    job = view.job
    if not isinstance(job, EditJob):
        raise NotFound(f"{job_id} is a child: its edit job is {job.parent_id}")
    fields = form.fields_of(job, request.zone)
    if request.method == "POST":
        fields = form.typed_fields(request, fields)
    dataset = edit_details.dataset_of(job)
    values = {
        "job": job,
        "address": f"/edits/{job_id}/edit",
        "back": f"/edits/{job_id}",
        "datasets": [],
        **form_values(request, dataset, fields, frame),
        "seen": version_to_send(request, job.version, refusal),
        "errors": form.errors_of(refusal),
        "refusal": refusal and refusal_text(refusal),
    }
    return page("edit_form.html", request, values, status=status_of(refusal))


@router.post("/edits/<job_id>/edit")
def change_edit(job_id: str) -> Response[str]:
    """Change an edit job, or look at another part of the map."""
    request = current_request(router)
    authorize(request.actor, "edit", "edit")
    if request.field("look"):
        return _edit_page(request, job_id, frame=request.field("look"))

    def act() -> str:
        view = queries.edit_job(job_id, request.query_context)
        is_proposed = view.job.state == EditState.PROPOSED
        changes = form.changes_of(request, is_proposed=is_proposed)
        proposals.edit(job_id, changes, request.command_context(), seen=seen_version(request))
        return f"/edits/{job_id}"

    frame = request.field("frame")
    return handle_form(act, lambda refusal: _edit_page(request, job_id, refusal, frame=frame))


@router.post("/edits/<job_id>/attachments")
def request_attachment(job_id: str) -> Response[str]:
    """Ask a data custodian for an attachment."""
    request = current_request(router)

    def act() -> str:
        custodian, email = request.field("custodian"), request.field("email")
        description, context = request.field("description"), request.command_context()
        attachments.request(job_id, custodian, email, description, context)
        return f"/edits/{job_id}#attachments"

    return handle_form(act, lambda refusal: _refused_overview(request, job_id, refusal))


@router.get("/edits/<job_id>/attachments/<index>")
def attachment_form(job_id: str, index: str) -> Response[str]:
    """The form with which a planner sends a file for a custodian, then hands it over."""
    request = current_request(router)
    number = number_in(index)
    view = queries.edit_job(job_id, request.query_context)
    back = f"{request.site.settings.url}/edits/{job_id}/attachments/{index}"
    _, made = attachments.answer_form(
        job_id,
        number if isinstance(number, int) else 0,
        "${filename}",
        request.command_context(),
        {"success_action_redirect": back},
    )
    values = page_values(view, "", request) | {
        "form": made,
        "key_of_file": request.query.get("key", ""),
        "answer_address": f"/edits/{job_id}/attachments/{index}/answer",
        "number": index,
        "max_bytes": ATTACHMENT_BYTES,
    }
    origins = storage_origins(request)
    return page("edit_attachment.html", request, values, upload_origin=origins)


@router.get("/edits/<job_id>/attachments/<index>/file")
def get_attachment(job_id: str, index: str) -> Response[str]:
    """The file that a custodian sent, by a link of S3 that is valid for some minutes."""
    request = current_request(router)
    number = number_in(index)
    wanted = number if isinstance(number, int) else 0
    return see_other(edit_details.attachment_link(job_id, wanted, request.query_context).url)


@router.post("/edits/<job_id>/attachments/<index>/<event>")
def answer_attachment(job_id: str, index: str, event: str) -> Response[str]:
    """Send a link for an attachment again, or answer for its custodian."""
    request = current_request(router)

    def act() -> str:
        number = number_in(index)
        if not isinstance(number, int) or event not in {"resend", "decline", "answer"}:
            raise NotFound("there is no such attachment")
        context = request.command_context()
        if event == "resend":
            attachments.resend(job_id, number, context)
        else:
            key = request.text("key_of_file", _KEY_BYTES) if event == "answer" else ""
            attachments.answer(job_id, number, key, context)
        return f"/edits/{job_id}#attachments"

    return handle_form(act, lambda refusal: _refused_overview(request, job_id, refusal))


_Act = Callable[[str, PageRequest, CommandContext], object]


def _allocate(job_id: str, request: PageRequest, context: CommandContext) -> object:
    person = request.field("assignee")
    if is_child_id(job_id):
        return allocations.allocate_child(job_id, person, context)
    return allocations.allocate(job_id, request.field("team"), person, context)


def _decide(
    decision: Callable[[str, str, CommandContext], object],
) -> _Act:
    def act(job_id: str, request: PageRequest, context: CommandContext) -> object:
        return decision(job_id, request.text("comment", MAX_COMMENT_BYTES), context)

    return act


_EVENTS: Mapping[str, _Act] = {
    "activate": lambda job_id, _, context: claims.activate(job_id, context),
    "relinquish": lambda job_id, _, context: claims.relinquish(job_id, context),
    "finish": lambda job_id, _, context: claims.finish(job_id, context),
    "delete": lambda job_id, _, context: proposals.delete(job_id, context),
    "allocate": _allocate,
    "revoke": lambda job_id, _, context: allocations.revoke(job_id, context),
    "release": lambda job_id, _, context: allocations.release(job_id, context),
    "abandon": lambda job_id, _, context: allocations.abandon(job_id, context),
    "retry": lambda job_id, _, context: allocations.retry(job_id, context),
    "archive": lambda job_id, _, context: allocations.archive(job_id, context),
    "publish_again": lambda job_id, _, context: publications.publish_again(job_id, context),
    "approve": _decide(reviews.approve),
    "require_corrections": _decide(reviews.require_corrections),
    "discard": _decide(reviews.discard),
}


@router.post("/edits/<job_id>/<event>")
def post_event(job_id: str, event: str) -> Response[str]:
    """Send an event to an edit job or a child."""
    request = current_request(router)

    def act() -> str:
        context = request.command_context()
        if event == "download":
            return claims.download(job_id, context).url
        if event == "copy":
            return f"/edits/{proposals.copy(job_id, context).edit_id}/edit"
        if event not in _EVENTS:
            raise NotFound(f"an edit job has no event {event!r:.80}")
        _EVENTS[event](job_id, request, context)
        if event == "delete":
            return "/planner"
        return local_path(request.query.get("back", "") or f"/edits/{job_id}")

    return handle_form(act, lambda refusal: _refused_overview(request, job_id, refusal))
