"""HTTP problems (RFC 9457): one table from refusals to responses."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse
from pydantic import BaseModel, Field

from gateway.errors import PROBLEMS, MethodNotAllowed, ValidationFailed, problem_type
from jobyard.domain.errors import (
    InvalidCampaign,
    InvalidParameters,
    InvalidRule,
    JobyardError,
    QuotaExceeded,
)
from jobyard.domain.text import clean

CONTENT_TYPE = "application/problem+json"
_FIELD_BYTES = 200  # of the name of an invalid field, which comes from the caller
_DETAIL_BYTES = 8_000  # of a refusal's text, which may quote the request


class FieldError(BaseModel):
    """An invalid field."""

    field: str = Field(description="The field: `body.notify[0]`, `query.limit`.")
    message: str = Field(description="What is allowed.")


class Problem(BaseModel):
    """Why a request was refused (RFC 9457)."""

    type: str = Field(
        description="The kind of problem, as a URL. Its fragment is in the table of errors."
    )
    title: str = Field(description="The kind of problem, as a sentence.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What is wrong with this request, and what is allowed.")
    instance: str = Field(description="The path of the request.")
    request_id: str = Field(description="The id of the request in the logs.")
    errors: list[FieldError] | None = Field(
        default=None,
        description="Each invalid field. With status 422, and with `invalid-rule`, "
        "`invalid-campaign` and `invalid-parameters`.",
    )


def problem_response(error: JobyardError, event: Mapping[str, Any], url: str) -> Response[str]:
    """The response to a refused request. `url` is the deployment's."""
    kind = problem_type(type(error))
    errors = [
        FieldError(field=clean(where, _FIELD_BYTES), message=clean(message, _DETAIL_BYTES))
        for where, message in _errors_of(error)
    ]
    problem = Problem(
        type=f"{url}/api/docs#{kind.name}",
        title=kind.title,
        status=kind.status,
        detail=clean(str(error), _DETAIL_BYTES),
        instance=quote(event["rawPath"], safe="/:%"),
        request_id=event["requestContext"]["requestId"],
        errors=errors or None,
    )
    allow = {"Allow": ", ".join(error.allowed)} if isinstance(error, MethodNotAllowed) else {}
    return Response(
        status_code=kind.status,
        content_type=CONTENT_TYPE,
        body=json.dumps(problem.model_dump(exclude_none=True), separators=(",", ":")),
        headers={**kind.headers, **allow, **_retry_after(error)},
    )


def _retry_after(error: JobyardError) -> dict[str, str]:
    if not isinstance(error, QuotaExceeded) or error.retry_after_s is None:
        return {}
    return {"Retry-After": str(error.retry_after_s)}


def _errors_of(error: JobyardError) -> Sequence[tuple[str, str]]:
    if isinstance(error, InvalidRule):
        return [(error.where, error.allowed)]
    if isinstance(error, InvalidCampaign):
        return [(f"body.{each.where}", each.allowed) for each in error.problems]
    if isinstance(error, InvalidParameters):
        field = f"body.parameters.{error.field}" if error.field else "body.parameters"
        return [(field, error.problem)]
    return error.errors if isinstance(error, ValidationFailed) else ()


@contextmanager
def field_path(path: str) -> Iterator[None]:
    """Prefix the field of an InvalidRule with the `path` of the rule: `body.rule`.

    Raises:
        InvalidRule: the block raised it; the field has the prefix.
    """
    try:
        yield
    except InvalidRule as error:
        raise InvalidRule(f"{path}.{error.where}", error.allowed) from error


def validation_failed(errors: Sequence[Mapping[str, Any]]) -> ValidationFailed:
    """The refusal for the errors that pydantic found."""
    return ValidationFailed([(_where(each["loc"]), _allowed(each)) for each in errors])


def _where(path: Sequence[str | int]) -> str:
    """`body.notify[0]` for ("body", "notify", 0)."""
    first, *rest = path
    return str(first) + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in rest)


_MESSAGES = {
    "missing": "this field is required",
    "extra_forbidden": "there is no such field",
}


def _allowed(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return _MESSAGES.get(error["type"], message)


def problem_responses(*kinds: type[JobyardError]) -> dict[int, OpenAPIResponse]:
    """The OpenAPI responses for the refusals of a route, by status."""
    grouped: dict[int, list[str]] = {}
    for kind in map(problem_type, kinds):
        grouped.setdefault(kind.status, []).append(kind.description())
    return {
        status: {
            "description": " ".join(lines),
            "content": {CONTENT_TYPE: {"model": Problem}},
        }
        for status, lines in grouped.items()
    }


def problem_table() -> str:
    """The table of errors in Markdown: type, status and title of each."""
    rows = [f"| `{each.name}` | {each.status} | {each.title}. |" for each in PROBLEMS.values()]
    return "\n".join(["| type | status | title |", "|---|---|---|", *rows])
