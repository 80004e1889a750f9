"""Calendars."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, JsonValue, StrictInt, WithJsonSchema

from api.context import RequestContext
from api.problems import field_path
from api.schemas.fields import Links, Reason, Schema
from jobyard.domain.schedules import calendar as domain
from jobyard.domain.schedules.calendar import MAX_EXCLUDED, MAX_TITLE_LETTERS, MAX_WINDOWS
from jobyard.domain.schedules.wall_clock import WEEKDAYS

_DATE = {"type": "string", "format": "date"}
_TIME = {"type": "string", "pattern": "^[0-9]{2}:[0-9]{2}(:[0-9]{2})?$"}


def _object(needed: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": False,
    }


_WEEKDAYS = {"type": "array", "items": {"type": "string", "enum": [*WEEKDAYS]}, "minItems": 1}
_RANGE = _object(["from", "to"], **{"from": _DATE, "to": _DATE})
_WINDOW = _object([], **{"weekdays": _WEEKDAYS, "from": _TIME, "to": _TIME})

# The domain parses and validates these.
Exclude = Annotated[
    list[JsonValue],
    WithJsonSchema(
        {"type": "array", "items": {"anyOf": [_DATE, _RANGE]}, "maxItems": MAX_EXCLUDED}
    ),
]
Include = Annotated[
    list[JsonValue],
    WithJsonSchema({"type": "array", "items": _WINDOW, "maxItems": MAX_WINDOWS}),
]
_EXCLUDE = "Dates on which no run starts: a date, or the first and last date of a range."
_INCLUDE = (
    "Windows in which runs may start; any time if empty. Each has `weekdays`, or "
    "every day, and starts at `from` and ends before `to`, which may be on the next day."
)
_TITLE = "The title for people."


class CalendarRequest(Schema, extra="forbid"):
    """A calendar to store. Dates and times are in the zone of each schedule's rule."""

    title: str = Field(default="", max_length=MAX_TITLE_LETTERS, description=_TITLE)
    exclude: Exclude = Field(default_factory=list, description=_EXCLUDE)
    include: Include = Field(default_factory=list, description=_INCLUDE)
    version: StrictInt | None = Field(
        default=None,
        ge=0,
        description="The version that you have seen, 0 for none. Refused if it has changed. "
        "If left out, any version is replaced.",
    )
    reason: Reason

    def calendar(self, name: str) -> domain.Calendar:
        """The calendar.

        Raises:
            InvalidRule: a field of it is not valid.
        """
        with field_path("body"):
            return domain.calendar_of(
                {"name": name, **self.model_dump(include={"title", "exclude", "include"})}
            )


class CalendarChange(Schema):
    """A change of a calendar."""

    event: str = Field(description="`put` or `delete`.")
    at: datetime = Field(description="When.")
    actor: str = Field(description="Who.")
    reason: str = Field(description="Why.")
    cause: str = Field(description="The request that made the change.")


class Calendar(Schema):
    """A calendar: it excludes times at which schedules would run."""

    name: str = Field(description="Its name.")
    title: str = Field(description=_TITLE)
    exclude: Exclude = Field(description=_EXCLUDE)
    include: Include = Field(description=_INCLUDE)
    version: int = Field(description="The number of changes.")
    history: list[CalendarChange] = Field(description="The latest changes, oldest first.")
    links: Links

    @classmethod
    def of(cls, stored: domain.StoredCalendar, request: RequestContext) -> "Calendar":
        """A calendar as it is stored."""
        return cls(
            **stored.calendar.document(),
            version=stored.version,
            history=[CalendarChange.model_validate(vars(change)) for change in stored.changes],
            links={"self": request.link(f"calendars/{stored.calendar.name}")},
        )


class CalendarList(Schema):
    """All calendars, by name."""

    items: list[Calendar]
