"""The due benchmark counts what it says it counts."""

import ast
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.handlers
import botocore.session
import pytest
from botocore.stub import Stubber

from benchmarks import calls
from benchmarks.due import Call, Round
from benchmarks.project import with_call_log, with_noop
from jobyard.domain.cost import Usage
from jobyard.domain.jobs.job import JobState
from jobyard.domain.schedules.occurrence import Occurrence, RunOutcome, Trigger, Verdict

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SCHEDULE = "s" + 20 * "a"


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the event handlers of new clients after the test."""
    there = botocore.handlers.BUILTIN_HANDLERS
    monkeypatch.setattr(botocore.handlers, "BUILTIN_HANDLERS", [*there])


@pytest.mark.parametrize(
    ("parsed", "items"),
    [
        ({"Item": {"a": {"S": "1"}}}, 1),
        ({}, 0),
        ({"Items": [{}, {}], "Count": 2, "ScannedCount": 9}, 2),
        ({"Items": []}, 0),
        ({"Responses": {"one": [{}, {}], "other": [{}]}}, 3),
        ({"Responses": [{"Item": {}}, {"Error": {"Code": "DuplicateItem"}}]}, 0),
    ],
)
def test_items_are_those_an_answer_brings(parsed: dict[str, object], items: int) -> None:
    assert calls.items_of(parsed) == items


def test_a_function_that_notes_its_calls_notes_each(handlers: None, tmp_path: Path) -> None:
    calls.record(str(tmp_path / "calls.jsonl"))
    client = botocore.session.Session().create_client(
        "dynamodb", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    units = {"ConsumedCapacity": {"TableName": "t", "CapacityUnits": 2.0}}

    with Stubber(client) as answers:
        answers.add_response("get_item", {"Item": {"id": {"S": "1"}}})
        answers.add_response("put_item", units)
        client.get_item(TableName="t", Key={"id": {"S": "1"}})
        client.put_item(TableName="t", Item={"id": {"S": "1"}})

    recorded = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert [(each["call"], each["items"], each["units"]) for each in recorded] == [
        ("dynamodb:GetItem", 1, 0.0),
        ("dynamodb:PutItem", 0, 2.0),
    ]
    assert recorded == [vars(Call(**each)) for each in recorded]


def test_the_clocks_functions_note_their_calls_before_they_make_a_client(tmp_path: Path) -> None:
    project = with_call_log(with_noop(tmp_path / "project"), "schedule", tmp_path / "calls.jsonl")

    package = ast.parse((project / "functions" / "schedule" / "__init__.py").read_text())

    assert (project / "functions" / "calls.py").exists()
    assert ast.unparse(package.body[-1]) == f"calls.record('{tmp_path / 'calls.jsonl'}')"


def an_occurrence(decided_s: float, started_s: float) -> Occurrence:
    """An occurrence whose job started so many seconds after it was due."""
    started = NOON + timedelta(seconds=started_s)
    return Occurrence(
        SCHEDULE,
        NOON,
        1,
        Trigger.SCHEDULE,
        Verdict.RUN,
        NOON + timedelta(seconds=decided_s),
        outcome=RunOutcome(JobState.SUCCEEDED, started, started, started),
    )


def a_round() -> Round:
    """Two schedules: a tick after 3 s and, for the second schedule, after 63 s."""
    made = [
        (-1.0, "dynamodb:Query", 7, 0.0),
        (3.0, "dynamodb:Query", 2, 0.5),
        (4.0, "dynamodb:TransactWriteItems", 0, 6.0),
        (5.0, "stepfunctions:StartExecution", 0, 0.0),
        (63.0, "dynamodb:Query", 1, 0.0),
        (64.0, "dynamodb:TransactWriteItems", 0, 6.0),
        (65.0, "stepfunctions:StartExecution", 0, 0.0),
        (123.0, "dynamodb:Query", 9, 0.0),
        (124.0, "stepfunctions:StartExecution", 0, 0.0),
    ]
    recorded = [Call(NOON.timestamp() + at, *rest) for at, *rest in made]  # type: ignore[arg-type]
    decided = [an_occurrence(4.0, 6.0), an_occurrence(64.0, 126.0)]
    return Round(NOON.timestamp(), decided, recorded, Usage())


def test_the_clocks_part_lasts_from_its_first_query_to_its_last_start() -> None:
    found = a_round()

    assert found.began == NOON.timestamp() + 3
    assert [at - found.began for at in found.started] == [2, 62]
    assert found.items_read(found.started[-1]) == 3
    assert found.written == 12


def test_what_it_reads_while_the_last_jobs_wait_is_counted_separately() -> None:
    found = a_round()

    assert found.starts[-1] - found.began == 123
    assert found.items_read(found.starts[-1]) == 12


def test_a_tick_that_ran_twice_is_counted_twice_without_its_pause() -> None:
    found = a_round()

    assert found.tick_count == 2
    assert found.busy_s == 2
