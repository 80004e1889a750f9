"""The home page: is anything wrong, what is going on, what comes next."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.services.queries import batches as batch_queries
from web.poll_interval import LIST_PAUSE_S
from web.request import current_request
from web.responses import page

router = Router()  # type: ignore[no-untyped-call]

_BATCHES_SHOWN = 10


@router.get("/")
def show_home() -> Response[str]:
    """The home page."""
    request = current_request(router)
    batches: tuple[batch_queries.BatchView, ...] = ()
    if request.may("batch", "list"):
        batches = batch_queries.list_batches(
            request.query_context, state="", collection="", after={}, limit=_BATCHES_SHOWN
        ).items
    return page("home.html", request, {"batches": batches}, poll_s=LIST_PAUSE_S)
