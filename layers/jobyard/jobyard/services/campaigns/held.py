"""Which hold a campaign is under."""

from datetime import datetime

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.hold import Hold, active_hold, scopes_of_campaign
from jobyard.store import holds


def hold_on(campaign: Campaign, now: datetime) -> Hold | None:
    """The hold in force that covers a campaign; None if there is none."""
    scopes = scopes_of_campaign(campaign.campaign_id, campaign.job_type)
    return active_hold(holds.of_scopes(scopes), now)
