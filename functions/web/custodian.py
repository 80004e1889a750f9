"""The page of a data custodian, who is nobody in the user pool: a link is all that they have.

It shows what is asked for and nothing else of the edit job.
"""

from urllib.parse import urlsplit

from aws_lambda_powertools.event_handler import Response

from jobyard.domain.edits.attachment import ATTACHMENT_BYTES, MAX_REQUEST_BYTES
from jobyard.domain.errors import (
    BadRequest,
    Forbidden,
    Gone,
    InvalidTransition,
    LinkNotValid,
    NotFound,
)
from jobyard.domain.link_paths import ATTACHMENTS
from jobyard.services.edits import attachments
from web import csrf
from web.forms import refusal_text
from web.request import PageRequest
from web.responses import page

_KEY_BYTES = 1024  # of S3
_OVER = (
    "The work that needed this file does not wait for it any more. You need not do anything. If "
    "you expected something else, ask the person who wrote to you."
)
_NOT_VALID = (
    "This link is not valid. Open the one in the mail as it is, with all of its characters; some "
    "programs cut it at the end of a line. If it does not work, ask the person who wrote to you."
)


def respond(request: PageRequest) -> Response[str]:
    """The response to a request of a custodian."""
    token = request.path.removeprefix(ATTACHMENTS)
    try:
        if request.method == "POST":
            csrf.check_sender(request)
            return _answer(token, request)
        return _show(token, request)
    except (NotFound, Gone):
        return _refused(request, _NOT_VALID, 404)
    except Forbidden as refusal:
        return _refused(request, str(refusal), 403)
    except LinkNotValid as refusal:
        return _refused(request, str(refusal), 409)
    except InvalidTransition:
        return _refused(request, _OVER, 409)


def _show(token: str, request: PageRequest, refusal: str = "") -> Response[str]:
    context = request.command_context()
    found = attachments.requested_by_link(token, context)
    back = f"{request.site.settings.url}{request.path}"
    fields = {"success_action_redirect": back}
    _, form = attachments.form_by_link(token, "${filename}", context, fields)
    parts = urlsplit(form.url)
    values = {
        "address": request.path,
        "name": found.job.name,
        "planner": found.job.planner.name,
        "attachment": found.attachment,
        "form": form,
        "key_of_file": request.query.get("key", "") or request.field("key_of_file"),
        "filename": request.query.get("key", "").rpartition("/")[2],
        "reason": request.field("reason"),
        "refusal": refusal,
        "max_bytes": ATTACHMENT_BYTES,
    }
    status = 422 if refusal else 200
    origin = f"{parts.scheme}://{parts.netloc}"
    return page("custodian.html", request, values, status=status, upload_origin=origin)


def _answer(token: str, request: PageRequest) -> Response[str]:
    context = request.command_context()
    try:
        if request.field("answer") == "decline":
            reason = request.text("reason", MAX_REQUEST_BYTES)
            attachments.decline_by_link(token, reason, context)
            return _done(request, "You declined", "Thank you. Nobody waits for this file now.")
        key = request.text("key_of_file", _KEY_BYTES)
        if not key:
            raise BadRequest("send a file first, or decline")
        attachments.upload_by_link(token, key, context)
    except BadRequest as refusal:
        return _show(token, request, refusal_text(refusal))
    return _done(request, "Your file was received", "Thank you. You can close this page.")


def _done(request: PageRequest, title: str, text: str) -> Response[str]:
    return page("custodian_end.html", request, {"title": title, "text": text})


def _refused(request: PageRequest, text: str, status: int) -> Response[str]:
    values = {"title": "This link cannot be used", "text": text}
    return page("custodian_end.html", request, values, status=status)
