"""Campaigns at volume, written directly: one of 10,000 targets, one in each state, one Unknown."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import cycle, islice

from jobyard.domain.campaigns.targets import CampaignTarget
from jobyard.domain.hold import Hold
from jobyard.services.settings import Settings
from jobyard.store import campaigns, holds
from jobyard.store.tables import CampaignItem
from tests.functions.api.api_client import NOW
from tests.functions.api.batch_records import HOUR_AGO
from tests.functions.api.campaign_records import a_campaign, put_tasks
from tests.people import sub_of

_NAMES = (
    "Gateways to 4.2.0",
    "Zertifikate der Fahrzeugrechner erneuern, Los 3 (Nachtrag vom November)",
    "ルーター更新 4.2.0 関東",
    "a-job-whose-name-is-so-long-that-no-column-has-room-for-it-2026-11-20-second-try",
)
_STATES = (
    "scheduled", "paused", "succeeded", "partially_succeeded", "failed", "cancelled", "replaced",
    "stopping", "held",
)  # fmt: skip
_WINDOW = {"from": "08:00", "to": "14:00", "weekdays": ["mon", "wed", "fri"]}


def store_campaigns(settings: Settings, *, targets: int = 10_000) -> Mapping[str, str]:
    """Store them in the empty tables. Returns the address of each page, by a name for a file."""
    for number in range(40):
        state, name = _STATES[number % len(_STATES)], _NAMES[number % len(_NAMES)]
        small = a_campaign(
            settings, state, request={"name": name}, created_at=NOW - timedelta(hours=9 * number)
        )
        if state == "held":
            scope = f"campaign:{small.campaign_id}"
            holds.put(Hold(scope, "operator", "the line moves", HOUR_AGO, None, sub_of("operator")))
        elif state not in {"scheduled", "paused"}:
            put_tasks(small, ["succeeded", "failed" if "fail" in state else "succeeded"])
    broken = a_campaign(settings)
    item = CampaignItem.get(broken.campaign_id)
    item.body["rules"] = {}
    item.save()
    large = _large(settings, targets)
    ended = put_tasks(
        a_campaign(settings, "partially_succeeded", request={"name": _NAMES[1]}),
        ["succeeded", "failed"],
    )
    at = f"/campaigns/{large}"
    return {
        "campaigns": "/campaigns",
        "campaigns-none": "/campaigns?system=yes",
        "campaign": at,
        "campaign-tasks": f"{at}/tasks",
        "campaign-tasks-failed": f"{at}/tasks?state=failed",
        "campaign-ended": f"/campaigns/{ended.campaign_id}",
        "campaign-retry": f"/campaigns/{ended.campaign_id}/retry",
        "campaign-change": f"{at}/change",
        "campaign-cost": f"{at}/cost",
        "campaign-reports": f"/campaigns/{ended.campaign_id}/reports",
        "campaign-new": "/campaigns/new",
        "task": f"/jobs/{large}.0.2",
        "task-failed": f"/jobs/{large}.0.3",
    }


def _large(settings: Settings, number: int) -> str:
    """A campaign of that many targets, which runs. Only its first chunk has records."""
    targets = [
        CampaignTarget(f"gw-{each:05}", f"gw-{each:05}.plant-{each % 7}.example.org")
        for each in range(number)
    ]
    request = {
        "name": _NAMES[0],
        "to": "2026-12-18",
        "window": _WINDOW,
        "rollout": {"per_minute": 20, "factor": 1.5, "every": 500},
        "abort": {"percent": 20, "at_least": 50},
        "needs": 10,
        "at_once": 200,
    }
    campaign = a_campaign(settings, request=request, targets=targets)
    states = islice(cycle(("succeeded", "running", "rescheduled", "failed", "succeeded")), 200)
    campaign = put_tasks(campaign, states)
    counts = {"succeeded": 2_310, "failed": 41, "running": 180, "scheduled": 64}
    after = replace(campaign, counts=counts, version=campaign.version + 1)
    return campaigns.write(campaign, after).campaign_id
