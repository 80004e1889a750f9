"""The targets of a campaign that has ended whose tasks have not succeeded."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.targets import CampaignTarget
from jobyard.domain.jobs.job import JobState
from jobyard.services.batches import rows
from jobyard.services.settings import Settings
from jobyard.store import jobs

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def unfinished_count(campaign: Campaign) -> int:
    """How many of its tasks have not succeeded."""
    return campaign.tasks - campaign.counts.get(JobState.SUCCEEDED, 0)


def unfinished_targets(
    campaign: Campaign, s3: "S3Client", settings: Settings
) -> Iterator[CampaignTarget]:
    """The targets of these tasks, in order. One chunk is in memory at a time."""
    campaign_id, numbers = campaign.campaign_id, range(campaign.chunk_count)
    for chunk in rows.chunks_of(s3, settings, campaign_id, numbers):
        targets = rows.rows_of(s3, settings, campaign_id, chunk)
        tasks = jobs.of_chunk(campaign_id, chunk.number, state=JobState.SUCCEEDED)
        succeeded = {task.address.position for task in tasks}
        for position, target in enumerate(targets):
            if position not in succeeded:
                yield CampaignTarget.of_document(target)
