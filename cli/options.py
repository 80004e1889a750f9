"""What many commands take, spelled once."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, TypeVar

import typer

from jobyard.domain.errors import BadRequest, InvalidRule
from jobyard.domain.hold import NAME, checked_scope
from jobyard.domain.ids import is_batch_id, is_schedule_id
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress
from jobyard.domain.mail_addresses import SHAPE, addresses
from jobyard.domain.schedules.calendar import calendar_of
from jobyard.domain.schedules.wall_clock import zone_called
from jobyard.domain.text import REASON_BYTES

Json = Annotated[
    bool, typer.Option("--json", help="Print the API's JSON document and nothing else.")
]
StackName = Annotated[
    str,
    typer.Option(
        "--stack",
        metavar="NAME",
        envvar="JOBYARD_STACK",
        show_default=False,
        help="An AWS stack by its CloudFormation name.  [default: the local stack]",
    ),
]


def reason(text: str) -> str:
    """Why, as it was typed, in as many bytes as are kept; more is a usage error.

    What came as no UTF-8 from the terminal is marked.
    """
    words = text.encode(errors="surrogateescape").decode(errors="replace")
    size = len(words.encode())
    if size > REASON_BYTES:
        raise typer.BadParameter(f"{size} bytes of UTF-8; {REASON_BYTES} at the most are kept")
    return words


Reason = Annotated[
    str, typer.Option(parser=reason, metavar="TEXT", help="Why. It stays in the history.")
]
Watch = Annotated[bool, typer.Option("--watch", help="Stay and show the progress until the end.")]

Value = TypeVar("Value", bound=StrEnum)

_TIME_OF_DAY = re.compile(r"\d{1,2}:\d\d(?::\d\d)?")
_ONE_DIGIT_HOUR = re.compile(r"(?:^|(?<=[T ]))(?=\d:\d\d)")  # where one digit is said of two
_DURATION = re.compile(r"(\d+)([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def whole_number(least: int = 0, most: int | None = None) -> Callable[[str | int], int]:
    """A parser of whole numbers within bounds; another is a usage error."""

    def parser(text: str | int) -> int:
        allowed = f"from {least} to {most}" if most else f"of at least {least}"
        if not str(text).isdecimal() or not least <= int(text) <= (most or int(text)):
            raise typer.BadParameter(f"{str(text)!r} is no whole number {allowed}")
        return int(text)

    return parser


def one_of(words: type[Value]) -> Callable[[str], Value]:
    """A parser of the words of an enumeration; another is a usage error."""

    def parser(text: str) -> Value:
        if text not in set(words):
            raise typer.BadParameter(f"{text!r} is none; there are {', '.join(words)}")
        return words(text)

    return parser


def recipient(text: str) -> str:
    """`text` if it is an e-mail address, or a list of some; another is a usage error."""
    found = addresses(text)
    if found.bad or not found.good:
        raise typer.BadParameter(found.bad[0].words if found.bad else f"{text!r}: {SHAPE}")
    return text


def is_job_id(text: str) -> bool:
    """Whether `text` is the id of a job, of a batch or of a schedule."""
    place = JobAddress.of(text)
    return place is not None and (place.is_of_schedule or is_batch_id(place.origin_id))


def batch_id(text: str) -> str:
    """`text` if it has the form of a batch id; a wrong one is a usage error."""
    if is_schedule_id(text):
        raise typer.BadParameter(f"that is a schedule: `jobyard schedule show {text}`")
    if is_job_id(text):
        raise typer.BadParameter(f"that is a job: `jobyard job {text}`")
    if not is_batch_id(text):
        raise typer.BadParameter(f"{text!r} is no batch id; one is b and 20 of a to z, 2 to 7")
    return text


def job_id(text: str) -> str:
    """`text` if it has the form of a job id; a wrong one is a usage error."""
    if not is_job_id(text):
        raise typer.BadParameter(
            f"{text!r} is no job id; one is BATCH.CHUNK.POSITION or SCHEDULE.0.MILLISECONDS"
        )
    return text


def schedule_id(text: str) -> str:
    """`text` if it has the form of a schedule id; a wrong one is a usage error."""
    if not is_schedule_id(text):
        raise typer.BadParameter(f"{text!r} is no schedule id; one is s and 20 of a to z, 2 to 7")
    return text


def batch_or_schedule_id(text: str) -> str:
    """`text` if it has the form of a batch id or of a schedule id; else it is a usage error."""
    if not (is_batch_id(text) or is_schedule_id(text)):
        raise typer.BadParameter(f"{text!r} is no id of a batch or of a schedule")
    return text


def calendar_name(text: str) -> str:
    """`text` if a calendar may be called so; a wrong one is a usage error."""
    try:
        return calendar_of({"name": text}).name
    except InvalidRule as error:
        raise typer.BadParameter(str(error)) from error


def collection_name(text: str) -> str:
    """A collection's name; another text is a usage error."""
    if not re.fullmatch(NAME, text):
        raise typer.BadParameter(
            f"{text!r} is no name of a collection: 1 to 64 letters, digits, '.', '_' and '-', "
            "a letter or digit first"
        )
    return text


def batch_or_job(text: str) -> str:
    """`text` if it is the id of a batch or a job."""
    if not (is_batch_id(text) or is_job_id(text)):
        raise typer.BadParameter(f"{text!r} is no id of a batch or of a job")
    return text


def job_or_scope(text: str) -> str:
    """`text` if it is the id of a job or names the scope of a hold."""
    if is_job_id(text):
        return text
    if is_batch_id(text):
        raise typer.BadParameter("a batch is not held by itself: hold its collection or its jobs")
    return _scope(text)


def held_target(text: str) -> str:
    """`text` if it is the id of a job or a batch or names the scope of a hold."""
    return text if is_job_id(text) or is_batch_id(text) else _scope(text)


def _scope(text: str) -> str:
    try:
        return checked_scope(text)
    except BadRequest as error:
        raise typer.BadParameter(f"{error}; or give the id of a job") from error


def failure_code(text: str) -> str:
    """`text` in capitals if it is a failure code."""
    code = text.upper()
    if code not in set(Failure):
        raise typer.BadParameter(f"{text!r} is no failure code; there are {', '.join(Failure)}")
    return code


def future_time(text: str) -> str:
    """A time as the API takes it: of `2h` from now, of a date and a time, or of a time that comes
    next. A zone may follow; without one it is the reader's own.
    """
    length = _DURATION.fullmatch(text)
    try:
        if length:
            number, unit = length.groups()
            at = datetime.now(UTC) + timedelta(**{_UNITS[unit]: int(number)})
        else:
            at = _parsed_time(text)
        return at.astimezone(UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, InvalidRule):
        raise typer.BadParameter(
            f"{text!r} is no time: give 30m, 2h, 1d, 18:00, 2030-01-31T18:00, or that with a zone "
            "behind it, as in 2030-01-31T18:00Z or '18:00 America/Los_Angeles'"
        ) from None


def _parsed_time(text: str) -> datetime:
    words, _, last = text.strip().rpartition(" ")
    zone = zone_called(last) if words and last[:1].isalpha() else None
    words = two_digit_hour(words if zone else text.strip())
    if not _TIME_OF_DAY.fullmatch(words):
        at = datetime.fromisoformat(words)
        if zone and at.tzinfo:
            raise ValueError(text)
        return at.replace(tzinfo=zone) if zone else at
    now = datetime.now(UTC).astimezone(zone)
    at = datetime.combine(now.date(), time.fromisoformat(words), zone)
    return at if at.timestamp() > now.timestamp() else at + timedelta(days=1)


def two_digit_hour(text: str) -> str:
    """`text` with its hour in two digits: 09:00 for 9:00."""
    return _ONE_DIGIT_HOUR.sub("0", text)


def name_value(text: str) -> str:
    """`text` if it is `name=value`."""
    name, separator, _ = text.partition("=")
    if not (name and separator):
        raise typer.BadParameter(f"{text!r} is not of the form name=value")
    return text
