"""What people do to campaigns: start, pause, resume and cancel them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.activity import Subject
from jobyard.domain.batches.chunks import INDEX_LINE_BYTES, Chunk
from jobyard.domain.campaigns.campaign import Campaign, CampaignRequest, StopReason, request_of
from jobyard.domain.campaigns.targets import CampaignTarget
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.errors import (
    InvalidCampaign,
    InvalidParameters,
    InvalidRule,
    InvalidTransition,
    StaleState,
)
from jobyard.domain.ids import Origin, campaign_id_of
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.schedules.calendar import Calendar, calendar_of
from jobyard.jobtypes import TYPES, types_of
from jobyard.services import activity, holds
from jobyard.services.access import authorize
from jobyard.services.batches import rows
from jobyard.services.campaigns.settle import restart
from jobyard.services.context import CommandContext, require_reason
from jobyard.store import calendars, campaigns

MAX_PARAMETER_BYTES = 8 * 1024  # of JSON
_MIN_CHUNK, _MAX_CHUNK = 25, 1_000  # tasks
_CHUNKS = 40  # of most campaigns: as many workers as the largest `at_once` has
_CHECK_AFTER = timedelta(minutes=5)
_TRIES = 5


@dataclass(frozen=True)
class StartedCampaign:
    """A campaign that was started, or would be. `warnings` are what may not be meant so."""

    campaign: Campaign
    warnings: tuple[str, ...]


def start(document: Mapping[str, Any], context: CommandContext) -> StartedCampaign:
    """Start a campaign. A repeated request returns the campaign that the first one started.

    Raises:
        Forbidden: the actor may not start campaigns.
        InvalidCampaign: fields are wrong. InvalidParameters: of the job type.
    """
    authorize(context.actor, "campaign", "start")
    campaign, request = _new(document, context)
    assert request.targets is not None
    _put_rows(campaign, request.targets, context)
    try:
        campaigns.put_new(campaign)
    except StaleState:
        campaign = campaigns.get(campaign.campaign_id)
    context.executions.start_batch(campaign.campaign_id, "settle", MAIN_RUN)
    activity.record(context, "start", _subject(campaign), campaign.created_at)
    return StartedCampaign(campaign, request.warnings)


def preview(document: Mapping[str, Any], context: CommandContext) -> StartedCampaign:
    """The campaign that `start` would start. Nothing is stored.

    Raises:
        Forbidden, InvalidCampaign, InvalidParameters: as for `start`.
    """
    authorize(context.actor, "campaign", "start")
    campaign, request = _new(document, context)
    return StartedCampaign(campaign, request.warnings)


def _new(document: Mapping[str, Any], context: CommandContext) -> tuple[Campaign, CampaignRequest]:
    now = context.now()
    request = request_of(document, now, _calendar_for)
    _check_job_type(request)
    if request.targets is None:
        raise InvalidCampaign([InvalidRule("targets", "missing; a list of targets")])
    number = len(request.targets)
    campaign = Campaign(
        campaign_id=campaign_id_of(f"{context.actor.sub}\n{context.key}".encode()),
        state=JobState.SCHEDULED,
        version=1,
        name=request.name,
        job_type=request.job_type,
        creator=context.actor.name,
        creator_sub=context.actor.sub,
        created_at=now,
        rules=request.rules,
        parameters=request.parameters,
        tasks=number,
        chunk_size=min(max(-(-number // _CHUNKS), _MIN_CHUNK), _MAX_CHUNK),
        check_at=now + _CHECK_AFTER,
    )
    return campaign, request


def _check_job_type(request: CampaignRequest) -> None:
    known = [each.name for each in types_of(Origin.CAMPAIGN)]
    if request.job_type not in known:
        allowed = f"a job type that campaigns run: {' or '.join(known)}"
        raise InvalidCampaign([InvalidRule("job_type", allowed)])
    if len(json.dumps(request.parameters)) > MAX_PARAMETER_BYTES:
        raise InvalidParameters("", f"must be at most {MAX_PARAMETER_BYTES} bytes of JSON in ASCII")
    TYPES[request.job_type].check_parameters(request.parameters)


def _calendar_for(value: object) -> Calendar:
    """The calendar of that name, or the one in a document."""
    if not isinstance(value, str):
        return calendar_of(value)
    found = calendars.find(value)
    if found is None:
        raise InvalidRule("calendar", f"the name of a calendar; there is no {value!r}")
    return found.calendar


def _put_rows(
    campaign: Campaign, targets: tuple[CampaignTarget, ...], context: CommandContext
) -> None:
    """Write the rows and the index, before the campaign that has them. A repeat writes the same."""
    lines: list[bytes] = []
    index: list[Chunk] = []
    position = 0
    for number in range(campaign.chunk_count):
        start = number * campaign.chunk_size
        part = [
            json.dumps(target.document(), separators=(",", ":")).encode() + b"\n"
            for target in targets[start : start + campaign.chunk_size]
        ]
        size = sum(map(len, part))
        index.append(Chunk(number, position, position + size))
        position += size
        lines += part
    bucket = context.settings.work_bucket
    key = rows.rows_key(campaign.campaign_id)
    context.s3.put_object(Bucket=bucket, Key=key, Body=b"".join(lines))
    rows.put_index(context.s3, context.settings, rows.index_key(campaign.campaign_id), index)
    assert all(len(each.index_line()) == INDEX_LINE_BYTES for each in index)


def pause(campaign_id: str, until: datetime | None, context: CommandContext) -> Campaign:
    """Put a campaign on hold: nothing starts until it is resumed, or until `until`.

    Raises:
        Forbidden, NotFound, AlreadyHeld, BadRequest: as for `holds.place_hold`.
        InvalidTransition: it has ended or is ending.
    """
    authorize(context.actor, "campaign", "pause")
    campaign = campaigns.get(campaign_id)
    _check_open(campaign, "pause")
    holds.place_hold(_scope(campaign), until, context)
    return _restarted(campaign_id, context)


def resume(campaign_id: str, context: CommandContext) -> Campaign:
    """Lift the hold on a campaign.

    Raises:
        Forbidden, NotFound: as for `holds.lift_hold`. InvalidTransition: it has ended.
    """
    authorize(context.actor, "campaign", "resume")
    campaign = campaigns.get(campaign_id)
    _check_open(campaign, "resume")
    holds.lift_hold(_scope(campaign), context)
    return _restarted(campaign_id, context, counted_since=context.now())


def cancel(campaign_id: str, context: CommandContext) -> Campaign:
    """Cancel a campaign: what waits ends now, what runs ends after its step, done stays done.

    Raises:
        Forbidden, NotFound. BadRequest: no reason is given.
        InvalidTransition: it has ended, or ends for another reason.
    """
    authorize(context.actor, "campaign", "cancel")
    require_reason(context, "cancel")
    for _ in range(_TRIES):
        campaign = campaigns.get(campaign_id)
        if campaign.stop_reason is StopReason.CANCEL:
            return campaign
        _check_open(campaign, "cancel")
        move = JOB.move(campaign.state, "stop", context.now(), context.cause)
        after = campaign.moved(move, stop_reason=StopReason.CANCEL)
        try:
            restarted = restart(campaign, after, context.executions, context.now())
        except StaleState:
            continue
        activity.record(context, "cancel", _subject(campaign), move.at)
        return restarted
    raise StaleState(f"campaign {campaign_id} changes too fast; try again")


def _restarted(campaign_id: str, context: CommandContext, **changes: Any) -> Campaign:
    """The campaign, about which an execution decides now."""
    for _ in range(_TRIES):
        campaign = campaigns.get(campaign_id)
        if not campaign.is_open:
            return campaign
        try:
            after = replace(campaign, **changes)
            return restart(campaign, after, context.executions, context.now())
        except StaleState:
            continue
    raise StaleState(f"campaign {campaign_id} changes too fast; try again")


def _check_open(campaign: Campaign, event: str) -> None:
    if not campaign.is_open or campaign.state is JobState.STOPPING:
        raise InvalidTransition(
            f"campaign {campaign.campaign_id} is {campaign.state}: cannot {event} it"
        )


def _scope(campaign: Campaign) -> str:
    return f"campaign:{campaign.campaign_id}"


def _subject(campaign: Campaign) -> Subject:
    return Subject("campaign", campaign.campaign_id, campaign.name)
