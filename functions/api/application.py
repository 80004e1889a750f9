"""The routes, and how each error becomes a response. Nothing here depends on a deployment.

Routes are loaded by the first request that needs them, because loading all of them takes a third of
a cold start. Handlers find the deployment in `router.context["app"]`.
"""

import json
from functools import partial
from importlib import import_module
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError

from api.access import forbidden_or
from api.context import AppContext
from api.problems import problem_response, validation_failed
from gateway.errors import (
    InternalError,
    MethodNotAllowed,
    Unavailable,
    ValidationFailed,
    is_transient,
)
from jobyard.domain.errors import JobyardError, NotFound

APP = APIGatewayHttpResolver(
    enable_validation=True,
    serializer=partial(json.dumps, ensure_ascii=False, separators=(",", ":")),
)
# The modules of `api.routes` by the first segment of their paths after /api/.
ROUTES = {
    "batches": ("batches", "costs", "jobs"),
    "jobs": ("jobs",),
    "schedules": ("schedules",),
    "campaigns": ("campaigns",),
    "calendars": ("calendars",),
    "datasets": ("datasets",),
    "edits": ("edits", "edit_details"),
    "worklist": ("edits",),
    "teams": ("teams",),
    "edit-settings": ("teams",),
    "job-types": ("job_types",),
    "callbacks": ("callbacks",),
    "collections": ("collections",),
    "holds": ("holds",),
    "activity": ("activity",),
    "alarms": ("alarms",),
    "webhooks": ("webhooks",),
    "rates": ("rates",),
    "cost": ("costs",),
    "objects": ("objects",),
    "find": ("search",),
    "lifecycles": ("lifecycles",),
    "me": ("me",),
    "openapi.json": ("docs",),
    "docs": ("docs",),
}
_loaded: set[str] = set()


def load_routes(path: str) -> None:
    """Load the routes of `path` into `APP`, if there are any."""
    noun = path.removeprefix("/api/").partition("/")[0]
    for module in ROUTES.get(noun, ()):
        _load(module)


def whole_app() -> APIGatewayHttpResolver:
    """`APP` with all routes, for its documentation."""
    for modules in ROUTES.values():
        for module in modules:
            _load(module)
    return APP


def _load(module: str) -> None:
    if module not in _loaded:
        APP.include_router(import_module(f"api.routes.{module}").router)
        _loaded.add(module)


_MAX_NAMED = 10  # unknown parameters that one refusal names


def _problem(error: JobyardError) -> Response[str]:
    app: AppContext = APP.context["app"]
    return problem_response(error, APP.current_event.raw_event, app.settings.url)


def _invalid(error: RequestValidationError) -> Response[str]:
    return _problem(_forbidden_or(validation_failed(error.errors())))


def _forbidden_or(error: JobyardError) -> JobyardError:
    app: AppContext = APP.context["app"]
    return forbidden_or(error, APP.current_event.raw_event, app.settings.machine_clients)


def _unrouted(error: NotFoundError) -> Response[str]:
    request = APP.current_event
    # The routes that the resolver has just tried. Powertools has no public list of them.
    routes = APP._static_routes + APP._dynamic_routes
    allowed = sorted({route.method for route in routes if route.rule.match(request.path)})
    message = f"there is no {request.http_method} here; /api/docs lists all operations"
    return _problem(MethodNotAllowed(message, allowed) if allowed else NotFound(message))


def _failed(error: Exception) -> Response[str]:
    app: AppContext = APP.context["app"]
    if is_transient(error):
        app.log_unavailable(error)
        message = (
            "send the request again in a moment; with an idempotency key a change is made once"
        )
        return _problem(Unavailable(message))
    app.log_internal_error(error)
    return _problem(InternalError("it is logged under the request id; a repeat may succeed"))


def _known_query(app: APIGatewayHttpResolver, next_middleware: NextMiddleware) -> Response[Any]:
    """Refuse unknown query parameters, because an ignored filter would return too much.

    Raises:
        ValidationFailed: some are unknown. Forbidden: the actor may not send the request at all.
    """
    sent = app.current_event.query_string_parameters or {}
    known = sorted(field.alias for field in app.context["_route"].dependant.query_params)
    unknown = sorted(sent.keys() - set(known))
    if unknown:
        expected = f"there are {', '.join(known)}" if known else "this request takes none"
        message = f"there is no such parameter; {expected}"
        refusal = ValidationFailed([(f"query.{name}", message) for name in unknown[:_MAX_NAMED]])
        raise _forbidden_or(refusal)
    return next_middleware(app)


APP.use([_known_query])
APP.exception_handler(JobyardError)(_problem)
APP.exception_handler(RequestValidationError)(_invalid)
APP.exception_handler(NotFoundError)(_unrouted)
APP.exception_handler(Exception)(_failed)
