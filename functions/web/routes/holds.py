"""Holds: what is held, who placed each, why and until when; place and release."""

from typing import Any
from urllib.parse import quote, unquote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.errors import JobyardError
from jobyard.domain.hold import EVERYTHING, Hold
from jobyard.domain.plurals import plural
from jobyard.services import holds
from jobyard.services.queries import collections as collection_queries
from jobyard.services.queries import holds as hold_queries
from jobyard.services.queries.holds import HeldWork
from jobyard.services.queries.job_types import list_job_types
from web.address import address_of
from web.event_buttons import EventButton, role_reason
from web.forms import handle_form, local_time, refusal_values, status_of
from web.poll_interval import LIST_POLL_S
from web.request import PageRequest, current_request
from web.responses import page, shared_page

router = Router()  # type: ignore[no-untyped-call]

_COLLECTIONS_OFFERED = 200  # names that the form suggests; others can be typed


@router.get("/holds")
def list_holds() -> Response[str]:
    """The holds in force, and the form to place one."""
    request = current_request(router)
    return shared_page("holds.html", request, lambda: _values(request), poll_s=LIST_POLL_S)


def _refused_page(request: PageRequest, refusal: JobyardError) -> Response[str]:
    """The page as it is now, with why a form was refused."""
    values = _values(request, refusal)
    return page("holds.html", request, values, status=status_of(refusal), poll_s=LIST_POLL_S)


def _values(request: PageRequest, refusal: JobyardError | None = None) -> dict[str, Any]:
    found = hold_queries.list_holds(request.query_context)
    collections = collection_queries.list_collections(
        request.query_context, after="", limit=_COLLECTIONS_OFFERED
    )
    work = hold_queries.held_work(found, request.query_context)
    names = hold_queries.held_campaigns(found)
    return {
        "holds": [
            _row(each, names.get(each.scope, ""), work.get(each.scope), request) for each in found
        ],
        "collections": [each.collection.name for each in collections.items],
        "job_types": [each.name for each in list_job_types()],
        "may_place": request.may("hold", "place"),
        **refusal_values(request, refusal),
    }


def _row(
    hold: Hold, campaign: str, work: HeldWork | None, request: PageRequest
) -> dict[str, object]:
    """A hold as the list shows it, with what it holds and the button that releases it. `campaign`
    is the name of the campaign that it is on; "" if it is on none, or if that is not known.
    """
    kind, _, name = hold.scope.partition(":")
    labels = {
        "collection": f"Collection {name}",
        "type": f"Job type {name}",
        "campaign": campaign or f"Job on devices {name}",
    }
    button = EventButton(
        name=f"lift-{hold.scope.replace(':', '-')}",
        address=f"/holds/{quote(hold.scope)}/lift",
        label="Release",
        icon="play",
        effect="What it held starts again. The first batches are released at once.",
        unavailable_reason=role_reason("hold", "lift", request),
        is_reason_required=False,
    )
    return {
        "hold": hold,
        "label": labels.get(kind, "Everything"),
        "note": f"job on devices {name}" if campaign else "",
        "address": address_of(kind, name),
        "held": _held(work) if work else "all of its tasks",
        "lift": button,
    }


def _held(work: HeldWork) -> str:
    """What a hold holds: "2 batches, 30 jobs"."""
    numbers = ((work.batches, "batch"), (work.jobs, "job"))
    parts = ", ".join(plural(number, noun) for number, noun in numbers if number)
    if work.is_exact:
        return parts or "nothing yet"
    return f"at least {parts}" if parts else "not counted: too much is held"


@router.post("/holds")
def place_hold() -> Response[str]:
    """Place a hold on a collection, a job type or everything."""
    request = current_request(router)

    def act() -> str:
        kind, name = request.field("kind"), request.field("name")
        scope = EVERYTHING if kind == EVERYTHING else f"{kind}:{name}"
        is_replacing = request.field("replace") == "yes"
        holds.place_hold(
            scope, local_time(request, "until"), request.command_context(), replacing=is_replacing
        )
        return "/holds"

    return handle_form(act, lambda refusal: _refused_page(request, refusal))


@router.post("/holds/<scope>/lift")
def lift_hold(scope: str) -> Response[str]:
    """Lift a hold and release what it held."""
    request = current_request(router)

    def act() -> str:
        holds.lift_hold(unquote(scope), request.command_context())
        return "/holds"

    return handle_form(act, lambda refusal: _refused_page(request, refusal))
