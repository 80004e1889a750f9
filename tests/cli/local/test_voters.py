"""The example's voters: which are due, and whether the example's sweep fits the table."""

import json
from datetime import UTC, date, datetime

import pytest

from cli.local import clients, deployment, voters
from cli.local.emulator import ROOT, Emulator
from jobyard.jobtypes.sweep.plan import Plan
from tests.in_process_emulator import ENDPOINT, InProcessEmulator

TODAY = date(2026, 11, 25)
NOW = datetime(2026, 11, 26, 3, tzinfo=UTC)  # still the 25th in California


def test_voters_depend_only_on_the_day() -> None:
    first, second = list(voters.voters(TODAY)), list(voters.voters(TODAY))
    later = list(voters.voters(date(2027, 1, 1)))

    assert first == second
    assert len({each["voter_id"]["S"] for each in first}) == voters.VOTERS
    assert [each["county"] for each in first] == [each["county"] for each in later]


@pytest.mark.emulator
def test_the_table_can_be_reset_and_has_the_stated_number_due(
    in_process_emulator: InProcessEmulator,
) -> None:
    dynamodb = clients.client("dynamodb", ENDPOINT)
    voters.fill_table(dynamodb, NOW)
    dynamodb.update_item(
        TableName=voters.TABLE,
        Key={"voter_id": {"S": "V0000001"}},
        UpdateExpression="SET confidential_status = :expired",
        ExpressionAttributeValues={":expired": {"S": "expired"}},
    )

    due = voters.fill_table(dynamodb, NOW)

    pages = dynamodb.get_paginator("query").paginate(
        TableName=voters.TABLE,
        IndexName=voters.INDEX,
        KeyConditionExpression="confidential_status = :status AND expires_on <= :today",
        ExpressionAttributeValues={
            ":status": {"S": "confidential"},
            ":today": {"S": TODAY.isoformat()},
        },
    )
    found = [item for page in pages for item in page["Items"]]
    assert len(found) == due == voters.DUE


def test_the_example_sweep_fits_the_example_table() -> None:
    plan = Plan.of(json.loads((ROOT / "examples/voters/sweep.json").read_text()))

    assert (plan.table, plan.index, plan.key) == (voters.TABLE, voters.INDEX, ("voter_id",))
    assert plan.latest(NOW) == {"S": TODAY.isoformat()}


def test_the_local_stack_allows_sweeps_of_the_example_table_only() -> None:
    running = Emulator(ROOT, 4566, 4567, 1, iam=False)

    assert deployment.parameters(running)["SweepTables"] == voters.TABLE
