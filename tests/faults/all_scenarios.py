"""Every scenario, by name."""

from collections.abc import Callable, Mapping

from tests.faults.batch_scenarios import BatchScenario
from tests.faults.campaign_scenarios import CampaignScenario, ReplacedCampaignScenario
from tests.faults.scenario import Scenario, ScenarioRun
from tests.faults.schedule_scenarios import ScheduleScenario

SCENARIOS: Mapping[str, Callable[[ScenarioRun], Scenario]] = {
    "requeued": lambda scenario_run: BatchScenario(scenario_run, BatchScenario.requeued),
    "held_and_retried": lambda scenario_run: BatchScenario(
        scenario_run, BatchScenario.held_and_retried
    ),
    "recurring": ScheduleScenario,
    "campaign": CampaignScenario,
    "replaced_campaign": ReplacedCampaignScenario,
}
