"""Who may see reports: those who may see the batch, campaign or schedule."""

from datetime import datetime

from jobyard.domain.ids import Origin, origin_of
from jobyard.services.access import visible_batch
from jobyard.services.campaigns.access import visible_campaign
from jobyard.services.context import Actor
from jobyard.services.schedules.access import active_schedule


def visible_origin(origin_id: str, actor: Actor, now: datetime) -> str:
    """The name of the batch's manifest, or of the campaign or schedule.

    Raises:
        NotFound, Gone: there is none, or `actor` may not see it.
        Forbidden: `actor` may not see campaigns or schedules.
    """
    if origin_of(origin_id) is Origin.SCHEDULE:
        return active_schedule(origin_id, actor).title
    if origin_of(origin_id) is Origin.CAMPAIGN:
        return visible_campaign(origin_id, actor).name
    return visible_batch(origin_id, actor, now).filename
