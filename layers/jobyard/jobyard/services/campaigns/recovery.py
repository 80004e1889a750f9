"""Recovery of campaigns: start an execution for one that no execution has settled in time.

Campaigns are imported with the first one that is overdue: most ticks find none.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from jobyard.domain.errors import Gone, InvalidCampaign, NotFound, StaleState
from jobyard.services.executions import Executions
from jobyard.services.pending_work import RecoveredPage
from jobyard.store.due_work import due_campaigns

RESTARTED_AT_ONCE = 50  # campaigns a minute
_AFTER_FAILURE = timedelta(minutes=1)
CAMPAIGN_LISTS = ("campaigns",)


@dataclass
class Overdue:
    """How many overdue campaigns were restarted, and the errors of those that were not, by id."""

    restarted: int = 0
    errors: dict[str, Exception] = field(default_factory=dict)


def restart_overdue(
    executions: Executions, now: datetime, remaining: Callable[[], float] = lambda: 1.0
) -> Overdue:
    """Restart the campaigns that are overdue, while `remaining()` is positive.

    One that cannot be read, or whose execution cannot be started, does not stop the others.
    """
    overdue = Overdue()
    for due in due_campaigns(now):
        if overdue.restarted == RESTARTED_AT_ONCE or remaining() <= 0:
            break
        try:
            overdue.restarted += _restart_if_overdue(due.campaign_id, executions, now)
        except Exception as error:
            overdue.errors[due.campaign_id] = error
    return overdue


def _restart_if_overdue(campaign_id: str, executions: Executions, now: datetime) -> int:
    from jobyard.services.campaigns.settle import restart
    from jobyard.store import campaigns

    with suppress(Gone, NotFound, StaleState):
        campaign = campaigns.get(campaign_id)
        if campaign.has_work and campaign.check_at and campaign.check_at <= now:
            restart(campaign, campaign, executions, now)
            return 1
    return 0


def recover_campaign(campaign_id: str, _executions: Executions, now: datetime) -> int:
    """Have the scheduler tick restart a campaign whose execution failed, in a minute: one that
    always fails is started once a minute. Returns 0, because none is started yet.
    """
    from jobyard.store import campaigns

    with suppress(
        NotFound, StaleState, InvalidCampaign
    ):  # the tick reports one that it cannot read
        campaign = campaigns.get(campaign_id)
        check_at = now + _AFTER_FAILURE
        if campaign.has_work and (campaign.check_at is None or campaign.check_at > check_at):
            after = replace(campaign, check_at=check_at, version=campaign.version + 1)
            campaigns.write(campaign, after)
    return 0


def recover_page(
    _list_name: str, _after: str, executions: Executions, now: datetime
) -> RecoveredPage:
    """Restart the overdue campaigns. All of them are checked each minute, so one page is enough."""
    restarted = restart_overdue(executions, now).restarted
    return RecoveredPage("", restarted, restarted)
