import json

from cli.local.deployment import (
    read_template,
    with_emulated_throttling,
    with_known_conditions,
    with_plain_concurrency,
)
from cli.local.emulator import ROOT


def test_a_map_on_the_local_stack_keeps_its_concurrency_limit() -> None:
    machine = (ROOT / "infra" / "statemachines" / "batch.asl.json").read_bytes()

    states = json.loads(with_plain_concurrency(machine, "4"))["States"]

    limits = [state.get("MaxConcurrency") for state in states.values() if state["Type"] == "Map"]
    assert limits == [4]
    assert b"MaxConcurrencyPath" not in with_plain_concurrency(machine, "4")


def test_throttled_workers_are_retried_on_the_local_stack_too() -> None:
    machine = (ROOT / "infra" / "statemachines" / "job.asl.json").read_bytes()

    execute = json.loads(with_emulated_throttling(machine))["States"]["ExecuteJob"]

    throttled = ["Lambda.TooManyRequestsException", "Lambda.Unknown"]
    (retry,) = [each for each in execute["Retry"] if each["ErrorEquals"] == throttled]
    last = retry["IntervalSeconds"] * retry["BackoffRate"] ** (retry["MaxAttempts"] - 1)
    assert round(last) == retry["MaxDelaySeconds"]
    assert [each["Next"] for each in execute["Catch"] if each["ErrorEquals"] == throttled]


def test_the_emulator_gets_the_senders_condition_in_a_form_that_it_knows() -> None:
    template = read_template(ROOT)

    with_known_conditions(template)

    statements = template["Resources"]["ReportRole"]["Properties"]["Policies"][0]["PolicyDocument"][
        "Statement"
    ]
    (condition,) = (each["Condition"] for each in statements if "Condition" in each)
    assert condition == {"StringEqualsIfExists": {"ses:FromAddress": {"Ref": "MailFrom"}}}
