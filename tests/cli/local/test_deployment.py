import json

from cli.local.deployment import with_emulated_throttling, with_plain_concurrency
from cli.local.emulator import ROOT


def test_a_map_on_the_laptop_runs_no_more_children_than_it_was_deployed_with() -> None:
    machine = (ROOT / "infra" / "statemachines" / "batch.asl.json").read_bytes()

    states = json.loads(with_plain_concurrency(machine, "4"))["States"]

    limits = [state.get("MaxConcurrency") for state in states.values() if state["Type"] == "Map"]
    assert limits == [4]
    assert b"MaxConcurrencyPath" not in with_plain_concurrency(machine, "4")


def test_a_job_that_no_worker_is_free_for_is_tried_again_on_the_laptop_too() -> None:
    machine = (ROOT / "infra" / "statemachines" / "job.asl.json").read_bytes()

    execute = json.loads(with_emulated_throttling(machine))["States"]["ExecuteJob"]

    throttled = ["Lambda.TooManyRequestsException", "Lambda.Unknown"]
    (retry,) = [each for each in execute["Retry"] if each["ErrorEquals"] == throttled]
    last = retry["IntervalSeconds"] * retry["BackoffRate"] ** (retry["MaxAttempts"] - 1)
    assert round(last) == retry["MaxDelaySeconds"]
    assert [each["Next"] for each in execute["Catch"] if each["ErrorEquals"] == throttled]
