"""The OpenAPI document: what Powertools makes of the routes, with what all routes have in common.

Every route may answer 500 and 503, every one that needs a token 401; every GET takes If-None-Match,
every change takes an Idempotency-Key: said here once instead of at each route.
"""

import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer, Server, Tag

from api.problems import (
    CONTENT_TYPE,
    STATUS,
    IdempotencyKeyReused,
    InternalError,
    PayloadTooLarge,
    RequestInProgress,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
    slug_of,
    title_of,
)
from api.request_body import MAX_BYTES
from jobyard.domain.errors import BadRequest, JobyardError
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.schedules.occurrence import SkipReason

VERSION = "1"  # of the API, not of the program: it changes when a caller has to
_DESCRIPTION = f"""\
Manifests become durable jobs, and everyone is told how it ended.

Send the access token of your sign-in as `Authorization: Bearer …`. Times are ISO 8601 in UTC. \
Bodies are JSON objects of up to {MAX_BYTES // 1024} KB. Lists come in pages of `limit`; send the \
answer's `cursor` to get the next. Refusals are problems (RFC 9457): 400 when a request cannot be \
read or carried out as it stands, 422 when a field of it is not as described here or a query \
parameter is none of the route's, 404 or 405 when there is no such route or method, 503 when it is \
to be sent again after as many seconds as `Retry-After` says. What comes \
without a good token (401), too often (429) or with more than 10 MB (413) the gateway refuses \
before it gets here, with a plain `{{"message": …}}`. What is wrong with a request is told only to \
those whose roles let them send it; others get 403.

A change that is sent with an `Idempotency-Key` can be sent again with the same key for a day: it \
is done once, and answered as it was answered first. A GET that is sent with the `ETag` of an \
earlier answer as `If-None-Match` is answered 304 without a body while nothing has changed."""
_TAGS = (
    Tag(name="Batches", description="A batch is one submitted manifest: its jobs and reports."),
    Tag(
        name="Jobs",
        description="A job is what is done for one line of a manifest, or at a time of a schedule.",
    ),
    Tag(
        name="Schedules",
        description="A schedule says when jobs of a type are due. For admin only.",
    ),
    Tag(
        name="Calendars",
        description="A calendar leaves times of schedules out. For admin only.",
    ),
    Tag(name="Job types", description="A job type is what jobs do."),
    Tag(
        name="Collections",
        description="A collection is what objects belong to: who may deposit, who is told.",
    ),
    Tag(name="Holds", description="A hold is a deliberate stop, with an owner and a reason."),
    Tag(name="Lifecycles", description="Which states there are, and who may send which event."),
    Tag(name="People", description="Who you are here."),
    Tag(name="Documents", description="This description. It needs no token."),
)
_LEFT_OUT = ("HTTPValidationError", "ValidationError", "ResponseValidationError")
# Lists of words that are the domain's: it describes them to programmers, this to callers.
_LISTS = {
    "BatchState": "Where a batch stands. The lifecycle `batch` says what each state means.",
    "JobState": "Where a job stands. The lifecycle `job` says what each state means.",
    "BatchEvent": "What people may ask of a batch.",
    "JobEvent": "What people may ask of a job.",
    "ScheduleState": "Where a schedule stands. The lifecycle `schedule` says what each means.",
    "ScheduleEvent": "What people may ask of a schedule.",
    "ScheduleLabel": "The state of a schedule with its latest run: `In Progress` while a job of "
    "it has not ended, else how the latest ended, else `Idle`.",
    "MissedPolicy": "Which missed times are made up for: `none`, the `latest`, or `all`.",
    "OverlapPolicy": "What happens when a run is due while the one before is active: it is skipped "
    "(`forbid`), "
    "both run (`allow`), the older is stopped for it (`replace`), or it waits, if none waits yet "
    "(`queue_one`).",
    "Trigger": "What made an occurrence: its time came (`schedule`), its time had been missed and "
    "is made up for (`catch_up`), or a person wanted it (`manual`).",
    "Verdict": "What was decided about an occurrence: a job was started (`run`), one starts when "
    "the run before has ended (`wait`), or none does (`skip`).",
    "SkipReason": "Why there is no job.\n\n"
    + "\n".join(f"- `{skip.value}`: {skip.description}." for skip in SkipReason),
    "StateType": "What a state waits for: a person, nothing more, the machine at work, or time.",
    "StepStatus": "How a step stands.",
    "OperationState": "Where an operation stands.",
    "ReportKind": "`first`: the batch ended. `refused`: its manifest was refused, or it failed as "
    "a whole. `update`: an administrator asked, and something had changed.",
    "DeliveryState": "How far a mail got: `queued`, `sending` and `sent` by us, `delivered` or "
    "`bounced` by the recipient's server, `complained` of by the recipient; `failed`: refused by "
    "the mail service; `suppressed`: the batch wants no mail.",
    "Failure": "Why a job failed.\n\n"
    + "\n".join(f"- `{failure.value}`: {failure.description}" for failure in Failure),
    "JsonValue": "Any JSON value.",
    "Profile": "What a line of a manifest is, in Merritt's names.",
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes it safe to send this again. Make up a new one for each change.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_KNOWN_TAG = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the answer you have.",
    "schema": {"type": "string"},
}
_ETAG = {
    "ETag": {"description": "Tells versions of the answer apart.", "schema": {"type": "string"}}
}


@cache
def openapi_document(app: APIGatewayHttpResolver, url: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `app` as it is deployed at `url`."""
    text = app.get_openapi_json_schema(
        title="Jobyard",
        version=VERSION,
        description=_DESCRIPTION,
        tags=list(_TAGS),
        servers=[Server(url=url)],
        security=[{"token": []}],
        security_schemes={"token": HTTPBearer(bearerFormat="JWT")},
    )
    described: dict[str, Any] = json.loads(text)
    for name in _LEFT_OUT:
        described["components"]["schemas"].pop(name, None)
    _drop_titles(described["components"])
    _drop_titles(described["paths"])
    for operations in described["paths"].values():
        for method, operation in operations.items():
            _complete(method, operation)
    for name, words in _LISTS.items():
        described["components"]["schemas"][name]["description"] = words
    described["paths"] = dict(sorted(described["paths"].items()))
    return described


def template_of(path: str, templates: Iterable[str]) -> str:
    """The template `path` is an instance of, the most exact of several; "" when there is none."""
    asked = path.split("/")
    fitting = [
        template
        for template in templates
        if len(parts := template.split("/")) == len(asked)
        and all(
            part.startswith("{") or part == given for part, given in zip(parts, asked, strict=True)
        )
    ]
    return min(fitting, key=lambda template: template.count("{"), default="")


def _drop_titles(schema: Any) -> None:
    """Titles repeat the names they stand beside."""
    if isinstance(schema, dict):
        if isinstance(schema.get("title"), str):
            del schema["title"]
        for part in schema.values():
            _drop_titles(part)
    elif isinstance(schema, list):
        for part in schema:
            _drop_titles(part)


def _complete(method: str, operation: dict[str, Any]) -> None:
    """Add what every operation of its method has."""
    answers: dict[str, Any] = operation["responses"]
    parameters: list[dict[str, Any]] = operation.setdefault("parameters", [])
    answers.pop("422", None)
    kinds: list[type[JobyardError]] = [InternalError, Unavailable, ValidationFailed]
    if operation["tags"] == ["Documents"]:
        operation["security"] = []
    else:
        kinds += [Unauthenticated]
    if method == "get":
        parameters.append(_KNOWN_TAG)
        answers["200"]["headers"] = _ETAG
        answers["304"] = {"description": "You have it already."}
    else:
        parameters.append(_KEY)
        kinds += [
            BadRequest,
            RequestInProgress,
            PayloadTooLarge,
            UnsupportedMediaType,
            IdempotencyKeyReused,
        ]
    for kind in kinds:
        _add_problem(answers, kind)
    operation["responses"] = dict(sorted(answers.items()))


def _add_problem(answers: dict[str, Any], kind: type[JobyardError]) -> None:
    words = f"`{slug_of(kind)}`: {title_of(kind)}."
    there = answers.setdefault(
        str(STATUS[kind].value),
        {
            "description": "",
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        },
    )
    if words not in there["description"]:
        there["description"] = f"{there['description']} {words}".strip()
