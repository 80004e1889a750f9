"""What the scheduler tick has to check, from the indexes of campaigns and edit jobs.

It is apart from both, because a tick that finds nothing needs neither. The indexes may be outdated.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from jobyard.domain.ids import is_child_id
from jobyard.store.documents import from_ms, to_ms
from jobyard.store.tables import CampaignItem, EditItem

OPEN_CAMPAIGNS = "open"  # a partition of an index: each campaign is written once a minute
DUE_EDITS = "due"  # one partition: the machine works on few at a time
_PAGE = 100


@dataclass(frozen=True)
class DueCampaign:
    """A campaign that is open or not reported yet. It is parsed only by `campaigns.get`, so that
    one that cannot be read does not stop the rest.
    """

    campaign_id: str
    check_at: datetime


def due_campaigns(now: datetime) -> Iterator[DueCampaign]:
    """The campaigns that the scheduler tick must check by `now`, first due first."""
    found = CampaignItem.due.query(
        OPEN_CAMPAIGNS,
        range_key_condition=CampaignItem.due_at <= to_ms(now.astimezone(UTC)),
        page_size=_PAGE,
    )
    for item in found:
        yield DueCampaign(item.campaign_id, from_ms(item.due_at))


@dataclass(frozen=True)
class DueEdit:
    """An edit job or a child that the machine works on since `since`."""

    job_id: str
    since: datetime

    @property
    def is_child(self) -> bool:
        """Whether it is a child."""
        return is_child_id(self.job_id)


def due_edits(until: datetime, after: datetime | None = None) -> Iterator[DueEdit]:
    """What the machine works on since `until` or longer, oldest first; with `after`, not what it
    works on since then or longer.
    """
    first = 0 if after is None else to_ms(after) + 1
    last = to_ms(until.astimezone(UTC))
    if first > last:
        return
    found = EditItem.due.query(
        DUE_EDITS, range_key_condition=EditItem.due_at.between(first, last), page_size=_PAGE
    )
    for item in found:
        yield DueEdit(item.job_id, from_ms(item.due_at))
