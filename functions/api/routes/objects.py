"""Objects: find and show them, and link to their files."""

from typing import Annotated

from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import current_request
from api.problems import problem_responses
from api.routes.parameters import Cursor, Limit
from api.schemas import objects as schemas
from jobyard.domain.arks import ark_of_object_id
from jobyard.domain.errors import BadRequest, NotFound
from jobyard.services.queries import objects as object_queries

router = Router()  # type: ignore[no-untyped-call]

ObjectId = Annotated[
    str,
    Path(
        description="The object's id: its ark with hyphens, such as `ark-12345-x1234abcd`.",
        max_length=300,
    ),
]
Number = Annotated[int, Path(description="The version's number, from 1.", ge=1, le=10**9)]
_ANSWERS = problem_responses(BadRequest, NotFound)


def _ark(object_id: str) -> str:
    """The ark of an object id.

    Raises:
        NotFound: it is no such id.
    """
    ark = ark_of_object_id(object_id)
    if not ark:
        raise NotFound(f"{object_id!r} is not an object id: its ark, with hyphens")
    return ark


@router.get(
    "/api/objects",
    operation_id="find_object",
    tags=["Objects"],
    summary="Find an object by its ark or its local identifier",
    description="Give `ark`, in any spelling, or `collection` and `local_id`.",
    responses={200: {"description": "The object."}, **_ANSWERS},
)
def find_object(
    ark: Annotated[str, Query(description="Its ark.", max_length=600)] = "",
    collection: Annotated[str, Query(description="Its collection.", max_length=200)] = "",
    local_id: Annotated[
        str, Query(description="Its local identifier in the collection.", max_length=1000)
    ] = "",
) -> schemas.StoredObject:
    request = current_request(router)
    context = request.query_context()
    if ark and not (collection or local_id):
        view = object_queries.stored_object(ark, context)
    elif collection and local_id and not ark:
        view = object_queries.object_with_local_id(collection, local_id, context)
    else:
        raise BadRequest("give either ark, or collection and local_id")
    pagination = request.pagination("versions", view.ark)
    return schemas.StoredObject.of(view, pagination.next_cursor(view.after), request)


@router.get(
    "/api/objects/<object_id>",
    operation_id="get_object",
    tags=["Objects"],
    summary="Get an object with its versions, newest first",
    responses={200: {"description": "The object."}, **_ANSWERS},
)
def get_object(object_id: ObjectId, cursor: Cursor = "", limit: Limit = 50) -> schemas.StoredObject:
    request = current_request(router)
    ark = _ark(object_id)
    pagination = request.pagination("versions", ark)
    view = object_queries.stored_object(
        ark, request.query_context(), before=pagination.start(cursor, None), limit=limit
    )
    return schemas.StoredObject.of(view, pagination.next_cursor(view.after), request)


@router.get(
    "/api/objects/<object_id>/versions/<number>",
    operation_id="get_object_version",
    tags=["Objects"],
    summary="Get a version of an object with its files, by name",
    responses={200: {"description": "The version and a page of its files."}, **_ANSWERS},
)
def get_object_version(
    object_id: ObjectId, number: Number, cursor: Cursor = "", limit: Limit = 50
) -> schemas.ObjectVersionDetails:
    request = current_request(router)
    ark = _ark(object_id)
    pagination = request.pagination("files", ark, str(number))
    view = object_queries.object_version(
        ark, number, request.query_context(), after=pagination.start(cursor, 0), limit=limit
    )
    return schemas.ObjectVersionDetails.of_details(
        view, pagination.next_cursor(view.after), request
    )


@router.get(
    "/api/objects/<object_id>/versions/<number>/download",
    operation_id="get_download_link",
    tags=["Objects"],
    summary="Get a link to download a file of a version",
    responses={200: {"description": "The link."}, **_ANSWERS},
)
def get_download_link(
    object_id: ObjectId,
    number: Number,
    name: Annotated[str, Query(description="The file's name.", max_length=2000)] = "",
) -> schemas.DownloadLink:
    request = current_request(router)
    url = object_queries.download_link(_ark(object_id), number, name, request.query_context())
    return schemas.DownloadLink(url=url, expires_s=object_queries.LINK_EXPIRES_S)
