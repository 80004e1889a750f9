"""Fields that several schemas share, with their limits and the messages for invalid values."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    JsonValue,
    WithJsonSchema,
)

from jobyard.domain import history as domain
from jobyard.domain import lifecycle
from jobyard.domain.arks import EXAMPLE_ARK, NAAN_PATTERN, normal_ark
from jobyard.domain.collection import GROUP_PATTERN
from jobyard.domain.ids import NAME_PATTERN
from jobyard.domain.mail_addresses import ADDRESS_FORM, MAX_RECIPIENTS, addresses, all_addresses
from jobyard.domain.manifests.validation import MAX_LOCAL_ID_BYTES, MAX_LOCAL_IDS
from jobyard.domain.text import REASON_BYTES, clean, is_clean
from jobyard.services.queries import history as history_queries


class Schema(BaseModel, defer_build=True):
    """A request or response body. Its validator is built at first use; a request needs few."""


Links = Annotated[dict[str, str], Field(description="Related URLs, by name.")]


def _matching(pattern: str, message: str) -> AfterValidator:
    shape = re.compile(pattern)

    def check(text: str) -> str:
        if not shape.fullmatch(text):
            raise ValueError(message)
        return text

    return AfterValidator(check)


Collection = Annotated[
    str,
    _matching(
        NAME_PATTERN,
        "a collection is 1 to 64 letters, digits, '.', '_' and '-', and starts with a letter or "
        "digit",
    ),
    Field(examples=["maps"], json_schema_extra={"pattern": f"^{NAME_PATTERN}$"}),
]

Naan = Annotated[
    str,
    _matching(
        NAAN_PATTERN, "a NAAN is 5 to 10 digits or lower-case letters, as in ark:/13030/name"
    ),
    Field(examples=["13030"], json_schema_extra={"pattern": f"^{NAAN_PATTERN}$"}),
]
Group = Annotated[
    str,
    _matching(GROUP_PATTERN, "a group is 1 to 128 letters, digits, '_', '.', '@', '+' and '-'"),
    Field(json_schema_extra={"pattern": f"^{GROUP_PATTERN}$"}),
]

_NAME_LENGTH = 128  # Cognito's longest


def _person(text: str) -> str:
    if not 0 < len(text) <= _NAME_LENGTH or not is_clean(text) or not text.strip():
        raise ValueError(
            f"a user name is 1 to {_NAME_LENGTH} characters without control characters"
        )
    return text


PersonName = Annotated[
    str,
    AfterValidator(_person),
    Field(json_schema_extra={"minLength": 1, "maxLength": _NAME_LENGTH}),
]

_FILENAME_BYTES = 255


def _filename(text: str) -> str:
    # S3 would replace "${filename}" by the name of the uploaded file.
    bad = "/" in text or "\\" in text or "${" in text or text in {".", ".."}
    if bad or not text.isprintable() or len(text.encode()) > _FILENAME_BYTES or not text.strip():
        raise ValueError(
            f"a file name is 1 to {_FILENAME_BYTES} bytes of printable text without slashes "
            "and without ${"
        )
    return text


Filename = Annotated[
    str,
    AfterValidator(_filename),
    Field(
        json_schema_extra={
            "minLength": 1,
            "maxLength": _FILENAME_BYTES,
            "pattern": r"^[^/\\\x00-\x1f\x7f]+$",
        }
    ),
]


def _recipient(text: str) -> str:
    if len(text) > _RECIPIENT_LENGTH:
        raise ValueError(
            f"an e-mail address and its name have up to {_RECIPIENT_LENGTH} characters"
        )
    found = addresses(text)
    if found.invalid:
        raise ValueError(found.invalid[0].why if len(found.invalid) == 1 else ADDRESS_FORM)
    if not found.valid:
        raise ValueError(ADDRESS_FORM)
    return text


_RECIPIENT_LENGTH = 1000
Recipient = Annotated[
    str,
    AfterValidator(_recipient),
    Field(
        description="An e-mail address, with or without a name, or several as in a mail's "
        'header: `"Doe, Jane" <jane@example.org>`. Only the bare address is kept.',
        json_schema_extra={"maxLength": _RECIPIENT_LENGTH},
    ),
]


def _all_recipients(named: list[str]) -> list[str]:
    """The bare addresses, each once."""
    found = all_addresses(named)
    if found.invalid:
        raise ValueError(found.invalid[0].why)
    return list(found.valid)


Recipients = Annotated[
    list[Recipient], Field(max_length=MAX_RECIPIENTS), AfterValidator(_all_recipients)
]

_URL_LENGTH = 2048


def _callback(text: str) -> str:
    message = (
        f"a callback URL is http or https, names a host, and has up to {_URL_LENGTH} characters"
    )
    if len(text) > _URL_LENGTH or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(message)
    try:
        parts = urlsplit(text)
        complete = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        raise ValueError(message) from None
    if not complete:
        raise ValueError(message)
    return text


CallbackUrl = Annotated[
    str,
    AfterValidator(_callback),
    Field(
        json_schema_extra={
            "format": "uri",
            "maxLength": _URL_LENGTH,
            "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$",
            "examples": ["https://example.org/jobs"],
        }
    ),
]

_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f"  # all but tabs and line breaks
_CONTROL = re.compile(f"[{_CONTROLS}]")
_BREAKS = re.compile(r"[\t\r\n]+")
_TEXT_PATTERN = f"^[^{_CONTROLS}]*[^{_CONTROLS}\\s][^{_CONTROLS}]*$"  # what `_text` accepts


def _text(max_bytes: int) -> AfterValidator:
    """Text of up to `max_bytes` bytes on one line; line breaks and tabs become spaces."""

    def check(text: str) -> str:
        size = len(text.encode(errors="surrogatepass"))
        if not text.strip() or size > max_bytes or _CONTROL.search(text):
            raise ValueError(
                f"1 to {max_bytes} bytes of UTF-8, not only spaces, without control characters; "
                f"this text has {size}"
            )
        return clean(_BREAKS.sub(" ", text), max_bytes)

    return AfterValidator(check)


Reason = Annotated[
    str,
    _text(REASON_BYTES),
    Field(
        description=f"Why, in up to {REASON_BYTES} bytes of UTF-8. It is kept in the history.",
        examples=["the server is back"],
        json_schema_extra={"minLength": 1, "maxLength": REASON_BYTES, "pattern": _TEXT_PATTERN},
    ),
]


def _instant(text: object) -> datetime:
    message = "a time is ISO 8601 with a zone, between the years 1 and 9999"
    if not isinstance(text, str):
        raise ValueError(message)
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise ValueError(message)
        at = at.astimezone(UTC)
        return at.replace(microsecond=at.microsecond // 1000 * 1000)  # as it is stored
    except (ValueError, OverflowError):
        raise ValueError(message) from None


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]

_NOTE_BYTES = 1000
Note = Annotated[
    str,
    _text(_NOTE_BYTES),
    Field(
        examples=["scanned in May"],
        json_schema_extra={"minLength": 1, "maxLength": _NOTE_BYTES, "pattern": _TEXT_PATTERN},
    ),
]

_PARAMETERS_BYTES = 4096
_NOT_IN_ROWS = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # a manifest may not contain them either
_TEXT_PARAMETERS = ("primary", "creator", "title", "date")  # of a deposit of one object


def _parameters(document: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if len(json.dumps(document, separators=(",", ":")).encode()) > _PARAMETERS_BYTES:
        raise ValueError(f"the parameters have up to {_PARAMETERS_BYTES} bytes as JSON")
    if "callback_url" in document:
        raise ValueError("callback_url is a separate field, not a parameter")
    described = [document[name] for name in _TEXT_PARAMETERS if name in document]
    local = document.get("local", [])
    values = [*described, *(local if isinstance(local, list) else [local])]
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values):
        raise ValueError(
            f"{', '.join(_TEXT_PARAMETERS)} are text, and local is text or a list of texts"
        )
    if any(map(_NOT_IN_ROWS.search, texts)):
        raise ValueError(f"{', '.join(_TEXT_PARAMETERS)} and local contain no control characters")
    primary = str(document.get("primary", "")).strip()
    if primary and not normal_ark(primary):
        raise ValueError(f"primary is an ark, such as {EXAMPLE_ARK}")
    ids = local.split(";") if isinstance(local, str) else texts[len(described) :]
    ids = list(filter(None, map(str.strip, ids)))
    if len(ids) > MAX_LOCAL_IDS or any(len(each.encode()) > MAX_LOCAL_ID_BYTES for each in ids):
        raise ValueError(
            f"local names up to {MAX_LOCAL_IDS} identifiers of up to {MAX_LOCAL_ID_BYTES} bytes"
        )
    return document


Parameters = Annotated[dict[str, JsonValue], AfterValidator(_parameters)]


_TITLE_LETTERS = 100
_TITLE_BYTES = 200  # what a record has room for
Title = Annotated[
    str,
    _text(_TITLE_BYTES),
    Field(max_length=_TITLE_LETTERS, json_schema_extra={"minLength": 1, "pattern": _TEXT_PATTERN}),
]

_JOB_ID = r"b[a-z2-7]{20}\.[0-9]{1,9}\.[0-9]{1,9}"
JobId = Annotated[
    str,
    _matching(_JOB_ID, "a job id is batch_id.chunk.position"),
    Field(json_schema_extra={"pattern": f"^{_JOB_ID}$"}),
]


class ReasonRequest(Schema, extra="forbid"):
    """The reason for a change."""

    reason: Reason


class UnavailableEvent(Schema):
    """An event that you cannot send now."""

    event: str = Field(description="The event.")
    reason: str = Field(description="Why: the state or the role that it needs.")

    @classmethod
    def all_of(cls, events: Iterable[lifecycle.UnavailableEvent]) -> "list[UnavailableEvent]":
        """The events that a person cannot send to an entity."""
        return [cls(event=each.event, reason=each.reason) for each in events]


Unavailable = Annotated[
    list[UnavailableEvent],
    Field(description="The events of people that are not in `actions`, with the reason."),
]


NextCursor = Annotated[
    str | None,
    Field(description="Send it as `cursor` to get the next page; null on the last page."),
]


class RecordCounts(Schema):
    """The number of records that a job has processed so far."""

    processed: int = Field(description="Those that succeeded.")
    failed: int = Field(description="Those that failed.")
    total: int | None = Field(description="All of them; null until the job has seen all.")

    @classmethod
    def of(cls, counts: Mapping[str, int | None] | None) -> "RecordCounts | None":
        """The counts of a job or an occurrence; None when it counts none."""
        return cls.model_validate(counts) if counts else None


class HistoryEntry(Schema):
    """One entry of a history."""

    event: str = Field(
        description="The event. `more` stands for entries that a long history leaves out; the "
        "reason says how many."
    )
    before: str = Field(alias="from", description="The state before.")
    after: str = Field(alias="to", description="The state after; the same if it did not change.")
    at: datetime = Field(description="When.")
    actor: str = Field(description='Who: a user name, or "machine".')
    actor_id: str = Field(
        description='The actor\'s id in the user pool; "" for the machine, and for entries '
        "from before ids were recorded."
    )
    reason: str = Field(description='Why; "" if not given.')
    cause: str = Field(description="The request, or the pass of the machine, that made the change.")

    @classmethod
    def all_of(cls, history: tuple[domain.HistoryEntry, ...]) -> "list[HistoryEntry]":
        """The entries of a history."""
        return [cls.model_validate(each) for each in history_queries.history(history)]
