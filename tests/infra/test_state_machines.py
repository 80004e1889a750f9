"""The committed definitions are what their sources and the table of error handling make."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import state_machines
from infra.state_machines import Table

SOURCES = state_machines.sources()


@pytest.fixture(scope="module")
def table() -> Table:
    return state_machines.read_table()


def test_every_definition_has_a_source() -> None:
    definitions = sorted(state_machines.FOLDER.glob("*.asl.json"))

    assert definitions == [source.with_suffix(".json") for source in SOURCES]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_what_is_committed_is_what_is_generated(source: Path, table: Table) -> None:
    generated = state_machines.definition(source.read_text(), table)

    assert source.with_suffix(".json").read_text() == generated, "run `make machines`"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_source_names_errors_only_by_the_table(source: Path) -> None:
    assert "ErrorEquals" not in source.read_text()
    for state in _states(yaml.safe_load(source.read_text())):
        assert isinstance(state.get("Retry", ""), str)
        assert isinstance(state.get("Catch", {}), dict)


def test_the_table_has_nothing_that_no_machine_uses(table: Table) -> None:
    states = [state for source in SOURCES for state in _states(yaml.safe_load(source.read_text()))]
    policies = {state["Retry"] for state in states if "Retry" in state}
    caught = {name for state in states for name in state.get("Catch", {})}
    errors = {rule["errors"] for rules in table["retry"].values() for rule in rules}
    errors |= {name for kind in table["catch"].values() for name in kind["errors"]}

    assert policies == set(table["retry"])
    assert caught == set(table["catch"])
    assert errors == set(table["errors"])


def test_every_retry_rule_has_its_reason(table: Table) -> None:
    rules = [rule for rules in table["retry"].values() for rule in rules]

    assert [rule for rule in rules if not rule["why"].strip()] == []


def test_a_task_gets_the_rules_of_its_policy_in_their_order(table: Table) -> None:
    source = "States: { A: { Type: Task, Retry: start_execution, Catch: { any: B } } }"

    (state,) = json.loads(state_machines.definition(source, table))["States"].values()

    started = table["errors"]["already_started"]
    assert state["Retry"][0] == {"ErrorEquals": started, "MaxAttempts": 0}
    assert state["Retry"][1] == {
        "ErrorEquals": ["States.TaskFailed", "States.Timeout"],
        "IntervalSeconds": 2,
        "MaxAttempts": 8,
        "BackoffRate": 2,
        "MaxDelaySeconds": 60,
        "JitterStrategy": "FULL",
    }
    assert state["Catch"] == [
        {"ErrorEquals": [error], "ResultPath": "$.error", "Next": "B"}
        for error in ("States.DataLimitExceeded", "States.ALL")
    ]


@pytest.mark.parametrize("wrong", ["Retry: functoin", "Catch: { anything: B }"])
def test_a_name_the_table_does_not_have_is_refused(wrong: str, table: Table) -> None:
    with pytest.raises(KeyError):
        state_machines.definition(f"States: {{ A: {{ Type: Task, {wrong} }} }}", table)


def _states(scope: dict[str, Any]) -> list[dict[str, Any]]:
    """Every state of a source, those of a Map's children included."""
    states = list(scope["States"].values())
    inner = [state["ItemProcessor"] for state in states if "ItemProcessor" in state]
    return states + [state for processor in inner for state in _states(processor)]
