"""What a task that waits waits for, and until when."""

from collections.abc import Set
from datetime import datetime

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.task_summary import is_bound, is_in_attempt
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.job import JobRecord, JobState

# The reason, and when it is over at the earliest; None: a person decides, or it is not known.
Wait = tuple[str, datetime | None]
NO_WAIT: Wait = ("", None)
FOR_ITS_TURN: Wait = ("waits for its turn", None)


def rest_of(campaign: Campaign, hold: Hold | None, now: datetime) -> Wait:
    """Why an open campaign starts none of its tasks; `NO_WAIT` if it may start some. `hold` is a
    hold in force that covers it; None if none does.
    """
    openings = campaign.openings
    if campaign.state is JobState.STOPPING or now >= openings.end:
        return "its campaign is ending", None
    if hold is not None:
        return hold.description(), hold.until
    if campaign.is_opened and openings.opening_at(now) is None:
        following = openings.next_opening(now)
        if following is None:
            return "no further window opens before it expires", openings.end
        return "its window is closed", following.start
    until = campaign.rests_until
    return (campaign.rest_reason, until) if until and until > now else NO_WAIT


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
