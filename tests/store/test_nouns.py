"""The other tables: what was written reads back, and conditions hold."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from jobyard.domain.batches.batch import BATCH, Batch, BatchState, ManifestSource
from jobyard.domain.batches.chunks import ChunkRecord, RunProgress
from jobyard.domain.batches.operation import Filter, Operation
from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.errors import Gone, NotFound, StaleState
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.job import JobState
from jobyard.domain.lifecycle import Cause
from jobyard.domain.objects import IdentifierConflict, ObjectVersion
from jobyard.store import batches, chunks, holds, key_values, objects, operations, reports, tables

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("store_endpoint")]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def batch(batch_id: str, **changes: object) -> Batch:
    values: dict[str, object] = {
        "batch_id": batch_id,
        "state": BatchState.PENDING,
        "version": 0,
        "collection": "maps",
        "submitter": "depositor",
        "job_type": "deposit",
        "filename": "may.checkm",
        "submitted_at": NOON,
    }
    return Batch(**(values | changes))  # type: ignore[arg-type]


def test_a_batch_reads_back_as_it_was_written() -> None:
    full = batch(
        "b-full",
        source=ManifestSource("intake", "manifests/maps/may.checkm", "v1", 12),
        notify=("depositor@example.org",),
        parameters={"callback_url": "https://example.org"},
        note="first try",
        entries=3,
        files_count=3,
        chunk_size=2,
        profile="mrt-batch-manifest",
    )
    written = batches.put_new(full)
    move = BATCH.move("pending", "start", NOON, Cause("open.x"))

    moved = batches.apply(written, move, started_at=NOON)

    assert batches.get("b-full", NOON) == moved
    assert moved.history[0].cause == "open.x"


def test_there_is_one_batch_of_an_id() -> None:
    batches.put_new(batch("b-once"))

    with pytest.raises(StaleState):
        batches.put_new(batch("b-once"))


def test_the_second_of_two_writers_is_refused_and_a_repeat_is_success() -> None:
    written = batches.put_new(batch("b-race"))
    start = BATCH.move("pending", "start", NOON, Cause("one"))
    moved = batches.apply(written, start)

    assert batches.apply(written, start) == moved
    with pytest.raises(StaleState, match="it is processing"):
        batches.apply(written, BATCH.move("pending", "hold", NOON, Cause("two")))


def test_a_batch_that_was_never_uploaded_is_gone_after_its_time() -> None:
    until = NOON + timedelta(minutes=15)
    batches.put_new(batch("b-never", upload_until=until))

    assert batches.get("b-never", NOON).upload_until == until
    with pytest.raises(Gone):
        batches.get("b-never", until)
    with pytest.raises(NotFound):
        batches.get("b-unknown", NOON)


def test_batches_are_listed_newest_first_page_by_page() -> None:
    for number in range(5):
        at = NOON + timedelta(minutes=number)
        batches.put_new(batch(f"b-list-{number}", collection="lists", submitted_at=at))

    first = batches.of_collection("lists", limit=3)
    second = batches.of_collection("lists", limit=3, before=first.after)

    assert [each.batch_id[-1] for each in first.items] == ["4", "3", "2"]
    assert [each.batch_id[-1] for each in second.items] == ["1", "0"]
    assert second.after == ""


def test_counts_are_written_over_the_version_that_was_read() -> None:
    record = ChunkRecord(
        "b-chunk",
        4,
        counts={"failed": 2},
        failures={"TIMEOUT": 2},
        failed_at={"TIMEOUT": (NOON, NOON + timedelta(minutes=1))},
        runs={"main": RunProgress(2, NOON), "r1": RunProgress(1, outcomes={"refused": 2})},
    )
    written = chunks.put(record)

    assert chunks.get("b-chunk", 4) == written
    with pytest.raises(StaleState):
        chunks.put(record)


def test_a_report_is_written_once_and_its_delivery_by_one() -> None:
    report = Report(
        "b-rep", 1, ReportKind.FIRST, NOON, ("a@example.org",), "s", "OK", {"succeeded": 1}, 0,
        {"jobs.csv": "k"}, Delivery(DeliveryState.QUEUED, NOON),
    )  # fmt: skip
    written = reports.put_new(report)

    assert reports.put_new(replace(report, subject="other")).subject == "s"
    assert [each.batch_id for each in reports.undelivered() if each.batch_id == "b-rep"]
    sent = reports.put_delivery(written, Delivery(DeliveryState.SENT, NOON, "m1"))
    with pytest.raises(StaleState):
        reports.put_delivery(written, Delivery(DeliveryState.FAILED, NOON))
    assert reports.get("b-rep", 1) == sent
    assert not [each for each in reports.undelivered() if each.batch_id == "b-rep"]


def test_holds_are_found_by_scope() -> None:
    hold = Hold("collection:held", "operator", "why", NOON, NOON + timedelta(hours=1))
    holds.put(hold)

    assert holds.of_scopes(["everything", "collection:held", "type:x"]) == [hold]
    holds.delete(hold)
    assert holds.find("collection:held") is None


def test_a_hold_is_put_only_over_the_one_that_was_seen() -> None:
    first = Hold("collection:seen", "operator", "why", NOON)
    second = replace(first, owner="admin", reason="another why")
    third = replace(first, until=NOON + timedelta(hours=1))
    holds.put(first)

    holds.put(first)  # the client repeats a call whose answer was lost
    with pytest.raises(StaleState):
        holds.put(second)
    holds.put(second, seen=first)
    with pytest.raises(StaleState):
        holds.put(third, seen=first)

    assert holds.find("collection:seen") == second
    holds.delete(second)


def test_an_operation_ends_once() -> None:
    wanted = Filter(JobState.FAILED, frozenset({"TIMEOUT"}))
    operation = Operation("b-op", "r1", "requeue", wanted, "operator", "why", NOON, 2, (0, 3))
    batches.put_new(batch("b-op"))
    with pytest.raises(StaleState, match="batch b-op is no longer failed"):
        operations.put_new(operation, BatchState.FAILED)
    assert operations.put_new(operation, BatchState.PENDING) == operation
    assert operations.put_new(operation, BatchState.FAILED) == operation  # it was there

    assert operations.is_any_running("b-op")
    operations.end(operation, NOON)
    operations.end(operation, NOON + timedelta(hours=1))
    assert operations.get("b-op", "r1").ended_at == NOON
    assert not operations.is_any_running("b-op")


def version(ark: str, number: int, job_id: str) -> ObjectVersion:
    return ObjectVersion(ark, number, "maps", "b", job_id, 1, 10, "d", ("l1",), NOON)


def test_a_version_belongs_to_the_job_that_recorded_it() -> None:
    objects.record(version("ark:/1/a", 1, "j1"))
    objects.record(version("ark:/1/a", 1, "j1"))

    with pytest.raises(StaleState):
        objects.record(version("ark:/1/a", 1, "j2"))
    objects.record(version("ark:/1/a", 2, "j2"))
    latest, mine = objects.latest_and_own("ark:/1/a", "j1")
    assert latest == objects.latest("ark:/1/a")
    assert latest is not None
    assert latest.version == 2
    assert mine is not None
    assert mine.version == 1
    assert objects.latest("ark:/1/none") is None


def test_local_identifiers_belong_to_one_object() -> None:
    assert objects.identify("maps", ["x", "y"], "ark:/1/x") == "ark:/1/x"
    assert objects.identify("maps", ["y"], "ark:/1/z") == "ark:/1/x"
    assert objects.identify("books", ["y"], "ark:/1/z") == "ark:/1/z"
    objects.identify("maps", ["w"], "ark:/1/w")
    with pytest.raises(IdentifierConflict, match="different objects"):
        objects.identify("maps", ["x", "w"], "ark:/1/q")


def test_a_secret_is_created_once() -> None:
    assert key_values.get_or_create_secret("test", "one") == "one"
    assert key_values.get_or_create_secret("test", "two") == "one"


def test_a_manifest_is_known_for_a_while() -> None:
    until = NOON + timedelta(hours=24)

    assert key_values.register_manifest("m#1", "b1", NOON, until) == ""
    assert key_values.register_manifest("m#1", "b1", NOON, until) == ""
    assert key_values.register_manifest("m#1", "b2", NOON, until) == "b1"
    assert (
        key_values.register_manifest("m#1", "b3", until + timedelta(1), until + timedelta(2)) == ""
    )


def test_all_tables_are_reached_by_one_client(store_endpoint: str) -> None:
    clients = {id(model._get_connection().connection.client) for model in tables.MODELS.values()}

    assert clients == {id(tables.client())}
