"""Requests to start campaigns, and campaigns that have ended."""

from dataclasses import replace
from typing import Any

from jobyard.domain.campaigns.campaign import StopReason
from jobyard.domain.jobs.job import JobState
from jobyard.store import campaigns

IMAGE = {
    "version": "4.2.0",
    "image": "https://updates.example.org/4.2.0.bin",
    "sha256": "a" * 64,
}


def campaign_request(**changes: Any) -> dict[str, Any]:
    """The body of a request to start a campaign on two devices."""
    return {
        "name": "Gateways to 4.2.0",
        "job_type": "device-update",
        "parameters": IMAGE,
        "kind": "scheduled",
        "to": "2026-12-31",
        "zone": "Europe/Zurich",
        "window": {"from": "22:00", "to": "02:00", "weekdays": ["fri"]},
        "targets": [
            {"id": "gw-1", "address": "gw-1.example.org"},
            {"id": "gw-2", "address": "gw-2.example.org"},
        ],
        **changes,
    }


def an_ended_campaign(campaign_id: str) -> str:
    """The campaign, expired without a success."""
    campaign = campaigns.get(campaign_id)
    after = replace(
        campaign,
        state=JobState.FAILED,
        stop_reason=StopReason.EXPIRE,
        version=campaign.version + 1,
    )
    campaigns.write(campaign, after)
    return campaign_id
