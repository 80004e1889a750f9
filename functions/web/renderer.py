"""Rendering: templates with a page's values, and what every page shows."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from jobyard.domain.plurals import plural
from web import assets, csrf
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
        "iso": iso,
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


def words(name: str) -> str:
    """A state, event or code in words: `force_fail` is "force fail"."""
    return name.replace("_", " ").replace("-", " ")


def iso(at: datetime) -> str:
    """A time as a <time> element's datetime has it: UTC, to the second."""
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def local(at: datetime, zone: Any) -> str:
    """A time in the reader's zone, with the zone's name: "2026-11-30 09:05:12 CET"."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def size(number: float) -> str:
    """A number of bytes: "1.4 MB"."""
    for unit in _UNITS[:-1]:
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} {_UNITS[-1]}"


def duration(length: timedelta | float) -> str:
    """A length of time, at most two units: "3 min 20 s", "2 d 4 h". Numbers are seconds."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    parts: list[str] = []
    left = int(seconds)
    for unit, of in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        number, left = divmod(left, of)
        if number or parts:
            parts.append(f"{number} {unit}" if number else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts))
