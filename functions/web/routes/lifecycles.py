"""Lifecycles: states and events as a diagram, with the state one comes from marked."""

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router

from jobyard.domain.errors import NotFound
from jobyard.domain.lifecycles import LIFECYCLES
from web.pictures.lifecycle import lifecycle_diagram
from web.request import current_request
from web.responses import page

# What people call what has a lifecycle, if that is not its name.
_NOUNS = {"edit": "edit job", "fixup": "fix-up"}

router = Router()  # type: ignore[no-untyped-call]


@router.get("/lifecycles/<name>")
def show_lifecycle(name: str) -> Response[str]:
    """One lifecycle."""
    request = current_request(router)
    lifecycle = LIFECYCLES.get(name)
    if lifecycle is None:
        raise NotFound(f"there is no lifecycle {name!r}; there are {', '.join(LIFECYCLES)}")
    current = request.query.get("state", "")
    if current not in {each.name for each in lifecycle.states}:
        current = ""
    links = [
        {
            "label": _NOUNS.get(each, each).capitalize(),
            "address": f"/lifecycles/{each}",
            "is_current": each == name,
        }
        for each in LIFECYCLES
    ]
    noun = _NOUNS.get(name, name)
    values = {
        "lifecycle": lifecycle,
        "noun": f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}",
        "links": links,
        "current": current,
        "picture": lifecycle_diagram(lifecycle, current),
    }
    return page("lifecycle.html", request, values)
