"""Collections: who may deposit in them; forms that add depositors and remove them."""

import re

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from gateway.errors import ValidationFailed
from jobyard.domain.collection import GROUP_PATTERN
from jobyard.domain.errors import JobyardError, NotFound
from jobyard.services import collections
from jobyard.services.queries import collections as collection_queries
from web.forms import handle_form, refusal_values, status_of
from web.request import PageRequest, current_request, page_links
from web.responses import page

router = Router()  # type: ignore[no-untyped-call]

_PAGE_SIZE = 100
_DEPOSITORS = ("people", "groups")
_MAX_PEOPLE = 20  # of one form
_NAME_LENGTH = 128  # of the longest user name in Cognito


@router.get("/collections")
def list_collections() -> Response[str]:
    """The collections that the reader may see, by name."""
    request = current_request(router)
    pagination = request.pagination("collections")
    found = collection_queries.list_collections(
        request.query_context,
        after=pagination.start(request.query.get("cursor", ""), ""),
        limit=_PAGE_SIZE,
    )
    values = {
        "collections": found.items,
        "searched": found.searched,
        **page_links(request, pagination.next_cursor(found.after)),
    }
    return page("collections.html", request, values)


@router.get("/collections/<name>")
def show_collection(name: str) -> Response[str]:
    """One collection."""
    return _collection_page(current_request(router), name)


def _collection_page(
    request: PageRequest, name: str, refusal: JobyardError | None = None
) -> Response[str]:
    view = collection_queries.collection(name, request.query_context)
    values = {"view": view, **refusal_values(request, refusal)}
    return page("collection.html", request, values, status=status_of(refusal))


@router.post("/collections/<name>/<event>")
def post_event(name: str, event: str) -> Response[str]:
    """Allow people and groups to deposit, or remove that right."""
    request = current_request(router)

    def act() -> str:
        people, groups = _depositors(request)
        if event == "allow":
            collections.allow(name, people, groups, request.command_context())
        elif event == "deny":
            collections.deny(name, people, groups, request.command_context())
        else:
            raise NotFound(f"a collection has no event {event!r}")
        return f"/collections/{name}"

    return handle_form(act, lambda refusal: _collection_page(request, name, refusal))


def _depositors(request: PageRequest) -> tuple[list[str], list[str]]:
    """The people and the groups that a form names.

    Raises:
        ValidationFailed: there are too many people (each is looked up), or a name is not valid.
    """
    people, groups = (request.field(each).replace(",", " ").split() for each in _DEPOSITORS)
    errors = []
    if len(people) > _MAX_PEOPLE or any(len(each) > _NAME_LENGTH for each in people):
        errors.append(
            (
                "people",
                f"Name up to {_MAX_PEOPLE} people, with up to {_NAME_LENGTH} characters each.",
            )
        )
    if not all(re.fullmatch(GROUP_PATTERN, each) for each in groups):
        errors.append(
            ("groups", "A group has 1 to 128 letters, digits, '_', '.', '@', '+' and '-'.")
        )
    if errors:
        raise ValidationFailed(errors)
    return people, groups
