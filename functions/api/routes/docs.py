"""The API's own description, for programs and for people.

What makes it is imported when first asked for: it takes longer to load than all other routes.
"""

import json

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from api.context import AppContext

router = Router()  # type: ignore[no-untyped-call]


@router.get(
    "/api/openapi.json",
    operation_id="get_openapi",
    tags=["Documents"],
    summary="This API as an OpenAPI document",
    responses={
        200: {
            "description": "The document.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
def get_openapi() -> Response[str]:
    described = json.dumps(_described(), ensure_ascii=False, separators=(",", ":"))
    headers = {"Cache-Control": "public, max-age=300"}
    return Response(200, "application/json", described, headers)


@router.get(
    "/api/docs",
    operation_id="get_docs",
    tags=["Documents"],
    summary="This API as a page to read",
    responses={
        200: {
            "description": "The page.",
            "content": {"text/html": {"schema": {"type": "string"}}},
        }
    },
)
def get_docs() -> Response[str]:
    from api.openapi.html import HEADERS, html_page

    return Response(200, "text/html; charset=utf-8", html_page(_described()), HEADERS)


def _described() -> dict[str, object]:
    from api.openapi.spec import openapi_document

    app: AppContext = router.context["app"]
    resolver = router.api_resolver
    assert isinstance(resolver, APIGatewayHttpResolver)
    return openapi_document(resolver, app.settings.url)
