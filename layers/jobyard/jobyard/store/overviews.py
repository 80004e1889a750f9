"""Converts the overview to the document that readers share, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobyard.domain.activity import Act, Subject
from jobyard.domain.batches.batch import BatchState
from jobyard.domain.batches.progress import BatchProgress
from jobyard.domain.cost import Usage
from jobyard.domain.jobs.job import JobState
from jobyard.domain.overview import (
    NAME_BYTES_SHOWN,
    REASON_BYTES_SHOWN,
    FailuresByCode,
    HoldInForce,
    LastRun,
    LimitsInUse,
    NamedBatch,
    NextRun,
    OpenBatch,
    OpenCampaign,
    Overview,
    ProblemRun,
    RefusedBatches,
    RunningJobs,
    ScheduleOverview,
    StateCount,
    SystemHealth,
    UndeliveredReport,
    UndeliveredReports,
    WaitingBatch,
)
from jobyard.domain.schedules.occurrence import SkipReason
from jobyard.domain.text import clean
from jobyard.store.documents import from_ms, from_ms_or_none, to_ms, to_ms_or_none, without_blanks

OVERVIEW_FORMAT = 7  # to be increased with each change of the document


def document_of(overview: Overview) -> dict[str, Any]:
    """The overview as a JSON document. The texts of acts are cut."""
    waiting, undelivered = overview.oldest_waiting, overview.undelivered
    places = {each.batch_id: place for place, each in enumerate(overview.failing)}
    return {
        "open": [_open_line(each) for each in overview.open_batches],
        "counts": {state: [*vars(each).values()] for state, each in overview.counts.items()},
        "failing": [[*vars(each).values()] for each in overview.failing],
        "all": [overview.has_all_open, overview.has_all_failed],
        "waiting": waiting and [waiting.batch_id, waiting.filename, to_ms(waiting.submitted_at)],
        "failures": [_failures_line(each, places) for each in overview.failures],
        "schedules": overview.schedules and _schedules_document(overview.schedules),
        "undelivered": undelivered and _undelivered_document(undelivered),
        "usage": None if overview.usage is None else without_blanks(vars(overview.usage)),
        "acts": None
        if overview.activity is None
        else [_act_line(each) for each in overview.activity],
        "campaigns": None
        if overview.campaigns is None
        else [_campaign_line(each) for each in overview.campaigns],
        "system": overview.system and [*vars(overview.system).values()],
        "limits": overview.limits and _limits_document(overview.limits),
        "refused": overview.refused and [*vars(overview.refused).values()],
    }


def parse_overview(document: Mapping[str, Any]) -> Overview:
    """The overview that `document_of` encoded."""
    failing = tuple(NamedBatch(*line) for line in document["failing"])
    has_all_open, has_all_failed = document["all"]
    waiting, schedules = document["waiting"], document["schedules"]
    undelivered, usage = document["undelivered"], document["usage"]
    acts, system, campaigns = (document[name] for name in ("acts", "system", "campaigns"))
    limits, refused = document["limits"], document["refused"]
    return Overview(
        open_batches=tuple(map(_open_batch, document["open"])),
        counts={state: StateCount(*line) for state, line in document["counts"].items()},
        failing=failing,
        has_all_open=has_all_open,
        has_all_failed=has_all_failed,
        oldest_waiting=waiting and WaitingBatch(waiting[0], waiting[1], from_ms(waiting[2])),
        failures=tuple(_failures(line, failing) for line in document["failures"]),
        schedules=schedules and _schedules(schedules),
        undelivered=undelivered and _undelivered(*undelivered),
        usage=None if usage is None else Usage(**usage),
        activity=None if acts is None else tuple(map(_act, acts)),
        system=system and _system(*system),
        campaigns=None if campaigns is None else tuple(map(_campaign, campaigns)),
        limits=limits and _limits(*limits),
        refused=refused and RefusedBatches(*refused),
    )


def _open_line(batch: OpenBatch) -> list[Any]:
    return [
        batch.batch_id,
        batch.filename,
        batch.collection,
        batch.submitter,
        batch.state.value,
        to_ms(batch.submitted_at),
        batch.why,
        without_blanks(batch.counts),
        batch.job_type,
        *vars(batch.progress).values(),
    ]


def _open_batch(line: list[Any]) -> OpenBatch:
    batch_id, filename, collection, submitter, state, at, why, counts, job_type, *progress = line
    return OpenBatch(
        batch_id,
        filename,
        collection,
        submitter,
        BatchState(state),
        from_ms(at),
        why,
        {each.value: 0 for each in JobState} | {"total": 0} | counts,
        BatchProgress(*progress),
        job_type,
    )


def _campaign_line(campaign: OpenCampaign) -> list[Any]:
    shown = replace(campaign, name=clean(campaign.name, NAME_BYTES_SHOWN))
    *line, window_at = vars(shown).values()
    return [*line, to_ms_or_none(window_at)]


def _campaign(line: list[Any]) -> OpenCampaign:
    return OpenCampaign(*[*line[:-1], from_ms_or_none(line[-1])])


def _limits_document(limits: LimitsInUse) -> list[Any]:
    return [
        [[*vars(each).values()] for each in limits.running],
        [[each.scope, each.owner, each.reason, to_ms_or_none(each.until)] for each in limits.holds],
        limits.more_holds,
    ]


def _limits(running: list[Any], holds: list[Any], more_holds: int) -> LimitsInUse:
    return LimitsInUse(
        tuple(RunningJobs(*line) for line in running),
        tuple(
            HoldInForce(scope, owner, reason, from_ms_or_none(until))
            for scope, owner, reason, until in holds
        ),
        more_holds,
    )


def _failures_line(found: FailuresByCode, places: Mapping[str, int]) -> list[Any]:
    """Batches are stored by their places in `failing`, as many codes may name the same ones."""
    batches = [[places[each.batch_id], each.jobs] for each in found.batches]
    seen_at = [to_ms_or_none(at) for at in (found.first_seen_at, found.last_seen_at)]
    return [found.code, batches, *seen_at]


def _failures(line: list[Any], failing: Sequence[NamedBatch]) -> FailuresByCode:
    code, batches, *seen_at = line
    named = tuple(replace(failing[place], jobs=jobs) for place, jobs in batches)
    return FailuresByCode(code, named, *map(from_ms_or_none, seen_at))


def _undelivered_document(undelivered: UndeliveredReports) -> list[Any]:
    lines = [
        [each.origin_id, each.subject, each.state, to_ms(each.at)] for each in undelivered.reports
    ]
    return [lines, undelivered.is_exact]


def _undelivered(lines: list[Any], is_exact: bool) -> UndeliveredReports:
    reports = tuple(
        UndeliveredReport(origin_id, subject, state, from_ms(at))
        for origin_id, subject, state, at in lines
    )
    return UndeliveredReports(reports, is_exact)


def _schedules_document(schedules: ScheduleOverview) -> list[Any]:
    return [
        [[each.schedule_id, each.title, to_ms(each.at)] for each in schedules.next_runs],
        [
            [
                each.schedule_id,
                each.title,
                to_ms(each.scheduled_for),
                each.label,
                each.why,
            ]
            for each in schedules.last_runs
        ],
        [
            [each.schedule_id, each.title, to_ms(each.at), each.skip_reason]
            for each in schedules.problem_runs
        ],
        schedules.has_all_schedules,
        schedules.more_problems,
        schedules.is_exact,
    ]


def _schedules(document: list[Any]) -> ScheduleOverview:
    next_runs, last_runs, problem_runs, *numbers = document
    return ScheduleOverview(
        tuple(NextRun(schedule_id, title, from_ms(at)) for schedule_id, title, at in next_runs),
        tuple(
            LastRun(schedule_id, title, from_ms(at), label, why)
            for schedule_id, title, at, label, why in last_runs
        ),
        tuple(
            ProblemRun(schedule_id, title, from_ms(at), reason and SkipReason(reason))
            for schedule_id, title, at, reason in problem_runs
        ),
        *numbers,
    )


def _act_line(act: Act) -> list[Any]:
    subject = act.subject
    title, actor = (clean(each, NAME_BYTES_SHOWN) for each in (subject.title, act.actor))
    reason = clean(act.reason, REASON_BYTES_SHOWN)
    named = [subject.kind, subject.subject_id, title, subject.count]
    return [to_ms(act.at), actor, act.sub, act.event, named, reason, act.cause]


def _act(line: list[Any]) -> Act:
    at, actor, sub, event, subject, reason, cause = line
    return Act(from_ms(at), actor, sub, event, Subject(*subject), reason, cause)


def _system(
    alarms: list[str] | None, dead_letters: int | None, more_alarms: int = 0
) -> SystemHealth:
    return SystemHealth(None if alarms is None else tuple(alarms), dead_letters, more_alarms)
