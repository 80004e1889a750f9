"""The routes of the pages, and the pages of errors.

As in the API, the module of a route is loaded by the first request that needs it.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from gateway.errors import (
    InternalError,
    MethodNotAllowed,
    PayloadTooLarge,
    Unauthenticated,
    Unavailable,
    is_transient,
    problem_type,
)
from jobyard.domain.errors import JobyardError, NotFound
from web.request import PageRequest
from web.responses import page

APP = APIGatewayHttpResolver()
# The modules of `web.routes` by the first segment of their paths.
ROUTES = {
    "": ("home",),
    "activity": ("home",),
    "failures": ("home",),
    "undelivered": ("home",),
    "batches": ("uploads", "batches", "jobs"),
    "manifests": ("uploads",),
    "jobs": ("jobs",),
    "find": ("search",),
    "objects": ("objects",),
    "holds": ("holds",),
    "collections": ("collections",),
    "calendars": ("calendars",),
    "campaigns": ("campaigns",),
    "worklist": ("worklist",),
    "planner": ("planner",),
    "edits": ("planner", "edits"),
    "teams": ("teams",),
    "datasets": ("datasets", "teams"),
    "job-management": ("schedules",),
    "schedules": ("schedules",),
    "lifecycles": ("lifecycles",),
    "system": ("system",),
    "webhooks": ("webhooks",),
}
# Titles for people, where those of the API speak of tokens and bodies.
_TITLES: Mapping[type[JobyardError], str] = {
    Unauthenticated: "You are not signed in",
    PayloadTooLarge: "The form is too large",
    InternalError: "Something went wrong",
    Unavailable: "A service does not answer now",
}
_loaded: set[str] = set()


def load_routes(path: str) -> None:
    """Load the routes of `path`, if there are any."""
    for module in ROUTES.get("".join(path.split("/")[1:2]), ()):
        if module not in _loaded:
            APP.include_router(import_module(f"web.routes.{module}").router)
            _loaded.add(module)


def respond(request: PageRequest, context: Any) -> dict[str, Any]:
    """The response to a request of someone who is signed in."""
    load_routes(request.path)
    APP.context["request"] = request
    return APP.resolve(dict(request.event), context)


def refusal_page(error: JobyardError, request: PageRequest, title: str = "") -> Response[str]:
    """The page that shows a refusal, with its status. `title` replaces that of its kind."""
    kind = problem_type(type(error))
    response = page(
        "error.html",
        request,
        {"title": title or _TITLES.get(type(error), kind.title), "message": str(error)},
        status=kind.status,
    )
    response.headers.update(kind.headers)
    return response


def _refused(error: JobyardError) -> Response[str]:
    return refusal_page(error, APP.context["request"])


def _no_route(_: NotFoundError) -> Response[str]:
    # The routes that the resolver has just tried. Powertools has no public list of them.
    routes = APP._static_routes + APP._dynamic_routes
    path = APP.current_event.path
    allowed = sorted({route.method for route in routes if route.rule.match(path)})
    if allowed:
        return _refused(MethodNotAllowed(f"this address accepts {' and '.join(allowed)}", allowed))
    return _refused(NotFound("there is no such page"))


def error_page(error: Exception, request: PageRequest) -> Response[str]:
    """The page for any error. It is logged if it is not a refusal, or if AWS does not answer."""
    if isinstance(error, Unavailable):
        request.site.log_unavailable(error)
    if isinstance(error, JobyardError):
        return refusal_page(error, request)
    if is_transient(error):
        request.site.log_unavailable(error)
        refusal = Unavailable("AWS does not answer now; load the page again in a moment")
        return refusal_page(refusal, request)
    request.site.log_internal_error(error)
    message = f"try again; if it fails again, report the request {request.request_id}"
    return refusal_page(InternalError(message), request)


def _failed(error: Exception) -> Response[str]:
    return error_page(error, APP.context["request"])


APP.exception_handler(JobyardError)(_refused)
APP.exception_handler(NotFoundError)(_no_route)
APP.exception_handler(Exception)(_failed)
