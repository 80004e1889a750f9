"""Options, arguments and their parsers that several commands share.

A parser returns the value, or raises typer.BadParameter, which is a usage error (exit code 2).
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cli import terminal
from jobyard.domain.arks import EXAMPLE_ARK, normal_ark
from jobyard.domain.errors import BadRequest, InvalidRule
from jobyard.domain.hold import check_scope
from jobyard.domain.ids import (
    NAME_PATTERN,
    is_batch_id,
    is_campaign_id,
    is_edit_id,
    is_origin_id,
    is_schedule_id,
)
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job import JobAddress
from jobyard.domain.json_objects import RepeatedKey, object_of
from jobyard.domain.mail_addresses import ADDRESS_FORM, addresses
from jobyard.domain.schedules.calendar import calendar_of
from jobyard.domain.schedules.wall_clock import zone_named
from jobyard.domain.text import REASON_BYTES

Json = Annotated[
    bool, typer.Option("--json", help="Print the API's JSON document, and nothing else.")
]
StackName = Annotated[
    str,
    typer.Option(
        "--stack",
        metavar="NAME",
        envvar="JOBYARD_STACK",
        show_default=False,
        help="CloudFormation name of a stack on AWS.  [default: the local stack]",
    ),
]


def reason(text: str) -> str:
    """A reason of at most REASON_BYTES. Bytes that are not UTF-8 become replacement characters."""
    cleaned = text.encode(errors="surrogateescape").decode(errors="replace")
    size = len(cleaned.encode())
    if size > REASON_BYTES:
        raise typer.BadParameter(f"the text has {size} bytes of UTF-8; the limit is {REASON_BYTES}")
    return cleaned


Reason = Annotated[
    str, typer.Option(parser=reason, metavar="TEXT", help="The reason, kept in the history.")
]
Watch = Annotated[bool, typer.Option("--watch", help="Show progress until the batch ends.")]

Value = TypeVar("Value", bound=StrEnum)

_TIME_OF_DAY = re.compile(r"\d{1,2}:\d\d(?::\d\d)?")
_ONE_DIGIT_HOUR = re.compile(r"(?:^|(?<=[T ]))(?=\d:\d\d)")  # 9:00, as people type 09:00
_DURATION = re.compile(r"(\d+)([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def whole_number(minimum: int = 0, maximum: int | None = None) -> Callable[[str | int], int]:
    """A parser of whole numbers from `minimum` to `maximum`."""

    def parser(text: str | int) -> int:
        allowed = f"from {minimum} to {maximum}" if maximum else f"of at least {minimum}"
        if not str(text).isdecimal() or not minimum <= int(text) <= (maximum or int(text)):
            raise typer.BadParameter(f"{str(text)!r} is not a whole number {allowed}")
        return int(text)

    return parser


Limit = Annotated[int, typer.Option(parser=whole_number(1), metavar="N", help="Show at most N.")]


def one_of(values: type[Value]) -> Callable[[str], Value]:
    """A parser of the values of an enumeration."""

    def parser(text: str) -> Value:
        if text not in set(values):
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(values)}")
        return values(text)

    return parser


def recipient(text: str) -> str:
    """An e-mail address, or a comma-separated list of them."""
    found = addresses(text)
    if found.invalid or not found.valid:
        raise typer.BadParameter(
            found.invalid[0].description if found.invalid else f"{text!r}: {ADDRESS_FORM}"
        )
    return text


def is_job_id(text: str) -> bool:
    """Whether `text` has the form of a job id, for a job of a batch or of a schedule."""
    address = JobAddress.parse(text)
    return address is not None and is_origin_id(address.origin_id)


def batch_id(text: str) -> str:
    """A batch id. For another kind of id the error names the command to use."""
    if is_schedule_id(text):
        raise typer.BadParameter(f"this is a schedule: use `jobyard schedule show {text}`")
    if is_job_id(text):
        raise typer.BadParameter(f"this is a job: use `jobyard job {text}`")
    if not is_batch_id(text):
        raise typer.BadParameter(
            f"{text!r} is not a batch id: a batch id is b and 20 characters of a-z and 2-7"
        )
    return text


def job_id(text: str) -> str:
    """A job id."""
    if not is_job_id(text):
        raise typer.BadParameter(
            f"{text!r} is not a job id: a job id is BATCH.CHUNK.POSITION or SCHEDULE.0.MILLISECONDS"
        )
    return text


def schedule_id(text: str) -> str:
    """A schedule id."""
    if not is_schedule_id(text):
        raise typer.BadParameter(
            f"{text!r} is not a schedule id: a schedule id is s and 20 characters of a-z and 2-7"
        )
    return text


def campaign_id(text: str) -> str:
    """A campaign id."""
    if not is_campaign_id(text):
        raise typer.BadParameter(
            f"{text!r} is not a campaign id: a campaign id is c and 20 characters of a-z and 2-7"
        )
    return text


def origin_id(text: str) -> str:
    """The id of a batch, a schedule or a campaign."""
    if not is_origin_id(text):
        raise typer.BadParameter(f"{text!r} is not the id of a batch, a schedule or a campaign")
    return text


def metered_id(text: str) -> str:
    """The id of a batch, a schedule, a campaign or an edit job, whose cost is known."""
    if not (is_origin_id(text) or is_edit_id(text)):
        what = "a batch, a schedule, a campaign or an edit job"
        raise typer.BadParameter(f"{text!r} is not the id of {what}")
    return text


def reported_id(text: str) -> str:
    """The id of a batch, a campaign or a schedule, which have reports. For another kind of id the
    error names the command to use.
    """
    return text if is_campaign_id(text) or is_schedule_id(text) else batch_id(text)


ReportedId = Annotated[str, typer.Argument(parser=reported_id, metavar="BATCH|CAMPAIGN|SCHEDULE")]


def calendar_name(text: str) -> str:
    """A valid calendar name."""
    try:
        return calendar_of({"name": text}).name
    except InvalidRule as error:
        raise typer.BadParameter(str(error)) from error


def collection_name(text: str) -> str:
    """A valid collection name."""
    if not re.fullmatch(NAME_PATTERN, text):
        raise typer.BadParameter(
            f"{text!r} is not a collection name: use 1 to 64 letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    return text


def ark(text: str) -> str:
    """An ark in any spelling, in its normal form."""
    normal = normal_ark(text)
    if not normal:
        raise typer.BadParameter(f"{text!r} is not an ark, such as {EXAMPLE_ARK}")
    return normal


def watchable(text: str) -> str:
    """The id of a batch, a job or a schedule."""
    if not (is_batch_id(text) or is_job_id(text) or is_schedule_id(text)):
        raise typer.BadParameter(f"{text!r} is the id of no batch, job or schedule")
    return text


def batch_or_job(text: str) -> str:
    """A batch id or a job id."""
    if not (is_batch_id(text) or is_job_id(text)):
        raise typer.BadParameter(f"{text!r} is neither a batch id nor a job id")
    return text


def job_or_scope(text: str) -> str:
    """A job id or the scope of a hold."""
    if is_job_id(text):
        return text
    if is_batch_id(text):
        raise typer.BadParameter("a batch cannot be held: hold its collection or its jobs")
    return _scope(text)


def held_target(text: str) -> str:
    """A job id, a batch id or the scope of a hold."""
    return text if is_job_id(text) or is_batch_id(text) else _scope(text)


def _scope(text: str) -> str:
    try:
        return check_scope(text)
    except BadRequest as error:
        raise typer.BadParameter(f"{error}; or give a job id") from error


def failure_code(text: str) -> str:
    """A failure code, in capitals."""
    code = text.upper()
    if code not in set(Failure):
        raise typer.BadParameter(f"{text!r} is not a failure code: use one of {', '.join(Failure)}")
    return code


def future_time(text: str) -> str:
    """A time as ISO 8601 in UTC, for the API.

    `text` is a duration from now (`2h`), a time of day that comes next (`18:00`), or a date and a
    time. A zone may follow; the default is the zone of this machine.
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
            f"{text!r} is not a time: give 30m, 2h, 1d, 18:00 or 2030-01-31T18:00; a zone may "
            "follow, as in 2030-01-31T18:00Z or '18:00 America/Los_Angeles'"
        ) from None


def _parsed_time(text: str) -> datetime:
    before, _, last = text.strip().rpartition(" ")
    zone = zone_named(last) if before and last[:1].isalpha() else None
    wall_time = two_digit_hour(before if zone else text.strip())
    if not _TIME_OF_DAY.fullmatch(wall_time):
        at = datetime.fromisoformat(wall_time)
        if zone and at.tzinfo:
            raise ValueError(text)
        return at.replace(tzinfo=zone) if zone else at
    now = datetime.now(UTC).astimezone(zone)
    at = datetime.combine(now.date(), time.fromisoformat(wall_time), zone)
    return at if at.timestamp() > now.timestamp() else at + timedelta(days=1)


def two_digit_hour(text: str) -> str:
    """`text` with a two-digit hour: 9:00 becomes 09:00."""
    return _ONE_DIGIT_HOUR.sub("0", text)


def name_value(text: str) -> str:
    """Text of the form `name=value`."""
    name, separator, _ = text.partition("=")
    if not (name and separator):
        raise typer.BadParameter(f"{text!r} does not have the form NAME=VALUE")
    return text


def read_json(option: str, text: str) -> Any:
    """The JSON in an option's value, or in the file it names as `@FILE`.

    Raises:
        typer.BadParameter: the text is not JSON, or the file cannot be read.
    """
    if not text.startswith("@"):
        return _parsed_json(option, text, hint="; use @FILE to read it from a file")
    try:
        return _parsed_json(option, Path(text[1:]).read_bytes())
    except FileNotFoundError:
        raise typer.BadParameter(
            f"{terminal.printable_path(text[1:])} does not exist", param_hint=option
        ) from None
    except OSError as error:
        message = f"{text[1:]!r} cannot be read: {error.strerror}"
        raise typer.BadParameter(message, param_hint=option) from error


def _parsed_json(option: str, text: str | bytes, hint: str = "") -> Any:
    try:
        return json.loads(text, object_pairs_hook=object_of)
    except RepeatedKey as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"this is not JSON: {error}{hint}", param_hint=option) from error


def instant(text: str) -> datetime:
    """An instant in UTC, from a date, a time and an offset or Z."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError(text)
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not an instant: give 2026-11-25T17:00:00Z, or an offset instead of Z"
        ) from None
