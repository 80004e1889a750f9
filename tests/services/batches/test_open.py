"""The limits of manifests, and what is stored of one that is full of errors."""

import csv
import hashlib
import io
import json
from dataclasses import replace

import pytest

from jobyard.domain.batches.chunks import MAX_CHUNKS
from jobyard.domain.manifests.findings import MAX_FINDINGS, Check, Finding
from jobyard.services.batches import manifest_rows
from jobyard.services.batches.manifest_rows import Findings
from jobyard.services.batches.open import open_object
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.batches.uploads import PART_BYTES
from jobyard.services.queries.findings import list_findings
from jobyard.store import reports
from tests.call_interceptor import CallInterceptor
from tests.harness import Clients, Harness, Payloads, single_files, source_of


def test_a_manifest_of_more_chunks_than_a_map_can_run_is_refused(
    store_endpoint: str, aws_semantics: CallInterceptor, aws_clients: Clients, payloads: Payloads
) -> None:
    harness = Harness(aws_clients, payloads, chunk_size=1)
    manifest = single_files(payloads, {f"{n}.txt": b"" for n in range(MAX_CHUNKS + 1)})

    found = harness.batch(harness.drop(manifest)).batch

    assert found.state == "failed"
    assert found.entries == 0
    assert found.failure_message == (
        f"the manifest has {MAX_CHUNKS + 1} lines; {MAX_CHUNKS} are allowed: divide it"
    )


def full_of_faults(payloads: Payloads, rows: int) -> str:
    """A manifest of that many rows, each with one error."""
    head, row, end = single_files(payloads, {"a.txt": b""}).rsplit("\n", 3)[:3]
    bad = (row.replace("a.txt", f"{n}.txt").replace("http://", "http:/") for n in range(rows))
    return "\n".join([head, *bad, end, ""])


def test_findings_are_listed_up_to_a_bound_and_every_place_says_how_many_more(
    harness: Harness, payloads: Payloads
) -> None:
    rows = MAX_FINDINGS + 50
    batch_id = harness.drop(full_of_faults(payloads, rows))

    batch = harness.batch(batch_id).batch
    assert batch.findings >= rows
    more = batch.findings - MAX_FINDINGS
    words = f"and {more} more, which are not listed: {more} of level error"
    listed, end = list_findings(batch_id, harness.query_context(), after=0, limit=2 * MAX_FINDINGS)
    assert end is None
    assert len(listed) == MAX_FINDINGS + 1
    assert (listed[-1]["code"], listed[-1]["message"]) == ("MORE_FINDINGS", words)
    files = reports.get(batch_id, 1).files
    every, document = (
        harness.s3.get_object(Bucket="work", Key=files[name])["Body"].read().decode()
        for name in ("jobs.csv", "report.json")
    )
    assert [*csv.DictReader(io.StringIO(every))][-1]["message"] == words
    assert json.loads(document)["findings"][-1]["message"] == words
    (mail,) = harness.mails_of(batch_id)
    assert f"and {batch.findings - 50} more" in mail.text


def test_errors_are_listed_however_many_warnings_come_before() -> None:
    findings = Findings()
    findings.add([Check.NAME_FROM_URL.at(line, 0, "") for line in range(1, 2 * MAX_FINDINGS)])
    findings.add([Check.URL_BAD.at(2 * MAX_FINDINGS, 1, "no URL")])

    kept = [Finding(**json.loads(text)) for text in findings.text().splitlines()]
    assert findings.count == 2 * MAX_FINDINGS
    assert kept[-2].code == "URL_BAD"
    assert kept[-1].message == (
        f"and {MAX_FINDINGS - 1} more, which are not listed: {MAX_FINDINGS - 1} of level warning"
    )


def test_a_manifest_that_takes_too_long_is_refused_while_there_is_time_to_say_so(
    harness: Harness, payloads: Payloads
) -> None:
    event = harness.upload(
        single_files(payloads, {"a.txt": b""}), name="slow.checkm", collection="maps"
    )
    hurried = OpenContext(harness.settings, harness.s3, harness.now, "one", remaining=lambda: 30.0)

    following = open_object(source_of(event), hurried)

    assert following.next == "report"
    found = harness.batch(following.origin_id).batch
    assert found.failure_message == (
        "the manifest takes too long to read; 0 of its lines were read: divide it"
    )
    assert found.entries == 0


def test_a_manifest_with_too_many_lines_is_refused_before_its_end(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_rows, "MANIFEST_LINES", 100)
    monkeypatch.setattr(manifest_rows, "_BLOCK", 4096)
    manifest = single_files(payloads, {f"{n}.txt": b"" for n in range(1000)})

    found = harness.batch(harness.drop(manifest)).batch

    assert found.failure_message == "the manifest has more than 100 lines: divide it"
    assert found.entries == 0


def test_rows_of_more_than_a_part_are_there_whole(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.settings = replace(harness.settings, chunk_size=10_000)
    manifest = single_files(payloads, {f"{n:06d}.txt": b"" for n in range(40_000)})
    event = harness.upload(manifest, name="large.checkm", collection="maps")

    batch_id = harness.open({"input": event, "execution": "one"})["origin_id"]

    body = harness.s3.get_object(Bucket="work", Key=f"work/{batch_id}/rows.jsonl")["Body"].read()
    assert len(body) > PART_BYTES
    assert [json.loads(line)["name"] for line in body.splitlines()] == [
        f"{n:06d}.txt" for n in range(40_000)
    ]
    assert "Uploads" not in harness.s3.list_multipart_uploads(Bucket="work")


def test_a_manifest_with_an_error_leaves_no_rows(harness: Harness, payloads: Payloads) -> None:
    manifest = single_files(payloads, {f"{n:06d}.txt": b"" for n in range(40_000)})
    event = harness.upload(
        manifest.replace("#%eof", "nonsense"), name="bad.checkm", collection="maps"
    )

    batch_id = harness.open({"input": event, "execution": "one"})["origin_id"]

    found = harness.s3.list_objects_v2(Bucket="work", Prefix=f"work/{batch_id}/")["Contents"]
    assert [each["Key"].rpartition("/")[2] for each in found] == ["findings.jsonl"]
    assert "Uploads" not in harness.s3.list_multipart_uploads(Bucket="work")


def test_an_opened_batch_has_the_digest_of_its_manifest(
    harness: Harness, payloads: Payloads
) -> None:
    text = single_files(payloads, {"digest.txt": b"1"})

    batch_id = harness.drop(text)

    digest = harness.batch(batch_id).batch.manifest_sha256
    assert digest == hashlib.sha256(text.encode()).hexdigest()
