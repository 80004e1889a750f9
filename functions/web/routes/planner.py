"""The planner: edit jobs as a list, those of one dataset on a map, proposals, archiving many."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from gateway.errors import ValidationFailed
from jobyard.domain.datasets.dataset import Dataset
from jobyard.domain.edits.edit_job import EDIT, EditJob, EditState
from jobyard.domain.errors import JobyardError
from jobyard.services.access import authorize
from jobyard.services.edits import allocations, proposals
from jobyard.services.edits.allocations import ARCHIVE_AFTER, ArchiveOutcome
from jobyard.services.queries import datasets as dataset_queries
from jobyard.services.queries import edits as queries
from web import edit_form as form
from web.edit_map import dataset_map, frame_of, zooms
from web.edit_words import step_of, tile_of
from web.forms import handle_form, number_in, refusal_text, refusal_values, status_of
from web.lazy import Lazy
from web.pictures.map import Map, Mark
from web.poll_interval import LIST_POLL_S, PART_AGE
from web.request import PageRequest, current_request, page_links
from web.responses import page, shared_page

router = Router()  # type: ignore[no-untyped-call]

_PAGE_SIZE = 50
_ALL = "*"  # all datasets: no dataset has this name
_LISTS = (
    ("open", "Open"),
    ("ended", "Ended"),
    ("archived", "Archived"),
    ("mine", "Proposed by me"),
)
_STATES = [
    (each.name, each.labels["edit"].capitalize()) for each in EDIT.states if each.name != "deleted"
]


@router.get("/planner")
def show_planner() -> Response[str]:
    """The edit jobs of all datasets, or those of one on a map."""
    request = current_request(router)
    return shared_page(
        "planner.html",
        request,
        lambda: _planner_values(request),
        poll_s=LIST_POLL_S,
        version=request.actor.sub,  # what one may do with a job depends on who has it
        least_age=PART_AGE,
    )


def _planner_values(request: PageRequest, refusal: JobyardError | None = None) -> dict[str, Any]:
    context = request.query_context
    chosen = request.query.get("dataset", "")
    offered, dataset = _offered("" if chosen == _ALL else chosen, request)
    dataset = None if chosen == _ALL else dataset
    which = request.query.get("list", "")
    lists = _LISTS + ((queries.STUCK, "Stuck"),) * request.may("edit", "view_log")
    which = which if which in dict(lists) else "open"
    frame = frame_of(request.query.get("frame", ""))
    given = _filter_of(request)
    wanted = queries.EditFilter(
        "open" if which == "mine" else which,
        which == "mine",
        dataset.name if dataset else "",
        EditState(given["state"]) if given["state"] else None,
        given["team"],
        given["type"],
    )
    which = which if which == "mine" else wanted.listing  # that of the state, if there is one
    pagination = request.pagination("edits", wanted.dataset, which, *given.values())
    after = pagination.start(request.query.get("cursor", ""), "")
    found = queries.list_edits(context, wanted, after=after, limit=_PAGE_SIZE)
    views, after = found.items, found.after
    query = {"dataset": dataset.name if dataset else _ALL, "list": which}
    query |= {name: text for name, text in given.items() if text}
    jobs = [
        (number, view.job)
        for number, view in enumerate(views, start=1)
        if isinstance(view.job, EditJob) and dataset and view.job.dataset == dataset.name
    ]
    drawn = None
    if dataset is not None:
        key = repr((dataset.head_version, frame, [(job.edit_id, job.version) for _, job in jobs]))
        drawn = Lazy(key, lambda: _zoomed(dataset_map(dataset, jobs, frame, context), query))
    return {
        "dataset": dataset,
        "datasets": [
            *((each.name, each.title or each.name) for each in offered),
            (_ALL, "All datasets"),
        ],
        "has_datasets": bool(offered),
        "given": given,
        "states": _STATES,
        "is_filtered": any(given.values()),
        "all_address": f"/planner?{urlencode({'dataset': query['dataset'], 'list': which})}",
        "which": which,
        "lists": [
            {
                "label": label,
                "address": f"/planner?{urlencode(query | {'list': name, 'state': ''})}",
                "is_current": name == which,
            }
            for name, label in lists
        ],
        "rows": [
            {"number": number, "tile": tile_of(view), "step": step_of(view), "view": view}
            for number, view in enumerate(views, start=1)
        ],
        "drawn": drawn,
        "searched": found.searched,
        "may_load": request.may("dataset", "load"),
        "may_propose": request.may("edit", "propose"),
        "may_archive": request.may("edit", "archive") and which in {"ended", "mine"},
        "archive_days": ARCHIVE_AFTER.days,
        **page_links(request, pagination.next_cursor(after) if after else None),
        **refusal_values(request, refusal),
    }


def _filter_of(request: PageRequest) -> dict[str, str]:
    """What the list is filtered by, as it was given."""
    given = {name: request.query.get(name, "").strip() for name in ("state", "team", "type")}
    return given | {"state": given["state"] if given["state"] in dict(_STATES) else ""}


def _offered(name: str, request: PageRequest) -> tuple[list[Dataset], Dataset | None]:
    """The datasets to choose from, and the one of that name: the first one without a name, None if
    there is none. One that is not among the first is offered too.

    Raises:
        NotFound: there is none of that name. Gone: it was deleted.
    """
    offered = queries.datasets_offered(request.query_context)
    if not name:
        return offered, offered[0] if offered else None
    found = next((each for each in offered if each.name == name), None)
    if found is None:
        found = dataset_queries.dataset(name, request.query_context)
        offered.append(found)
    return offered, found


def _zoomed(drawn: Map, query: dict[str, str]) -> dict[str, Any]:
    """A map with links that zoom and move it."""
    return {
        "map": drawn,
        "zooms": [
            {
                "label": label,
                "icon": icon,
                "address": f"/planner?{urlencode(query | {'frame': frame})}",
            }
            for label, icon, frame in zooms(drawn)
        ],
        "all": f"/planner?{urlencode(query)}",
    }


@router.post("/planner/archive")
def archive() -> Response[str]:
    """Archive the selected edit jobs, or those of a dataset that were completed long ago. Shows
    what became of each.
    """
    request = current_request(router)
    try:
        authorize(request.actor, "edit", "archive")
        outcomes = _archived(request)
    except ValidationFailed as refusal:
        values = _planner_values(request, refusal)
        return page("planner.html", request, values, status=status_of(refusal))
    values = {
        "done": [each for each in outcomes if not each.refusal],
        "refused": [each for each in outcomes if each.refusal],
        "is_full": len(outcomes) >= allocations.MAX_ARCHIVED,
    }
    return page("edits_archived.html", request, values)


def _archived(request: PageRequest) -> list[ArchiveOutcome]:
    context = request.command_context()
    dataset = request.field("dataset")
    if request.field("older_than"):
        days = number_in(request.field("older_than"))
        if not isinstance(days, int) or not 0 <= days <= 36_500:
            raise ValidationFailed([("older_than", "Give a number of days, such as 30.")])
        return allocations.archive_completed(dataset, timedelta(days=days), context)
    selected = [each for each in request.form.get("job_id", []) if each]
    if not selected:
        raise ValidationFailed([("job_id", "Select what to archive.")])
    return allocations.archive_many(selected, context)


@router.get("/edits/new")
def new_edit() -> Response[str]:
    """The form of a new edit job."""
    request = current_request(router)
    authorize(request.actor, "edit", "propose")
    return _new_page(request, form.empty_fields(), frame=request.query.get("frame", ""))


@router.post("/edits/new")
def propose() -> Response[str]:
    """Propose an edit job, or look at another part of the map."""
    request = current_request(router)
    authorize(request.actor, "edit", "propose")
    fields = form.typed_fields(request, form.empty_fields())
    if request.field("look"):
        return _new_page(request, fields, frame=request.field("look"))

    def act() -> str:
        proposal = form.proposal_of(request.field("dataset"), request)
        job = proposals.propose(proposal, request.command_context())
        return f"/edits/{job.edit_id}"

    frame = request.field("frame")
    return handle_form(act, lambda refusal: _new_page(request, fields, refusal, frame=frame))


def _new_page(
    request: PageRequest,
    fields: dict[str, str],
    refusal: JobyardError | None = None,
    *,
    frame: str = "",
) -> Response[str]:
    name = (
        request.field("dataset") if request.method == "POST" else request.query.get("dataset", "")
    )
    offered, dataset = _offered(name, request)
    values = {
        "job": None,
        "address": "/edits/new",
        "back": f"/planner?{urlencode({'dataset': dataset.name})}" if dataset else "/planner",
        "datasets": [(each.name, each.title or each.name) for each in offered],
        **form_values(request, dataset, fields, frame),
        "quotas": request.site.settings.quotas,
        "seen": "",
        "errors": form.errors_of(refusal),
        "refusal": refusal and refusal_text(refusal),
    }
    return page("edit_form.html", request, values, status=status_of(refusal))


def form_values(
    request: PageRequest, dataset: Dataset | None, fields: dict[str, str], frame: str
) -> dict[str, Any]:
    """The values of the form of an edit job, with a map to draw on."""
    drawn = None
    if dataset is not None:
        drawn = dataset_map(dataset, [], frame_of(frame), request.query_context, Mark.FEATURE)
    return {
        "dataset": dataset,
        "fields": fields,
        "types": [("", "None")]
        + [(each, each) for each in (dataset.edit_types if dataset else ())],
        "kinds": form.KINDS,
        "quarantines": form.QUARANTINE,
        "rows": range(form.ATTACHMENT_ROWS),
        "drawn": drawn,
        "frame": frame,
        "zooms": zooms(drawn) if drawn else [],
    }
