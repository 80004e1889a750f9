"""The worklist: what waits for workers and reviewers, in columns, with a panel for one job."""

from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.edits.worklist import WorklistColumn
from jobyard.domain.errors import Forbidden, Gone, NotFound
from jobyard.services.queries import edits as queries
from web.edit_page import storage_origins
from web.edit_words import (
    SORTS,
    buttons_of,
    column_label,
    form_links,
    id_of,
    matches,
    metadata,
    not_possible,
    sorted_tiles,
    tile_of,
)
from web.poll_interval import LIST_POLL_S
from web.request import PageRequest, current_request
from web.responses import versioned_page

router = Router()  # type: ignore[no-untyped-call]

_SHOWN = 20  # of a column
_SHOWN_OF_ONE = 50  # if it is the only one
_SEARCHED = 50  # of a column, if the list is searched or sorted


@router.get("/worklist")
def show_worklist() -> Response[str]:
    """The worklist of a person, or of a team."""
    request = current_request(router)
    team = request.query.get("team", "").strip()
    version = queries.worklist_version(request.query_context, team=team)
    return versioned_page(
        "worklist.html",
        request,
        version,
        lambda: _values(request),
        poll_s=LIST_POLL_S,
        upload_origin=storage_origins(request),
    )


def _values(request: PageRequest) -> dict[str, Any]:
    context = request.query_context
    teams = queries.worklist_teams(context)
    given = {name: request.query.get(name, "").strip() for name in ("team", "q", "sort", "column")}
    team = given["team"]
    wanted = given["column"] if given["column"] in {*WorklistColumn} else ""
    columns = _one_column(WorklistColumn(wanted), team, request) if wanted else _all(given, request)
    query = {name: text for name, text in given.items() if text}
    shown = [_column(each, query, request) for each in columns]
    return {
        "columns": [
            each for each in shown if each["tiles"] or each["more"] or each["name"] == wanted
        ],
        "empty_columns": [
            each["label"] for each in shown if not each["tiles"] and not each["more"]
        ],
        "is_filtered": bool(query),
        "teams": [
            ("", "Mine and my teams'"),
            *((each, each) for each in (*teams.own, *teams.others)),
        ],
        "sorts": SORTS,
        "given": given,
        "wanted": wanted,
        "has_team": bool(teams.own),
        "all_address": _address(query, column=""),
        "panel": _panel(query, request),
        "may_plan": request.may("edit", "propose"),
    }


def _all(given: dict[str, str], request: PageRequest) -> list[queries.ColumnView]:
    limit = _SEARCHED if given["q"] or given["sort"] else _SHOWN
    return queries.worklist(request.query_context, team=given["team"], limit=limit)


def _one_column(
    column: WorklistColumn, team: str, request: PageRequest
) -> list[queries.ColumnView]:
    pagination = request.pagination("worklist", request.actor.sub, team, column)
    after = pagination.start(request.query.get("cursor", ""), "")
    return [
        queries.worklist_column(
            column, request.query_context, team=team, after=after, limit=_SHOWN_OF_ONE
        )
    ]


def _column(
    found: queries.ColumnView, query: dict[str, str], request: PageRequest
) -> dict[str, Any]:
    """A column as the page shows it."""
    tiles = [tile_of(each, _address(query, job=id_of(each.job)) + "#panel") for each in found.items]
    tiles = [each for each in tiles if matches(each, query.get("q", ""))]
    pagination = request.pagination(
        "worklist", request.actor.sub, query.get("team", ""), found.column
    )
    more = pagination.next_cursor(found.after) if found.after else ""
    return {
        "name": found.column.value,
        "label": column_label(found.column),
        "tiles": sorted_tiles(tiles, query.get("sort", "")),
        "searched": len(found.items),
        "more": _address(query, column=found.column.value, cursor=more) if more else "",
    }


def _address(query: dict[str, str], **changes: str | None) -> str:
    """The worklist with other parameters."""
    kept = {name: text for name, text in (query | changes).items() if text}
    return f"/worklist?{urlencode(kept)}" if kept else "/worklist"


def _panel(query: dict[str, str], request: PageRequest) -> dict[str, Any] | None:
    """The metadata of the chosen job; None if none is chosen, or it cannot be seen any more."""
    job_id = request.query.get("job", "")
    if not job_id:
        return None
    try:
        view = queries.edit_job(job_id, request.query_context)
    except (Forbidden, Gone, NotFound):
        return {"is_gone": True, "close": _address(query)}
    return {
        **metadata(view),
        "is_gone": False,
        "view": view,
        "buttons": buttons_of(view, _address(query, job=job_id)),
        "form_links": form_links(view),
        "not_possible": not_possible(view),
        "close": _address(query),
    }
