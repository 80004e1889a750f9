"""Lists and details show batches and retries as they are."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from jobyard.domain.batches.batch import BatchState
from jobyard.domain.batches.operation import Filter
from jobyard.domain.errors import Gone, InvalidTransition
from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.services.batches import operations, submissions
from jobyard.services.batches import operations as batch_operations
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.queries import batches
from jobyard.services.queries import batches as batch_queries
from jobyard.services.queries import operations as operation_queries
from jobyard.services.queries.batches import BatchView
from jobyard.services.settings import UPLOAD_TIME
from jobyard.store import jobs
from tests.harness import DEPOSITOR, Harness, Payloads, single_files

FAILED = Filter(JobState.FAILED)
_numbers = count(1)


@pytest.fixture
def collection() -> str:
    """The name of a collection of the test's own."""
    return f"true-{next(_numbers)}"


def failed(harness: Harness, payloads: Payloads, collection: str, number: int = 3) -> str:
    """A batch whose jobs all failed; their files exist by now."""
    names = {f"{collection}-{each}.txt": f"{each}".encode() for each in range(number)}
    text = single_files(payloads, names)
    payloads.status |= {f"/{name}": 404 for name in names}
    batch_id = harness.drop(text, collection=collection)
    for name in names:
        payloads.status.pop(f"/{name}")
    return batch_id


def make_final(batch_id: str, number: int) -> None:
    """Make the failures of the batch's first jobs permanent."""
    for each in range(number):
        job = jobs.find(JobAddress(batch_id, each // 2, each % 2))
        assert job is not None
        after = replace(
            job,
            requeueable=False,
            failure_message="its ark is another object's",
            version=job.version + 1,
            cause=f"final {each}",
        )
        jobs.apply(job, after, BatchState.FAILED)


def listed(harness: Harness, collection: str) -> list[BatchView]:
    page = batch_queries.list_batches(
        harness.query_context(), state="", collection=collection, after={}, limit=10
    )
    return [*page.items]


def test_a_list_distinguishes_a_repaired_batch_from_a_failed_one(
    harness: Harness, payloads: Payloads, collection: str
) -> None:
    broken = failed(harness, payloads, collection)
    repaired = failed(harness, payloads, collection)
    batch_operations.change_jobs(repaired, "requeue", FAILED, harness.context())
    harness.machines.run_all()

    shown = {view.batch.batch_id: view for view in listed(harness, collection)}

    for batch_id, view in shown.items():
        alone = harness.batch(batch_id)
        assert (view.counts, view.failure_groups, view.why) == (
            alone.counts,
            alone.failure_groups,
            alone.why,
        )
    assert (shown[repaired].counts["succeeded"], shown[repaired].counts["failed"]) == (3, 0)
    assert shown[repaired].batch.state == shown[broken].batch.state == "failed"
    assert shown[broken].why == "3 failed jobs for a person to requeue or delete"
    assert shown[repaired].why == (
        "repaired: no failed jobs are left; update-reporting reports this"
    )


def test_a_list_shows_a_repair_in_progress(
    harness: Harness, payloads: Payloads, collection: str
) -> None:
    batch_id = failed(harness, payloads, collection)

    send_job_event(f"{batch_id}.0.0", "requeue", harness.context())

    (view,) = listed(harness, collection)
    assert (view.counts["scheduled"], view.counts["failed"]) == (1, 2)
    assert view.failure_groups is not None
    assert [group.count for group in view.failure_groups] == [2]


def test_failure_groups_of_a_list_are_right_or_absent(
    harness: Harness, payloads: Payloads, collection: str
) -> None:
    """A cancelled batch is not counted again: its list knows how many failed, not why."""
    names = [f"{collection}-{each}.txt" for each in range(3)]
    text = single_files(payloads, {name: name.encode() for name in names})
    payloads.status[f"/{names[0]}"] = 404
    event = harness.upload(text, name="m.checkm", collection=collection)
    opened = harness.open({"input": event, "execution": collection})
    index = harness.s3.get_object(Bucket="work", Key=f"work/{opened['origin_id']}/index.jsonl")
    harness.execute_chunk(opened | json.loads(next(index["Body"].iter_lines())))
    harness.send_batch_event(opened["origin_id"], "cancel")
    rest = {"origin_id": opened["origin_id"], "command": "settle", "run": "main", "pass": 1}
    harness.machines.run("batch", f"{collection}-rest", rest)

    (view,) = listed(harness, collection)
    assert (view.batch.state, view.counts["failed"]) == ("cancelled", 1)
    assert view.failure_groups is None
    alone = harness.batch(opened["origin_id"]).failure_groups
    assert alone is not None
    assert [group.code for group in alone] == ["PAYLOAD_NOT_FOUND"]


def test_a_page_of_batches_counts_so_many_chunks_and_the_next_continues(
    harness: Harness, payloads: Payloads, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for _ in range(4):
        made.append(failed(harness, payloads, collection))
        harness.advance(1)
    monkeypatch.setattr(batches, "MAX_COUNTED_CHUNKS", 4)  # two chunks each

    for everywhere in ("", collection):
        pages, after = [], {}
        while True:
            page = batch_queries.list_batches(
                harness.query_context(), state="", collection=everywhere, after=after, limit=10
            )
            pages.append([view.batch.batch_id for view in page.items])
            if page.after is None:
                break
            after = dict(page.after)
        seen = [each for page_of in pages for each in page_of if each in made]
        assert seen == [*reversed(made)]
        assert all(len(page_of) <= 3 for page_of in pages) or everywhere == ""


def test_a_page_scans_so_many_batches_and_the_next_continues(
    harness: Harness, payloads: Payloads, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second filter that lets nothing through reads no index to its end at once."""
    for _ in range(3):
        failed(harness, payloads, collection, 1)
        harness.advance(1)
    monkeypatch.setattr(batches, "MAX_SCANNED_BATCHES", 2)

    page = batch_queries.list_batches(
        harness.query_context(), state="held", collection=collection, after={}, limit=1
    )

    assert page.items == ()
    assert page.after is not None
    rest = batch_queries.list_batches(
        harness.query_context(), state="held", collection=collection, after=page.after, limit=1
    )
    assert (rest.items, rest.after) == ((), None)


# A retry of jobs that may not be requeued


def test_a_retry_of_a_job_that_may_not_be_requeued_is_refused_in_words(
    harness: Harness, payloads: Payloads, collection: str
) -> None:
    batch_id = failed(harness, payloads, collection)
    make_final(batch_id, 1)
    one = Filter(JobState.FAILED, job_ids=frozenset({f"{batch_id}.0.0"}))

    meant = operations.preview_operation(batch_id, "requeue", one, harness.context())
    assert (meant.total, meant.refused) == (1, 1)
    with pytest.raises(InvalidTransition, match="its ark is another object's"):
        batch_operations.change_jobs(batch_id, "requeue", one, harness.context())


def test_a_retry_of_all_shows_how_many_jobs_are_excluded(
    harness: Harness, payloads: Payloads, collection: str
) -> None:
    batch_id = failed(harness, payloads, collection)
    make_final(batch_id, 1)

    meant = operations.preview_operation(batch_id, "requeue", FAILED, harness.context())
    operation = batch_operations.change_jobs(batch_id, "requeue", FAILED, harness.context())
    harness.machines.run_all()

    assert (meant.total, meant.refused) == (operation.matched, operation.not_requeueable) == (3, 1)
    view = operation_queries.operation(batch_id, operation.operation_id, harness.query_context())
    assert view.operation.not_requeueable == 1
    assert view.counts == {"refused": 1, "succeeded": 2}
    assert view.operation.outcomes == {"refused": 1, "accepted": 2}
    (group,) = harness.batch(batch_id).failure_groups or ()
    assert (group.count, group.not_requeueable) == (1, 1)
    why = "1 failed job for the depositor to submit again, or a person to delete"
    assert harness.batch(batch_id).why == why
    with pytest.raises(InvalidTransition, match="cannot be requeued"):
        batch_operations.change_jobs(batch_id, "requeue", FAILED, harness.context())


# A batch that was never uploaded


def promised(harness: Harness, collection: str, name: str = "m.checkm") -> str:
    submission = submissions.Submission(collection, name, "deposit", "", ("d@example.org",), {}, "")
    batch, _ = submissions.submit(submission, harness.context(DEPOSITOR))
    return batch.batch_id


def test_a_batch_that_was_never_uploaded_expires_at_the_shown_time(
    harness: Harness, collection: str
) -> None:
    batch_id = promised(harness, "promised")
    until = harness.batch(batch_id).until
    assert until == harness.now() + UPLOAD_TIME

    harness.wait_until(until - timedelta(seconds=1))
    assert harness.batch(batch_id).batch.state == "pending"
    harness.wait_until(until)

    with pytest.raises(Gone, match="never uploaded"):
        harness.batch(batch_id)


def test_an_upload_that_ends_late_still_finds_its_batch(
    harness: Harness, payloads: Payloads, collection: str
) -> None:
    """It began in time, and nobody can know of that until it ends."""
    batch_id = promised(harness, "promised")
    harness.advance(20 * 60)
    text = single_files(payloads, {f"{collection}.txt": b"late"})

    event = harness.upload(text, name=f"{batch_id}/m.checkm", collection="promised")
    harness.machines.run("batch", collection, event)

    assert harness.batch(batch_id).batch.state == "completed"


def test_a_manifest_that_was_uploaded_is_opened_whatever_it_is_called(
    harness: Harness, payloads: Payloads, collection: str
) -> None:
    """A dropped one of that name is ignored; this one would be shown as never uploaded."""
    batch_id = promised(harness, "promised", ".maps.checkm")
    text = single_files(payloads, {f"{collection}.txt": b"hidden"})

    event = harness.upload(text, name=f"{batch_id}/.maps.checkm", collection="promised")
    harness.machines.run("batch", collection, event)

    assert harness.batch(batch_id).batch.state == "completed"


def test_a_batch_that_was_never_uploaded_can_be_cancelled(
    harness: Harness, payloads: Payloads, collection: str
) -> None:
    batch_id = promised(harness, "promised")
    assert "cancel" in harness.batch(batch_id).actions

    harness.send_batch_event(batch_id, "cancel", reason="a mistake")

    view = harness.batch(batch_id)
    assert view.batch.state == "cancelled"
    assert len(harness.mails_of(batch_id)) == 1
    harness.advance(3600)
    assert harness.batch(batch_id).batch.state == "cancelled"
    text = single_files(payloads, {f"{collection}.txt": b"late"})
    event = harness.upload(text, name=f"{batch_id}/m.checkm", collection="promised")
    harness.machines.run("batch", collection, event)
    assert harness.batch(batch_id).batch.state == "cancelled"


def test_a_cancel_without_an_execution_is_recovered(harness: Harness, collection: str) -> None:
    batch_id = promised(harness, "promised")
    start, harness.machines.start_execution = harness.machines.start_execution, _unreachable  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        send_batch_event(batch_id, "cancel", harness.context())
    harness.machines.start_execution = start  # type: ignore[method-assign]

    harness.advance(61)
    harness.tick()
    harness.machines.run_all()

    assert harness.batch(batch_id).batch.state == "cancelled"


def _unreachable(**_: object) -> None:
    raise ConnectionError
