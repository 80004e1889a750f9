"""Rendering: templates with a page's values, and what every page shows."""

from collections.abc import Mapping
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from jobyard.domain.plurals import plural
from web import assets, csrf
from web.filters import breakable, duration, iso, local, sentence, size, words
from web.navigation import navigation_links
from web.pictures.bar import bar
from web.request import PageRequest

_TEMPLATES = Path(__file__).with_name("templates")


@cache
def environment() -> Environment:
    """The templates. Everything is escaped, and a missing value is an error."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    made.globals |= {"static": assets.static_address, "bar": bar}
    made.filters |= {
        "words": words,
        "sentence": sentence,
        "breakable": breakable,
        "iso": iso,
        "utc": lambda at: local(at, UTC),
        "number": "{:,}".format,
        "size": size,
        "duration": duration,
        "plural": plural,
    }
    return made


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
