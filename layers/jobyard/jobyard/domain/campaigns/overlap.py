"""Which of two campaigns on the same targets gives way."""

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.jobs.job import JobState


def gives_way(older: Campaign, newer: Campaign) -> bool:
    """Whether tasks of `older` are replaced by those of `newer`, if it asks for that.

    Campaigns have one order, so that two that are started at once do not replace each other.
    """
    is_same_type = older.job_type == newer.job_type
    is_older = (older.created_at, older.campaign_id) < (newer.created_at, newer.campaign_id)
    return is_same_type and is_older and older.is_open and older.state is not JobState.STOPPING
