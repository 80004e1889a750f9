"""What a task that waits waits for, and until when."""

from collections.abc import Mapping, Set
from dataclasses import replace
from datetime import datetime

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.forecast import start_times
from jobyard.domain.campaigns.task_summary import is_bound, is_in_attempt
from jobyard.domain.hold import Hold, scopes_of_campaign
from jobyard.domain.jobs.job import JobRecord, JobState

# The reason, and when it is over at the earliest; None: a person decides, or it is not known.
Wait = tuple[str, datetime | None]
_HOLD_ENDED = "its hold has ended: it continues shortly"
NO_WAIT: Wait = ("", None)
FOR_ITS_TURN: Wait = ("waits for its turn", None)
_BY_FORECAST = "waits for its turn, by the forecast"
_TOO_LATE = "by the forecast, its turn does not come before its campaign expires"


def rest_of(campaign: Campaign, hold: Hold | None, now: datetime) -> Wait:
    """Why an open campaign starts none of its tasks; `NO_WAIT` if it may start some. `hold` is a
    hold in force that covers it; None if none does.
    """
    openings = campaign.openings
    if campaign.state is JobState.STOPPING or now >= openings.end:
        return "its campaign is ending, and ends it too", None
    if reason := silence_of(campaign, now):
        return reason, None
    if hold is not None:
        return wait_for_hold(hold)
    opening, schedule = openings.opening_at(now), campaign.rules.schedule
    if campaign.is_opened and (opening is None or opening.end - now < schedule.needs):
        following = openings.next_opening(now)
        if following is None:
            return "no further window opens before it expires", openings.end
        return schedule.too_late_text if opening else "its window is closed", following.start
    if held_scope(campaign):
        return _HOLD_ENDED, None
    until = campaign.rests_until
    return (campaign.rest_reason, until) if until and until > now else NO_WAIT


def wait_for_hold(hold: Hold) -> Wait:
    """What is waited for under a hold."""
    ends = "" if hold.until else ", until a person releases it"
    return f"{hold.description()}{ends}", hold.until


def held_scope(campaign: Campaign) -> str:
    """The scope of the hold for which a campaign rests; "" if it does not rest for one. The hold
    may have ended since it was settled.
    """
    scope, held, _ = campaign.rest_reason.partition(" is held by ")
    known = scopes_of_campaign(campaign.campaign_id, campaign.job_type)
    return scope if held and scope in known else ""


def without_ended_hold(campaign: Campaign, hold: Hold | None) -> Campaign:
    """The campaign with another reason if it rests for a hold that has ended. `hold` is the one in
    force; None if there is none.
    """
    if hold is not None or not held_scope(campaign):
        return campaign
    return replace(campaign, rest_reason=_HOLD_ENDED, rests_until=None)


def silence_of(campaign: Campaign, now: datetime) -> str:
    """That no execution has settled a campaign for long; "" if one has."""
    if not campaign.is_silent(now) or campaign.check_at is None:
        return ""
    return f"no execution has settled it since {campaign.check_at:%Y-%m-%d %H:%M UTC}"


def wait_of(task: JobRecord, rest: Wait, bound_steps: Set[str], now: datetime) -> Wait:
    """What a scheduled task of a campaign that rests for `rest` waits for; `NO_WAIT` if it may
    start. One between bound steps continues in any case.
    """
    reason, until = rest
    retry_at = task.next_at if task.next_at and task.next_at > now else None
    is_resting = bool(reason) and not is_bound(task, bound_steps)
    if is_resting and (until is None or retry_at is None or until > retry_at):
        return rest
    if retry_at is None:
        return NO_WAIT
    if is_in_attempt(task):
        return task.attempts[-1].failure_message or "continues its attempt", retry_at
    return f"retry after {task.failure_code}", retry_at


def waits_for_turn(
    campaign: Campaign, tasks: Mapping[str, JobRecord], workers: int, now: datetime
) -> dict[str, Wait]:
    """Until when some tasks, by a key, wait for their turn, by the forecast. Each of so many
    `workers` runs a chunk.
    """
    places = {key: _place(campaign, task, workers) for key, task in tasks.items()}
    openings, succeeded = campaign.openings, campaign.counts.get(JobState.SUCCEEDED, 0)
    starts = start_times(campaign.rules, openings, places.values(), now, succeeded)
    return {
        key: (_BY_FORECAST, starts[place]) if place in starts else (_TOO_LATE, openings.end)
        for key, place in places.items()
    }


def _place(campaign: Campaign, task: JobRecord, workers: int) -> int:
    """The place of a task among those that have not started, from 0, in the order of the last
    decision: workers run one chunk each, and those that have started come last.
    """
    recorded = sum(campaign.counts.values())
    if task.attempts:
        return campaign.tasks - recorded
    first = task.address.chunk // workers * workers
    group_size = min(workers, campaign.chunk_count - first)
    order = (
        first * campaign.chunk_size
        + task.address.position * group_size
        + task.address.chunk
        - first
    )
    return max(order - recorded, 0)
