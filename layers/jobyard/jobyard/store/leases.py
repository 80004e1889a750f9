"""Stores the leases of a job type, in one item of the table of campaigns."""

from collections.abc import Mapping

from jobyard.domain.campaigns.leases import Lease
from jobyard.domain.errors import StaleState
from jobyard.store.documents import from_ms, to_ms
from jobyard.store.tables import CampaignItem, is_version, save_if

_PREFIX = "leases#"
_STATE = "leases"  # no lifecycle has it


def get(job_type: str) -> tuple[Mapping[str, Lease], int]:
    """The leases of a job type by campaign, and their version, 0 if there are none yet."""
    try:
        item = CampaignItem.get(_PREFIX + job_type, consistent_read=True)
    except CampaignItem.DoesNotExist:
        return {}, 0
    leases = {name: Lease(slots, from_ms(until)) for name, (slots, until) in item.body.items()}
    return leases, int(item.version)


def put(job_type: str, leases: Mapping[str, Lease], seen_version: int) -> None:
    """Store leases over those of `seen_version`.

    Raises:
        StaleState: they changed since they were read.
    """
    item = CampaignItem(
        campaign_id=_PREFIX + job_type,
        state=_STATE,
        version=seen_version + 1,
        body={name: [lease.slots, to_ms(lease.until)] for name, lease in leases.items()},
    )
    if not save_if(item, is_version(CampaignItem, seen_version)):
        raise StaleState(f"the leases of {job_type} changed since they were read")
