"""Campaigns on scripted devices, and the states of their tasks."""

from datetime import UTC, datetime
from typing import Any

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.jobs.job import JobAddress, JobRecord
from jobyard.services.campaigns import commands
from jobyard.services.campaigns.job_origin import untouched_task
from jobyard.store import campaigns, jobs
from tests.harness import Harness
from tests.scripted_devices import NAME

TEN = datetime(2026, 11, 25, 10, tzinfo=UTC)


def start(stack: Harness, targets: str | list[str], **fields: Any) -> Campaign:
    """Start a campaign on the devices in `targets`: each letter of a text is one."""
    document = {"job_type": NAME, "kind": "fire_and_forget", "targets": list(targets), **fields}
    return commands.start(document, stack.context()).campaign


def task_list(campaign: Campaign) -> list[JobRecord]:
    """Its tasks, as they are shown."""
    campaign = campaigns.get(campaign.campaign_id)
    addresses = [
        JobAddress(campaign.campaign_id, chunk, position)
        for chunk in range(campaign.chunk_count)
        for position in range(campaign.task_count(chunk))
    ]
    return [jobs.find(each) or untouched_task(campaign, each) for each in addresses]


def states(campaign: Campaign) -> str:
    """The first letter of the state of each task."""
    return "".join(task.state[0] for task in task_list(campaign))
