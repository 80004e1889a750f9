"""Posted forms: what happens when one is accepted or refused."""

from collections.abc import Callable
from datetime import UTC, datetime

from aws_lambda_powertools.event_handler import Response

from gateway.errors import ValidationFailed, problem_type
from jobyard.domain.errors import InvalidParameters, JobyardError, StaleState
from jobyard.domain.mail_addresses import Addresses
from jobyard.domain.schedules.wall_clock import first_instant
from web.request import PageRequest
from web.responses import see_other

# HTTP statuses of refusals that the page of the form shows; others get an error page.
_SHOWN_ON_PAGE = frozenset({400, 403, 409, 422, 429})


def handle_form(
    act: Callable[[], str | Response[str]], show: Callable[[JobyardError], Response[str]]
) -> Response[str]:
    """Handle a form: `act`, then redirect to the address that it returns, or respond with its page.

    If `act` raises a refusal, `show` makes the response: the page as it is now, with the refusal.
    """
    try:
        done = act()
        return see_other(done) if isinstance(done, str) else done
    except JobyardError as refusal:
        if problem_type(type(refusal)).status in _SHOWN_ON_PAGE:
            return show(refusal)
        raise


def refusal_values(request: PageRequest, refusal: JobyardError | None) -> dict[str, object]:
    """The values of a page that shows a refused form: the refusal, and what the person typed."""
    if refusal is None:
        return {}
    typed = {name: values[-1] for name, values in request.form.items()}
    return {"refusal": refusal_text(refusal), "typed": typed}


def refusal_text(refusal: JobyardError) -> str:
    """A refusal in words. The messages of fields are sentences on the pages, and need no name."""
    if isinstance(refusal, ValidationFailed):
        return " ".join(text for _, text in refusal.errors)
    if isinstance(refusal, InvalidParameters) and refusal.field:
        return f"parameter {refusal}"
    return str(refusal)


def status_of(refusal: JobyardError | None) -> int:
    """The HTTP status of a page that shows a refusal; 200 without one."""
    if refusal is None:
        return 200
    status = problem_type(type(refusal)).status
    return 422 if status == 400 else status


def seen_version(request: PageRequest) -> int:
    """The version that the reader of a form has seen; 0 for none."""
    seen = request.field("seen")
    return int(seen) if seen.isdecimal() and seen.isascii() and len(seen) < 10 else 0


def version_to_send(request: PageRequest, current: int, refusal: JobyardError | None) -> int:
    """The version that a form sends. One that is shown again sends what its reader has seen. After
    a refusal because of a newer one, it sends that.
    """
    is_again = request.method == "POST" and request.field("seen") != ""
    return seen_version(request) if is_again and not isinstance(refusal, StaleState) else current


def number_in(text: str) -> int | str:
    """The whole number in a text, or the text, which the parser of the field will refuse."""
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else text


def recipient_errors(found: Addresses) -> list[tuple[str, str]]:
    """The errors of the field `notify`, the recipients of reports."""
    return [("notify", f"Report to {each.description}.") for each in found.invalid]


def local_time(request: PageRequest, name: str) -> datetime | None:
    """The time in a field, which was typed in the reader's zone; None if the field is empty.

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
        message = "Give a date with a time, such as 2026-12-24 18:00, or leave the field empty."
        raise ValidationFailed([(name, message)]) from None
