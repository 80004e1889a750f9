"""The OpenAPI document: what Powertools generates from the routes, and what all routes share.

Every route may answer 500 and 503, every route with a token 401. Every GET takes If-None-Match,
every change takes an Idempotency-Key. That is added here, not at each route.
"""

import json
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi.models import HTTPBearer, Server, Tag

from api.access import access_of
from api.problems import CONTENT_TYPE, problem_table
from api.request_body import MAX_BYTES
from gateway.errors import (
    IdempotencyKeyReused,
    InternalError,
    PayloadTooLarge,
    RequestInProgress,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
    problem_type,
)
from jobyard.domain.access import roles_for
from jobyard.domain.errors import BadRequest, JobyardError
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.schedules.occurrence import SkipReason

VERSION = "1"  # of the API, not of the program; it changes when clients have to change
_DESCRIPTION = f"""\
Jobyard turns manifests into durable jobs, runs jobs on schedules, and reports how they ended.

**Authentication.** Send the access token of your sign-in as `Authorization: Bearer …`.

**Format.** Bodies are JSON objects of up to {MAX_BYTES // 1024} KB. Times are ISO 8601 in UTC.

**Pages.** A list returns up to `limit` items. Send its `next_cursor` as `cursor` to get the next \
page; it is null on the last one.

**Safe repeats.** Send a change with an `Idempotency-Key`. A repeat with the same key within a day \
gets the first response and changes nothing.

**Caching.** Send the `ETag` of a response as `If-None-Match`. The answer is 304 without a body \
while nothing has changed.

**Errors** are problems (RFC 9457). The fragment of a problem's `type` is in this table:

{problem_table()}

The gateway answers some requests itself, with `{{"message": …}}`: 401 without a valid token, 413 \
above 10 MB, 429 when there are too many. Callers who may not send a request get 403, without \
details of what is wrong with it."""
_TAGS = (
    Tag(name="Batches", description="A batch is one submitted manifest with its jobs and reports."),
    Tag(
        name="Jobs",
        description="A job is one unit of work, for an entry of a manifest, a run of a schedule or "
        "a target of a campaign.",
    ),
    Tag(
        name="Schedules",
        description="A schedule runs jobs of one type at the times of a rule.",
    ),
    Tag(
        name="Calendars",
        description="A calendar excludes times at which schedules would run.",
    ),
    Tag(
        name="Datasets",
        description="A dataset has features that people edit, in revisions.",
    ),
    Tag(
        name="Edit jobs",
        description="An edit job is a piece of work for people on the features of a dataset.",
    ),
    Tag(
        name="Webhooks",
        description="A webhook is a URL that gets a signed request when something ends.",
    ),
    Tag(name="Teams", description="Teams work on edit jobs, and review them."),
    Tag(name="Activity", description="Activity is what people did, for 90 days."),
    Tag(
        name="Objects",
        description="An object has versions of files. Those who may see its collection see it.",
    ),
    Tag(name="Search", description="Find things by id, ark, local identifier or name."),
    Tag(name="Rates", description="Rates are what workers did over time, and what it cost."),
    Tag(name="Job types", description="A job type defines what its jobs do, step by step."),
    Tag(
        name="Collections",
        description="Objects belong to a collection. It says who may deposit and who is notified.",
    ),
    Tag(name="Holds", description="A hold keeps work from starting, with an owner and a reason."),
    Tag(name="Lifecycles", description="The states, and the roles that may send each event."),
    Tag(name="People", description="The person or machine client that is signed in."),
    Tag(name="Callbacks", description="A callback answers the call of a job, with its token."),
    Tag(name="Documents", description="This documentation. It needs no token."),
)
_WITHOUT_TOKEN = frozenset({"Callbacks", "Documents"})
# Powertools adds these schemas; no response of ours uses them.
_UNUSED = ("HTTPValidationError", "ValidationError", "ResponseValidationError")
# Descriptions of enumerations for clients; those in the domain are for programmers.
_ENUMS = {
    "BatchState": "The state of a batch. The lifecycle `batch` describes each.",
    "JobState": "The state of a job. The lifecycle `job` describes each.",
    "BatchEvent": "An event that a person may send to a batch.",
    "JobEvent": "An event that a person may send to a job.",
    "Priority": "How urgent an edit job is.",
    "ClockColour": "The clock of an edit job: `yellow` after its planned start, `red` after its "
    "planned end.",
    "FailureType": "Why a child of an edit job was made.",
    "WorklistColumn": "A column of the worklist.",
    "AttachmentState": "What a data custodian answered.",
    "UploadKind": "What an uploaded file has: the changed features, or all of the package.",
    "CampaignEvent": "An event that a person may send to a campaign.",
    "CampaignState": "The state of a campaign: one of a job's, or `unknown` if it is not known.",
    "TaskState": "The state of a task. The lifecycle `task` describes each.",
    "ScheduleState": "The state of a schedule. The lifecycle `schedule` describes each.",
    "ScheduleEvent": "An event that a person may send to a schedule.",
    "ScheduleLabel": "The state of a schedule with its latest run: `In Progress` while one of its "
    "jobs is active, else how the latest run ended, else `Idle`.",
    "ScheduleFilter": "Which schedules a list shows: those with a label, those that wait, or those "
    "with a `problem`: a run that failed, or was skipped although nobody wanted that, in the last "
    "24 hours.",
    "LoadState": "How far the load of a dataset is: `loading`, `loaded`, `refused` for the file's "
    "errors or the name, or `failed` when the machine has given up.",
    "ExportState": "How far an export is: `exporting`, `ready`, or `failed` when the machine has "
    "given up.",
    "ChangeKind": "What happened to a feature: `insert`, `update` or `delete`.",
    "MissedPolicy": "Which missed runs to catch up on: `none`, the `latest`, or `all`.",
    "OverlapPolicy": "What happens when a run is due while another is active: skip the new one "
    "(`forbid`), run both (`allow`), stop the active one (`replace`), or let one wait for its end "
    "(`queue_one`).",
    "Trigger": "Why an occurrence exists: it was due (`schedule`), it catches up on a missed run "
    "(`catch_up`), or a person started it (`manual`).",
    "Verdict": "What was decided about an occurrence: a job was started (`run`), a job starts when "
    "the active run ends (`wait`), or there is no job (`skip`).",
    "SkipReason": "Why an occurrence was skipped.\n\n"
    + "\n".join(f"- `{skip.value}`: {skip.description}." for skip in SkipReason),
    "StateType": "What a state waits for: a person (`interaction`), the machine (`transient`), "
    "time or another job (`waiting`), or nothing more (`terminal`).",
    "StepStatus": "The status of a step.",
    "OperationState": "The state of an operation.",
    "ReportKind": "Why a report was written. `first`: the batch or campaign ended. `refused`: its "
    "manifest or file of targets was refused, or all of it failed. `update`: an administrator "
    "asked for it and something had changed. `held`: too many tasks of a campaign failed. "
    "`notice`: a person has something to do or to know. `failed_run`: a job of a schedule failed. "
    "`webhook`: it is delivered to a webhook.",
    "DeliveryState": "How far a mail got: `queued`, `sending` or `sent` by us; `delivered` or "
    "`bounced` by the recipient's server; `complained` about by the recipient; `failed` when its "
    "attempts are exhausted or nobody has a valid address; `suppressed` when nobody is to get it. "
    "A webhook delivery is `queued`, `sending`, `delivered`, or `failed` when its attempts are "
    "exhausted.",
    "CallbackStatus": "How the work ended.",
    "Failure": "Why a job failed.\n\n"
    + "\n".join(f"- `{failure.value}`: {failure.description}" for failure in Failure),
    "JsonValue": "Any JSON value.",
    "Profile": "What a line of a manifest describes, by Merritt's names.",
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Makes a repeat safe. Generate a new key for each change.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the response that you have.",
    "schema": {"type": "string"},
}
_ETAG = {"ETag": {"description": "The version of the response.", "schema": {"type": "string"}}}


@cache
def openapi_document(app: APIGatewayHttpResolver, url: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of `app`, deployed at `url`."""
    text = app.get_openapi_json_schema(
        title="Jobyard",
        version=VERSION,
        description=_DESCRIPTION,
        tags=list(_TAGS),
        servers=[Server(url=url)],
        security=[{"token": []}],
        security_schemes={"token": HTTPBearer(bearerFormat="JWT")},
    )
    document: dict[str, Any] = json.loads(text)
    for name in _UNUSED:
        document["components"]["schemas"].pop(name, None)
    _drop_titles(document["components"])
    _drop_titles(document["paths"])
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(method, operation)
            _name_roles(method, path, operation)
    for name, text in _ENUMS.items():
        document["components"]["schemas"][name]["description"] = text
    document["paths"] = dict(sorted(document["paths"].items()))
    return document


def _drop_titles(schema: Any) -> None:
    """Remove titles, which only repeat names."""
    if isinstance(schema, dict):
        if isinstance(schema.get("title"), str):
            del schema["title"]
        for part in schema.values():
            _drop_titles(part)
    elif isinstance(schema, list):
        for part in schema:
            _drop_titles(part)


def _complete(method: str, operation: dict[str, Any]) -> None:
    """Add the parameters and responses that all operations of a method share."""
    responses: dict[str, Any] = operation["responses"]
    parameters: list[dict[str, Any]] = operation.setdefault("parameters", [])
    responses.pop("422", None)
    kinds: list[type[JobyardError]] = [InternalError, Unavailable, ValidationFailed]
    if operation["tags"][0] in _WITHOUT_TOKEN:
        operation["security"] = []
    else:
        kinds += [Unauthenticated]
    if method == "get":
        parameters.append(_IF_NONE_MATCH)
        responses["200"]["headers"] = _ETAG
        responses["304"] = {"description": "Nothing has changed since the version you have."}
    elif operation["tags"] == ["Callbacks"]:  # a repeat is safe by its token
        kinds += [BadRequest, PayloadTooLarge, UnsupportedMediaType]
    else:
        parameters.append(_IDEMPOTENCY_KEY)
        kinds += [
            BadRequest,
            RequestInProgress,
            PayloadTooLarge,
            UnsupportedMediaType,
            IdempotencyKeyReused,
        ]
    for kind in kinds:
        _add_problem(responses, kind)
    operation["responses"] = dict(sorted(responses.items()))


def _name_roles(method: str, path: str, operation: dict[str, Any]) -> None:
    """Add the roles that the access table names for an operation."""
    needed = access_of(method.upper(), path.removeprefix("/api/"))
    if roles := roles_for(*needed) if needed else ():
        names = " and ".join(filter(None, (", ".join(roles[:-1]), roles[-1])))
        operation["description"] = f"{operation.get('description', '')} For {names}.".strip()


def _add_problem(responses: dict[str, Any], kind: type[JobyardError]) -> None:
    problem = problem_type(kind)
    response = responses.setdefault(
        str(problem.status),
        {
            "description": "",
            "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        },
    )
    if problem.description() not in response["description"]:
        response["description"] = f"{response['description']} {problem.description()}".strip()
