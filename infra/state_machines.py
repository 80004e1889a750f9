"""Generates the definitions of the state machines: `python -m infra.state_machines`.

Two thirds of a definition are Retry and Catch. So each machine has a source, *.asl.yaml, which
refers to retry policies and kinds of error in one table, error_handling.yaml. The generated
*.asl.json are committed, because `sam build`, `make local` and the tests read them. A test fails
when one is out of date.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).with_name("statemachines")

Table = Mapping[str, Any]


def sources() -> list[Path]:
    """The source of each machine, by name."""
    return sorted(FOLDER.glob("*.asl.yaml"))


def read_table() -> Table:
    """The table error_handling.yaml; its comments describe it."""
    table: Table = yaml.safe_load((FOLDER / "error_handling.yaml").read_text())
    return table


def definition(source: str, table: Table) -> str:
    """The definition as JSON, generated from a source in YAML and the table.

    Raises:
        KeyError: the source names a policy or a kind of error that the table does not have.
    """
    return json.dumps(_scope(yaml.safe_load(source), table), indent=2) + "\n"


def main() -> None:
    """Write each definition next to its source."""
    table = read_table()
    for source in sources():
        source.with_suffix(".json").write_text(definition(source.read_text(), table))


def _scope(scope: dict[str, Any], table: Table) -> dict[str, Any]:
    """A machine, or the processor of a Map, with its states written out."""
    return scope | {"States": {name: _state(each, table) for name, each in scope["States"].items()}}


def _state(state: dict[str, Any], table: Table) -> dict[str, Any]:
    written = dict(state)  # keeps the order of the source
    if "Retry" in state:
        written["Retry"] = [_retrier(rule, table) for rule in table["retry"][state["Retry"]]]
    if "Catch" in state:
        written["Catch"] = list(_catchers(state["Catch"], table))
    if "ItemProcessor" in state:
        written["ItemProcessor"] = _scope(state["ItemProcessor"], table)
    return written


def _retrier(rule: Mapping[str, Any], table: Table) -> dict[str, Any]:
    errors = {"ErrorEquals": table["errors"][rule["errors"]]}
    if rule["attempts"] == 0:
        return errors | {"MaxAttempts": 0}
    return errors | {
        "IntervalSeconds": rule["interval_s"],
        "MaxAttempts": rule["attempts"],
        "BackoffRate": rule["backoff"],
        "MaxDelaySeconds": rule["max_delay_s"],
        "JitterStrategy": "FULL",
    }


def _catchers(next_states: Mapping[str, str], table: Table) -> Iterator[dict[str, Any]]:
    for name, state in next_states.items():
        caught = table["catch"][name]
        for errors in caught["errors"]:
            yield {
                "ErrorEquals": table["errors"][errors],
                "ResultPath": caught["error"],
                "Next": state,
            }


if __name__ == "__main__":
    main()
