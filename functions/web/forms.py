"""Posted forms: what happens when one is accepted or refused."""

from collections.abc import Callable
from datetime import UTC, datetime

from aws_lambda_powertools.event_handler import Response

from gateway.errors import ValidationFailed, problem_type
from jobyard.domain.errors import JobyardError
from jobyard.domain.schedules.wall_clock import first_instant
from web.request import PageRequest
from web.responses import see_other

# Statuses of refusals that the page itself shows, next to what the person typed.
_SHOWN_ON_PAGE = frozenset({400, 403, 409, 422})


def handle_form(
    act: Callable[[], str], show: Callable[[JobyardError], Response[str]]
) -> Response[str]:
    """Act on a form, and redirect to the address that `act` returns.

    If it is refused, `show` returns the page as it is now, with the refusal.
    """
    try:
        return see_other(act())
    except JobyardError as refusal:
        if problem_type(type(refusal)).status in _SHOWN_ON_PAGE:
            return show(refusal)
        raise


def refusal_values(request: PageRequest, refusal: JobyardError | None) -> dict[str, object]:
    """What a page shows of a refused form: the refusal, and what the person had typed."""
    if refusal is None:
        return {}
    typed = {name: values[-1] for name, values in request.form.items()}
    return {"refusal": str(refusal), "typed": typed}


def status_of(refusal: JobyardError | None) -> int:
    """The status of a page that shows a refusal; 200 without one."""
    if refusal is None:
        return 200
    status = problem_type(type(refusal)).status
    return 422 if status == 400 else status


def local_time(request: PageRequest, name: str) -> datetime | None:
    """A time that the reader typed on their own clock; None if the field is empty.

    Raises:
        ValidationFailed: it is not a date with a time.
    """
    text = request.field(name)
    if not text:
        return None
    try:
        wall = datetime.fromisoformat(text)
        return wall.astimezone(UTC) if wall.tzinfo else first_instant(wall, request.zone)
    except (OverflowError, ValueError):
        message = "is a date with a time, in the years 1 to 9999: 2026-12-24T18:00"
        raise ValidationFailed([(name, message)]) from None
