"""The meter counts the calls of clients, and adds them to their batch."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from cli.local import clients
from jobyard.domain.campaigns.claim import Claim
from jobyard.domain.cost import Usage
from jobyard.domain.jobs.job import JOB, JobAddress, new_job
from jobyard.domain.lifecycle import Cause
from jobyard.domain.rates import JobTotals
from jobyard.services.meter import Meter, units_of
from jobyard.services.rates import sample_rates
from jobyard.store import claims, jobs, rates, tables, transactions, usage
from jobyard.store.key_values import get_or_create_secret

pytestmark = pytest.mark.emulator
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def s3(store_endpoint: str) -> Any:
    client = clients.client("s3", store_endpoint)
    client.create_bucket(Bucket="metered")
    return client


@pytest.fixture
def meter(s3: Any) -> Meter:
    get_or_create_secret("warm", "the store's client is there")
    return Meter([s3])


def test_an_invocation_is_added_to_its_batch(meter: Meter, s3: Any) -> None:
    with meter.invocation("open", 512) as invocation:
        invocation.origin_id, invocation.transitions = "b-metered", 3
        s3.put_object(Bucket="metered", Key="a", Body=b"12345")
        s3.get_object(Bucket="metered", Key="a")
        s3.head_object(Bucket="metered", Key="a")
        s3.list_objects_v2(Bucket="metered")
        s3.delete_object(Bucket="metered", Key="a")

    used = usage.of_origin("b-metered")
    assert invocation.metering_error == ""
    assert (used.s3_writes, used.s3_reads, used.bytes_stored) == (2, 2, 5)
    assert (used.transitions, used.invocations, used.write_units) == (3, 1, 2)
    assert used.ms > 0
    assert used.mb_ms == used.ms * 512


def test_invocations_of_all_parts_add_up_and_count_from_zero(meter: Meter, s3: Any) -> None:
    for part in ("open", "open", "report"):
        with meter.invocation(part, 128) as invocation:
            invocation.origin_id = "b-added"
            s3.put_object(Bucket="metered", Key="a", Body=b"1")

    used = usage.of_origin("b-added")
    assert (used.invocations, used.s3_writes) == (3, 3)


def test_what_origins_use_adds_up_for_the_deployment_and_its_months(meter: Meter, s3: Any) -> None:
    def put(origin_id: str, times: int) -> None:
        for _ in range(times):
            with meter.invocation("open", 128) as invocation:
                invocation.origin_id = origin_id
                invocation.jobs = lambda: JobTotals(started=2, ended=1)
                s3.put_object(Bucket="metered", Key="a", Body=b"1")

    before = rates.totals().now
    sample_rates(1, NOON - timedelta(days=1))
    put("b-may", 2)
    put("s-may", 1)
    sample_rates(2, NOON)
    december = NOON + timedelta(days=1)
    put("b-may", 1)
    sample_rates(3, december)

    now = rates.totals().now
    assert now.jobs.since(before.jobs) == JobTotals(started=8, ended=4)
    assert now.usage.s3_writes == before.usage.s3_writes + 4
    assert rates.usage_of_month(december).s3_writes == 1
    assert rates.usage_of_month(december + timedelta(days=40)) == Usage()


def test_writes_are_counted_as_dynamodb_reports_them(meter: Meter) -> None:
    with meter.invocation("open", 128) as invocation:
        invocation.origin_id = "b-written"
        tables.KeyValueItem(id="small", content="x").save()
        tables.KeyValueItem(id="large", content="x" * 1500).save()
        tables.KeyValueItem.get("small", consistent_read=True)

    used = usage.of_origin("b-written")
    assert used.write_units == 1 + 2 + 2  # the two, and the bill's own
    assert used.read_units > 0


def test_every_call_that_reads_or_writes_many_items_asks_for_its_units(meter: Meter) -> None:
    asked: list[str | None] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        asked.append(params.get("ReturnConsumedCapacity"))

    events = tables.client().meta.events
    job = new_job(JobAddress("c" + "u" * 20, 0, 0), NOON)
    claim = Claim("gw-1", job.address, 1, 1, NOON)
    started = job.moved(JOB.move(job.state, "start", NOON, Cause("main")))
    for name in ("BatchGetItem", "BatchExecuteStatement", "TransactWriteItems"):
        events.register(f"before-parameter-build.dynamodb.{name}", note)
    try:
        claims.of_targets(["gw-1"])
        claims.take([(None, claim)])
        jobs.write_many([(None, started)])
        transactions.write([transactions.put(jobs.item_of(replace(started, version=2)), 1)])
    finally:
        for name in ("BatchGetItem", "BatchExecuteStatement", "TransactWriteItems"):
            events.unregister(f"before-parameter-build.dynamodb.{name}", note)

    assert asked == ["TOTAL"] * 4


def test_a_failed_invocation_is_billed_too(meter: Meter, s3: Any) -> None:
    def run() -> None:
        with meter.invocation("report", 128) as invocation:
            invocation.origin_id = "b-failed"
            s3.put_object(Bucket="metered", Key="a", Body=b"1")
            raise ConnectionError("the worker is cut off")

    with pytest.raises(ConnectionError):
        run()

    assert usage.of_origin("b-failed").s3_writes == 1


def test_the_first_invocation_of_a_process_pays_for_its_start(s3: Any) -> None:
    seconds = iter([10.0, 10.5, 20.0, 20.5])
    meter = Meter([s3], clock=lambda: next(seconds), cpu=lambda: 0.25)
    for batch_id in ("b-cold", "b-warm"):
        with meter.invocation("open", 100) as invocation:
            invocation.origin_id = batch_id

    assert (usage.of_origin("b-cold").ms, usage.of_origin("b-cold").mb_ms) == (750, 75_000)
    assert usage.of_origin("b-warm").ms == 500


def test_usage_of_no_batch_is_not_recorded(meter: Meter) -> None:
    before = sum(1 for _ in tables.UsageItem.scan())
    with meter.invocation("open", 128):
        pass

    assert sum(1 for _ in tables.UsageItem.scan()) == before


def test_a_workers_threads_are_counted_together(meter: Meter, s3: Any) -> None:
    def put() -> None:
        for _ in range(10):
            s3.put_object(Bucket="metered", Key="t", Body=b"1")

    with meter.invocation("chunk-0", 128) as invocation:
        invocation.origin_id = "b-threads"
        threads = [threading.Thread(target=put) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert usage.of_origin("b-threads").s3_writes == 40


def test_usage_that_cannot_be_written_fails_nothing(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables.UsageItem.Meta, "table_name", "no-such-table")
    monkeypatch.setattr(tables.UsageItem, "_connection", None)
    with meter.invocation("open", 128) as invocation:
        invocation.origin_id = "b-unwritten"

    assert "no-such-table" in invocation.metering_error


DUPLICATE = [{"Error": {"Code": "DuplicateItem"}}]
REFUSED = {"Error": {"Code": "ConditionalCheckFailedException"}}


@pytest.mark.parametrize(
    ("answer", "units"),
    [
        ({"ConsumedCapacity": {"CapacityUnits": 4.0}}, 4.0),
        ({"ConsumedCapacity": [{"CapacityUnits": 2.0}, {"CapacityUnits": 1.0}]}, 3.0),
        (REFUSED, 1.0),
        ({**REFUSED, "CancellationReasons": [{}, {}, {}]}, 6.0),
        ({"Error": {"Code": "ThrottlingException"}}, 0.0),
        # AWS reports no capacity when every statement of a batch was refused, and charges for each.
        ({"Responses": [{"Error": {"Code": "ConditionalCheckFailed"}}] * 3}, 3.0),
        ({"Responses": [{"Error": {"Code": "ThrottlingError"}}, *DUPLICATE]}, 1.0),
    ],
)
def test_a_refused_write_is_charged_though_not_reported(
    answer: dict[str, Any], units: float
) -> None:
    assert units_of(answer, writes=True) == units


def test_the_usage_of_an_unknown_batch_is_nothing(store_endpoint: str) -> None:
    assert usage.of_origin("b-unknown") == Usage()


def test_a_mail_is_billed_by_recipient_and_a_refused_one_not(store_endpoint: str) -> None:
    ses = clients.client("sesv2", store_endpoint)
    ses.create_email_identity(EmailIdentity="metered@example.org")
    meter = Meter([ses])
    content = {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}}
    with meter.invocation("report", 128) as invocation:
        invocation.origin_id = "b-mailed"
        ses.send_email(
            FromEmailAddress="metered@example.org",
            Destination={"ToAddresses": ["a@example.org", "b@example.org"]},
            Content=content,
        )
        ses.meta.events.register("before-call.sesv2.SendEmail", _too_many)
        with pytest.raises(ses.exceptions.TooManyRequestsException):
            ses.send_email(
                FromEmailAddress="metered@example.org",
                Destination={"ToAddresses": ["a@example.org"]},
                Content=content,
            )

    assert usage.of_origin("b-mailed").mails == 2


def _too_many(**_: Any) -> Any:
    return AWSResponse("", 429, {}, None), {"Error": {"Code": "TooManyRequestsException"}}
