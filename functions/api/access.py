"""Which entry of the access table a request needs, checked before its fields are validated.

Callers who may not send a request learn nothing else about it. Services check again; rights on a
single batch, job or collection are checked by them only.
"""

from collections.abc import Mapping
from typing import Any

from api.auth import actor_of, claims_of
from gateway.errors import Unauthenticated
from jobyard.domain.access import RELATIONS, ROLES, refusal, roles_for
from jobyard.domain.errors import Forbidden, JobyardError
from jobyard.domain.ids import is_child_id
from jobyard.services.access import authorize

_KINDS = {
    "batches": "batch",
    "jobs": "job",
    "schedules": "schedule",
    "campaigns": "campaign",
    "calendars": "calendar",
    "collections": "collection",
    "datasets": "dataset",
    "holds": "hold",
    "webhooks": "webhook",
    "activity": "activity",
    "rates": "rates",
    "cost": "cost",
    "edits": "edit",
    "worklist": "worklist",
    "teams": "team",
    "edit-settings": "edit settings",
}
# Parts of the path of an edit job that name an event otherwise.
_EDIT_EVENTS = {"upload-form": "upload", "log": "view_log", "copy": "propose"}
_ATTACHMENT_EVENTS = {"resend": "resend", "upload-form": "answer", "answer": "answer"}
# The events of changes whose path names a part, such as a report, and then the event.
_PART_EVENTS = {
    **{(kind, "resend"): "resend_report" for kind in ("batch", "campaign", "schedule")},
    ("webhook", "redeliver"): "redeliver",
}
# The events of changes whose path does not name the event.
_EVENTS = {
    ("POST", "batch"): "submit",
    ("POST", "schedule"): "create",
    ("PATCH", "schedule"): "edit",
    ("DELETE", "schedule"): "delete",
    ("POST", "campaign"): "start",
    ("PUT", "calendar"): "put",
    ("POST", "dataset"): "load",
    ("PUT", "dataset"): "edit",
    ("DELETE", "calendar"): "delete",
    ("POST", "collection"): "create",
    ("PATCH", "collection"): "edit",
    ("POST", "webhook"): "create",
    ("PATCH", "webhook"): "update",
    ("DELETE", "webhook"): "delete",
    ("PUT", "hold"): "place",
    ("DELETE", "hold"): "lift",
    ("POST", "edit"): "propose",
    ("PATCH", "edit"): "edit",
    ("PUT", "team"): "put",
    ("DELETE", "team"): "delete",
    ("PUT", "edit settings"): "put",
    ("DELETE", "edit settings"): "delete",
}


def access_of(method: str, path: str) -> tuple[str, str] | None:
    """The kind and event that a request needs; None if anyone may send it.

    `path` comes after /api/. Anyone may request one batch, job or collection; the service answers
    that it does not exist if they may not see it.
    """
    noun, _, rest = path.partition("/")
    name, _, event = rest.partition("/")
    kind = _KINDS.get(noun, "")
    if kind in {"edit", "edit settings"}:
        return _edit_access(kind, method, name, event)
    if method == "GET" and (kind, event) == ("job", "log"):
        return kind, "view_log"
    if not kind or (method == "GET" and kind in {"job", "collection"}):
        return None
    if method == "GET" and kind == "batch":
        return None if name else ("batch", "list")
    if method == "GET":
        return kind, "view"
    if event == "operations":
        return "job", "requeue"  # the body names the event; all events of jobs need the same roles
    if last := _PART_EVENTS.get((kind, event.rpartition("/")[2])):
        return kind, last
    if (kind, event) == ("dataset", "exports"):
        return "dataset", "export"
    if (kind, name) == ("schedule", "preview"):
        return "schedule", "preview"
    return kind, event.removesuffix("/preview") or _EVENTS.get((method, kind), "")


def _edit_access(kind: str, method: str, job_id: str, event: str) -> tuple[str, str] | None:
    """As `access_of`, for an edit job or a child of one, which is known by its id, or for the
    settings of edit jobs.
    """
    if kind == "edit settings":
        return kind, _EVENTS.get((method, kind), "view")
    if method == "GET" and event.startswith("attachments/"):
        return "attachment", "download"
    if method == "GET" and event != "log":
        return None
    if (job_id, event) == ("archive", ""):
        return "edit", "archive"
    if event.startswith("attachments"):
        last = event.rpartition("/")[2]
        return "attachment", _ATTACHMENT_EVENTS.get(last, "request")
    children = {"x": "fixup", "r": "review"}
    kind = children.get(job_id[:1], "edit") if is_child_id(job_id) else "edit"
    if event in {"approve", "require_corrections", "discard"}:
        kind = "review"
    return kind, _EDIT_EVENTS.get(event, event) or _EVENTS.get((method, "edit"), "")


def roles_needed(method: str, path: str) -> tuple[str, ...] | None:
    """The roles of which a request needs one; None if it needs none.

    These are all roles if the right depends on the resource, as for a collection's owner, or if the
    event is unknown.
    """
    needed = access_of(method, path)
    if needed is None:
        return None
    roles = roles_for(*needed)
    return ROLES if not roles or RELATIONS.intersection(roles) else roles


def authorize_schedules(event: Mapping[str, Any], machine_clients: Mapping[str, str]) -> None:
    """Check that a request about schedules or calendars, if it is one, comes from an admin.

    Raises:
        Unauthenticated: the request has no valid token. Forbidden: it is from somebody else.
    """
    kind = _KINDS.get(_path(event).partition("/")[0])
    if kind in {"schedule", "calendar"}:
        authorize(actor_of(claims_of(event), machine_clients), kind, "view")


def role_refusal(event: Mapping[str, Any], machine_clients: Mapping[str, str]) -> Forbidden | None:
    """The refusal if the actor has no role that may send this request; None if one of them may.

    Raises:
        Unauthenticated: the request has no valid token.
    """
    method = event["requestContext"]["http"]["method"]
    roles = roles_needed(method, _path(event))
    if roles is None or not actor_of(claims_of(event), machine_clients).roles.isdisjoint(roles):
        return None
    kind, name = access_of(method, _path(event)) or ("", "")
    return Forbidden(refusal(kind, name, roles))


def forbidden_or(
    error: JobyardError, event: Mapping[str, Any], machine_clients: Mapping[str, str]
) -> JobyardError:
    """The error to return: `error`, unless the actor may not send the request at all."""
    try:
        return role_refusal(event, machine_clients) or error
    except Unauthenticated as unauthenticated:
        return unauthenticated


def _path(event: Mapping[str, Any]) -> str:
    path: str = event["rawPath"]
    return path.removeprefix("/api/")
