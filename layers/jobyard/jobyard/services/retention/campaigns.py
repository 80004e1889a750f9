"""Which campaigns are archived, and what is archived of one besides its tasks and files.

The claims on its targets stay (decisions/0031): another campaign may have taken them since. A claim
is one small item for each target that was ever worked on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from jobyard.domain.archive import Phase, Tombstone, archive_folder, record_line
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.errors import Gone, InvalidCampaign, NotFound
from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job import JobRecord
from jobyard.services.retention.chunked_archive import TooEarly
from jobyard.services.retention.work_slice import (
    Bookmark,
    RetentionContext,
    WorkSlice,
    has_undelivered_report,
    retention_of,
    shortest_retention,
)
from jobyard.store import campaigns
from jobyard.store.transactions import TransactItem

CAMPAIGNS_PER_READ = 100


def next_slice(bookmark: Bookmark, context: RetentionContext) -> WorkSlice | None:
    """Check the next campaigns of a list, oldest first, and begin to archive the first that is due.
    None after the last that may be due. One that cannot be read is left as it is.
    """
    after, system = bookmark.get("after", ""), bookmark.get("system", False)
    latest = context.now() - shortest_retention(Origin.CAMPAIGN)
    found = campaigns.oldest(CAMPAIGNS_PER_READ, after, system=system)
    for key in found:
        after = key.position
        if key.created_at > latest:
            return None
        if _start_archiving(key.campaign_id, context):
            here = {"go": "campaigns", "system": system, "after": after}
            return WorkSlice({**here, "campaign": key.campaign_id})
    return WorkSlice({"go": "campaigns", "system": system, "after": after}) if found else None


def _start_archiving(campaign_id: str, context: RetentionContext) -> bool:
    """Hide a campaign and begin to archive it, if it is due. Returns whether it was due.

    Raises:
        StaleState: someone else changed it at the same time.
    """
    now = context.now()
    try:
        campaign = campaigns.get(campaign_id)
    except (Gone, NotFound, InvalidCampaign):
        return False  # the index lags behind, or a person has to repair it
    due = campaign.kept_until(retention_of(campaign.job_type))
    if due is None or due > now or has_undelivered_report(campaign_id):
        return False
    # Each try has a folder of its own, so that nothing in it is written twice.
    attempt = f"v{campaign.version}"
    folder = archive_folder(campaign.job_type, campaign.created_at, campaign_id, attempt)
    campaigns.CAMPAIGN_TOMBSTONES.start(campaign, now, folder)
    return True


def next_leftover(bookmark: Bookmark) -> WorkSlice | None:
    """Continue with the next campaign whose archiving was not finished; None after the last."""
    found = campaigns.in_archiving(bookmark.get("after", ""))
    if found is None:
        return None
    here = {"go": "campaign leftovers", "after": found.position}
    return WorkSlice({**here, "campaign": found.campaign_id})


def archived_campaign(campaign_id: str) -> "ArchivedCampaign | None":
    """The campaign with a tombstone; None if it has none."""
    tombstone = campaigns.CAMPAIGN_TOMBSTONES.find(campaign_id)
    return ArchivedCampaign(tombstone) if tombstone else None


@dataclass(frozen=True)
class ArchivedCampaign:
    """A campaign with a tombstone; see `ArchivedOrigin`."""

    tombstone: Tombstone[Campaign]

    part = "campaign.jsonl.gz"
    repaired_at = None

    @property
    def _campaign(self) -> Campaign:
        return self.tombstone.origin

    @property
    def origin_id(self) -> str:
        return self._campaign.campaign_id

    @property
    def folder(self) -> str:
        return self.tombstone.folder

    @property
    def phase(self) -> Phase:
        return self.tombstone.phase

    @property
    def chunk_size(self) -> int:
        return self._campaign.chunk_size

    @property
    def chunk_count(self) -> int:
        return self._campaign.chunk_count

    @property
    def row_count(self) -> int:
        return self._campaign.tasks if self._campaign.is_opened else 0

    @property
    def reported_ids(self) -> tuple[str, ...]:
        return (self.origin_id,)

    @property
    def folders(self) -> tuple[str, ...]:
        return (f"work/{self.origin_id}/", f"reports/{self.origin_id}/")

    def lines(self) -> Iterator[bytes]:
        campaign = self._campaign
        document: dict[str, Any] = {
            each.name: getattr(campaign, each.name) for each in fields(campaign)
        }
        yield record_line("campaign", {**document, "rules": campaign.rules.document()})

    def remove_records(self) -> None:
        """It has no other records of its own."""

    def summary(self) -> Mapping[str, Any]:
        campaign = self._campaign
        names = ("name", "state", "job_type", "creator", "tasks", "created_at", "ended_at")
        return {
            "campaign_id": campaign.campaign_id,
            **{name: getattr(campaign, name) for name in names},
            "counts": dict(campaign.counts),
        }

    def check_unchanged(self, job: JobRecord, now: datetime) -> None:
        if job.at + retention_of(self._campaign.job_type) > self.tombstone.archived_at:
            raise TooEarly("one of its tasks changed after its end")

    def in_phase(self, phase: Phase) -> TransactItem:
        return campaigns.CAMPAIGN_TOMBSTONES.put(self.tombstone, self.tombstone.after(phase))

    def cancel(self, repaired_at: datetime | None) -> None:
        campaigns.CAMPAIGN_TOMBSTONES.cancel(self.tombstone, self._campaign)
