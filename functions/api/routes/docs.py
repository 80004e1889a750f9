"""The API's documentation: its OpenAPI document, and a page to read and try it.

The page is Swagger UI, whose files come with Powertools: docs/decisions/0023.
What generates the document is imported by the first request for it, because that takes longer than
loading all routes.
"""

import base64
import hashlib
import json
from pathlib import Path

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from api.context import AppContext
from jobyard.domain.errors import NotFound

router = Router()  # type: ignore[no-untyped-call]

_PUBLIC = {"Cache-Control": "public, max-age=300"}
_SCRIPT = """\
SwaggerUIBundle({url: "openapi.json", dom_id: "#docs", deepLinking: true, filter: true});"""
_PAGE = f"""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Jobyard API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.min.css">
<div id="docs">This page needs JavaScript. <a href="openapi.json">openapi.json</a> does not.</div>
<script src="docs/swagger-ui-bundle.min.js"></script>
<script>{_SCRIPT}</script>
</html>
"""
_ASSETS = {
    "swagger-ui-bundle.min.js": "text/javascript; charset=utf-8",
    "swagger-ui.min.css": "text/css; charset=utf-8",
}
_DIGEST = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; script-src 'self' 'sha256-{_DIGEST}'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


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
    from api.application import whole_app
    from api.openapi.spec import openapi_document

    app: AppContext = router.context["app"]
    document = openapi_document(whole_app(), app.settings.url)
    body = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return Response(200, "application/json", body, _PUBLIC)


@router.get(
    "/api/docs",
    operation_id="get_docs",
    tags=["Documents"],
    summary="This API as a page",
    responses={
        200: {
            "description": "The page.",
            "content": {"text/html": {"schema": {"type": "string"}}},
        }
    },
)
def get_docs() -> Response[str]:
    headers = {**_PUBLIC, "Content-Security-Policy": _POLICY}
    return Response(200, "text/html; charset=utf-8", _PAGE, headers)


@router.get("/api/docs/<name>", include_in_schema=False)
def get_docs_asset(name: str) -> Response[str]:
    from aws_lambda_powertools.event_handler.openapi import swagger_ui

    if name not in _ASSETS:
        raise NotFound(f"there is no file {name!r}; there are {', '.join(_ASSETS)}")
    text = Path(swagger_ui.__file__).with_name(name).read_text(encoding="utf-8")
    return Response(200, _ASSETS[name], text, {"Cache-Control": "public, max-age=86400"})
