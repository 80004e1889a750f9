"""What people do to campaigns: start, change, pause, resume, cancel, force, replace, retry them."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.activity import Subject
from jobyard.domain.campaigns.campaign import Campaign, CampaignRequest, StopReason, request_of
from jobyard.domain.campaigns.fields import FieldReader
from jobyard.domain.campaigns.rules import RULE_FIELDS, CampaignRules, changed_rules
from jobyard.domain.campaigns.schedule import SCHEDULE_FIELDS
from jobyard.domain.campaigns.targets import MAX_INLINE_TARGETS, CampaignTarget
from jobyard.domain.cause_key import MAIN_RUN
from jobyard.domain.errors import (
    BadRequest,
    Gone,
    InvalidCampaign,
    InvalidParameters,
    InvalidRule,
    InvalidTransition,
    NotFound,
    StaleState,
)
from jobyard.domain.history import HistoryEntry
from jobyard.domain.ids import Origin, campaign_id_of
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.mail_addresses import Addresses, addresses
from jobyard.domain.plurals import plural
from jobyard.domain.quota import SlotKind
from jobyard.domain.schedules.calendar import Calendar, calendar_of
from jobyard.domain.text import NAME_BYTES
from jobyard.jobtypes import TYPES, types_of
from jobyard.services import activity, holds
from jobyard.services.access import authorize
from jobyard.services.campaigns.changes import change_campaign
from jobyard.services.campaigns.open import chunk_size_of, put_rows
from jobyard.services.campaigns.overlaps import Overlap, find_overlaps
from jobyard.services.campaigns.settle import restart
from jobyard.services.campaigns.unfinished import unfinished_count, unfinished_targets
from jobyard.services.campaigns.uploaded_targets import UploadedTargets, find_upload
from jobyard.services.context import CommandContext, require_reason
from jobyard.services.quotas import take_open_slot
from jobyard.services.recipients import refused_recipients
from jobyard.store import calendars, campaigns

MAX_PARAMETER_BYTES = 8 * 1024  # of JSON
_CHECK_AFTER = timedelta(minutes=5)
_TRIES = 5
# The fields of a campaign that a repeated request must have too, as its rules.
_REQUESTED = (
    "name",
    "job_type",
    "parameters",
    "file_key",
    "replaces",
    "retry_of",
    "replace_overlapping",
    "tasks",
)
# The fields that may differ in the new campaign of a retry.
_RETRY_FIELDS = ("name", "parameters", "notify", *RULE_FIELDS)


@dataclass(frozen=True)
class StartedCampaign:
    """A campaign that was started, or would be. `warnings` name likely mistakes. Of one that would
    be, `overlaps` are the older campaigns on the same targets, without the one that it replaces.
    """

    campaign: Campaign
    warnings: tuple[str, ...]
    overlaps: tuple[Overlap, ...] = ()


def start(document: Mapping[str, Any], context: CommandContext) -> StartedCampaign:
    """Start a campaign. A repeated request returns the campaign that the first one started.

    Raises:
        Forbidden: the actor may not start campaigns.
        BadRequest: the key started another campaign.
        InvalidCampaign: fields are wrong. InvalidParameters: of the job type.
        QuotaExceeded: the actor has too many open campaigns.
    """
    authorize(context.actor, "campaign", "start")
    return _start(document, context)


def _start(
    document: Mapping[str, Any], context: CommandContext, *, retry_of: str = ""
) -> StartedCampaign:
    campaign, request = _new(document, context, retry_of=retry_of)
    if (stored := _of_earlier_try(campaign)) is not None:
        campaign = stored
    else:
        request = _with_replaced(request)
        recipients = _recipients(request, context)
        campaign = replace(campaign, notify=recipients.valid, undeliverable=recipients.invalid)
        limits, now = context.settings.quotas, context.now()
        take_open_slot(context.actor.sub, SlotKind.CAMPAIGN, campaign.campaign_id, limits, now)
        if request.targets is not None:
            put_rows(campaign.campaign_id, request.targets, context.s3, context.settings)
        try:
            campaigns.put_new(campaign)
        except StaleState:
            campaign = campaigns.get(campaign.campaign_id)
    if campaign.replaces:
        _replace(campaign, context)
    context.executions.start_batch(campaign.campaign_id, "settle", MAIN_RUN)
    activity.record(context, "start", _subject(campaign), campaign.created_at)
    return StartedCampaign(campaign, request.warnings)


def _recipients(request: CampaignRequest, context: CommandContext) -> Addresses:
    """Who gets the reports: the request's addresses, else the actor's, else the deployment's."""
    if request.notify is not None:
        return Addresses(request.notify)
    return addresses(context.own_email() or context.settings.mail_to)


def _of_earlier_try(wanted: Campaign) -> Campaign | None:
    """The campaign that this request started before; None if it has not. Its rows are not written
    again: another request may have its key.
    """
    try:
        stored = campaigns.get(wanted.campaign_id)
    except NotFound:
        return None
    if any(getattr(stored, name) != getattr(wanted, name) for name in _REQUESTED) or (
        _without_calendar(stored.rules) != _without_calendar(wanted.rules)
    ):
        reason = f"this key started campaign {stored.campaign_id}, with another body"
        raise BadRequest(f"{reason}; a new campaign needs a new key")
    return stored


def _without_calendar(rules: CampaignRules) -> tuple[CampaignRules, str]:
    """The rules without their calendar, which may have changed since the first request, and its
    name.
    """
    calendar = rules.schedule.calendar
    schedule = replace(rules.schedule, calendar=None)
    return replace(rules, schedule=schedule), calendar.name if calendar else ""


def preview(document: Mapping[str, Any], context: CommandContext) -> StartedCampaign:
    """The campaign that `start` would start. Nothing is stored.

    Raises:
        Forbidden, InvalidCampaign, InvalidParameters: as for `start`.
    """
    authorize(context.actor, "campaign", "start")
    target_ids: set[str] = set()
    campaign, request = _new(document, context, note=target_ids.add)
    request = _with_replaced(request)
    found = find_overlaps(campaign, target_ids, context.s3, context.settings)
    overlaps = tuple(each for each in found if each.campaign.campaign_id != campaign.replaces)
    return StartedCampaign(campaign, request.warnings, overlaps)


def _new(
    document: Mapping[str, Any],
    context: CommandContext,
    *,
    retry_of: str = "",
    note: Callable[[str], None] = lambda _: None,
) -> tuple[Campaign, CampaignRequest]:
    """The campaign of a request, not stored yet. `note` is called with the id of each target."""
    now = context.now()
    request = request_of(document, now, _calendar_for, _needs_min_for)
    _check_job_type(request)
    if refused := refused_recipients(request.notify or (), context):
        raise InvalidCampaign([InvalidRule("notify", each.description) for each in refused])
    if request.replaces:
        _check_replaceable(request)
    file, number = None, 0
    targets: Iterable[CampaignTarget]
    if request.targets is not None:
        targets = request.targets
    elif request.targets_file:
        file = find_upload(request.targets_file, context.actor.sub, context.s3, context.settings)
        targets = UploadedTargets(file, context.s3, context.settings)
    elif retry_of:  # the machine reads them: there are more than a request may have
        targets, number = (), unfinished_count(campaigns.get(retry_of))
    else:
        allowed = "missing; a list of targets, or targets_file with the key of an upload"
        raise InvalidCampaign([InvalidRule("targets", allowed)])
    unreachable = 0
    for target in targets:
        note(target.target_id)
        number += 1
        if not target.address:
            unreachable += 1
    if isinstance(targets, UploadedTargets):
        request = replace(request, warnings=(*targets.warnings, *request.warnings))
    if unreachable and TYPES[request.job_type].needs_address:
        warning = f"targets: {unreachable:,} of {plural(number, 'target')} have no address"
        warning += f": {request.job_type} fails on those"
        request = replace(request, warnings=(*request.warnings, warning))
    is_opened = request.targets is not None and not request.replace_overlapping
    campaign = Campaign(
        campaign_id=campaign_id_of(f"{context.actor.sub}\n{context.key}".encode()),
        state=JobState.SCHEDULED,
        version=1,
        name=request.name,
        job_type=request.job_type,
        creator=context.actor.name,
        creator_sub=context.actor.sub,
        is_system=TYPES[request.job_type].is_listed_as_system,
        created_at=now,
        rules=request.rules,
        parameters=request.parameters,
        tasks=number,
        chunk_size=chunk_size_of(number) if is_opened else 0,
        targets_file=file,
        replace_overlapping=request.replace_overlapping,
        check_at=now + _CHECK_AFTER,
        replaces=request.replaces,
        retry_of=retry_of,
    )
    return campaign, request


def _check_replaceable(request: CampaignRequest) -> None:
    """Check that a campaign of the same job type has the id that is to be replaced."""
    try:
        replaced = campaigns.get(request.replaces)
    except (Gone, NotFound):
        replaced = None
    if replaced is None or replaced.job_type != request.job_type:
        allowed = f"the id of a campaign that runs {request.job_type}"
        raise InvalidCampaign([InvalidRule("replaces", allowed)])


def _with_replaced(request: CampaignRequest) -> CampaignRequest:
    """The request, with a warning that names the campaign that it ends. Not for a repeat, because
    the first request has ended that campaign.

    Raises:
        InvalidCampaign: that campaign has ended, or is ending.
    """
    if not request.replaces:
        return request
    replaced = campaigns.get(request.replaces)
    label = f"{replaced.name} ({replaced.campaign_id})"
    if not replaced.is_open or replaced.state is JobState.STOPPING:
        allowed = f"the id of a campaign that runs or will; {label} is {replaced.state}"
        raise InvalidCampaign([InvalidRule("replaces", allowed)])
    tasks = plural(replaced.tasks, "task")
    warning = f"replaces: it ends {label} as a whole, {tasks} without those that have ended"
    return replace(request, warnings=(*request.warnings, warning))


def _replace(campaign: Campaign, context: CommandContext) -> None:
    """Stop the campaign that a new one replaces. It may have ended meanwhile, or be stopping."""

    def replaced(before: Campaign) -> Campaign | None:
        if not before.is_open or before.state is JobState.STOPPING:
            return None
        reason = f"campaign {campaign.campaign_id} replaces it"
        cause = replace(context.cause, reason=reason)
        move = JOB.move(before.state, "stop", context.now(), cause)
        return before.moved(move, stop_reason=StopReason.REPLACE, replaced_by=campaign.campaign_id)

    _restart(campaign.replaces, replaced, context)


def _check_job_type(request: CampaignRequest) -> None:
    known = [each.name for each in types_of(Origin.CAMPAIGN)]
    if request.job_type not in known:
        allowed = f"a job type that campaigns run: {' or '.join(known)}"
        raise InvalidCampaign([InvalidRule("job_type", allowed)])
    if len(json.dumps(request.parameters)) > MAX_PARAMETER_BYTES:
        raise InvalidParameters("", f"must be at most {MAX_PARAMETER_BYTES} bytes of JSON in ASCII")
    TYPES[request.job_type].check_parameters(request.parameters)


def _needs_min_for(job_type: str) -> int:
    """The minutes that a task of the job type needs by default; 0 if it does not exist."""
    found = TYPES.get(job_type)
    return found.needs_min if found else 0


def _calendar_for(value: object) -> Calendar:
    """The calendar of that name, or the one in a document."""
    if not isinstance(value, str):
        return calendar_of(value)
    found = calendars.find(value) if 0 < len(value) <= NAME_BYTES else None
    if found is None:
        raise InvalidRule("calendar", f"the name of a calendar; there is no {value!r:.80}")
    return found.calendar


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
    return _restart(campaign_id, lambda before: before if before.is_open else None, context)


def resume(campaign_id: str, context: CommandContext) -> Campaign:
    """Lift the hold on a campaign.

    If an earlier request died after it had lifted the hold, the campaign still rests because of it.

    Raises:
        Forbidden, NotFound. InvalidTransition: it has ended, or nobody has paused it.
    """
    authorize(context.actor, "campaign", "resume")
    campaign = campaigns.get(campaign_id)
    _check_open(campaign, "resume")
    scope = _scope(campaign)
    try:
        holds.lift_hold(scope, context)
    except NotFound as error:
        if not campaign.rest_reason.startswith(f"{scope} is held"):
            message = f"cannot resume campaign {campaign_id}: nobody has paused it"
            raise InvalidTransition(message) from error

    def counting_again(before: Campaign) -> Campaign | None:
        return replace(before, counted_since=context.now()) if before.is_open else None

    return _restart(campaign_id, counting_again, context)


def cancel(campaign_id: str, context: CommandContext) -> Campaign:
    """Cancel a campaign: what waits ends now, what runs ends after its step or part.

    Raises:
        Forbidden, NotFound. BadRequest: no reason is given.
        InvalidTransition: it has ended, or ends for another reason.
    """
    authorize(context.actor, "campaign", "cancel")
    require_reason(context, "cancel")

    def cancelled(before: Campaign) -> Campaign | None:
        if before.stop_reason is StopReason.CANCEL:
            return None
        _check_open(before, "cancel")
        move = JOB.move(before.state, "stop", context.now(), context.cause)
        return before.moved(move, stop_reason=StopReason.CANCEL)

    return _recorded(_restart(campaign_id, cancelled, context), "cancel", context)


def force(campaign_id: str, context: CommandContext) -> Campaign:
    """Cancel a campaign without waiting for what runs; one that is ending for any reason ends now.

    A worker that still runs writes nothing any more, but may be at work on its target for up to 16
    minutes: so long the target stays claimed.

    Raises:
        Forbidden, NotFound. BadRequest: no reason is given. InvalidTransition: it has ended.
    """
    authorize(context.actor, "campaign", "force")
    require_reason(context, "force")

    def forced(before: Campaign) -> Campaign | None:
        if before.is_forced:
            return None
        if before.state is JobState.STOPPING:
            return before.with_entry(_note(before, "force", context), is_forced=True)
        _check_open(before, "force")
        move = JOB.move(before.state, "stop", context.now(), context.cause)
        return before.moved(move, stop_reason=StopReason.CANCEL, is_forced=True)

    return _recorded(_restart(campaign_id, forced, context), "force", context)


_SENT = {"resume": resume, "cancel": cancel, "force": force}


def send_event(campaign_id: str, event: str, context: CommandContext) -> Campaign:
    """Resume, cancel or force a campaign.

    Raises:
        NotFound: there is no such event, or no such campaign. Otherwise as for that event.
    """
    if event not in _SENT:
        raise NotFound(f"a job with tasks has no event {event!r}")
    return _SENT[event](campaign_id, context)


def change(campaign_id: str, changes: Mapping[str, Any], context: CommandContext) -> Campaign:
    """Change a campaign while it runs: a later end, its rate, how many tasks run at once.

    Raises:
        Forbidden, NotFound. BadRequest: no reason is given.
        InvalidTransition: it has ended or is ending.
        InvalidCampaign: a field is wrong, or nothing changes.
    """
    authorize(context.actor, "campaign", "change")
    require_reason(context, "change")

    def changed(before: Campaign) -> Campaign | None:
        if any(entry.cause == context.run for entry in before.history):
            return None  # by an earlier try of this request
        _check_open(before, "change")
        rules = changed_rules(before.rules, changes, before.created_at)
        return before.with_entry(_note(before, "change", context), rules=rules)

    what = json.dumps(changes, ensure_ascii=False, sort_keys=True)
    return _recorded(_restart(campaign_id, changed, context), "change", context, what)


def retry(campaign_id: str, changes: Mapping[str, Any], context: CommandContext) -> StartedCampaign:
    """Start a new campaign for the tasks of an ended one that have not succeeded.

    `changes` are fields of the new campaign; what is left out is as it was. A range of dates that
    is over has to be given again. Other parameters are other work: they need the right to start.

    Raises:
        Forbidden, NotFound. InvalidTransition: it has not ended, all tasks have succeeded, or none
        was created. InvalidCampaign, InvalidParameters: as for `start`.
    """
    authorize(context.actor, "campaign", "retry")
    return _start(_retry_document(campaign_id, changes, context), context, retry_of=campaign_id)


def preview_retry(
    campaign_id: str, changes: Mapping[str, Any], context: CommandContext
) -> StartedCampaign:
    """The campaign that `retry` would start. Nothing is stored.

    Raises:
        Forbidden, NotFound, InvalidTransition, InvalidCampaign, InvalidParameters: as for `retry`.
    """
    authorize(context.actor, "campaign", "retry")
    document = _retry_document(campaign_id, changes, context)
    campaign, request = _new(document, context, retry_of=campaign_id)
    return StartedCampaign(campaign, request.warnings)


def _retry_document(
    campaign_id: str, changes: Mapping[str, Any], context: CommandContext
) -> dict[str, Any]:
    """The request for a campaign that retries the tasks of another one."""
    FieldReader(changes, _RETRY_FIELDS).check()
    campaign = campaigns.get(campaign_id)
    if campaign.is_open:
        raise InvalidTransition(f"campaign {campaign_id} is {campaign.state}: it has not ended")
    if not campaign.is_opened:
        reason = "ended before its targets were read: start a new one"
        raise InvalidTransition(f"campaign {campaign_id} {reason}")
    if campaign.state is JobState.SUCCEEDED:
        raise InvalidTransition(f"all tasks of campaign {campaign_id} have succeeded")
    if "parameters" in changes and _has_other_parameters(campaign, changes["parameters"]):
        hint = "a retry with other parameters starts one: leave them out, or ask one of them"
        authorize(context.actor, "campaign", "start", hint=hint)
    document = {
        "name": campaign.name,
        "job_type": campaign.job_type,
        "parameters": campaign.parameters,
        **campaign.rules.document(),
        **changes,
    }
    if unfinished_count(campaign) <= MAX_INLINE_TARGETS:
        targets = unfinished_targets(campaign, context.s3, context.settings)
        document["targets"] = [each.document() for each in targets]
    if "kind" in changes and changes["kind"] != campaign.rules.schedule.kind:
        document = {
            name: value
            for name, value in document.items()
            if name not in SCHEDULE_FIELDS or name in changes
        }
    return document


def _has_other_parameters(campaign: Campaign, parameters: object) -> bool:
    """Whether parameters differ from those of a campaign. In JSON 1 and true do; null is {}."""
    given, before = (
        json.dumps(each or {}, sort_keys=True) for each in (parameters, campaign.parameters)
    )
    return given != before


def _restart(
    campaign_id: str, change: Callable[[Campaign], Campaign | None], context: CommandContext
) -> Campaign:
    """Write what `change` makes of a campaign, and start an execution that settles it now."""
    return change_campaign(
        campaign_id,
        change,
        lambda before, after: restart(before, after, context.executions, context.now()),
        _TRIES,
    )


def _note(campaign: Campaign, event: str, context: CommandContext) -> HistoryEntry:
    return HistoryEntry.note(event, campaign.state, context.now(), context.cause)


def _recorded(
    campaign: Campaign, event: str, context: CommandContext, changes: str = ""
) -> Campaign:
    """The campaign, after what this request did to it is recorded; a repeat records it if the first
    try died before. What another request did is not this one's to record.
    """
    own = [entry.at for entry in campaign.history if entry.cause == context.run]
    if own:
        activity.record(context, event, _subject(campaign), own[0], changes)
    return campaign


def _check_open(campaign: Campaign, event: str) -> None:
    if not campaign.is_open or campaign.state is JobState.STOPPING:
        raise InvalidTransition(
            f"campaign {campaign.campaign_id} is {campaign.state}: cannot {event} it"
        )


def _scope(campaign: Campaign) -> str:
    return f"campaign:{campaign.campaign_id}"


def _subject(campaign: Campaign) -> Subject:
    return Subject("campaign", campaign.campaign_id, campaign.name)
