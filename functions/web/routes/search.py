"""The search field: what a text may mean, and what was not searched."""

from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.errors import BadRequest
from jobyard.services.queries.search import MATCH_KINDS, SHOWN_OF_A_KIND, Match, SearchResult, find
from web.address import address_of
from web.request import current_request
from web.responses import page, see_other

router = Router()  # type: ignore[no-untyped-call]

_NOTHING = SearchResult((), None, ())


@router.get("/find")
def show_found() -> Response[str]:
    """What was found. A text that is an id leads straight to what it names."""
    request = current_request(router)
    text = request.query.get("q", "").strip()
    kind = request.query.get("kind", "")
    refusal = ""
    result = _NOTHING
    try:
        result = find(text, request.query_context, kind if kind in MATCH_KINDS else "")
    except BadRequest as error:
        refusal = str(error)
    if len(result.matches) == 1 and result.matches[0].found_id == text:
        return see_other(_row(result.matches[0])["address"])
    values = {
        "text": text,
        "rows": [_row(each) for each in result.matches],
        "not_searched": result.not_searched,
        "more": [
            {"kind": each, "address": f"/find?{urlencode({'q': text, 'kind': each})}"}
            for each in result.more
        ],
        "files_of": result.files_of,
        "shown_of_a_kind": SHOWN_OF_A_KIND,
        "all_kinds": f"/find?{urlencode({'q': text})}" if kind in MATCH_KINDS else "",
        "problem": refusal if text else "",
    }
    return page("find.html", request, values)


def _row(match: Match) -> dict[str, Any]:
    """A match as the list shows it."""
    return {"match": match, "address": address_of(match.kind, match.found_id)}
