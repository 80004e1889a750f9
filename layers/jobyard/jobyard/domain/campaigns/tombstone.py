"""What remains of an archived campaign."""

from dataclasses import dataclass, replace
from datetime import datetime

from jobyard.domain.archive import Phase, archived_text
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.plurals import plural


@dataclass(frozen=True)
class CampaignTombstone:
    """What remains of an archived campaign: see `archive.Tombstone`.

    `campaign` is the campaign as it was; once removed, without the fields that only the archive
    keeps.
    """

    campaign: Campaign
    archived_at: datetime
    folder: str
    phase: Phase
    version: int

    @property
    def description(self) -> str:
        """What the campaign was, and where it is now."""
        campaign = self.campaign
        was = (
            f"campaign {campaign.campaign_id} ({campaign.name}, {campaign.state}, "
            f"{plural(campaign.tasks, 'task')}, started {campaign.created_at:%Y-%m-%d})"
        )
        return archived_text(was, self.phase, self.archived_at, self.folder)

    def reduced(self) -> "CampaignTombstone":
        """The tombstone once the records are removed."""
        schedule = replace(self.campaign.rules.schedule, calendar=None)
        reduced = replace(
            self.campaign,
            rules=replace(self.campaign.rules, schedule=schedule),
            notify=(),
            undeliverable=(),
            parameters={},
            history=(),
        )
        return replace(self, campaign=reduced, phase=Phase.REMOVED)
