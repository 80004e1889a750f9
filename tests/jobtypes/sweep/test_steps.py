"""A sweep on the emulator: due records are changed and counted once, whatever happens meanwhile."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from threading import Barrier
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

import tests.tables
from cli.local import clients, voters
from cli.local.emulator import ROOT
from jobyard.domain.jobs.checkpoint import Checkpoint, failed_file_key
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import (
    Continue,
    Done,
    Fail,
    JobType,
    Snooze,
    StepInput,
    StepResult,
)
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.step_context import TableContext
from jobyard.jobtypes.sweep import failed_records
from jobyard.jobtypes.sweep.steps import sweep
from jobyard.jobtypes.sweep.table import PAGE_SIZE
from jobyard.store import checkpoints, tables
from tests.call_interceptor import Answer, Call, CallInterceptor, Listener
from tests.faults.aws_semantics import Conflicting, Throttling
from tests.in_process_emulator import ENDPOINT, InProcessEmulator

pytestmark = pytest.mark.emulator

SWEEP: JobType[TableContext] = TYPES["sweep"]
NOON = datetime(2026, 11, 25, 20, tzinfo=UTC)
PARAMETERS: dict[str, Any] = {
    "table": "members",
    "index": "by_expiry",
    "key": ["member_id"],
    "partition": {"name": "status", "value": "confidential"},
    "due": {"name": "expires_on", "format": "date"},
    "change": {"set": {"status": "expired"}, "remove": ["case"]},
    "unless": {"legal_hold": True},
}
_jobs = count(1)


@pytest.fixture(scope="module")
def binding(in_process_emulator: InProcessEmulator, credentials: None) -> dict[str, dict[str, Any]]:
    """The store bound to the emulator, with a table for checkpoints."""
    before = tests.tables.binding()
    names = {noun: f"sweeps-{noun}" for noun in tables.MODELS}
    tables.bind(names, region=clients.REGION, host=ENDPOINT)
    tables.CheckpointItem.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    mine = tests.tables.binding()
    tests.tables.rebind(before)
    return mine


@dataclass
class Members:
    """The table of a sweep, its records, and the calls to it."""

    client: Any
    interceptor: CallInterceptor
    context: TableContext
    names: dict[str, str] = field(default_factory=dict)

    def put(self, number: int, due: Mapping[str, str] | None = None, **more: Any) -> str:
        """Put a member, due unless `due` is another day. Returns its id."""
        return self.put_many([(number, due or {"S": "2026-11-01"}, more)])[0]

    def put_due(self, number: int, first: int = 0) -> list[str]:
        """Put so many due members on different days. Returns their ids."""
        days = [date(2026, 1, 1) + timedelta(days=each % 300) for each in range(number)]
        return self.put_many(
            [(first + each, {"S": day.isoformat()}, {}) for each, day in enumerate(days)]
        )

    def put_many(self, wanted: list[tuple[int, Mapping[str, str], Mapping[str, Any]]]) -> list[str]:
        items = [
            {
                "member_id": {"S": f"M{number:05}"},
                "status": {"S": "confidential"},
                "expires_on": dict(due),
                "case": {"S": "17"},
                **more,
            }
            for number, due, more in wanted
        ]
        with self.interceptor.muted():
            for at in range(0, len(items), 25):
                puts = [{"PutRequest": {"Item": each}} for each in items[at : at + 25]]
                self.client.batch_write_item(RequestItems={"members": puts})
        return [each["member_id"]["S"] for each in items]

    def change(self, member_id: str, **attributes: Any) -> None:
        """Someone else changes a member."""
        with self.interceptor.muted():
            self.client.update_item(
                TableName="members",
                Key={"member_id": {"S": member_id}},
                AttributeUpdates={name: {"Value": value} for name, value in attributes.items()},
            )

    def delete(self, member_id: str) -> None:
        """Someone else removes a member."""
        with self.interceptor.muted():
            self.client.delete_item(TableName="members", Key={"member_id": {"S": member_id}})

    def all(self) -> dict[str, dict[str, Any]]:
        with self.interceptor.muted():
            pages = self.client.get_paginator("scan").paginate(TableName="members")
            return {each["member_id"]["S"]: each for page in pages for each in page["Items"]}

    def expired(self) -> set[str]:
        """The ids of the members that a sweep has changed."""
        return {
            name
            for name, each in self.all().items()
            if each["status"] == {"S": "expired"} and "case" not in each
        }


@pytest.fixture(scope="module")
def interceptor(binding: dict[str, dict[str, Any]]) -> CallInterceptor:
    """The interceptor of the steps' client."""
    interceptor = CallInterceptor()
    with tests.tables.borrowed(binding):
        interceptor.attach(tables.client())
    return interceptor


@pytest.fixture
def members(binding: dict[str, dict[str, Any]], interceptor: CallInterceptor) -> Iterator[Members]:
    """An empty table, and a step context with enough time."""
    with tests.tables.borrowed(binding):
        raw = clients.client("dynamodb", ENDPOINT)
        _make(raw, "S")
        context = TableContext(
            now=lambda: NOON,
            remaining=lambda: 600.0,
            dynamodb=tables.client(),
            sweep_tables=("members", voters.TABLE),
            checkpoints=checkpoints,
            s3=clients.client("s3", ENDPOINT),
            work_bucket="sweeps-work",
        )
        context.s3.create_bucket(Bucket="sweeps-work")
        yield Members(raw, interceptor, context)
        raw.delete_table(TableName="members")


def _make(client: Any, due: str, key: tuple[str, ...] = ("member_id",)) -> None:
    kinds = {**dict.fromkeys(key, "S"), "status": "S", "expires_on": due}
    client.create_table(
        TableName="members",
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": kind} for name, kind in kinds.items()
        ],
        KeySchema=_schema(key),
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_expiry",
                "KeySchema": _schema(("status", "expires_on")),
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )


def _schema(names: tuple[str, ...]) -> list[dict[str, str]]:
    return [
        {"AttributeName": name, "KeyType": kind}
        for name, kind in zip(names, ("HASH", "RANGE"), strict=False)
    ]


def a_job(at: datetime = NOON, **changes: Any) -> StepInput:
    """A job of a schedule, with its occurrence at `at`; a parameter None is removed."""
    parameters = {name: value for name, value in (PARAMETERS | changes).items() if value}
    entry = {"scheduled_for": at.strftime("%Y-%m-%dT%H:%M:%SZ")}
    return StepInput("", f"s1.0.{next(_jobs)}", "", entry, parameters, {}, attempt=1)


def run(step_input: StepInput, context: TableContext) -> StepResult:
    """One attempt, without pauses."""
    return sweep(step_input, context, pause=lambda _: None)


def counts(outcome: StepResult) -> tuple[int, int, int | None]:
    """Processed, failed and total."""
    assert isinstance(outcome, Done | Fail)
    records = outcome.result["records"]
    return records["processed"], records["failed"], records["total"]


# Changes


def test_what_is_due_is_changed_and_counted_and_nothing_else(members: Members) -> None:
    due = members.put_due(2 * PAGE_SIZE + 7)
    members.put(90000, {"S": "2026-11-26"})
    members.put(90001, {"S": "2020-01-01"}, status={"S": "public"})
    today = members.put(90002, {"S": "2026-11-25"})
    before = members.all()

    step_input = a_job()
    outcome = SWEEP.steps[0][1](step_input, members.context)

    assert isinstance(outcome, Done)
    assert outcome.result == {"records": {"processed": 206, "failed": 0, "total": 206}}
    assert members.expired() == {*due, today}
    untouched = {"M90000", "M90001"}
    assert {name: members.all()[name] for name in untouched} == {
        name: before[name] for name in untouched
    }
    assert checkpoints.get(step_input.job_id).counts == outcome.result["records"]


@pytest.mark.parametrize("number", [0, 1, PAGE_SIZE, 2 * PAGE_SIZE])
def test_a_sweep_ends_however_its_records_fit_its_pages(members: Members, number: int) -> None:
    members.put_due(number)

    assert counts(run(a_job(), members.context)) == (number, 0, number)


def test_a_sweep_uses_its_scheduled_time_however_late_it_runs(members: Members) -> None:
    members.put(1, {"S": "2026-11-20"})
    members.put(2, {"S": "2026-11-25"})

    outcome = run(a_job(at=NOON - timedelta(days=3)), members.context)

    assert counts(outcome) == (1, 0, 1)
    assert members.expired() == {"M00001"}


@pytest.mark.parametrize(
    ("form", "kind", "due", "later"),
    [
        ("instant", "S", "2026-11-25T20:00:00Z", "2026-11-25T20:00:01Z"),
        ("epoch", "N", "1795636800", "1795636801"),
    ],
)
def test_moments_are_texts_or_numbers(
    members: Members, form: str, kind: str, due: str, later: str
) -> None:
    members.client.delete_table(TableName="members")
    _make(members.client, kind)
    members.put(1, {kind: due})
    members.put(2, {kind: later})

    outcome = run(a_job(due={"name": "expires_on", "format": form}), members.context)

    assert counts(outcome) == (1, 0, 1)
    assert members.expired() == {"M00001"}


def test_a_tables_key_may_have_two_attributes(members: Members) -> None:
    members.client.delete_table(TableName="members")
    _make(members.client, "S", ("county", "member_id"))
    for county in ("C01", "C02"):
        members.put(1, county={"S": county})
    members.put(2, county={"S": "C01"}, legal_hold={"BOOL": True})

    outcome = run(a_job(key=["county", "member_id"]), members.context)

    assert counts(outcome) == (2, 1, 3)
    assert isinstance(outcome, Fail)
    assert outcome.message.endswith("legal_hold is true: C01/M00002")


def test_five_thousand_voters_are_swept_and_the_due_are_expired(members: Members) -> None:
    due = voters.fill_table(members.client, NOON)
    parameters = json.loads((ROOT / "examples/voters/sweep.json").read_text())

    outcome = run(replace(a_job(), parameters=parameters), members.context)

    assert counts(outcome) == (due, 0, due)
    found = members.client.query(
        TableName=voters.TABLE,
        IndexName=voters.INDEX,
        KeyConditionExpression="confidential_status = :expired",
        ExpressionAttributeValues={":expired": {"S": "expired"}},
        Select="COUNT",
    )
    assert found["Count"] == due


# Records that fail


def test_what_cannot_be_changed_is_counted_once_and_listed(members: Members) -> None:
    due = members.put_due(PAGE_SIZE + 3)
    members.put(90001, {"S": "1/2/2020"})
    members.put(90002, legal_hold={"BOOL": True})
    members.put(90003, legal_hold={"BOOL": False})

    outcome = run(a_job(), members.context)

    assert isinstance(outcome, Fail)
    assert (outcome.code, outcome.retryable) == (Failure.RECORDS_FAILED, False)
    assert counts(outcome) == (PAGE_SIZE + 4, 2, PAGE_SIZE + 6)
    assert outcome.message == (
        "2 of 105 records could not be changed. "
        "expires_on is not a date like 2026-11-25: M90001; legal_hold is true: M90002"
    )
    assert members.expired() == {*due, "M90003"}


def test_of_many_failures_the_first_ten_are_listed(members: Members) -> None:
    for number in range(12):
        members.put(number, legal_hold={"BOOL": True})

    outcome = run(a_job(), members.context)

    assert isinstance(outcome, Fail)
    assert counts(outcome) == (0, 12, 12)
    assert outcome.message.count("M0") == 10
    assert outcome.message.endswith(" and more")


def test_a_record_that_would_grow_too_large_fails_alone(members: Members) -> None:
    members.put_due(3)
    members.put(7, page={"S": "x" * 409_500})
    change = {"set": {"status": "expired", "why": "y" * 100}}

    outcome = run(a_job(change=change), members.context)

    assert counts(outcome) == (3, 1, 4)
    assert isinstance(outcome, Fail)
    assert "M00007" in outcome.message


def test_a_requeued_sweep_tries_what_failed_and_counts_nothing_twice(members: Members) -> None:
    members.put_due(PAGE_SIZE + 3)
    for number in (90001, 90002):
        members.put(number, legal_hold={"BOOL": True})
    step_input = a_job()
    assert counts(run(step_input, members.context)) == (PAGE_SIZE + 3, 2, PAGE_SIZE + 5)
    members.change("M90001", legal_hold={"BOOL": False})

    again = run(step_input, members.context)

    assert counts(again) == (PAGE_SIZE + 4, 1, PAGE_SIZE + 5)
    members.change("M90002", legal_hold={"BOOL": False})
    assert counts(run(step_input, members.context)) == (PAGE_SIZE + 5, 0, PAGE_SIZE + 5)
    assert counts(run(step_input, members.context)) == (PAGE_SIZE + 5, 0, PAGE_SIZE + 5)


# Concurrent changes


class Meanwhile(Listener):
    """Does something right before the first transaction."""

    def __init__(self, interceptor: CallInterceptor, happens: Callable[[], Any]) -> None:
        self._interceptor, self._happens = interceptor, happens
        self.hits = 0

    def before(self, call: Call) -> Answer | None:
        if call.operation == "TransactWriteItems" and not self.hits:
            self.hits += 1
            with self._interceptor.muted():
                self._happens()
        return None


def test_a_record_changed_meanwhile_is_evaluated_again(members: Members) -> None:
    members.put_due(20)

    def happens() -> None:
        members.change("M00001", expires_on={"S": "2027-01-01"})  # is no longer due
        members.delete("M00002")
        members.change("M00003", legal_hold={"BOOL": True})
        members.change("M00004", expires_on={"S": "2025-01-01"})  # is still due
        members.change("M00005", status={"S": "public"})
        members.change("M00006", expires_on={"S": "1/2/2020"})
        members.change("M00007", case={"S": "18"})  # of no effect

    with members.interceptor.listening(Meanwhile(members.interceptor, happens)):
        outcome = run(a_job(), members.context)

    assert counts(outcome) == (15, 2, 17)
    assert members.expired() == {
        f"M{number:05}" for number in range(20) if number not in {1, 2, 3, 5, 6}
    }
    assert "M00002" not in members.all()


def test_two_workers_that_meet_count_no_record_twice(members: Members) -> None:
    due = members.put_due(3 * PAGE_SIZE)
    step_input = a_job()
    second: list[StepResult] = []
    meeting = Meanwhile(
        members.interceptor, lambda: second.append(run(step_input, members.context))
    )

    with members.interceptor.listening(meeting):
        first = run(step_input, members.context)

    assert meeting.hits == 1
    assert counts(first) == counts(second[0]) == (len(due), 0, len(due))
    assert members.expired() == set(due)


def test_two_workers_at_once_count_no_record_twice(members: Members) -> None:
    due = members.put_due(5 * PAGE_SIZE)
    held = members.put(90001, legal_hold={"BOOL": True})
    step_input, start = a_job(), Barrier(2)

    def worker() -> StepResult:
        start.wait()
        return run(step_input, members.context)

    with ThreadPoolExecutor(2) as pool:
        outcomes = [future.result() for future in [pool.submit(worker) for _ in range(2)]]

    assert [counts(each) for each in outcomes] == [(len(due), 1, len(due) + 1)] * 2
    assert members.expired() == set(due)
    assert held in members.all()


def test_sweeps_of_two_jobs_share_what_is_due_between_them(members: Members) -> None:
    due = members.put_due(2 * PAGE_SIZE)
    second: list[StepResult] = []
    meeting = Meanwhile(members.interceptor, lambda: second.append(run(a_job(), members.context)))

    with members.interceptor.listening(meeting):
        first = run(a_job(), members.context)

    assert counts(first)[0] + counts(second[0])[0] == len(due)


# Stops and faults


class Died(BaseException):
    """The worker died."""


class FailAt(Listener):
    """Fails at the `number`th call from 1: before it is made, or before its answer arrives."""

    def __init__(self, number: int, when: str, fail: Callable[[], None]) -> None:
        self._number, self._when, self._fail = number, when, fail
        self.calls: list[Call] = []

    def before(self, call: Call) -> Answer | None:
        self.calls.append(call)
        if self._when == "before" and len(self.calls) == self._number:
            self._fail()
        return None

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if self._when == "after" and len(self.calls) == self._number:
            self._fail()


def _die() -> None:
    raise Died


def _lose() -> None:
    raise ReadTimeoutError(endpoint_url="https://dynamodb.example.org")


CALLS = 7  # of a sweep of two pages, the second of which is not full, with one that fails


def _two_pages(members: Members) -> int:
    members.put(90001, legal_hold={"BOOL": True})
    return len(members.put_due(PAGE_SIZE + 2))


def test_a_sweep_of_two_pages_makes_so_many_calls(members: Members) -> None:
    _two_pages(members)

    with members.interceptor.listening(listener := FailAt(0, "", _die)):
        run(a_job(), members.context)

    assert [call.operation for call in listener.calls] == [
        "GetItem",
        "Query",
        "TransactWriteItems",
        "Query",
        "TransactWriteItems",
        "BatchGetItem",
        "TransactWriteItems",
    ]
    assert len(listener.calls) == CALLS


@pytest.mark.turns(4)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, CALLS + 1))
def test_after_a_worker_dies_at_any_call_the_next_one_continues(
    members: Members, number: int, when: str
) -> None:
    due, step_input = _two_pages(members), a_job()
    with members.interceptor.listening(FailAt(number, when, _die)), pytest.raises(Died):
        run(step_input, members.context)
    left = checkpoints.get(step_input.job_id)
    assert left.processed == len(members.expired())

    outcome = run(step_input, members.context)

    assert counts(outcome) == (due, 1, due + 1)
    assert len(members.expired()) == due
    assert checkpoints.get(step_input.job_id).version > left.version


@pytest.mark.turns(4)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(2, CALLS + 1))
def test_an_answer_that_is_lost_is_asked_for_again_and_counts_nothing_twice(
    members: Members, number: int, when: str
) -> None:
    due = _two_pages(members)

    with members.interceptor.listening(FailAt(number, when, _lose)):
        outcome = run(a_job(), members.context)

    assert counts(outcome) == (due, 1, due + 1)
    assert len(members.expired()) == due


@pytest.mark.parametrize("profile", [Conflicting, Throttling])
def test_conflicts_and_throttling_are_retried(
    members: Members, profile: Callable[[], Conflicting | Throttling]
) -> None:
    due = members.put_due(4 * PAGE_SIZE)

    with members.interceptor.listening(listener := profile()):
        outcome = run(a_job(), members.context)

    assert listener.hits
    assert counts(outcome) == (len(due), 0, len(due))


class Refusing(Listener):
    """From the `number`th call of an operation on, all calls are refused with a code."""

    def __init__(self, operation: str, code: str, number: int = 1) -> None:
        self._operation, self._code, self._left = operation, code, number

    def before(self, call: Call) -> Answer | None:
        if call.operation != self._operation:
            return None
        self._left -= 1
        return Answer.error(400, self._code, "no") if self._left <= 0 else None


def test_the_index_may_have_its_attributes_from_the_table_s_own_key(members: Members) -> None:
    members.client.delete_table(TableName="members")
    _make(members.client, "S", key=("status", "member_id"))
    members.put_due(3)

    outcome = run(
        a_job(key=["status", "member_id"], change={"remove": ["expires_on"]}, unless=None),
        members.context,
    )

    assert counts(outcome) == (3, 0, 3)
    assert all("expires_on" not in each for each in members.all().values())


@pytest.mark.parametrize("operation", ["Query", "TransactWriteItems"])
def test_a_table_that_stays_busy_is_tried_again_later(members: Members, operation: str) -> None:
    members.put_due(2 * PAGE_SIZE)
    busy = Refusing(operation, "ProvisionedThroughputExceededException")

    with members.interceptor.listening(busy):
        outcome = run(a_job(), members.context)

    assert isinstance(outcome, Fail)
    assert (outcome.code, outcome.retryable) == (Failure.TABLE_BUSY, True)
    assert counts(outcome) == (0, 0, None)  # the number is unknown


def test_throttling_does_not_count_against_a_sweep_with_progress(
    members: Members,
) -> None:
    members.put_due(2 * PAGE_SIZE)
    step_input = a_job()

    with members.interceptor.listening(Refusing("TransactWriteItems", "ThrottlingException", 2)):
        outcome = run(step_input, members.context)

    assert isinstance(outcome, Continue)
    assert outcome.seconds > 0
    assert counts(run(step_input, members.context)) == (2 * PAGE_SIZE, 0, 2 * PAGE_SIZE)


class Unprocessed(Listener):
    """BatchGetItem returns nothing, so many times."""

    def __init__(self, times: int) -> None:
        self._left = times

    def before(self, call: Call) -> Answer | None:
        if call.operation != "BatchGetItem" or not self._left:
            return None
        self._left -= 1
        requested = call.parameters["RequestItems"]
        return Answer.success({"Responses": {}, "UnprocessedKeys": requested})


@pytest.mark.parametrize(("times", "failed"), [(3, Failure.RECORDS_FAILED), (99, "TABLE_BUSY")])
def test_unprocessed_keys_of_a_read_are_requested_again(
    members: Members, times: int, failed: str
) -> None:
    members.put(1, legal_hold={"BOOL": True})

    with members.interceptor.listening(Unprocessed(times)):
        outcome = run(a_job(), members.context)

    assert isinstance(outcome, Fail)
    assert outcome.code == failed


def test_a_sweep_longer_than_its_workers_time_continues_in_the_next(members: Members) -> None:
    due, step_input = members.put_due(4 * PAGE_SIZE + 1), a_job()
    went_through = []
    for _ in range(20):
        times = iter((600.0, 10.0))  # for one page
        outcome = run(step_input, replace(members.context, remaining=lambda: next(times)))  # noqa: B023
        if not isinstance(outcome, Continue):
            break
        went_through.append(outcome.message)

    assert counts(outcome) == (len(due), 0, len(due))
    assert went_through == [
        f"went through {number} records so far" for number in (99, 198, 297, 396)
    ]


def test_a_worker_without_time_has_done_nothing(members: Members) -> None:
    members.put_due(3)
    step_input = a_job()

    outcome = run(step_input, replace(members.context, remaining=lambda: 3.0))

    assert isinstance(outcome, Snooze)
    assert checkpoints.get(step_input.job_id) == Checkpoint(step_input.job_id)


# Refusals


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"table": "people"}, Failure.TABLE_NOT_ALLOWED, "may change: members, voters"),
        ({"table": "sweeps-checkpoints"}, Failure.TABLE_NOT_ALLOWED, "sweeps may not change"),
        ({"index": "by_name"}, Failure.BAD_PARAMETERS, "by_name"),
        ({"key": ["id"]}, Failure.BAD_PARAMETERS, "the key of members is not id"),
        ({"change": None}, Failure.BAD_PARAMETERS, "change"),
    ],
)
def test_an_invalid_sweep_is_refused_with_a_message(
    members: Members, changes: dict[str, Any], code: Failure, words: str
) -> None:
    members.put(1)

    outcome = run(a_job(**changes), members.context)

    assert isinstance(outcome, Fail)
    assert (outcome.code, outcome.retryable) == (code, False)
    assert words in outcome.message
    assert not members.expired()


def test_a_listed_table_that_is_missing_has_its_own_code(members: Members) -> None:
    context = replace(members.context, sweep_tables=("gone",))

    outcome = run(a_job(table="gone"), context)

    assert isinstance(outcome, Fail)
    assert outcome.code is Failure.BAD_PARAMETERS
    assert outcome.message == "there is no table gone with an index by_expiry"


def test_a_table_without_permission_is_reported_as_such(members: Members) -> None:
    with members.interceptor.listening(Refusing("Query", "AccessDeniedException")):
        outcome = run(a_job(), members.context)

    assert isinstance(outcome, Fail)
    assert outcome.code is Failure.TABLE_NOT_ALLOWED


def test_only_a_schedule_starts_a_sweep(members: Members) -> None:
    members.put(1)
    of_a_manifest = replace(a_job(), batch_id="b1", entry={"url": "https://example.org/a"})

    outcome = run(of_a_manifest, members.context)

    assert isinstance(outcome, Fail)
    assert outcome.code is Failure.BAD_PARAMETERS
    assert not members.expired()


# All failed records, in a file


def failed_in_file(
    job: StepInput, outcome: StepResult, context: TableContext
) -> list[dict[str, str]]:
    """The records in the file of a sweep that failed."""
    assert isinstance(outcome, Fail)
    found = outcome.result["failed_records"]
    key = failed_file_key(job.job_id, found["number"])
    answer = context.s3.get_object(Bucket=context.work_bucket, Key=key)
    lines = answer["Body"].read().splitlines()
    assert len(lines) == found["records"]
    return [json.loads(line) for line in lines]


def test_all_failed_records_are_in_a_file(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_records, "RECORD_PART_BYTES", 2000)
    held = {"legal_hold": {"BOOL": True}}
    names = members.put_many(
        [(number, {"S": "2026-11-01"}, held if number % 3 else {}) for number in range(300)]
    )

    job = a_job()
    outcome = run(job, members.context)

    found = failed_in_file(job, outcome, members.context)
    assert [each["key"] for each in found] == [n for at, n in enumerate(names) if at % 3]
    assert {each["reason"] for each in found} == {"legal_hold is true"}
    assert counts(outcome) == (100, 200, 300)


def test_the_file_of_a_requeued_sweep_has_what_failed_again(members: Members) -> None:
    held = {"legal_hold": {"BOOL": True}}
    first, second = members.put(1, **held), members.put(2, **held)
    job = a_job()
    before = run(job, members.context)
    assert isinstance(before, Fail)

    members.change(first, legal_hold={"BOOL": False})
    again = run(replace(job, data=before.result), members.context)
    members.change(second, legal_hold={"BOOL": False})
    assert isinstance(again, Fail)
    done = run(replace(job, data=again.result), members.context)

    assert [each["key"] for each in failed_in_file(job, before, members.context)] == [first, second]
    assert [each["key"] for each in failed_in_file(job, again, members.context)] == [second]
    assert isinstance(done, Done)
    assert done.result["failed_records"] is None


def test_a_sweep_without_failures_writes_no_file(members: Members) -> None:
    members.put_due(3)

    outcome = run(a_job(), members.context)

    assert isinstance(outcome, Done)
    assert "failed_records" not in outcome.result


def test_a_file_is_bounded_and_the_rest_is_counted(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_records, "RECORD_PART_BYTES", 100)
    monkeypatch.setattr(failed_records, "MAX_PARTS", 1)
    held = {"legal_hold": {"BOOL": True}}
    members.put_many([(number, {"S": "2026-11-01"}, held) for number in range(150)])

    job = a_job()
    outcome = run(job, members.context)

    assert len(failed_in_file(job, outcome, members.context)) == PAGE_SIZE
    assert counts(outcome) == (0, 150, 150)


class Killing(Listener):
    """Kills the worker at a call: before it is sent, or after it was carried out."""

    def __init__(self, number: int, *, is_sent: bool) -> None:
        self.left, self.is_sent = number, is_sent

    def before(self, call: Call) -> Answer | None:
        self.left -= 1
        if self.left < 0 and not self.is_sent:
            raise KeyboardInterrupt
        return None

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if self.left < 0 and self.is_sent:
            raise KeyboardInterrupt


@pytest.mark.turns(4)
@pytest.mark.parametrize("is_sent", [False, True])
@pytest.mark.parametrize("number", range(4))
def test_the_file_has_what_is_counted_whenever_a_worker_dies(
    members: Members, number: int, is_sent: bool
) -> None:
    held = {"legal_hold": {"BOOL": True}}
    names = members.put_many(
        [(each, {"S": "2026-11-01"}, held if each % 2 else {}) for each in range(210)]
    )
    job = a_job()
    killing = Killing(number, is_sent=is_sent)
    with members.interceptor.listening(killing), pytest.raises(KeyboardInterrupt):
        run(job, members.context)

    outcome = run(job, members.context)

    assert isinstance(outcome, Fail)
    found = [each["key"] for each in failed_in_file(job, outcome, members.context)]
    assert found == names[1::2]
    assert counts(outcome) == (105, 105, 210)
