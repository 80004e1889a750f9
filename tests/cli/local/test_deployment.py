import json

from cli.local.deployment import with_plain_concurrency
from cli.local.emulator import ROOT


def test_a_map_on_the_laptop_runs_no_more_children_than_it_was_deployed_with() -> None:
    machine = (ROOT / "infra" / "statemachines" / "batch.asl.json").read_bytes()

    states = json.loads(with_plain_concurrency(machine, "4"))["States"]

    limits = [state.get("MaxConcurrency") for state in states.values() if state["Type"] == "Map"]
    assert limits == [4]
    assert b"MaxConcurrencyPath" not in with_plain_concurrency(machine, "4")
