"""What ended long ago goes to the archive, whole, and only then out of the tables."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jobyard.domain.archive import Inventory
from jobyard.domain.errors import Gone, Unknown
from jobyard.domain.job import JobState
from jobyard.domain.jobtype import Done, Outcome, Stop, Wait, Work
from jobyard.domain.operation import Filter
from jobyard.jobtypes.retention import RETENTION
from jobyard.services import asking
from jobyard.services.views import batch, job, list_batches
from jobyard.store import batches, checkpoints, chunks, jobs, operations, reports, tables, usage
from tests.walk.yard import DEPOSITOR, Payloads, Yard, single_files

pytestmark = pytest.mark.emulator

THREE = {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}
OLD = timedelta(days=91)
_numbers = iter(range(1_000_000))


def retain(yard: Yard, job_id: str = "", remaining: Callable[[], float] | None = None) -> Outcome:
    """Have a retention job run to its end, however often it has to come again."""
    job_id = job_id or f"retention-{next(_numbers)}.0.1"
    work = Work("", job_id, "", {}, {}, {}, attempt=1)
    touch = yard.worker().touch(600)
    touch = replace(touch, remaining=remaining or (lambda: 600.0))
    (_, archiving), *_ = RETENTION.steps
    outcome = archiving(work, touch)
    while isinstance(outcome, Wait):
        outcome = archiving(work, touch)
    return outcome


def objects(yard: Yard, bucket: str, prefix: str) -> dict[str, bytes]:
    """The objects under a prefix, by the rest of their keys; unpacked."""
    found = {}
    for each in yard.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ()):
        body = yard.s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
        name = each["Key"].removeprefix(prefix)
        found[name] = gzip.decompress(body) if name.endswith(".gz") else body
    return found


def versions(yard: Yard, batch_id: str) -> list[str]:
    """Whatever is left of a batch in the work bucket, in any version."""
    return [
        each["Key"]
        for kind in ("work", "reports", "operations")
        for page in yard.s3.get_paginator("list_object_versions").paginate(
            Bucket="work", Prefix=f"{kind}/{batch_id}/"
        )
        for which in ("Versions", "DeleteMarkers")
        for each in page.get(which, ())
    ]


def records(yard: Yard, batch_id: str) -> Iterator[Any]:
    """What the tables have of a batch beside itself."""
    yield from chunks.of_batch(batch_id)
    for number in range(3):
        yield from jobs.of_chunk(batch_id, number)
    yield from reports.of_batch(batch_id)
    yield from operations.of_batch(batch_id)
    yield from usage.parts_of(batch_id)


def archived(yard: Yard, batch_id: str) -> list[dict[str, Any]]:
    """All lines of a batch's archive."""
    found = objects(yard, "archive", f"records/deposit/2026/11/{batch_id}/")
    return [
        json.loads(text)
        for name, content in sorted(found.items())
        if name.endswith(".jsonl.gz") and not name.startswith("files/")
        for text in content.splitlines()
    ]


def repaired(yard: Yard, payloads: Payloads, collection: str) -> str:
    """A batch with a failed job that was retried and reported anew."""
    payloads.status["/c.txt"] = 404
    batch_id = yard.drop(single_files(payloads, THREE), collection=collection)
    payloads.status.clear()
    asking.retry(batch_id, Filter(JobState.FAILED), yard.asking())
    yard.machines.run_all()
    yard.ask_batch(batch_id, "update_reporting")
    yard.tick(batch_id)
    return batch_id


def test_a_batch_that_ended_long_ago_is_archived_whole_and_then_removed(
    yard: Yard, payloads: Payloads
) -> None:
    batch_id = repaired(yard, payloads, "old")
    before = [*records(yard, batch_id)]
    kept = objects(yard, "work", f"reports/{batch_id}/")
    deposited = objects(yard, "archive", "content/") | objects(yard, "archive", "objects/")
    known = [each.serialize() for each in tables.ObjectItem.scan()]
    yard.at += OLD

    outcome = retain(yard)

    counts = {"processed": 1, "failed": 0, "total": 1}
    assert outcome == Done({"records": counts}, "archived 1 batches and occurrences")
    assert [*records(yard, batch_id)] == []
    assert versions(yard, batch_id) == []
    lines = archived(yard, batch_id)
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
    assert len(before) + 1 + 3 + 1 == len(lines)  # beside records: the batch, rows, an outcome
    folder = f"records/deposit/2026/11/{batch_id}/"
    copies = objects(yard, "archive", f"{folder}files/reports/")
    assert {name.removesuffix(".gz"): body for name, body in copies.items()} == kept
    still = objects(yard, "archive", "content/") | objects(yard, "archive", "objects/")
    assert still == deposited
    assert [each.serialize() for each in tables.ObjectItem.scan()] == known


def _kinds(lines: list[dict[str, Any]]) -> list[str]:
    return [line["kind"] for line in lines]


def test_the_inventory_says_what_there_is_and_is_true(yard: Yard, payloads: Payloads) -> None:
    import hashlib

    batch_id = repaired(yard, payloads, "inventory")
    yard.at += OLD
    retain(yard)

    found = objects(yard, "archive", f"records/deposit/2026/11/{batch_id}/")
    inventory = Inventory.of(found.pop("manifest.json"))

    assert {part.name: (part.sha256, part.length) for part in inventory.parts} == {
        name: (hashlib.sha256(body).hexdigest(), len(body)) for name, body in found.items()
    }
    assert inventory.counts["job"] == 3
    assert inventory.what["state"] == "completed"
    assert inventory.what["submitter"] == "s3"


def test_an_archived_batch_is_gone_with_words_and_in_no_list(
    yard: Yard, payloads: Payloads
) -> None:
    batch_id = repaired(yard, payloads, "gone")
    yard.at += OLD
    retain(yard)

    words = (
        f"batch {batch_id} \\(may.checkm of collection gone, completed, 3 jobs, submitted "
        f"2026-11-22\\) was archived on 2027-02-21: records/deposit/2026/11/{batch_id}/"
        "manifest.json of the archive bucket says what is there"
    )
    for look in (
        lambda: batch(batch_id, yard.looking()),
        lambda: job(f"{batch_id}.0.0", yard.looking()),
        lambda: asking.ask_job(f"{batch_id}.0.0", "requeue", yard.asking()),
    ):
        with pytest.raises(Gone, match=words):
            look()
    with pytest.raises(Unknown, match="there is no batch"):
        batch(batch_id, yard.looking(DEPOSITOR))
    for state, collection in (("", ""), ("completed", ""), ("", "gone")):
        listed = list_batches(
            yard.looking(), state=state, collection=collection, after={}, limit=10
        )
        assert listed.items == ()
