"""Who may see campaigns. Apart from the commands, so that queries import less."""

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.errors import InvalidCampaign, NotFound
from jobyard.domain.ids import is_campaign_id
from jobyard.services.access import authorize
from jobyard.services.context import Actor
from jobyard.store import campaigns


def visible_campaign(campaign_id: str, actor: Actor) -> Campaign:
    """The campaign.

    Raises:
        Forbidden: `actor` may not see campaigns. NotFound: there is none, or its record cannot be
            read. Gone: it was archived.
    """
    authorize(actor, "campaign", "view")
    if not is_campaign_id(campaign_id):
        raise NotFound(f"{campaign_id!r} is not a campaign id: c and 20 characters of a-z, 2-7")
    try:
        return campaigns.get(campaign_id)
    except InvalidCampaign as error:
        reason = f"campaign {campaign_id} is Unknown: its record cannot be read"
        raise NotFound(reason) from error
