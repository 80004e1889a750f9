"""A simulation of a campaign before it is started, from what a person assumes of its targets."""

from dataclasses import dataclass

from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.simulation import CampaignTimeline, simulate
from jobyard.domain.campaigns.simulation_input import (
    SimulatedOutcome,
    SimulatedTarget,
    SimulationInput,
)
from jobyard.domain.jobs.failures import Failure

MAX_SIMULATED_TARGETS = 2_000  # a simulation of more would take a request too long
_MAX_ATTEMPTS = 50_000  # of all of them, for the same reason
_TRIES = 5  # after which a device that was offline is always back


@dataclass(frozen=True)
class Assumptions:
    """What the targets of a campaign do: a task takes `takes_s` seconds and succeeds, but of a
    hundred devices `offline_percent` are offline at their first attempts.
    """

    takes_s: int = 60
    offline_percent: int = 0


def assumed_timeline(campaign: Campaign, assumed: Assumptions) -> CampaignTimeline:
    """The timeline of a campaign with the first `MAX_SIMULATED_TARGETS` of its tasks.

    Raises:
        InvalidCampaign: it would have too many attempts.
    """
    number = min(campaign.tasks, MAX_SIMULATED_TARGETS)
    targets = tuple(_target(index, assumed) for index in range(number))
    simulated = SimulationInput(campaign.created_at, campaign.rules, targets)
    return simulate(simulated, _MAX_ATTEMPTS)


def _target(index: int, assumed: Assumptions) -> SimulatedTarget:
    percent = assumed.offline_percent
    is_offline = (index + 1) * percent // 100 > index * percent // 100
    done = SimulatedOutcome(assumed.takes_s)
    tries = index % _TRIES + 1 if is_offline else 0
    offline = (SimulatedOutcome(0, Failure.DEVICE_OFFLINE.value),) * tries
    return SimulatedTarget(str(index), (*offline, done))
