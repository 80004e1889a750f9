"""The parameters of a sweep, and which records are due."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.errors import InvalidParameters
from jobyard.domain.ids import Origin
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.sweep.plan import MAX_NAMED_ATTRIBUTES, Plan

GOOD: dict[str, Any] = {
    "table": "voters",
    "index": "by_expiry",
    "key": ["voter_id"],
    "partition": {"name": "status", "value": "confidential"},
    "due": {"name": "expires_on", "format": "date", "zone": "America/Los_Angeles"},
    "change": {"set": {"status": "expired"}, "remove": ["case"]},
    "unless": {"legal_hold": True},
}
THREE_AM = datetime(2026, 11, 26, 3, tzinfo=UTC)


def changed(where: str, value: Any) -> dict[str, Any]:
    """The valid parameters with another value at `where`; None removes it."""
    first, _, second = where.partition(".")
    inside = {**GOOD[first], second: value} if second else value
    changed = {**GOOD, first: inside}
    if second:
        changed[first] = {name: each for name, each in inside.items() if each is not None}
    return {name: each for name, each in changed.items() if each is not None}


@pytest.mark.parametrize(
    "parameters",
    [
        GOOD,
        changed("unless", None),
        changed("unless", {f"a{number}": True for number in range(MAX_NAMED_ATTRIBUTES - 2)}),
        changed("change.remove", None),
        changed("change", {"remove": ["status"]}),
        changed("change", {"remove": ["expires_on"]}),
        changed("change", {"set": {"checked": False}, "remove": ["expires_on"]}),
        changed("key", ["county", "voter_id"]),
        changed("due", {"name": "expires_on", "format": "epoch"}),
        changed("due", {"name": "expires_on", "format": "instant"}),
        {**changed("partition.value", 7), "change": {"set": {"status": 8.5}}},
    ],
)
def test_a_schedule_may_have_valid_sweep_parameters(parameters: dict[str, Any]) -> None:
    TYPES["sweep"].check_parameters(parameters)


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({}, "partition"),
        ({**GOOD, "tabel": "voters"}, "tabel"),
        (changed("table", None), "table"),
        (changed("table", "arn:aws:dynamodb:us-east-1:1:table/voters"), "table"),
        (changed("index", ""), "index"),
        (changed("index", 7), "index"),
        (changed("key", []), "key"),
        (changed("key", "voter_id"), "key"),
        (changed("key", ["a", "a"]), "key"),
        (changed("key", ["a", "b", "c"]), "key"),
        (changed("key", [1]), "key"),
        (changed("partition", "status"), "partition"),
        (changed("partition.name", None), "partition.name"),
        (changed("partition.value", None), "partition.value"),
        (changed("partition.value", True), "partition.value"),
        (changed("partition.value", ""), "partition.value"),
        (changed("partition.value", float("nan")), "partition.value"),
        (changed("partition.values", ["a"]), "partition.values"),
        (changed("due.name", "x" * 256), "due.name"),
        (changed("due.name", "status"), "due.name"),
        (changed("due.format", "day"), "due.format"),
        (changed("due.format", None), "due.format"),
        (changed("due.zone", "California"), "due.zone"),
        (changed("due.zone", 8), "due.zone"),
        (changed("due.format", "instant"), "due.zone"),
        (changed("change", None), "change"),
        (changed("change", {}), "change"),
        (changed("change.set", ["status"]), "change.set"),
        (changed("change.set", {"status": None}), "change.set.status"),
        (changed("change.set", {"status": {"S": "expired"}}), "change.set.status"),
        (changed("change.set", {"status": "confidential"}), "change"),
        (changed("change.set", {"status": 7}), "change.set"),
        (changed("change.set", {"status": ""}), "change.set"),
        (changed("change.set", {"checked": True}), "change"),
        (changed("change.set", {"expires_on": "2000-01-01"}), "change"),
        (changed("change.set", {"status": "expired", "voter_id": "V1"}), "change"),
        (changed("change.remove", ["status"]), "change.remove"),
        (changed("change.remove", [f"a{number}" for number in range(60)]), "change"),
        ({**changed("partition.value", 1), "change": {"set": {"status": True}}}, "change.set"),
        (
            changed("unless", {f"a{number}": True for number in range(MAX_NAMED_ATTRIBUTES - 1)}),
            "change",
        ),
        (changed("unless", ["legal_hold"]), "unless"),
        (changed("unless.legal_hold", ["yes"]), "unless.legal_hold"),
    ],
)
def test_an_invalid_plan_is_refused_by_the_field_that_is_wrong(
    parameters: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        TYPES["sweep"].check_parameters(parameters)

    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("due", "latest"),
    [
        ({"format": "date"}, {"S": "2026-11-26"}),
        ({"format": "date", "zone": "America/Los_Angeles"}, {"S": "2026-11-25"}),
        ({"format": "instant"}, {"S": "2026-11-26T03:00:00Z"}),
        ({"format": "epoch"}, {"N": "1795662000"}),
    ],
)
def test_a_time_is_due_by_its_instant_and_a_date_by_its_zone(
    due: dict[str, str], latest: Mapping[str, str]
) -> None:
    plan = Plan.of({**GOOD, "due": {"name": "expires_on", **due}})

    assert plan.latest(THREE_AM) == latest
    assert plan.latest(THREE_AM + timedelta(milliseconds=999)) == latest  # as when run by hand


@pytest.mark.parametrize(
    ("form", "value", "fits"),
    [
        ("date", {"S": "2026-11-25"}, True),
        ("date", {"S": "2026-02-30"}, False),
        ("date", {"S": "20261125"}, False),
        ("date", {"S": "1/2/2020"}, False),
        ("date", {"N": "20261125"}, False),
        ("instant", {"S": "2026-11-25T17:00:00Z"}, True),
        ("instant", {"S": "2026-11-25T17:00:00.250Z"}, True),
        ("instant", {"S": "2026-11-25T17:00:00"}, False),
        ("instant", {"S": "2026-11-25T25:00:00Z"}, False),
        ("instant", {"S": "2026-11-25"}, False),
        ("epoch", {"N": "1795107600"}, True),
        ("epoch", {"S": "1795107600"}, False),
    ],
)
def test_a_record_is_due_only_by_a_valid_time(
    form: str, value: Mapping[str, str], fits: bool
) -> None:
    plan = Plan.of({**GOOD, "due": {"name": "expires_on", "format": form}})

    assert bool(plan.due_problem(value)) is not fits


@pytest.mark.parametrize(
    ("record", "due"),
    [
        ({"status": {"S": "confidential"}, "expires_on": {"S": "2026-11-25"}}, True),
        ({"status": {"S": "confidential"}, "expires_on": {"S": "2026-11-26"}}, False),
        ({"status": {"S": "expired"}, "expires_on": {"S": "2026-11-25"}}, False),
        ({"status": {"S": "confidential"}}, False),
        ({"status": {"S": "confidential"}, "expires_on": {"N": "1"}}, False),
        ({"expires_on": {"S": "2026-11-25"}}, False),
    ],
)
def test_a_record_read_again_is_due_by_what_it_is_now(
    record: Mapping[str, Mapping[str, str]], due: bool
) -> None:
    plan = Plan.of(GOOD)

    assert plan.is_due(record, plan.latest(THREE_AM)) is due


def test_numbers_are_compared_as_numbers() -> None:
    plan = Plan.of(
        {
            **GOOD,
            "partition": {"name": "status", "value": 1.5},
            "due": {"name": "expires_on", "format": "epoch"},
            "change": {"set": {"status": 2}},
            "unless": {"holds": 3},
        }
    )
    record = {"status": {"N": "1.50"}, "expires_on": {"N": "9"}, "holds": {"N": "3.0"}}

    assert plan.is_due(record, plan.latest(THREE_AM))
    assert plan.unless_match(record) == "holds is 3"
    assert not plan.unless_match({**record, "holds": {"S": "3"}})


def test_a_sweep_is_for_schedules_and_has_votecals_labels() -> None:
    sweep = TYPES["sweep"]

    assert (sweep.origins, sweep.is_system) == ({Origin.SCHEDULE}, False)
    assert {sweep.labels[state] for state in ("scheduled", "running", "succeeded", "failed")} == {
        "Idle",
        "In Progress",
        "Completed",
        "Failed",
    }


def test_a_deposit_is_for_manifests_and_takes_no_parameters_of_a_schedule() -> None:
    deposit = TYPES["deposit"]

    assert (deposit.origins, deposit.is_system) == ({Origin.BATCH}, False)
    deposit.check_parameters({})
    with pytest.raises(InvalidParameters, match="no parameters"):
        deposit.check_parameters({"table": "voters"})
