"""Collections: who owns them, who may deposit, and what is held."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.errors import JobyardError, NotFound
from jobyard.services import collections
from jobyard.services.queries import collections as collection_queries
from web.forms import refused, status_of, submitted
from web.request import PageRequest, current_request, page_links
from web.responses import page

router = Router()  # type: ignore[no-untyped-call]

_PAGE_SIZE = 100


@router.get("/collections")
def list_collections() -> Response[str]:
    """The collections that the reader may see, by name."""
    request = current_request(router)
    pages = request.pages("collections")
    found, following = collection_queries.list_collections(
        request.query_context,
        after=pages.start(request.query.get("cursor", ""), ""),
        limit=_PAGE_SIZE,
    )
    values = {"collections": found, **page_links(request, pages.next_cursor(following))}
    return page("collections.html", request, values)


@router.get("/collections/<name>")
def show_collection(name: str) -> Response[str]:
    """One collection."""
    return _collection_page(current_request(router), name)


def _collection_page(
    request: PageRequest, name: str, refusal: JobyardError | None = None
) -> Response[str]:
    view = collection_queries.collection(name, request.query_context)
    values = {"view": view, **refused(request, refusal)}
    return page("collection.html", request, values, status=status_of(refusal))


@router.post("/collections/<name>/<event>")
def post_event(name: str, event: str) -> Response[str]:
    """Allow people and groups to deposit, or remove that right."""
    request = current_request(router)
    people, groups = (request.field(each).replace(",", " ").split() for each in _DEPOSITORS)

    def act() -> str:
        if event == "allow":
            collections.allow(name, people, groups, request.command_context())
        elif event == "deny":
            collections.deny(name, people, groups, request.command_context())
        else:
            raise NotFound(f"a collection has no event {event!r}")
        return f"/collections/{name}"

    return submitted(act, lambda refusal: _collection_page(request, name, refusal))


_DEPOSITORS = ("people", "groups")
