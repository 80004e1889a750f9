"""Changing a campaign that others may change at the same time."""

from collections.abc import Callable

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.errors import StaleState
from jobyard.store import campaigns


def change_campaign(
    campaign_id: str,
    change: Callable[[Campaign], Campaign | None],
    write: Callable[[Campaign, Campaign], Campaign],
    tries: int,
) -> Campaign:
    """Write what `change` makes of a campaign. If it makes nothing of it (None), the campaign stays
    as it is. `tries` is how often it is read, at most.

    Raises:
        NotFound: there is no such campaign.
        StaleState: others changed the campaign at the same time, `tries` times.
    """
    for _ in range(tries):
        before = campaigns.get(campaign_id)
        after = change(before)
        if after is None:
            return before
        try:
            return write(before, after)
        except StaleState:
            continue
    raise StaleState(f"campaign {campaign_id} changes too fast; try again")
