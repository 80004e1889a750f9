"""Campaigns: start, preview, list, show, change, retry and stop them, and list their tasks."""

from typing import Annotated

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Path, Query

from api.context import RequestContext, current_request
from api.idempotency import idempotent
from api.problems import problem_responses
from api.routes.parameters import Cursor, Limit, ReportNumber
from api.routes.responses import LOCATION, created
from api.schemas import campaigns as schemas
from api.schemas.costs import CampaignCost
from api.schemas.fields import ReasonRequest
from api.schemas.reports import Report, ReportList
from api.schemas.uploads import Upload
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.errors import (
    AlreadyHeld,
    BadRequest,
    Forbidden,
    Gone,
    InvalidCampaign,
    InvalidParameters,
    InvalidTransition,
    NotFound,
    QuotaExceeded,
    StaleState,
)
from jobyard.domain.jobs.task import TaskState
from jobyard.services.queries import campaigns as campaign_queries
from jobyard.services.queries import costs as cost_queries
from jobyard.services.queries import reports as report_queries

router = Router()  # type: ignore[no-untyped-call]

CampaignId = Annotated[str, Path(description="The campaign's id.", max_length=64)]
_INVALID = (BadRequest, InvalidCampaign, InvalidParameters)


def _schema(campaign: Campaign, request: RequestContext) -> schemas.Campaign:
    view = campaign_queries.campaign(campaign.campaign_id, request.query_context())
    return schemas.Campaign.of(view, request)


@router.post(
    "/api/campaigns",
    operation_id="start_campaign",
    tags=["Campaigns"],
    summary="Start a campaign",
    description="A campaign is a job with one task for each target. docs/campaigns.md explains "
    "its fields. One whose window never opens is refused.",
    status_code=201,
    responses={
        201: {"description": "The campaign.", "headers": LOCATION},
        **problem_responses(*_INVALID, Forbidden, QuotaExceeded),
    },
    middlewares=[idempotent],
)
def start_campaign(body: schemas.NewCampaign) -> Response[schemas.StartedCampaign]:
    from jobyard.services.campaigns import commands

    request = current_request(router)
    found = commands.start(body.document(), request.command_context())
    view = campaign_queries.campaign(found.campaign.campaign_id, request.query_context())
    return created(schemas.started(view, found, request))


@router.post(
    "/api/campaigns/targets",
    operation_id="upload_targets",
    tags=["Campaigns"],
    summary="Get a form to upload the targets of a campaign with",
    description="For up to 100,000 targets in CSV or JSON Lines, at most 32 MiB. Then start or "
    "preview the campaign with its `targets_file`.",
    responses={
        200: {"description": "The key, and where to upload the file."},
        **problem_responses(Forbidden),
    },
    middlewares=[idempotent],
)
def upload_targets(body: schemas.TargetsSubmission) -> schemas.TargetsUpload:
    from jobyard.services.campaigns.uploaded_targets import targets_upload

    key, form = targets_upload(body.filename, current_request(router).command_context())
    return schemas.TargetsUpload(targets_file=key, upload=Upload.of(form))


@router.post(
    "/api/campaigns/preview",
    operation_id="preview_campaign",
    tags=["Campaigns"],
    summary="Preview a campaign: its openings, the forecast, overlaps and warnings",
    description="Nothing is started.",
    responses={
        200: {"description": "The campaign as it would be."},
        **problem_responses(*_INVALID, Forbidden),
    },
    middlewares=[idempotent],
)
def preview_campaign(body: schemas.NewCampaign) -> schemas.StartedCampaign:
    from jobyard.services.campaigns import commands

    request = current_request(router)
    found = commands.preview(body.document(), request.command_context())
    view = campaign_queries.view_of(found.campaign, request.query_context())
    return schemas.started(view, found, request)


@router.get(
    "/api/campaigns",
    operation_id="list_campaigns",
    tags=["Campaigns"],
    summary="List campaigns, newest first",
    responses={
        200: {"description": "A page of campaigns."},
        **problem_responses(BadRequest, Forbidden),
    },
)
def list_campaigns(
    system: Annotated[
        bool,
        Query(description="Campaigns of job types such as device-info, instead of the others."),
    ] = False,
    state: Annotated[
        schemas.CampaignState | None,
        Query(
            description="Only campaigns in this state, or in one with the same label. A filtered "
            "page may be short although a next page follows."
        ),
    ] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> schemas.CampaignList:
    request = current_request(router)
    pagination = request.pagination("campaigns", str(system), state or "")
    page = campaign_queries.list_campaigns(
        request.query_context(),
        after=pagination.start(cursor, ""),
        limit=limit,
        system=system,
        state=state or "",
    )
    items = [schemas.CampaignSummary.of(each, request) for each in page.items]
    unknown = [
        schemas.UnknownCampaign(
            campaign_id=each.campaign_id,
            label=campaign_queries.UNKNOWN_LABEL,
            created_at=each.created_at,
        )
        for each in page.unknown
    ]
    return schemas.CampaignList(
        items=items, unknown=unknown, next_cursor=pagination.next_cursor(page.after)
    )


@router.get(
    "/api/campaigns/<campaign_id>",
    operation_id="get_campaign",
    tags=["Campaigns"],
    summary="Get a campaign with its forecast and history",
    responses={
        200: {"description": "The campaign."},
        **problem_responses(Forbidden, NotFound, Gone),
    },
)
def get_campaign(campaign_id: CampaignId) -> schemas.Campaign:
    request = current_request(router)
    view = campaign_queries.campaign(campaign_id, request.query_context())
    return schemas.Campaign.of(view, request)


@router.get(
    "/api/campaigns/<campaign_id>/tasks",
    operation_id="list_tasks",
    tags=["Campaigns"],
    summary="List the tasks of a campaign, in the order of its targets",
    description="Each is a job too: GET /api/jobs/{job_id} has its steps and attempts.",
    responses={
        200: {"description": "A page of tasks."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone),
    },
)
def list_tasks(
    campaign_id: CampaignId,
    state: Annotated[
        TaskState | None,
        Query(
            description="Only tasks in this state. A filtered page may be short although a next "
            "page follows."
        ),
    ] = None,
    cursor: Cursor = "",
    limit: Limit = 50,
) -> schemas.TaskList:
    request = current_request(router)
    pagination = request.pagination("tasks", campaign_id, state or "")
    page = campaign_queries.list_tasks(
        campaign_id,
        request.query_context(),
        state=state or "",
        after=pagination.start(cursor, (0, 0)),
        limit=limit,
    )
    items = [schemas.Task.of(each, request) for each in page.items]
    return schemas.TaskList(items=items, next_cursor=pagination.next_cursor(page.after))


@router.post(
    "/api/campaigns/<campaign_id>/pause",
    operation_id="pause_campaign",
    tags=["Campaigns"],
    summary="Pause a campaign",
    description="It is held: no task starts. One that runs stops after its step or the part of it, "
    "or after its bound steps.",
    responses={
        200: {"description": "The campaign."},
        **problem_responses(
            BadRequest, Forbidden, NotFound, Gone, InvalidTransition, AlreadyHeld, StaleState
        ),
    },
    middlewares=[idempotent],
)
def pause_campaign(campaign_id: CampaignId, body: schemas.PauseRequest) -> schemas.Campaign:
    from jobyard.services.campaigns import commands

    request = current_request(router)
    context = request.command_context(body.reason)
    return _schema(commands.pause(campaign_id, body.until, context), request)


@router.post(
    "/api/campaigns/<campaign_id>/change",
    operation_id="change_campaign",
    tags=["Campaigns"],
    summary="Change a campaign while it runs",
    description="A later end, another rate, or how many tasks run at the same time.",
    responses={
        200: {"description": "The campaign."},
        **problem_responses(*_INVALID, Forbidden, NotFound, Gone, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def change_campaign(campaign_id: CampaignId, body: schemas.CampaignChanges) -> schemas.Campaign:
    from jobyard.services.campaigns import commands

    request = current_request(router)
    context = request.command_context(body.reason)
    return _schema(commands.change(campaign_id, body.document(), context), request)


@router.post(
    "/api/campaigns/<campaign_id>/retry",
    operation_id="retry_campaign",
    tags=["Campaigns"],
    summary="Start a new campaign for the tasks that have not succeeded",
    description="Of a campaign that has ended. The fields are those of the campaign before, unless "
    "the request has others. Other `parameters` need the right to start a campaign.",
    status_code=201,
    responses={
        201: {"description": "The new campaign.", "headers": LOCATION},
        **problem_responses(*_INVALID, Forbidden, NotFound, Gone, InvalidTransition, QuotaExceeded),
    },
    middlewares=[idempotent],
)
def retry_campaign(
    campaign_id: CampaignId, body: schemas.RetryRequest
) -> Response[schemas.StartedCampaign]:
    from jobyard.services.campaigns import commands

    request = current_request(router)
    found = commands.retry(campaign_id, body.document(), request.command_context())
    view = campaign_queries.campaign(found.campaign.campaign_id, request.query_context())
    return created(schemas.started(view, found, request))


@router.post(
    "/api/campaigns/<campaign_id>/retry/preview",
    operation_id="preview_campaign_retry",
    tags=["Campaigns"],
    summary="Preview the new campaign of a retry",
    description="Its tasks, openings, forecast and warnings. Nothing is started.",
    responses={
        200: {"description": "The campaign as it would be."},
        **problem_responses(*_INVALID, Forbidden, NotFound, Gone, InvalidTransition),
    },
    middlewares=[idempotent],
)
def preview_campaign_retry(
    campaign_id: CampaignId, body: schemas.RetryRequest
) -> schemas.StartedCampaign:
    from jobyard.services.campaigns import commands

    request = current_request(router)
    found = commands.preview_retry(campaign_id, body.document(), request.command_context())
    view = campaign_queries.view_of(found.campaign, request.query_context())
    return schemas.started(view, found, request)


@router.get(
    "/api/campaigns/<campaign_id>/cost",
    operation_id="get_campaign_cost",
    tags=["Campaigns"],
    summary="Get what a campaign used of AWS, and its price",
    responses={
        200: {"description": "The cost up to now."},
        **problem_responses(Forbidden, NotFound, Gone),
    },
)
def get_campaign_cost(campaign_id: CampaignId) -> CampaignCost:
    request = current_request(router)
    campaign, cost = cost_queries.campaign_cost(campaign_id, request.query_context())
    return CampaignCost.of(campaign, cost, request)


@router.get(
    "/api/campaigns/<campaign_id>/reports",
    operation_id="list_campaign_reports",
    tags=["Campaigns"],
    summary="List the reports of a campaign, with their delivery",
    description="One when it has ended, and one each time that its abort rule has held it.",
    responses={
        200: {"description": "Its reports."},
        **problem_responses(Forbidden, NotFound, Gone),
    },
)
def list_campaign_reports(campaign_id: CampaignId) -> ReportList:
    context = current_request(router).query_context()
    found = report_queries.list_reports(campaign_id, context)
    return ReportList.of(found, context)


@router.post(
    "/api/campaigns/<campaign_id>/reports/<seq>/resend",
    operation_id="resend_campaign_report",
    tags=["Campaigns"],
    summary="Send a report's mail again",
    description="To all of its recipients, within a minute.",
    status_code=202,
    responses={
        202: {"description": "The mail waits to be sent."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def resend_campaign_report(
    campaign_id: CampaignId, seq: ReportNumber, body: ReasonRequest
) -> Response[Report]:
    from jobyard.services.reports import commands as report_commands

    request = current_request(router)
    report = report_commands.resend(campaign_id, seq, request.command_context(body.reason))
    return Response(202, "application/json", Report.of(report, request.query_context()))


@router.post(
    "/api/campaigns/<campaign_id>/<event>",
    operation_id="send_campaign_event",
    tags=["Campaigns"],
    summary="Resume, cancel or force a campaign",
    description="`resume` lifts the hold on it; failures before count no more for its abort rule. "
    "`cancel` ends waiting tasks at once. One that runs ends after its step or the part of it, or "
    "after its bound steps; what is done stays done. Cancelling again changes nothing. `force` "
    "cancels it without waiting for what runs, or ends one at once that is ending. A worker may "
    "still be at work on a device, which may be left half done. So its target stays claimed for up "
    "to 16 minutes.",
    responses={
        200: {"description": "The campaign."},
        **problem_responses(BadRequest, Forbidden, NotFound, Gone, InvalidTransition, StaleState),
    },
    middlewares=[idempotent],
)
def send_event(
    campaign_id: CampaignId,
    event: Annotated[
        str,
        Path(
            description="The event.",
            json_schema_extra={"enum": ["resume", "cancel", "force"]},
            max_length=64,
        ),
    ],
    body: ReasonRequest,
) -> schemas.Campaign:
    from jobyard.services.campaigns import commands

    request = current_request(router)
    context = request.command_context(body.reason)
    return _schema(commands.send_event(campaign_id, event, context), request)
