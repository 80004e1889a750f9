"""A batch too large for one call of Report is reported in slices: the same report, sent once,
whatever dies in between."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from jobyard.domain.batches.chunks import Chunk
from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.services.batches import rows
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.reports import files
from jobyard.services.reports.context import SLICE_JOBS
from jobyard.store import jobs, reports
from tests.call_interceptor import Answer, Call, Listener
from tests.faults.injection import FunctionDied
from tests.harness import Harness, Payloads, single_files

NAMES = [f"{letter}.txt" for letter in "abcdefg"]
MISSING = ("b.txt", "c.txt", "f.txt")
# Fields that differ between two batches of one manifest.
_OF_ITS_OWN = re.compile(
    r"/report-files/[\w-]+|[0-9a-f]{20,}|ark:/[^\s\",<]+|<tr><td>(Cost|Note)</td>.*?</tr>"
    r"|^(Cost|Note): .*\n",
    re.MULTILINE,
)
_WRITES = {"PutObject", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"}


@pytest.fixture
def manifest(payloads: Payloads) -> str:
    """Seven jobs, three of which fail."""
    text = single_files(payloads, {name: name.encode() for name in NAMES})
    payloads.status |= {f"/{name}": 404 for name in MISSING}
    return text


def files_of(harness: Harness, batch_id: str, seq: int = 1) -> dict[str, str]:
    """The files of a report, without the batch's id and cost."""
    found: dict[str, str] = {}
    for name, key in reports.get(batch_id, seq).files.items():
        text = harness.s3.get_object(Bucket="work", Key=key)["Body"].read().decode()
        found[name] = _OF_ITS_OWN.sub("", text.replace(batch_id, "BATCH"))
    document = json.loads(found["report.json"])
    document.pop("cost")
    found["report.json"] = json.dumps(document)
    return found


def reports_made(harness: Harness) -> int:
    """The number of calls of Report."""
    return harness.machines.visited.count("Report")


def sliced(harness: Harness, manifest: str) -> str:
    """A batch that is reported in four slices and one more call."""
    harness.slice_jobs = 2
    return harness.drop(manifest)


def test_the_files_are_those_of_a_report_in_one_call(harness: Harness, manifest: str) -> None:
    whole = harness.drop(manifest)
    assert reports_made(harness) == 1

    batch_id = sliced(harness, manifest)

    assert reports_made(harness) == 1 + 5
    assert files_of(harness, batch_id) == files_of(harness, whole)
    assert (
        harness.batch(batch_id).batch.reported_counts == harness.batch(whole).batch.reported_counts
    )
    (mail,) = harness.mails_of(batch_id)
    assert "4 completed, 3 failed" in mail.text
    assert all(name in mail.text for name in MISSING)


def test_a_small_batch_is_reported_in_one_call_and_nothing_is_staged(
    harness: Harness, manifest: str
) -> None:
    batch_id = harness.drop(manifest)

    staged = harness.s3.list_objects_v2(Bucket="work", Prefix=f"staging/reports/{batch_id}/")
    assert "Contents" not in staged


@dataclass
class RowReads(Listener):
    """Counts the reads of rows."""

    seen: int = 0

    def before(self, call: Call) -> Answer | None:
        if call.operation == "GetObject" and call.parameters["Key"].endswith("/rows.jsonl"):
            self.seen += 1
        return None


def test_a_report_reads_the_rows_of_several_chunks_at_once(
    harness: Harness, manifest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here four chunks of at most two rows: at once, two by two, and each for itself."""
    reads: list[int] = []

    def counted(function: Any, event: dict[str, Any]) -> dict[str, Any]:
        listener = RowReads()
        with harness.interceptor.listening(listener):
            answer: dict[str, Any] = function(event)
        reads.append(listener.seen)
        return answer

    hook_report(harness, counted)
    whole = harness.drop(manifest)
    _, second, *_ = rows.chunks_between(harness.s3, harness.settings, whole, 0, 3)
    others = []
    for most_bytes in (second.end, 1):
        monkeypatch.setattr(rows, "_READ_BYTES", most_bytes)
        others.append(files_of(harness, harness.drop(manifest)))

    assert reads == [1, 2, 4]
    assert others == [files_of(harness, whole)] * 2


def test_staged_files_expire(harness: Harness, manifest: str) -> None:
    """The bucket's rule for the staging folder takes it away; retention never sees it."""
    batch_id = sliced(harness, manifest)

    found = harness.s3.list_objects_v2(Bucket="work")["Contents"]
    of_batch = [each["Key"] for each in found if batch_id in each["Key"]]
    slices = {key for key in of_batch if key.endswith("slice.json")}
    assert len(slices) == 4
    assert all(key.startswith("staging/") for key in slices)
    assert {key for key in of_batch if key.startswith("reports/")} == set(
        reports.get(batch_id, 1).files.values()
    )


def test_an_update_compares_slice_by_slice(
    harness: Harness, payloads: Payloads, manifest: str
) -> None:
    batch_id = sliced(harness, manifest)
    payloads.status = {"/f.txt": 404}
    harness.send_job_event(f"{batch_id}.0.1", "requeue")  # b.txt, of the first slice
    harness.send_job_event(f"{batch_id}.1.0", "requeue")  # c.txt, of the second
    before = reports_made(harness)

    harness.send_batch_event(batch_id, "update_reporting")

    assert reports_made(harness) == before + 5
    _, second = harness.mails_of(batch_id)
    assert "b.txt: failed -> completed" in second.text
    assert "c.txt: failed -> completed" in second.text
    assert "f.txt" not in second.text
    assert reports.get(batch_id, 2).changed_count == 2
    assert files_of(harness, batch_id, 2)["outcomes"] == "sssssfs"


def test_an_update_without_a_change_sends_nothing_and_the_next_starts_again(
    harness: Harness, payloads: Payloads, manifest: str
) -> None:
    batch_id = sliced(harness, manifest)
    harness.advance(60)
    harness.send_batch_event(batch_id, "update_reporting")
    assert len(harness.mails_of(batch_id)) == 1
    assert harness.batch(batch_id).batch.state == "failed"

    payloads.status = {}
    harness.advance(60)
    harness.send_job_event(f"{batch_id}.0.1", "requeue")
    harness.send_batch_event(batch_id, "update_reporting")

    _, second = harness.mails_of(batch_id)
    assert "b.txt: failed -> completed" in second.text


def test_a_cancelled_batch_is_reported_in_slices_too(harness: Harness, manifest: str) -> None:
    harness.slice_jobs = 2

    def cancelled_first(name: str, function: Any, event: dict[str, Any]) -> dict[str, Any]:
        if name == "ExecuteChunkFunction" and event["line"]["chunk"] == 0:
            send_batch_event(event["origin_id"], "cancel", harness.context())
        answer: dict[str, Any] = function(event)
        return answer

    harness.machines.invoke = cancelled_first
    batch_id = harness.drop(manifest)

    assert files_of(harness, batch_id)["outcomes"] == "ccccccc"
    assert harness.batch(batch_id).batch.state == "cancelled"


@dataclass
class Dying(Listener):
    """Report dies at its `at`-th write to S3, before or after it is applied."""

    at: int
    applied: bool
    awake: bool = False
    seen: int = 0

    def _die_if_due(self, call: Call, *, applied: bool) -> None:
        if self.awake and self.applied is applied and call.operation in _WRITES:
            self.seen += 1
            if self.seen == self.at:
                raise FunctionDied(f"{call.operation} {call.parameters['Key']}")

    def before(self, call: Call) -> Answer | None:
        self._die_if_due(call, applied=False)
        return None

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        self._die_if_due(call, applied=True)


WRITES = 4 * 5 + 6  # of four slices, and of the report itself


def hook_report(harness: Harness, hook: Callable[[Any, dict[str, Any]], dict[str, Any]]) -> None:
    """Invoke Report by `hook` from now on."""

    def invoke(name: str, function: Any, event: dict[str, Any]) -> dict[str, Any]:
        if name != "ReportFunction":
            answer: dict[str, Any] = function(event)
            return answer
        return hook(function, event)

    harness.machines.invoke = invoke


@pytest.mark.turns(2)
@pytest.mark.parametrize("applied", [False, True], ids=["before", "after"])
def test_a_report_that_dies_at_any_write_is_sent_once_and_complete(
    harness: Harness, manifest: str, applied: bool, everything: bool, turn: int
) -> None:
    expected = files_of(harness, sliced(harness, manifest))
    # A write that one turn it dies before, it dies after three turns later.
    step = 1 if everything else 6
    for number in range(1 + (turn // 2 + step // 2 * applied) % step, WRITES + 1, step):
        dying = Dying(number, applied)

        def watched(function: Any, event: dict[str, Any], dying: Dying = dying) -> dict[str, Any]:
            dying.awake = True
            try:
                answer: dict[str, Any] = function(event)
                return answer
            finally:
                dying.awake = False

        hook_report(harness, watched)
        with harness.interceptor.listening(dying):
            batch_id = harness.drop(manifest)

        assert dying.seen >= number, "there were fewer writes"
        assert files_of(harness, batch_id) == expected, number
        assert len(harness.mails_of(batch_id)) == 1
        assert harness.batch(batch_id).batch.last_report == 1
    assert "Uploads" not in harness.s3.list_multipart_uploads(Bucket="work")


def test_every_slice_may_be_asked_for_twice_and_late(harness: Harness, manifest: str) -> None:
    expected = files_of(harness, sliced(harness, manifest))
    events: list[dict[str, Any]] = []

    def twice(function: Any, event: dict[str, Any]) -> dict[str, Any]:
        events.append(event)
        function(event)
        answer: dict[str, Any] = function(event)
        return answer

    hook_report(harness, twice)
    batch_id = harness.drop(manifest)
    late = [harness.report(each) for each in events]

    assert files_of(harness, batch_id) == expected
    assert len(harness.mails_of(batch_id)) == 1
    assert all(each["next"] == "end" for each in late)
    assert harness.batch(batch_id).batch.last_report == 1


@dataclass
class Overtaking(Listener):
    """Before a slice is noted, its job changes and another worker notes the slice first."""

    harness: Harness
    event: dict[str, Any]
    hits: int = 0

    def before(self, call: Call) -> Answer | None:
        noted = call.operation == "PutObject" and call.parameters["Key"].endswith("slice.json")
        if not noted or self.hits:
            return None
        self.hits += 1
        address = JobAddress(self.event["origin_id"], 0, 0)
        job = jobs.find(address)
        assert job is not None
        changed = replace(job, version=job.version + 1, state=JobState.DELETED)
        jobs.write_many([(job, changed)])
        self.harness.report(self.event)
        return None


def test_a_slice_that_two_workers_read_differently_is_reported_as_one_of_them_did(
    harness: Harness, manifest: str
) -> None:
    def overtaken(function: Any, event: dict[str, Any]) -> dict[str, Any]:
        with harness.interceptor.listening(Overtaking(harness, event)):
            answer: dict[str, Any] = function(event)
            return answer

    hook_report(harness, overtaken)
    batch_id = sliced(harness, manifest)

    found = files_of(harness, batch_id)
    states = [row["state"] for row in csv.DictReader(io.StringIO(found["jobs.csv"]))]
    counts = json.loads(found["report.json"])["counts"]
    assert {state: states.count(state) for state in set(states)} == counts
    assert found["outcomes"][0] == "d"
    assert states[0] == "deleted"


def test_a_row_with_unusual_text_does_not_stop_the_report(harness: Harness, manifest: str) -> None:
    """Text of rows and records comes from outside; here it was not cleaned."""
    odd = ["\udcff\x00\x1b[31m", '"\r\n,=1+1', "\u202e" * 300, "�", "NO_LONGER_KNOWN"]
    harness.slice_jobs = SLICE_JOBS

    def poisoned(function: Any, event: dict[str, Any]) -> dict[str, Any]:
        read_rows = files.rows.rows_by_chunk

        def rows_by_chunk(*arguments: Any) -> Iterator[tuple[Chunk, list[dict[str, Any]]]]:
            for chunk, found in read_rows(*arguments):
                changed = {"name": odd[0], "url": odd[1], "local": odd}
                yield chunk, [row | changed for row in found]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(files.rows, "rows_by_chunk", rows_by_chunk)
            of_chunk = files.jobs.of_chunk
            patch.setattr(
                files.jobs,
                "of_chunk",
                lambda *arguments: (
                    replace(job, failure_code=odd[4], failure_message=odd[0], data={odd[0]: odd})
                    for job in of_chunk(*arguments)
                ),
            )
            answer: dict[str, Any] = function(event)
            return answer

    hook_report(harness, poisoned)
    batch_id = harness.drop(manifest)

    assert harness.batch(batch_id).batch.state == "failed"
    assert len(harness.mails_of(batch_id)) == 1
    assert len(json.loads(files_of(harness, batch_id)["report.json"])["jobs"]) == 7
    assert "NO_LONGER_KNOWN" in files_of(harness, batch_id)["mail.txt"]


def test_a_jobs_local_identifiers_are_in_every_file(harness: Harness, manifest: str) -> None:
    with_ids = manifest.replace(" | b.txt | | | ", " | b.txt | | b:1;b:2 | ", 1)
    assert with_ids != manifest

    found = files_of(harness, harness.drop(with_ids))

    every, failed = (
        [row["local_id"] for row in csv.DictReader(io.StringIO(found[name]))]
        for name in ("jobs.csv", "failures.csv")
    )
    assert every == ["", "b:1;b:2", *[""] * 5]
    assert failed == ["b:1;b:2", "", ""]
    assert [each["local_id"] for each in json.loads(found["report.json"])["jobs"]] == every


def test_every_file_of_a_refused_batchs_report_names_the_batch(harness: Harness) -> None:
    batch_id = harness.drop("nonsense")

    found = files_of(harness, batch_id)
    rows = [*csv.DictReader(io.StringIO(found["jobs.csv"]))]
    assert {row["batch_id"] for row in rows} == {"BATCH"}
    assert json.loads(found["report.json"])["batch_id"] == "BATCH"
    assert "BATCH" in found["report.html"]
    assert "BATCH" in found["mail.txt"]
