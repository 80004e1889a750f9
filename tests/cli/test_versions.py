from datetime import UTC, datetime, timedelta
from typing import Any

from cli.versions import Clients, Version, delete_old, go_back, unneeded

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FIVE = [Version(number, START + number * DAY) for number in range(1, 6)]  # each lives for a day
NOW = START + 90 * DAY


def test_versions_that_were_replaced_long_ago_and_that_no_execution_has_are_unneeded() -> None:
    assert unneeded(FIVE, {5}, None, kept_since=NOW) == [1, 2, 3, 4]


def test_a_version_is_kept_while_an_execution_runs_that_began_with_it() -> None:
    in_the_third = START + 3.5 * DAY

    assert unneeded(FIVE, {5}, in_the_third, kept_since=NOW) == [1, 2]


def test_an_execution_may_have_begun_with_a_version_while_the_next_one_was_shifted_to() -> None:
    just_after_the_fourth = START + 4 * DAY + timedelta(minutes=10)

    assert unneeded(FIVE, {5}, just_after_the_fourth, kept_since=NOW) == [1, 2]
    assert unneeded(FIVE, {5}, just_after_the_fourth, NOW, shift=timedelta()) == [1, 2, 3]


def test_a_version_is_kept_for_some_days_so_that_an_update_can_be_taken_back() -> None:
    assert unneeded(FIVE, {5}, None, kept_since=START + 3 * DAY) == [1, 2]


def test_the_newest_version_and_those_of_the_alias_are_kept() -> None:
    """An operator pointed the alias back, or it shifts from one version to another."""
    assert unneeded(FIVE, {2}, None, kept_since=NOW) == [1, 3, 4]
    assert unneeded(FIVE, {4, 5}, None, kept_since=NOW) == [1, 2, 3]


class Recorded:
    """A client that answers with documents, and notes what is changed."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.changes: list[dict[str, Any]] = []

    def get_paginator(self, name: str) -> Any:
        return type("Pages", (), {"paginate": lambda _, **__: self.answers[name]})()

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("delete_", "update_")):
            return lambda **request: self.changes.append(request)
        return lambda **_: self.answers[name]


MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:jobyard-batch"


def clients() -> Clients:
    """Of a function that shifts from version 4 to 5, and a machine whose version 5 is live."""
    published = [(each.number, each.published) for each in FIVE]
    functions = Recorded(
        {
            "list_versions_by_function": [
                {"Versions": [{"Version": "$LATEST", "LastModified": START.isoformat()}]},
                {
                    "Versions": [
                        {"Version": str(number), "LastModified": at.isoformat()}
                        for number, at in published
                    ]
                },
            ],
            "get_alias": {
                "FunctionVersion": "5",
                "RoutingConfig": {"AdditionalVersionWeights": {"4": 0.9}},
            },
        }
    )
    machines = Recorded(
        {
            "list_state_machine_versions": {
                "stateMachineVersions": [
                    {"stateMachineVersionArn": f"{MACHINE}:{number}", "creationDate": at}
                    for number, at in published
                ]
            },
            "describe_state_machine_alias": {
                "routingConfiguration": [{"stateMachineVersionArn": f"{MACHINE}:5", "weight": 100}]
            },
            "list_executions": [
                {"executions": [{"startDate": NOW}]},
                {"executions": [{"startDate": START + 3.5 * DAY}]},
            ],
        }
    )

    return Clients(functions, machines)


def test_a_version_is_deleted_by_its_number_and_never_the_function_or_machine() -> None:
    stack = clients()

    deleted = delete_old(stack, ["jobyard-Api-1"], [MACHINE], NOW)

    assert stack.functions.changes == [
        {"FunctionName": "jobyard-Api-1", "Qualifier": "1"},
        {"FunctionName": "jobyard-Api-1", "Qualifier": "2"},
    ]
    assert stack.machines.changes == [
        {"stateMachineVersionArn": f"{MACHINE}:1"},
        {"stateMachineVersionArn": f"{MACHINE}:2"},
    ]
    assert deleted == ["jobyard-Api-1:1", "jobyard-Api-1:2", "jobyard-batch:1", "jobyard-batch:2"]


def test_going_back_points_each_alias_to_the_version_before_the_live_one() -> None:
    stack = clients()

    live = go_back(stack, ["jobyard-Api-1"], [MACHINE])

    assert live == ["jobyard-batch:4", "jobyard-Api-1:3"]
    assert stack.machines.changes == [
        {
            "stateMachineAliasArn": f"{MACHINE}:live",
            "routingConfiguration": [{"stateMachineVersionArn": f"{MACHINE}:4", "weight": 100}],
        }
    ]
    assert stack.functions.changes == [
        {
            "FunctionName": "jobyard-Api-1",
            "Name": "live",
            "FunctionVersion": "3",
            "RoutingConfig": {},
        }
    ]


def test_the_first_version_has_none_to_go_back_to() -> None:
    stack = clients()
    stack.functions.answers["get_alias"] = {"FunctionVersion": "1"}

    assert go_back(stack, ["jobyard-Api-1"], []) == []
