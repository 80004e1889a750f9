"""What ended long ago is archived completely, and only then removed from the tables."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobyard.domain.archive import Inventory, Phase
from jobyard.domain.batches.batch import BatchState
from jobyard.domain.batches.operation import Filter, OperationState
from jobyard.domain.batches.report import Delivery, DeliveryState
from jobyard.domain.errors import Gone, NotFound, StaleState
from jobyard.domain.ids import system_schedule_id
from jobyard.domain.jobs.job import JobState
from jobyard.domain.jobs.job_type import Continue, Done, Fail, Snooze, StepInput, StepResult
from jobyard.domain.schedules.occurrence import Verdict
from jobyard.domain.schedules.schedule import ScheduleState
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.retention import RETENTION
from jobyard.services.batches import operations as batch_operations
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.queries.batches import batch, list_batches
from jobyard.services.queries.jobs import job
from jobyard.services.retention import schedules as schedule_retention
from jobyard.services.schedules.commands import make_system_schedules
from jobyard.services.schedules.job_origin import schedule_origin
from jobyard.store import (
    batches,
    chunks,
    jobs,
    occurrences,
    operations,
    reports,
    schedules,
    tables,
    usage,
)
from jobyard.store.schedules import ScheduleWrites
from tests.archived_fixtures import (
    MAY,
    batch_of,
    put_batch,
    put_occurrences,
    reset_retention,
    schedule_of,
)
from tests.call_interceptor import Answer, Call, Listener
from tests.harness import ADMIN, DEPOSITOR, Harness, Payloads, single_files

pytestmark = pytest.mark.emulator

THREE = {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}
OLD = timedelta(days=91)
_numbers = iter(range(1_000_000))


@pytest.fixture(autouse=True)
def years(harness: Harness) -> Harness:
    """A harness without other tests' batches, some of which are newer than its November."""
    reset_retention(harness)
    return harness


def retain(
    harness: Harness, job_id: str = "", remaining: Callable[[], float] | None = None
) -> StepResult:
    """Run a retention job to its end, in as many attempts as it needs."""
    job_id = job_id or f"retention-{next(_numbers)}.0.1"
    step_input = StepInput("", job_id, "", {}, {}, {}, attempt=1)
    context = harness.system_worker().step_context(RETENTION)
    context = replace(context, remaining=remaining or (lambda: 600.0))
    (_, step), *_ = RETENTION.steps
    outcome = step(step_input, context)
    while isinstance(outcome, Snooze | Continue):
        outcome = step(step_input, context)
    return outcome


def objects(harness: Harness, bucket: str, prefix: str) -> dict[str, bytes]:
    """The objects under a prefix, by the rest of their keys, unpacked."""
    found = {}
    for each in harness.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ()):
        body = harness.s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
        name = each["Key"].removeprefix(prefix)
        found[name] = gzip.decompress(body) if name.endswith(".gz") else body
    return found


def versions(harness: Harness, batch_id: str) -> list[str]:
    """All versions of a batch's objects in the work bucket."""
    return [
        each["Key"]
        for kind in ("work", "reports", "operations")
        for page in harness.s3.get_paginator("list_object_versions").paginate(
            Bucket="work", Prefix=f"{kind}/{batch_id}/"
        )
        for which in ("Versions", "DeleteMarkers")
        for each in page.get(which, ())
    ]


def records(harness: Harness, batch_id: str) -> Iterator[Any]:
    """What the tables have of a batch without the batch itself."""
    yield from chunks.of_batch(batch_id)
    for number in range(3):
        yield from jobs.of_chunk(batch_id, number)
    yield from reports.of_batch(batch_id)
    yield from operations.of_batch(batch_id)
    yield from usage.parts_of(batch_id)


def folder_of(batch_id: str) -> str:
    """The folder of a batch's archive, from its tombstone."""
    found = batches.BATCH_TOMBSTONES.find(batch_id)
    assert found
    return f"{found.folder}/"


def archived(harness: Harness, batch_id: str) -> list[dict[str, Any]]:
    """All lines of a batch's archive."""
    found = objects(harness, "archive", folder_of(batch_id))
    return [
        json.loads(text)
        for name, content in sorted(found.items())
        if name.endswith(".jsonl.gz") and not name.startswith("files/")
        for text in content.splitlines()
    ]


def repaired(harness: Harness, payloads: Payloads, collection: str) -> str:
    """A batch with a failed job that was retried and reported again."""
    payloads.status["/c.txt"] = 404
    batch_id = harness.drop(single_files(payloads, THREE), collection=collection)
    payloads.status.clear()
    batch_operations.change_jobs(batch_id, "requeue", Filter(JobState.FAILED), harness.context())
    harness.machines.run_all()
    harness.send_batch_event(batch_id, "update_reporting")
    harness.deliver_mail_after_15_minutes(batch_id)
    return batch_id


def test_a_batch_that_ended_long_ago_is_archived_whole_and_then_removed(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = repaired(harness, payloads, "old")
    before = [*records(harness, batch_id)]
    kept = objects(harness, "work", f"reports/{batch_id}/")
    deposited = objects(harness, "archive", "content/") | objects(harness, "archive", "objects/")
    known = [each.serialize() for each in tables.ObjectItem.scan()]
    harness.at += OLD

    outcome = retain(harness)

    counts = {"processed": 1, "failed": 0, "total": 1}
    assert outcome == Done({"records": counts}, "archived records: 1")
    assert [*records(harness, batch_id)] == []
    assert versions(harness, batch_id) == []
    lines = archived(harness, batch_id)
    by_kind = {kind: sum(line["kind"] == kind for line in lines) for kind in set(_kinds(lines))}
    assert by_kind == {
        "batch": 1,
        "row": 3,
        "job": 3,
        "chunk": 2,
        "report": 2,
        "operation": 1,
        "outcome": 1,
        "usage": sum(1 for each in before if isinstance(each, tuple)),
    }
    assert len(before) + 1 + 3 + 1 == len(
        lines
    )  # in addition to records: the batch, rows, an outcome
    folder = folder_of(batch_id)
    copies = objects(harness, "archive", f"{folder}files/reports/")
    assert {name.removesuffix(".gz"): body for name, body in copies.items()} == kept
    still = objects(harness, "archive", "content/") | objects(harness, "archive", "objects/")
    assert still == deposited
    assert [each.serialize() for each in tables.ObjectItem.scan()] == known


def _kinds(lines: list[dict[str, Any]]) -> list[str]:
    return [line["kind"] for line in lines]


def test_the_inventory_says_what_there_is_and_is_true(harness: Harness, payloads: Payloads) -> None:
    batch_id = repaired(harness, payloads, "inventory")
    harness.at += OLD
    retain(harness)

    found = objects(harness, "archive", folder_of(batch_id))
    inventory = Inventory.of(found.pop("manifest.json"))

    assert {part.name: (part.sha256, part.length) for part in inventory.parts} == {
        name: (hashlib.sha256(body).hexdigest(), len(body)) for name, body in found.items()
    }
    assert inventory.counts["job"] == 3
    assert inventory.summary["state"] == "completed"
    assert inventory.summary["submitter"] == "s3"


def test_an_archived_batch_is_gone_with_a_message_and_in_no_list(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = repaired(harness, payloads, "gone")
    harness.at += OLD
    retain(harness)

    words = (
        f"batch {batch_id} \\(may.checkm of collection gone, completed, 3 jobs, submitted "
        f"2026-11-22\\) was archived on 2027-02-21: see records/deposit/2026/11/{batch_id}/"
        "v\\d+/manifest.json in the archive bucket"
    )
    for read in (
        lambda: batch(batch_id, harness.query_context()),
        lambda: job(f"{batch_id}.0.0", harness.query_context()),
        lambda: send_job_event(f"{batch_id}.0.0", "requeue", harness.context()),
    ):
        with pytest.raises(Gone, match=words):
            read()
    with pytest.raises(NotFound, match="there is no batch"):
        batch(batch_id, harness.query_context(DEPOSITOR))
    for state, collection in (("", ""), ("completed", ""), ("", "gone")):
        listed = list_batches(
            harness.query_context(), state=state, collection=collection, after={}, limit=10
        )
        assert listed.items == ()


# What is due


def is_archived(batch_id: str) -> bool:
    """Whether only a tombstone of a batch remains."""
    found = batches.BATCH_TOMBSTONES.find(batch_id)
    return found is not None and found.phase is Phase.REMOVED


@pytest.mark.parametrize(
    "state",
    [BatchState.COMPLETED, BatchState.FAILED, BatchState.CANCELLED, BatchState.DELETED],
)
def test_a_batch_is_archived_exactly_ninety_days_after_its_end(
    years: Harness, state: BatchState
) -> None:
    batch_id = put_batch(years, batch_of(f"ended {state}", state)).batch_id

    years.at = MAY + timedelta(days=90, seconds=-1)
    assert retain(years) == done(0)
    assert batches.get(batch_id, years.now()).state is state
    years.at = MAY + timedelta(days=90)
    assert retain(years) == done(1)
    assert is_archived(batch_id)


def done(processed: int) -> Done:
    """The result of a retention that archived so many, without failures."""
    counts = {"processed": processed, "failed": 0, "total": processed}
    return Done({"records": counts}, f"archived records: {processed}")


@pytest.mark.parametrize(
    "state", [BatchState.HELD, BatchState.PROCESSING, BatchState.UPDATE_REPORTING]
)
def test_a_batch_that_is_open_is_kept_however_old(years: Harness, state: BatchState) -> None:
    batch_id = put_batch(years, batch_of(f"open {state}", state)).batch_id

    assert retain(years) == done(0)
    assert batches.get(batch_id, years.now()).state is state


def test_a_refused_manifest_is_archived_with_its_findings(years: Harness) -> None:
    refused = put_batch(years, batch_of("refused", BatchState.FAILED, entries=0), recorded=0)

    assert retain(years) == done(1)

    folder = folder_of(refused.batch_id)
    assert objects(years, "archive", folder)["files/work/findings.jsonl.gz"] == (
        b'{"level": "remark"}\n'
    )
    assert versions(years, refused.batch_id) == []


def test_a_failed_batch_is_kept_while_it_is_repaired_and_so_long_after_that(years: Harness) -> None:
    under_repair = put_batch(years, batch_of("operated on", BatchState.FAILED)).batch_id
    (operation,) = operations.of_batch(under_repair)
    operations.put_new(
        replace(operation, operation_id="r1", state=OperationState.RUNNING, ended_at=None),
        BatchState.FAILED,
    )
    repaired_lately = put_batch(years, batch_of("repaired", BatchState.FAILED)).batch_id
    (job, *_) = jobs.of_chunk(repaired_lately, 0)
    at = years.at - timedelta(days=30)
    jobs.write_many([(job, replace(job, version=3, cause="r2.p1.c0.t1", at=at))])

    assert retain(years) == done(0)
    assert batches.get(under_repair, years.now()).state is BatchState.FAILED
    kept = batches.get(repaired_lately, years.now())
    assert (kept.state, kept.repaired_at) == (BatchState.FAILED, at)
    assert years.batch(repaired_lately).batch.state == "failed"
    years.at = at + timedelta(days=90)
    assert retain(years) == done(1)
    assert is_archived(repaired_lately)


def test_a_batch_that_is_requeued_during_its_removal_is_restored(
    years: Harness,
) -> None:
    failed = put_batch(years, batch_of("at the last moment", BatchState.FAILED))
    seen = batches.get(failed.batch_id, years.now())
    (operation,) = operations.of_batch(failed.batch_id)
    late = replace(operation, operation_id="r1", state=OperationState.RUNNING, ended_at=None)
    operations.put_new(late, BatchState.FAILED)
    batches.BATCH_TOMBSTONES.start(seen, years.now(), "records/deposit/2026/05/at-the-last-moment")

    assert retain(years) == done(0)
    assert batches.get(failed.batch_id, years.now()).state is BatchState.FAILED


def test_while_a_batch_is_being_archived_nothing_can_be_done_to_it(years: Harness) -> None:
    failed = put_batch(years, batch_of("taken", BatchState.FAILED))
    seen = batches.get(failed.batch_id, years.now())
    (job, *_) = jobs.of_chunk(failed.batch_id, 0)
    moved = replace(job, version=3, state=JobState.SCHEDULED, cause="too late")
    (operation,) = operations.of_batch(failed.batch_id)

    batches.BATCH_TOMBSTONES.start(seen, years.now(), "records/deposit/2026/05/taken")

    with pytest.raises(StaleState):
        jobs.apply(job, moved, BatchState.FAILED)
    with pytest.raises(StaleState):
        operations.put_new(replace(operation, operation_id="r-late"), BatchState.FAILED)
    with pytest.raises(StaleState, match="has been archived since"):
        batches.add_entry(seen, seen.history[0])
    with pytest.raises(Gone, match="is being archived; this began on 2026-11-22 12:00 UTC"):
        batch(failed.batch_id, years.query_context())


# Faults


def test_a_batch_with_missing_rows_is_left_unchanged_and_delays_no_other(
    years: Harness,
) -> None:
    broken = put_batch(years, batch_of("broken")).batch_id
    sound = put_batch(years, batch_of("sound", at=MAY + timedelta(hours=1))).batch_id
    key = f"work/{broken}/rows.jsonl"
    years.s3.delete_object(Bucket="work", Key=key)
    before = [*records(years, broken)]

    outcome = retain(years)

    assert isinstance(outcome, Fail)
    assert outcome.result == {"records": {"processed": 1, "failed": 1, "total": 2}}
    assert outcome.message.startswith(
        f"1 of 2 could not be archived. {broken}: its rows are missing"
    )
    assert is_archived(sound)
    assert [*records(years, broken)] == before
    assert years.batch(broken).batch.state == "completed"
    assert broken in [view.batch.batch_id for view in _listed(years)]


def _listed(harness: Harness) -> tuple[Any, ...]:
    context = harness.query_context()
    return list_batches(context, state="completed", collection="", after={}, limit=10).items


def test_a_requeued_retention_retries_failures_and_counts_nothing_twice(
    years: Harness,
) -> None:
    broken = put_batch(years, batch_of("repaired")).batch_id
    put_batch(years, batch_of("another", at=MAY + timedelta(hours=1)))
    rows = years.s3.get_object(Bucket="work", Key=f"work/{broken}/rows.jsonl")["Body"].read()
    years.s3.delete_object(Bucket="work", Key=f"work/{broken}/rows.jsonl")
    assert isinstance(retain(years, "again.0.1"), Fail)
    years.s3.put_object(Bucket="work", Key=f"work/{broken}/rows.jsonl", Body=rows)
    years.advance(24 * 3600)

    assert retain(years, "again.0.1") == done(2)
    assert is_archived(broken)


def test_what_changes_after_it_was_archived_is_archived_too_before_it_is_removed(
    years: Harness,
) -> None:
    old = put_batch(years, batch_of("bounced")).batch_id
    folder = f"records/deposit/2026/05/{old}/v1/"

    def bounce() -> float:
        """The time that is left; a mail bounces once the inventory exists."""
        (report,) = [*reports.of_batch(old)] or [None]
        sealed = years.s3.list_objects_v2(Bucket="archive", Prefix=f"{folder}manifest.json")
        if sealed["KeyCount"] and report and report.delivery.state == "delivered":
            reports.put_delivery(report, Delivery(DeliveryState.BOUNCED, years.at, "m-1"))
        return 600.0

    assert retain(years, remaining=bounce) == done(1)

    found = [line for line in archived(years, old) if line["kind"] == "report"]
    assert [line["report"]["delivery"]["state"] for line in found] == ["delivered", "bounced"]
    assert [name for name in objects(years, "archive", folder) if name.startswith("late-")]


def test_nothing_is_removed_whose_part_of_the_archive_is_damaged(years: Harness) -> None:
    old = put_batch(years, batch_of("damaged")).batch_id
    folder = f"records/deposit/2026/05/{old}/v1/"
    before = [*records(years, old)]

    def damage() -> float:
        key = f"{folder}jobs-00000.jsonl.gz"
        sealed = years.s3.list_objects_v2(Bucket="archive", Prefix=f"{folder}manifest.json")
        if sealed["KeyCount"]:
            years.s3.put_object(Bucket="archive", Key=key, Body=b"\x1f\x8b")
        return 600.0

    outcome = retain(years, remaining=damage)

    assert isinstance(outcome, Fail)
    assert outcome.result == {"records": {"processed": 0, "failed": 1, "total": 1}}
    assert "jobs-00000.jsonl.gz is damaged" in outcome.message
    assert [*records(years, old)] == before


def test_objects_without_number_are_removed_in_as_many_turns_as_it_takes(
    years: Harness, payloads: Payloads
) -> None:
    """Outcomes of operations, a file a chunk: here a page has two, and each takes all the time."""
    batch_id = years.drop(single_files(payloads, THREE))
    years.at += OLD
    for number in range(7):
        key = f"operations/{batch_id}/r1/{number:08d}.jsonl"
        years.s3.put_object(Bucket="work", Key=key, Body=b"")
    spent: list[float] = []
    turns: list[Any] = []

    class Slow(Listener):
        def prepare(self, call: Call) -> None:
            if call.operation == "ListObjectVersions":
                call.parameters["MaxKeys"] = 2
            if call.operation == "DeleteObjects":
                spent.append(0.0)
                turns.append(call.parameters["Delete"]["Objects"])

    with years.interceptor.listening(Slow()):
        retain(years, remaining=lambda: spent.pop() if spent else 600.0)

    assert len(turns) > 5
    for folder in ("work", "reports", "operations"):
        assert objects(years, "work", f"{folder}/{batch_id}/") == {}


def test_a_file_that_changes_after_it_was_archived_is_not_removed(years: Harness) -> None:
    old = put_batch(years, batch_of("rewritten")).batch_id
    folder, key = f"records/deposit/2026/05/{old}/v1/", f"reports/{old}/0001/report.json"
    years.s3.put_object(Bucket="work", Key=key, Body=b"{}")

    def rewrite() -> float:
        sealed = years.s3.list_objects_v2(Bucket="archive", Prefix=f"{folder}manifest.json")
        if sealed["KeyCount"]:
            years.s3.put_object(Bucket="work", Key=key, Body=b'{"other": 1}')
        return 600.0

    outcome = retain(years, remaining=rewrite)

    assert isinstance(outcome, Fail)
    assert f"{key} has changed since it was archived" in outcome.message
    assert years.s3.get_object(Bucket="work", Key=key)["Body"].read() == b'{"other": 1}'


def test_a_batch_with_more_rows_than_its_archive_is_kept(years: Harness) -> None:
    short = put_batch(years, batch_of("short")).batch_id
    item = tables.BatchItem.get(short)
    item.update(actions=[tables.BatchItem.body.set(item.body | {"entries": 4})])
    before = [*records(years, short)]

    outcome = retain(years)

    assert isinstance(outcome, Fail)
    assert "only 3 of its 4 rows were found" in outcome.message
    assert [*records(years, short)] == before
    assert not is_archived(short)


def test_a_batch_whose_mail_is_on_its_way_is_kept(years: Harness) -> None:
    batch_id = put_batch(years, batch_of("on its way")).batch_id
    (report,) = reports.of_batch(batch_id)
    reports.put_delivery(report, Delivery(DeliveryState.SENDING, MAY))

    assert retain(years) == done(0)
    assert not is_archived(batch_id)


def test_a_batch_whose_files_s3_does_not_delete_is_a_leftover_until_it_does(years: Harness) -> None:
    class Refusal(Listener):
        def before(self, call: Call) -> Answer | None:
            if call.operation != "DeleteObjects":
                return None
            refused = {"Key": call.parameters["Delete"]["Objects"][0]["Key"]}
            return Answer.success({"Errors": [{**refused, "Code": "InternalError"}]})

    stuck = put_batch(years, batch_of("stuck")).batch_id

    with years.interceptor.listening(Refusal()), pytest.raises(RuntimeError, match="InternalError"):
        retain(years)

    assert versions(years, stuck) != []
    assert not is_archived(stuck)
    assert retain(years) == done(1)
    assert versions(years, stuck) == []
    assert is_archived(stuck)


def test_of_a_file_that_was_deleted_no_version_and_no_marker_is_left(years: Harness) -> None:
    old = put_batch(years, batch_of("marked")).batch_id
    years.s3.delete_object(Bucket="work", Key=f"reports/{old}/0001/mail.txt")

    assert retain(years) == done(1)
    assert versions(years, old) == []


# Time


# Time


def test_a_retention_without_enough_time_continues_in_parts_and_counts_each_batch_once(
    years: Harness,
) -> None:
    for number in range(3):
        put_batch(years, batch_of(f"slow {number}", at=MAY + timedelta(days=number)))
    calls = []

    def hurried() -> float:
        """At every second reading there is no time left."""
        calls.append(0)
        return 600.0 if len(calls) % 2 else 0.0

    assert retain(years, remaining=hurried) == done(3)
    assert len(calls) > 20


def test_a_batch_of_many_chunks_is_archived_in_parts(years: Harness) -> None:
    large = batch_of("large", BatchState.CANCELLED, entries=6001, chunk_size=3000)
    batch_id = put_batch(years, large).batch_id

    assert retain(years) == done(1)

    inventory = Inventory.of(objects(years, "archive", folder_of(batch_id))["manifest.json"])
    by_name = {part.name: dict(part.counts) for part in inventory.parts}
    assert by_name["jobs-00000.jsonl.gz"] == {"row": 3000, "job": 3, "chunk": 1, "outcome": 1}
    assert by_name["jobs-00001.jsonl.gz"] == {"row": 3000}
    assert by_name["jobs-00002.jsonl.gz"] == {"row": 1}
    assert [*records(years, batch_id)] == []


def test_a_month_with_nothing_due_is_not_read_again_before_something_may_be(years: Harness) -> None:
    class Months(Listener):
        def __init__(self) -> None:
            self.read: list[str] = []

        def prepare(self, call: Call) -> None:
            if call.parameters.get("IndexName") == "by_month":
                values = call.parameters["ExpressionAttributeValues"].values()
                self.read.append(next(each["S"] for each in values if len(each["S"]) == 7))

    held = put_batch(years, batch_of("held", BatchState.HELD)).batch_id
    put_batch(years, batch_of("closed in June", at=MAY + timedelta(days=30)))
    first, second, third = Months(), Months(), Months()

    with years.interceptor.listening(first):
        assert retain(years) == done(1)
    years.advance(24 * 3600)
    with years.interceptor.listening(second):
        assert retain(years) == done(0)
    assert batches.get(held, years.now()).state is BatchState.HELD
    years.advance(90 * 24 * 3600)
    with years.interceptor.listening(third):
        retain(years)

    assert {"2026-05", "2026-06", "2026-07", "2026-08"} == {*first.read}
    assert {*second.read} == {"2026-06", "2026-08"}  # in June one was archived the day before
    assert "2026-05" in third.read
    assert "2026-07" not in third.read


def test_batches_are_checked_again_after_retention_was_shortened(
    years: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = replace(batch_of("ended in October"), ended_at=MAY + timedelta(days=150))
    batch_id = put_batch(years, ended).batch_id

    assert retain(years) == done(0)
    monkeypatch.setitem(TYPES, "deposit", replace(TYPES["deposit"], retention_days=30))
    assert retain(years) == done(1)
    assert is_archived(batch_id)


# Schedules


def test_the_whole_months_of_a_schedule_are_archived_and_its_tombstone_says_so(
    years: Harness,
) -> None:
    schedule = schedules.put_new(schedule_of("nightly"))
    days = {day: Verdict.SKIP if day % 10 == 0 else Verdict.RUN for day in range(120)}
    made = put_occurrences(schedule, days)
    years.at = MAY + timedelta(days=160)  # the eleventh of October: what ended before 13 July
    june = datetime(2026, 7, 1, tzinfo=UTC)
    old = [each for each in made if each.scheduled_for < june]

    assert retain(years) == done(len(old))

    kept = [*occurrences.older(schedule.schedule_id, years.at)]
    assert kept == made[len(old) :]
    assert [job.address for job in jobs.of_chunk(schedule.schedule_id, 0)] == [
        each.address for each in kept if each.verdict is Verdict.RUN
    ]
    assert schedules.get(schedule.schedule_id).retained_from == june
    with pytest.raises(Gone, match="was archived; jobs are kept since 2026-07-01"):
        schedule_origin(old[1].address, ADMIN, years.at)
    lines = [
        json.loads(text)
        for month in ("05", "06")
        for name, body in objects(
            years, "archive", f"records/sweep/2026/{month}/{schedule.schedule_id}/"
        ).items()
        if name.endswith(".gz")
        for text in body.splitlines()
    ]
    of_kind = {kind: [each for each in lines if each["kind"] == kind] for kind in _kinds(lines)}
    assert [each["job_id"] for each in of_kind["occurrence"]] == [e.address.job_id for e in old]
    assert len(of_kind["job"]) == sum(each.verdict is Verdict.RUN for each in old)
    assert of_kind["occurrence"][0]["occurrence"]["skip_reason"] == "CALENDAR"
    assert retain(years) == done(0)


def test_nothing_of_a_schedule_is_removed_whose_archive_is_damaged(years: Harness) -> None:
    schedule = schedules.put_new(schedule_of("torn"))
    made = put_occurrences(schedule, {0: Verdict.RUN, 1: Verdict.SKIP})
    prefix = f"records/sweep/2026/05/{schedule.schedule_id}/"

    def damage() -> float:
        found = years.s3.list_objects_v2(Bucket="archive", Prefix=prefix).get("Contents", ())
        keys = [each["Key"] for each in found]
        if any(key.endswith("manifest.json") for key in keys):
            for key in keys:
                if key.endswith(".gz"):
                    years.s3.put_object(Bucket="archive", Key=key, Body=b"\x1f\x8b")
        return 600.0

    outcome = retain(years, remaining=damage)

    assert isinstance(outcome, Fail)
    assert "is damaged" in outcome.message
    assert [*occurrences.older(schedule.schedule_id, years.at)] == made
    assert len([*jobs.of_chunk(schedule.schedule_id, 0)]) == 1


def test_a_month_with_a_run_that_has_not_ended_is_kept(years: Harness) -> None:
    schedule = schedules.put_new(schedule_of("endless"))
    made = put_occurrences(schedule, {0: Verdict.RUN, 1: Verdict.WAIT})

    assert retain(years) == done(0)
    assert [*occurrences.older(schedule.schedule_id, years.at)] == made
    assert schedules.get(schedule.schedule_id).retained_from is None


def test_retention_of_a_month_counts_from_the_end_of_its_last_job(years: Harness) -> None:
    schedule = schedules.put_new(schedule_of("caught up"))
    (run,) = put_occurrences(schedule, {0: Verdict.RUN})
    stored = schedules.get(schedule.schedule_id)
    ended = years.at - timedelta(days=89)
    assert run.outcome
    late = run.with_outcome(replace(run.outcome, ended_at=ended))
    after = replace(stored, version=stored.version + 1)
    schedules.write(stored, after, ScheduleWrites(changed_occurrences=[(run, late)]))

    assert retain(years) == done(0)
    assert occurrences.find(run.address) == late
    years.advance(2 * 24 * 3600)
    assert retain(years) == done(1)


def test_retention_of_a_month_counts_from_its_latest_skip(
    years: Harness,
) -> None:
    schedule = schedules.put_new(schedule_of("after an outage"))
    (skip,) = put_occurrences(schedule, {0: Verdict.SKIP})
    stored = schedules.get(schedule.schedule_id)
    late = replace(skip, version=2, decided_at=years.at - timedelta(days=89))
    after = replace(stored, version=stored.version + 1)
    schedules.write(stored, after, ScheduleWrites(changed_occurrences=[(skip, late)]))

    assert retain(years) == done(0)
    assert occurrences.find(skip.address) == late
    years.advance(2 * 24 * 3600)
    assert retain(years) == done(1)


def test_the_month_after_december_is_the_next_year_s_january(years: Harness) -> None:
    schedule = schedules.put_new(schedule_of("new year", datetime(2025, 12, 31, 9, tzinfo=UTC)))
    put_occurrences(schedule, {0: Verdict.RUN, 1: Verdict.RUN})
    at_most = iter([600.0] * 100)  # one that never stops runs out of them

    assert retain(years, remaining=at_most.__next__) == done(2)

    assert schedules.get(schedule.schedule_id).retained_from == datetime(2026, 2, 1, tzinfo=UTC)
    for month in ("2025/12", "2026/01"):
        prefix = f"records/sweep/{month}/{schedule.schedule_id}/"
        found = objects(years, "archive", prefix)
        texts = [body for name, body in found.items() if name.endswith(".gz")]
        assert [len(text.splitlines()) for text in texts] == [2]  # an occurrence and its job


def test_a_month_with_more_runs_than_a_transaction_takes_is_removed_whole(years: Harness) -> None:
    schedule = schedules.put_new(schedule_of("twice a day"))
    evening = replace(schedule, created_at=MAY + timedelta(hours=9))
    for each in (schedule, evening):
        put_occurrences(each, dict.fromkeys(range(27), Verdict.RUN))

    assert retain(years) == done(54)

    assert [*occurrences.older(schedule.schedule_id, years.at)] == []
    assert [*jobs.of_chunk(schedule.schedule_id, 0)] == []


def test_a_month_of_many_occurrences_is_archived_in_parts(
    years: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = schedules.put_new(schedule_of("often"))
    put_occurrences(schedule, dict.fromkeys(range(5), Verdict.SKIP))
    monkeypatch.setattr(schedule_retention, "OCCURRENCES_PER_PART", 2)

    assert retain(years) == done(5)

    found = objects(years, "archive", f"records/sweep/2026/05/{schedule.schedule_id}/")
    lines = {name.partition("/")[2]: len(body.splitlines()) for name, body in found.items()}
    assert lines.keys() - {"manifest.json"} == {
        f"occurrences-0000{number}.jsonl.gz" for number in range(3)
    }
    assert [lines[f"occurrences-0000{number}.jsonl.gz"] for number in range(3)] == [2, 2, 1]


def test_later_decisions_about_an_archived_month_are_stored_next_to_it(
    years: Harness,
) -> None:
    schedule = schedules.put_new(schedule_of("late"))
    put_occurrences(schedule, {0: Verdict.RUN})
    retain(years)
    put_occurrences(schedule, {2: Verdict.SKIP})
    years.advance(31 * 24 * 3600)

    assert retain(years) == done(1)

    prefix = f"records/sweep/2026/05/{schedule.schedule_id}/"
    folders = {name.split("/")[0] for name in objects(years, "archive", prefix)}
    assert len(folders) == 2


def test_a_deleted_schedule_s_jobs_are_archived_as_well(years: Harness) -> None:
    schedule = schedules.put_new(replace(schedule_of("given up"), state=ScheduleState.DELETED))
    put_occurrences(schedule, {0: Verdict.RUN})

    assert retain(years) == done(1)
    assert schedules.get(schedule.schedule_id).state is ScheduleState.DELETED


# The system's schedule


def test_retention_runs_by_its_own_schedule_every_night(years: Harness) -> None:
    old = put_batch(years, batch_of("by night")).batch_id
    make_system_schedules(years.now())
    retention = system_schedule_id("retention")

    years.at = datetime(2026, 11, 23, 3, 30, tzinfo=UTC)
    years.tick()
    years.machines.run_all()

    assert is_archived(old)
    (ran,) = occurrences.newest(retention, limit=5)
    assert ran.outcome is not None
    assert (ran.outcome.state, ran.outcome.processed) == (JobState.SUCCEEDED, 1)
    assert schedules.get(retention).label == "Completed"
