"""Rendering: templates with a page's values, and what every page shows."""

from collections.abc import Mapping
from typing import Any

from web import csrf
from web.filters import local
from web.navigation import navigation_links
from web.request import PageRequest
from web.template_environment import environment


def render(template: str, request: PageRequest, values: Mapping[str, Any]) -> str:
    """A page as HTML."""
    zone = request.zone
    shared = {
        "request": request,
        "actor": request.actor,
        "navigation": navigation_links(request),
        "csrf": csrf.token(request),
        "new_key": request.site.new_id,
        "now": request.site.now(),
        "zone": str(zone),
        "instance": request.site.settings.instance,
        "local": lambda at: local(at, zone),
        "api_call": lambda path: api_call(path, request.site.settings.url),
        "refusal": None,
        "typed": {},
    }
    return environment().get_template(template).render({**shared, **values})


def api_call(path: str, url: str) -> str:
    """A request of the API for `path`, as a command for a terminal."""
    return f'curl -H "Authorization: Bearer $(jobyard token)" {url}/api/{path}'
