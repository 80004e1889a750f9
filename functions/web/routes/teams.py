"""Teams, and the settings of edit jobs by dataset and type: what administrators decide."""

from typing import Any
from urllib.parse import quote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from gateway.errors import ValidationFailed
from jobyard.domain.edits.settings import EditSettings
from jobyard.domain.errors import JobyardError, NotFound
from jobyard.services.access import authorize
from jobyard.services.edits import settings as edit_settings
from jobyard.services.edits import teams
from jobyard.services.edits.teams import TeamEdit
from jobyard.services.queries import edits as queries
from jobyard.services.queries.datasets import dataset
from web.address import address_of
from web.event_buttons import EventButton
from web.forms import handle_form, refusal_values, seen_version, status_of, version_to_send
from web.request import PageRequest, current_request, page_links
from web.responses import page, see_other

router = Router()  # type: ignore[no-untyped-call]

_PAGE_SIZE = 100
_FLAGS = (
    ("quarantine", "Quarantine", "A reviewer inspects valid changes before they are committed."),
    ("embargo", "Embargo", "A reviewer releases each package before its worker may download it."),
    ("read_only", "Read-only", "Workers only look at the features; there is no upload."),
    (
        "inherited_fails",
        "Defects of before count",
        "What broke a rule before fails the validation too.",
    ),
    ("grow_extent", "Extents grow", "An extent grows to hold whole features."),
    ("mails", "Mails", "Workers, reviewers and planners get mails. Custodians always do."),
)


@router.get("/teams")
def list_teams() -> Response[str]:
    """The teams by name."""
    request = current_request(router)
    return page("teams.html", request, _list_values(request))


def _list_values(request: PageRequest, refusal: JobyardError | None = None) -> dict[str, Any]:
    pagination = request.pagination("teams")
    found = queries.list_teams(
        request.query_context,
        after=pagination.start(request.query.get("cursor", ""), ""),
        limit=_PAGE_SIZE,
    )
    return {
        "names": found.names,
        "may_put": request.may("team", "put"),
        **page_links(request, pagination.next_cursor(found.after) if found.after else None),
        **refusal_values(request, refusal),
    }


@router.post("/teams")
def new_team() -> Response[str]:
    """Go to the form of a new team."""
    request = current_request(router)
    authorize(request.actor, "team", "put")
    name = request.field("name")
    if not name or "/" in name:
        refusal = ValidationFailed([("name", "Give the team a name without a slash.")])
        values = _list_values(request, refusal)
        return page("teams.html", request, values, status=status_of(refusal))
    return see_other(address_of("team", name))


@router.get("/teams/<name>")
def show_team(name: str) -> Response[str]:
    """One team, or the form of a new one."""
    return _team_page(current_request(router), name)


def _team_page(
    request: PageRequest, name: str, refusal: JobyardError | None = None
) -> Response[str]:
    may_put = request.may("team", "put")
    team = None
    try:
        team = queries.team(name, request.query_context)
    except NotFound:
        if not may_put:
            raise
    fields = {
        "title": team.title if team else "",
        "workers": "\n".join(each.name for each in team.workers) if team else "",
        "reviewers": "\n".join(each.name for each in team.reviewers) if team else "",
    }
    if refusal:
        fields = {each: request.field(each) for each in fields}
    values = {
        "name": name,
        "team": team,
        "fields": fields,
        "seen": version_to_send(request, team.version if team else 0, refusal),
        "may_put": may_put,
        "deletion": EventButton(
            "delete",
            f"/teams/{name}/delete",
            "Delete",
            "trash-2",
            "Its edit jobs must have ended.",
            is_dangerous=True,
            is_reason_required=False,
        )
        if team and request.may("team", "delete")
        else None,
        **refusal_values(request, refusal),
    }
    return page("team.html", request, values, status=status_of(refusal))


@router.post("/teams/<name>")
def put_team(name: str) -> Response[str]:
    """Make a team, or change it."""
    request = current_request(router)

    def act() -> str:
        wanted = TeamEdit(
            request.field("title"), _names(request, "workers"), _names(request, "reviewers")
        )
        teams.put(name, wanted, request.command_context(), seen=seen_version(request))
        return f"/teams/{name}"

    return handle_form(act, lambda refusal: _team_page(request, name, refusal))


def _names(request: PageRequest, field: str) -> list[str]:
    return [each.strip() for each in request.field(field).splitlines() if each.strip()]


@router.post("/teams/<name>/delete")
def delete_team(name: str) -> Response[str]:
    """Delete a team."""
    request = current_request(router)

    def act() -> str:
        teams.delete(name, request.command_context())
        return "/teams"

    return handle_form(act, lambda refusal: _team_page(request, name, refusal))


@router.get("/datasets/<name>/edit-types")
def show_edit_types(name: str) -> Response[str]:
    """The settings of edit jobs on a dataset, by type."""
    return _types_page(current_request(router), name)


def _types_page(
    request: PageRequest, name: str, refusal: JobyardError | None = None
) -> Response[str]:
    found = queries.edit_settings(name, request.query_context)
    typed = request.field("edit_type") if refusal else ""
    may_delete = request.may("edit settings", "delete")
    rows = [
        {
            **_type_row(each, settings, request, typed),
            "deletion": _deletion(number, name, each) if may_delete else None,
        }
        for number, (each, settings) in enumerate(found.items(), start=1)
    ]
    new = _type_row("", EditSettings(), request, "" if typed in found else typed)
    values = {
        "name": name,
        "address": f"/datasets/{name}/edit-types",
        "rows": rows,
        "new": new,
        "flags": _FLAGS,
        "seen": version_to_send(request, dataset(name, request.query_context).version, refusal),
        "may_put": request.may("edit settings", "put"),
        **refusal_values(request, refusal),
    }
    return page("edit_types.html", request, values, status=status_of(refusal))


def _deletion(number: int, dataset: str, edit_type: str) -> EventButton:
    """The button that removes a type of edit jobs, the one with this number on the page."""
    return EventButton(
        f"delete-{number}",
        f"/datasets/{dataset}/edit-types/delete?edit_type={quote(edit_type, safe='')}",
        "Remove",
        "trash-2",
        "Edit jobs of this type must have ended.",
        is_dangerous=True,
        is_reason_required=False,
    )


def _type_row(
    edit_type: str, settings: EditSettings, request: PageRequest, typed: str
) -> dict[str, Any]:
    """The settings of a type as a form; as they were typed, if its form was refused."""
    document = settings.document() | {"latest": "\n".join(settings.latest)}
    is_refused = bool(typed) and (typed == edit_type or not edit_type)
    if is_refused:
        document = {
            name: name in request.form if isinstance(value, bool) else request.field(name)
            for name, value in document.items()
        }
    return {
        "type": edit_type or (typed if is_refused else ""),
        "fields": document,
        "is_open": is_refused,
    }


@router.post("/datasets/<name>/edit-types")
def put_edit_type(name: str) -> Response[str]:
    """Set what holds for a type of edit jobs."""
    request = current_request(router)

    def act() -> str:
        document: dict[str, Any] = {flag: flag in request.form for flag, _, _ in _FLAGS}
        document |= {
            "latest": _names(request, "latest"),
            "batch": request.field("batch"),
            "reviewers": request.field("reviewers"),
        }
        edit_type = request.field("edit_type")
        context = request.command_context()
        edit_settings.put_settings(name, edit_type, document, context, seen=seen_version(request))
        return f"/datasets/{name}/edit-types"

    return handle_form(act, lambda refusal: _types_page(request, name, refusal))


@router.post("/datasets/<name>/edit-types/delete")
def delete_edit_type(name: str) -> Response[str]:
    """Remove a type of edit jobs."""
    request = current_request(router)

    def act() -> str:
        edit_type = request.query.get("edit_type", "")
        edit_settings.delete_settings(name, edit_type, request.command_context())
        return f"/datasets/{name}/edit-types"

    return handle_form(act, lambda refusal: _types_page(request, name, refusal))
