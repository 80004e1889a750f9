"""Leases: how many tasks of a job type may run at the same time, across campaigns.

Each campaign leases slots for a pass, in one item of the job type. Source: decision C12 of
campaigns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

LEASE_FOR = timedelta(minutes=20)  # longer than a pass may take


@dataclass(frozen=True)
class Lease:
    """The slots that a campaign has until a time."""

    slots: int
    until: datetime


def leased(
    leases: Mapping[str, Lease],
    limit: int,
    campaign_id: str,
    wanted: int,
    now: datetime,
    running: int = 0,
) -> dict[str, Lease]:
    """The leases after a campaign renews its own: up to an equal share of the `limit`.

    It never gets slots that another campaign still has, but keeps those of its `running` attempts.
    With 0 `wanted` it gives the others back.
    """
    others = {
        name: lease for name, lease in leases.items() if name != campaign_id and now < lease.until
    }
    if max(wanted, running) <= 0:
        return others
    share = max(limit // (len(others) + 1), 1)
    free = limit - sum(lease.slots for lease in others.values())
    slots = max(min(wanted, share, free), running, 0)
    return {**others, campaign_id: Lease(slots, now + LEASE_FOR)}
