"""Dispatches requests: files and signing in for everybody, pages for those who are signed in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import ResponseBuilder
from aws_lambda_powertools.shared.cookies import Cookie

from gateway.errors import Unauthenticated
from gateway.headers import LambdaResponse
from jobyard.domain.errors import JobyardError, NotFound
from jobyard.domain.link_paths import ATTACHMENTS, REPORT_FILES
from jobyard.services.context import Actor
from web import assets, csrf, sign_in
from web.application import error_page, refusal_page, respond
from web.request import PageRequest, cookies_of
from web.responses import HTML, file, page, see_other
from web.session_cookie import (
    Session,
    cookie,
    cookie_name,
    ended_cookie,
    session_cookie,
    session_of,
)
from web.site import Site

_NOBODY = Actor("", "", frozenset())
_SIGN_OUT_PATH = "/sign-out"


@dataclass(frozen=True)
class Dispatched:
    """A response and the actor who got it; None for someone who is not signed in."""

    response: LambdaResponse
    actor: Actor | None


def dispatch(event: dict[str, Any], context: Any, site: Site) -> Dispatched:
    """The response to a request; an error is a page too."""
    event = _as_get(event)
    try:
        return _dispatch(event, context, site)
    except Exception as error:
        return Dispatched(
            _lambda_response(event, error_page(error, _request(event, site, None))), None
        )


def _dispatch(event: dict[str, Any], context: Any, site: Site) -> Dispatched:
    public = _public_response(event, site)
    if public is not None:
        return Dispatched(_lambda_response(event, public), None)
    session = session_of(cookies_of(event), site.signer(), secure=site.is_secure)
    current = session
    # Signing out works when the user pool does not answer, and must not set a new cookie.
    if session and session.until <= site.now() and event["rawPath"] != _SIGN_OUT_PATH:
        current = sign_in.renew(session, site)
    if current is None:
        return Dispatched(_lambda_response(event, _sign_in_required(event, session, site)), None)
    response = _private_response(_request(event, site, current), context)
    if current is not session:
        renewed = session_cookie(current, site.signer(), secure=site.is_secure)
        response.setdefault("cookies", []).append(str(renewed))
    return Dispatched(response, current.actor)


def _public_response(event: Mapping[str, Any], site: Site) -> Response[Any] | None:
    """The response to a request that needs no session; None if it needs one."""
    path: str = event["rawPath"]
    if path.startswith("/static/"):
        return _static(event, site)
    if path == "/sign-in":
        return _start_sign_in(event, site)
    if path == sign_in.RETURN_PATH:
        return _complete_sign_in(event, site)
    if path == "/signed-out":
        return page("signed_out.html", _request(event, site, None), {})
    if path.startswith(ATTACHMENTS):
        from web import custodian  # late: few requests need it

        return custodian.respond(_request(event, site, None))
    if path.startswith(REPORT_FILES):
        from web import report_link

        return report_link.respond(_request(event, site, None))
    if path == "/signed-in":
        return page("signed_in.html", _request(event, site, None), {})
    return None


def _private_response(request: PageRequest, context: Any) -> LambdaResponse:
    """The response to someone who is signed in."""
    if request.method == "POST":
        try:
            csrf.check(request)
        except JobyardError as refusal:
            title = "The form was not accepted"
            return _lambda_response(request.event, refusal_page(refusal, request, title))
        if request.path == _SIGN_OUT_PATH:
            return _lambda_response(request.event, _sign_out(request))
    return respond(request, context)


def _as_get(event: dict[str, Any]) -> dict[str, Any]:
    """The event with GET for HEAD: `responses.finish` omits the body."""
    http = event["requestContext"]["http"]
    if http["method"] != "HEAD":
        return event
    return {
        **event,
        "requestContext": {**event["requestContext"], "http": {**http, "method": "GET"}},
    }


def _request(event: Mapping[str, Any], site: Site, session: Session | None) -> PageRequest:
    if session is None:
        return PageRequest(site, event, _NOBODY, "")
    return PageRequest(site, event, session.actor, session.session_id)


def _lambda_response(event: Mapping[str, Any], response: Response[Any]) -> LambdaResponse:
    """A response as Lambda returns it."""
    from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

    builder: Any = ResponseBuilder(response=response, serializer=str)
    built: LambdaResponse = builder.build(APIGatewayProxyEventV2(dict(event)))
    return built


def _static(event: Mapping[str, Any], site: Site) -> Response[Any]:
    digest, _, name = event["rawPath"].removeprefix("/static/").partition("/")
    found = assets.asset(name)
    if found is None:
        return refusal_page(NotFound("there is no such file"), _request(event, site, None))
    return file(found, immutable=digest == found.digest)


def _start_sign_in(event: Mapping[str, Any], site: Site) -> Response[str]:
    request = _request(event, site, None)
    secret = cookies_of(event).get(cookie_name("sign-in", secure=site.is_secure), "")
    authorization = sign_in.authorization_request(
        sign_in.local_path(request.query.get("to", "/")), secret, site
    )
    secret_cookie = cookie(
        "sign-in", authorization.secret, sign_in.STATE_TIME_S, secure=site.is_secure
    )
    return see_other(authorization.url, [secret_cookie])


def _complete_sign_in(event: Mapping[str, Any], site: Site) -> Response[str]:
    request = _request(event, site, None)
    secret = cookies_of(event).get(cookie_name("sign-in", secure=site.is_secure), "")
    try:
        session, to = sign_in.complete(request.query, secret, site)
    except Unauthenticated as refusal:
        return refusal_page(refusal, request)
    return see_other(to, [session_cookie(session, site.signer(), secure=site.is_secure)])


def _sign_in_required(event: Mapping[str, Any], ended: Session | None, site: Site) -> Response[str]:
    """What someone who is not signed in gets instead of a page."""
    request = _request(event, site, None)
    cookies: list[Cookie] = [ended_cookie(secure=site.is_secure)] if ended else []
    if request.method == "GET" and not request.is_poll:
        return see_other(f"/sign-in?to={quote(request.address)}", cookies)
    if request.method == "GET":
        return Response(401, HTML, "", {"X-Next-Poll": "0"}, cookies)
    fields = [(name, value) for name, given in request.form.items() for value in given]
    values = {"fields": fields, "address": sign_in.local_path(request.path)}
    return page("session_ended.html", request, values, status=401)


def _sign_out(request: PageRequest) -> Response[str]:
    sign_out_url = sign_in.end_session(request.session_id, request.site)
    return see_other(sign_out_url, [ended_cookie(secure=request.site.is_secure)])
