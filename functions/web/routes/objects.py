"""Objects of the archive: found by ark or local identifier, with versions and files."""

from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.arks import ark_of_object_id
from jobyard.domain.errors import BadRequest, JobyardError, NotFound
from jobyard.services.queries import collections as collection_queries
from jobyard.services.queries import objects as object_queries
from web.address import address_of
from web.forms import status_of
from web.request import PageRequest, current_request, page_links
from web.responses import page, see_other

router = Router()  # type: ignore[no-untyped-call]

_VERSIONS_SHOWN = 20
_FILES_SHOWN = 100
_COLLECTIONS_OFFERED = 200
_NUMBER_LENGTH = 9  # digits of a version


@router.get("/objects")
def find_object() -> Response[str]:
    """Go to the object with an ark or a local identifier, or to those from a file of that name;
    without any, the form to find it.
    """
    request = current_request(router)
    query, context = request.query, request.query_context
    if query.get("file") and query.get("collection"):
        words = f"{query['collection']} {query['file']}"
        return see_other(f"/find?{urlencode({'q': words, 'kind': 'object'})}")
    try:
        if query.get("local") and query.get("collection"):
            found = object_queries.object_with_local_id(
                query["collection"], query["local"], context
            )
        elif query.get("ark"):
            found = object_queries.stored_object(query["ark"], context, limit=1)
        else:
            return _search_page(request)
    except (BadRequest, NotFound) as refusal:
        return _search_page(request, refusal)
    return see_other(address_of("object", found.ark))


@router.get("/objects/<object_id>")
def show_object(object_id: str) -> Response[str]:
    """One object with its versions, and the files of one of them."""
    request = current_request(router)
    query, context = request.query, request.query_context
    ark = ark_of_object_id(object_id)
    view = object_queries.stored_object(ark, context, limit=_VERSIONS_SHOWN)
    number = _number(query["version"]) if query.get("version") else view.versions[0].version
    pagination = request.pagination("object files", view.ark, str(number))
    version = object_queries.object_version(
        view.ark,
        number,
        context,
        after=pagination.start(query.get("cursor", ""), 0),
        limit=_FILES_SHOWN,
    )
    values = {
        "view": view,
        "shown": version,
        "address": address_of("object", view.ark),
        **page_links(request, pagination.next_cursor(version.after)),
    }
    return page("object.html", request, values)


def _search_page(request: PageRequest, refusal: JobyardError | None = None) -> Response[str]:
    """The form to find an object, with what was looked for in vain."""
    found = collection_queries.list_collections(
        request.query_context, after="", limit=_COLLECTIONS_OFFERED
    )
    names = [(each.collection.name, each.collection.name) for each in found.items]
    given = {each: request.query.get(each, "") for each in ("ark", "local", "file", "collection")}
    values = {"options": names, "given": given, "problem": refusal and str(refusal)}
    return page("objects.html", request, values, status=status_of(refusal))


@router.get("/objects/<object_id>/download")
def download(object_id: str) -> Response[str]:
    """A file of a version, by a link of S3 that is valid for some minutes."""
    request = current_request(router)
    query = request.query
    link = object_queries.download_link(
        ark_of_object_id(object_id),
        _number(query.get("version", "")),
        query.get("name", ""),
        request.query_context,
    )
    return see_other(link)


def _number(text: str) -> int:
    """The number of a version.

    Raises:
        NotFound: no version has it.
    """
    if not text.isascii() or not text.isdecimal() or not 0 < len(text) <= _NUMBER_LENGTH:
        raise NotFound(f"there is no version {text[:_NUMBER_LENGTH]!r}")
    return int(text)
