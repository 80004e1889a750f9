"""Simulations from a few fields, for tests."""

from typing import Any

from jobyard.domain.campaigns.simulation import CampaignTimeline, SimulatedTask, simulate
from jobyard.domain.campaigns.simulation_input import simulation_input_of
from jobyard.domain.errors import InvalidCampaign

AT_ONCE: dict[str, Any] = {"kind": "fire_and_forget"}
FRIDAYS: dict[str, Any] = {
    "kind": "scheduled",
    "zone": "Europe/Zurich",
    "from": "2026-11-25",
    "to": "2026-11-30",
    "window": {"from": "22:00", "to": "02:00", "weekdays": ["fri"]},
}
ALL_DAY: dict[str, Any] = {"kind": "scheduled", "zone": "UTC", "to": "2026-11-25"}
CREATED = "2026-11-25T10:00:00Z"
EVENING = "2026-11-27T"  # of the only opening of `FRIDAYS`, 21:00 to 01:00 in UTC

OK = {"takes_s": 0, "result": "succeeded"}


def ok(takes_s: int = 0) -> dict[str, Any]:
    """An outcome that succeeds."""
    return OK | {"takes_s": takes_s}


def bad(code: str = "STEP_ERROR", takes_s: int | None = 0, **fields: Any) -> dict[str, Any]:
    """An outcome that fails."""
    return {"takes_s": takes_s, "result": "failed", "code": code, **fields}


def document(
    campaign: dict[str, Any], targets: dict[str, list[dict[str, Any]]], *acts: dict[str, Any]
) -> dict[str, Any]:
    """The input of a simulation. `targets` are the outcomes by id."""
    return {
        "created_at": CREATED,
        "campaign": campaign,
        "targets": [{"id": name, "outcomes": each} for name, each in targets.items()],
        "acts": [*acts],
    }


def run(
    campaign: dict[str, Any], targets: dict[str, list[dict[str, Any]]], *acts: dict[str, Any]
) -> CampaignTimeline:
    """The timeline of a simulation."""
    return simulate(simulation_input_of(document(campaign, targets, *acts)))


def act(at: str, event: str, **fields: Any) -> dict[str, Any]:
    """What a person does at `10:05` of the day of creation, or at a whole time."""
    return {"at": at if "T" in at else f"2026-11-25T{at}:00Z", "event": event, **fields}


def many(count: int, *outcomes: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Targets that all do the same."""
    return {f"t{number}": [*outcomes] for number in range(count)}


def starts(task: SimulatedTask) -> list[str]:
    """When its attempts started: `10:05`, with seconds if there are any."""
    return [each.started_at.strftime("%H:%M:%S").removesuffix(":00") for each in task.attempts]


def states(timeline: CampaignTimeline) -> list[tuple[str, str]]:
    """The history as `25 10:00`, with the state."""
    return [(f"{at:%d %H:%M}", state.value) for at, state in timeline.history]


def problems(value: dict[str, Any]) -> list[str]:
    """What is wrong with an input, each with its field."""
    try:
        simulate(simulation_input_of(value))
    except InvalidCampaign as error:
        return [str(each) for each in error.problems]
    return []
