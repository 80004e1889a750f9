"""Merritt's four use cases, and what people do to batches, from manifest to mail."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from jobyard.domain.batches.operation import Filter
from jobyard.domain.errors import Forbidden, Gone, InvalidTransition, NotFound, StaleState
from jobyard.domain.hold import Hold
from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.domain.jobs.job_type import Snooze
from jobyard.jobtypes import TYPES
from jobyard.jobtypes.deposit import steps
from jobyard.services import holds as hold_commands
from jobyard.services.batches import open, operations, submissions
from jobyard.services.batches.commands import send_batch_event
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.batches.recovery import recover_batches
from jobyard.services.context import Actor, CommandContext
from jobyard.services.executions import Executions
from jobyard.services.jobs.attempt import MAX_SNOOZES, AttemptResult, after_attempt, after_start
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.queries import batches as batch_queries
from jobyard.services.queries import jobs as job_queries
from jobyard.services.queries import operations as operation_queries
from jobyard.services.queries.jobs import list_jobs
from jobyard.services.runs import ExecutionRun
from jobyard.store import holds, jobs, reports, tables
from tests.faults.aws_semantics import named
from tests.harness import DEPOSITOR, Harness, Payloads, single_files, source_of
from tests.people import sub_of

THREE = {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}


def with_c_missing(payloads: Payloads) -> str:
    manifest = single_files(payloads, THREE)
    payloads.status["/c.txt"] = 404
    return manifest


def with_c_back(payloads: Payloads) -> None:
    payloads.status.pop("/c.txt")


# Merritt's four


def test_a_successful_batch_sends_one_mail_that_says_ok(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = harness.drop(single_files(payloads, THREE))

    view = harness.batch(batch_id)
    (mail,) = harness.mails_of(batch_id)
    assert view.batch.state == "completed"
    assert view.counts["succeeded"] == view.counts["total"] == 3
    assert "OK" in mail.subject
    assert [entry.after for entry in view.batch.history if entry.before != entry.after] == [
        "processing",
        "reporting",
        "completed",
    ]


def test_a_failed_batch_sends_one_mail_and_none_when_it_is_deleted(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = harness.drop(with_c_missing(payloads))

    assert harness.batch(batch_id).batch.state == "failed"
    harness.send_batch_event(batch_id, "delete")

    (mail,) = harness.mails_of(batch_id)
    assert "FAIL" in mail.subject
    assert "PAYLOAD_NOT_FOUND" in mail.text
    assert harness.batch(batch_id).batch.state == "deleted"


def test_a_failed_batch_with_a_successful_retry_sends_two_mails(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = harness.drop(with_c_missing(payloads))
    with_c_back(payloads)

    harness.send_job_event(f"{batch_id}.1.0", "requeue")
    assert harness.batch(batch_id).batch.state == "failed"
    harness.send_batch_event(batch_id, "update_reporting")

    first, second = harness.mails_of(batch_id)
    assert "FAIL" in first.subject
    assert "OK" in second.subject
    assert "c.txt: failed -> completed" in second.text
    assert "a.txt" not in second.text
    assert harness.batch(batch_id).batch.state == "completed"


def test_a_failed_batch_with_an_unsuccessful_retry_sends_no_second_mail(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = harness.drop(with_c_missing(payloads))
    payloads.status["/c.txt"] = 403  # another cause is no other outcome

    harness.send_job_event(f"{batch_id}.1.0", "requeue")
    harness.send_batch_event(batch_id, "update_reporting")

    view = harness.batch(batch_id)
    assert len(harness.mails_of(batch_id)) == 1
    assert view.batch.state == "failed"
    assert view.batch.history[-1].reason == "no change since the last report"
    assert view.batch.report_checked_at is not None


# Manifests


def test_a_manifest_with_an_error_makes_no_job_and_the_mail_names_the_line(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, THREE).replace(" | sha-256 | ", " | sha-1 | ", 1)

    batch_id = harness.drop(manifest)

    view = harness.batch(batch_id)
    (mail,) = harness.mails_of(batch_id)
    assert view.batch.state == "failed"
    assert view.counts["total"] == 0
    assert "FAIL" in mail.subject
    assert "line 6" in mail.text
    assert list_jobs(batch_id, harness.query_context(), state="", after=(0, 0), limit=9).items == ()


def test_a_refused_batch_cannot_be_reported_again(harness: Harness) -> None:
    batch_id = harness.drop("nonsense")

    with pytest.raises(InvalidTransition, match="nothing to compare"):
        harness.send_batch_event(batch_id, "update_reporting")


def test_an_event_that_comes_twice_makes_one_batch_and_one_mail(
    harness: Harness, payloads: Payloads
) -> None:
    event = harness.upload(single_files(payloads, THREE), name="twice.checkm", collection="maps")

    harness.machines.run("batch", "first", event)
    harness.machines.run("batch", "second", event)

    assert len(harness.mails_of(harness.batch_id_of(event))) == 1


def test_an_empty_object_and_a_folder_marker_make_no_batch(harness: Harness) -> None:
    empty = harness.upload("", name="empty.checkm", collection="maps")

    assert harness.open({"input": empty, "execution": "x"})["next"] == "end"


def test_the_same_manifest_again_is_taken_with_a_word_about_the_first(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, {"same.txt": b"same"})
    first = harness.drop(manifest, collection="twins")
    second = harness.drop(manifest, collection="twins", name="june.checkm")

    assert harness.batch(second).batch.duplicate_of == first
    assert f"looks like batch {first}" in harness.mails_of(second)[0].text


def test_a_batch_of_another_person_is_not_named(harness: Harness, payloads: Payloads) -> None:
    manifest = single_files(payloads, {"same.txt": b"same"})
    dropped = harness.drop(manifest, collection="twins-too")
    submission = submissions.Submission(
        "twins-too", "may.checkm", "deposit", "", ("d@example.org",), {}, ""
    )
    batch, _ = submissions.submit(submission, harness.context(DEPOSITOR))
    name = f"{batch.batch_id}/may.checkm"
    event = harness.upload(manifest, name=name, collection="twins-too")
    harness.machines.run("batch", "twins-too", event)

    submitted = harness.batch(batch.batch_id).batch
    assert submitted.manifest_sha256 == harness.batch(dropped).batch.manifest_sha256
    assert submitted.duplicate_of == ""


# Retries by the machine


def test_a_busy_server_is_retried_automatically_at_a_shown_time(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, THREE)
    payloads.status["/b.txt"] = 503
    waits: list[timedelta] = []

    def repair(until: object) -> None:
        view = job_queries.job(f"{harness.batch_id_of(event)}.0.1", harness.query_context())
        assert view.why.startswith("retry 1 of 3")
        assert view.until is not None
        waits.append(view.until - harness.now())
        payloads.status.pop("/b.txt", None)
        harness.at = view.until

    event = harness.upload(manifest, name="busy.checkm", collection="maps")
    harness.machines._wait_until = repair  # type: ignore[assignment]
    harness.machines.run("batch", "busy", event)

    batch_id = harness.batch_id_of(event)
    job = jobs.find(JobAddress(batch_id, 0, 1))
    assert waits == [timedelta(seconds=5)]
    assert harness.batch(batch_id).batch.state == "completed"
    assert job is not None
    assert [attempt.failure_code for attempt in job.attempts] == ["PAYLOAD_SERVER_ERROR", ""]
    assert len(harness.mails_of(batch_id)) == 1


def test_a_file_that_comes_later_is_waited_for_and_uses_up_no_attempt(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, THREE)
    payloads.status["/b.txt"], payloads.retry_after["/b.txt"] = 202, 7_200
    began = harness.now()

    def bring(until: object) -> None:
        view = job_queries.job(f"{harness.batch_id_of(event)}.0.1", harness.query_context())
        words = "the server answered GET with 202 Accepted, and asks to retry in 7200 s"
        assert view.why == f"b.txt: {words}"
        assert view.until is not None
        harness.at = view.until
        if harness.at - began > timedelta(hours=12):
            payloads.status.pop("/b.txt", None)

    event = harness.upload(manifest, name="tape.checkm", collection="maps")
    harness.machines._wait_until = bring  # type: ignore[assignment]
    harness.machines.run("batch", "tape", event)

    batch_id = harness.batch_id_of(event)
    job = jobs.find(JobAddress(batch_id, 0, 1))
    assert job is not None
    assert (job.state, job.start_count) == (JobState.SUCCEEDED, 1)
    assert timedelta(hours=12) < harness.now() - began <= timedelta(hours=24)
    assert harness.batch(batch_id).batch.state == "completed"


def test_a_batch_ends_although_a_server_answers_retry_later_for_ever(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, THREE)
    payloads.status["/b.txt"], payloads.retry_after["/b.txt"] = 503, 1
    began = harness.now()

    batch_id = harness.drop(manifest)

    job = jobs.find(JobAddress(batch_id, 0, 1))
    assert job is not None
    assert (job.state, job.failure_code) == (JobState.FAILED, "PAYLOAD_SERVER_ERROR")
    assert "503" in job.failure_message
    assert timedelta(hours=24) <= harness.now() - began < timedelta(hours=25)
    assert payloads.requests.count(("GET", "/b.txt")) <= 25
    assert harness.batch(batch_id).batch.state == "failed"


def test_a_server_that_never_recovers_fails_the_job_after_three_retries(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, THREE)
    payloads.status["/b.txt"] = 500

    batch_id = harness.drop(manifest)

    job = jobs.find(JobAddress(batch_id, 0, 1))
    assert job is not None
    assert job.state is JobState.FAILED
    assert len(job.attempts) == 4
    assert harness.batch(batch_id).failure_groups[0].code == "PAYLOAD_SERVER_ERROR"


# People


def test_failed_jobs_are_retried_as_one_tracked_operation(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, {f"{n}.txt": b"%d" % n for n in range(5)})
    payloads.status |= {"/1.txt": 404, "/4.txt": 404, "/3.txt": 403}
    batch_id = harness.drop(manifest)
    payloads.status.clear()

    operation = operations.change_jobs(
        batch_id,
        "requeue",
        Filter(JobState.FAILED, frozenset({"PAYLOAD_NOT_FOUND"})),
        harness.context(),
    )
    harness.machines.run_all()

    view = operation_queries.operation(batch_id, operation.operation_id, harness.query_context())
    assert operation.matched == 2
    assert view.operation.state == "done"
    assert view.counts == {"succeeded": 2}
    assert [each.job_id for each in view.outcomes] == [f"{batch_id}.0.1", f"{batch_id}.2.0"]
    assert harness.batch(batch_id).counts["succeeded"] == 4
    assert harness.batch(batch_id).counts["failed"] == 1
    assert harness.batch(batch_id).batch.state == "failed"


def test_a_failed_job_calls_back_with_its_code(harness: Harness, payloads: Payloads) -> None:
    manifest = single_files(payloads, THREE)
    del payloads.files["/b.txt"]
    payloads.files["/callback"] = b""
    hook = {"callback-url": f"{payloads.url}/callback"}

    batch_id = harness.drop(manifest, name="hook.checkm", metadata=hook)

    posted = sorted(payloads.posted, key=lambda each: each["job_id"])
    assert [each["status"] for each in posted] == ["succeeded", "failed", "succeeded"]
    assert posted[1]["job_id"] == f"{batch_id}.0.1"
    assert posted[1]["code"] == "PAYLOAD_NOT_FOUND"
    assert "404" in posted[1]["message"]
    job = jobs.find(JobAddress(batch_id, 0, 1))
    assert job is not None
    assert "callback" not in job.data


def test_a_job_whose_step_raised_calls_back_once_it_has_failed_for_good(
    harness: Harness, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(_step_input: Any, _context: Any) -> Any:
        raise LookupError("a secret of the house")

    monkeypatch.setitem(cast("dict[str, Any]", steps.STEPS), "estimating", odd)
    payloads.files["/callback"] = b""
    hook = {"callback-url": f"{payloads.url}/callback"}

    batch_id = harness.drop(single_files(payloads, {"a.txt": b"a"}), metadata=hook)

    (posted,) = payloads.posted
    assert (posted["status"], posted["code"]) == ("failed", "STEP_ERROR")
    job = jobs.find(JobAddress(batch_id, 0, 0))
    assert job is not None
    assert "secret" not in f"{posted} {job} {harness.mails_of(batch_id)[0].text}"


def test_a_callback_that_failed_is_shown_on_the_job_and_in_the_table(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, THREE)
    del payloads.files["/b.txt"]
    payloads.status["/callback"] = 404
    hook = {"callback-url": f"{payloads.url}/callback"}

    batch_id = harness.drop(manifest, name="hook.checkm", metadata=hook)

    words = "the callback was answered with 404"
    for position, state in ((0, "succeeded"), (1, "failed")):
        job = jobs.find(JobAddress(batch_id, 0, position))
        assert job is not None
        assert (job.state, job.data["callback"]) == (state, words)
    (report,) = reports.of_batch(batch_id)
    table = (
        harness.s3.get_object(Bucket="work", Key=report.files["jobs.csv"])["Body"].read().decode()
    )
    assert [row["callback"] for row in csv.DictReader(table.splitlines())] == [words] * 3


def test_a_callback_that_finally_succeeds_leaves_no_error_on_the_job(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, {"a.txt": b"a"})
    content = payloads.files.pop("/a.txt")
    payloads.status["/callback"] = 404
    hook = {"callback-url": f"{payloads.url}/callback"}
    batch_id = harness.drop(manifest, name="hook.checkm", metadata=hook)
    payloads.files["/a.txt"] = content
    payloads.files["/callback"] = b""
    payloads.status.clear()

    harness.send_job_event(f"{batch_id}.0.0", "requeue")

    job = jobs.find(JobAddress(batch_id, 0, 0))
    assert job is not None
    assert (job.state, job.data["callback"]) == ("succeeded", "")


def test_a_dropped_manifest_whose_callback_may_not_be_called_is_refused(
    harness: Harness, payloads: Payloads
) -> None:
    hook = {"callback-url": "http://169.254.169.254/latest"}

    batch_id = harness.drop(single_files(payloads, {"a.txt": b"a"}), metadata=hook)

    batch = harness.batch(batch_id).batch
    assert batch.state == "failed"
    assert "its callback URL has an address that is not public" in batch.failure_message
    assert len(harness.mails_of(batch_id)) == 1


def test_a_requeue_resumes_after_the_last_good_step(harness: Harness, payloads: Payloads) -> None:
    manifest = single_files(payloads, THREE)
    payloads.status["/callback"] = 500
    key = f"manifests/maps/{'callback'}.checkm"
    harness.s3.put_object(
        Bucket="intake",
        Key=key,
        Body=manifest.encode(),
        Metadata={"callback-url": f"{payloads.url}/callback"},
    )
    version = harness.s3.head_object(Bucket="intake", Key=key)["VersionId"]
    found = {"key": key, "size": len(manifest), "version-id": version}
    event = {"detail": {"bucket": {"name": "intake"}, "object": found}}
    harness.machines.run("batch", "callback", event)
    batch_id = harness.batch_id_of(event)
    failed = jobs.find(JobAddress(batch_id, 0, 0))
    assert failed is not None
    assert failed.failure_code == "CALLBACK_FAILED"
    payloads.status.clear()
    payloads.files["/callback"] = b""
    payloads.requests.clear()

    harness.send_job_event(f"{batch_id}.0.0", "requeue")

    assert ("GET", "/a.txt") not in payloads.requests
    assert ("POST", "/callback") in payloads.requests
    job = jobs.find(JobAddress(batch_id, 0, 0))
    assert job is not None
    assert job.state is JobState.SUCCEEDED
    assert job.requeue_count == 1


def test_a_held_collection_holds_its_batches_until_it_is_released(
    harness: Harness, payloads: Payloads
) -> None:
    hold_commands.place_hold("collection:quiet", None, harness.context(reason="maintenance"))
    batch_id = harness.drop(single_files(payloads, THREE), collection="quiet")

    held = harness.batch(batch_id)
    assert held.batch.state == "held"
    assert "collection:quiet is held by admin: maintenance" in held.why
    assert harness.mails_of(batch_id) == []

    hold_commands.lift_hold("collection:quiet", harness.context())
    harness.machines.run_all()

    assert harness.batch(batch_id).batch.state == "completed"
    assert len(harness.mails_of(batch_id)) == 1


def test_a_batch_that_is_released_while_its_collection_is_held_is_held_again(
    harness: Harness, payloads: Payloads
) -> None:
    hold_commands.place_hold("collection:shut", None, harness.context(reason="maintenance"))
    batch_id = harness.drop(single_files(payloads, THREE), collection="shut")

    harness.send_batch_event(batch_id, "release")

    assert harness.batch(batch_id).batch.state == "held"
    hold_commands.lift_hold("collection:shut", harness.context())


def test_jobs_that_were_held_before_their_start_continue_after_the_lift(
    harness: Harness, payloads: Payloads
) -> None:
    event = harness.upload(single_files(payloads, THREE), name="mid.checkm", collection="mid")
    opened = harness.open({"input": event, "execution": "mid"})
    batch_id = opened["origin_id"]
    hold_commands.place_hold("collection:mid", None, harness.context(reason="maintenance"))
    for chunk, start, end in _index(harness, batch_id):
        harness.execute_chunk(opened | {"chunk": chunk, "start": start, "end": end})

    assert harness.settle(opened)["next"] == "end"
    view = harness.batch(batch_id)
    assert view.batch.state == "processing"
    assert view.counts["held"] == 3
    assert "3 held" in view.why
    assert "maintenance" in job_queries.job(f"{batch_id}.0.0", harness.query_context()).why

    hold_commands.lift_hold("collection:mid", harness.context())
    harness.machines.run_all()

    assert harness.batch(batch_id).batch.state == "completed"
    assert len(harness.mails_of(batch_id)) == 1


def _index(harness: Harness, batch_id: str) -> list[tuple[int, int, int]]:
    from jobyard.domain.batches.chunks import Chunk

    body = harness.s3.get_object(Bucket="work", Key=f"work/{batch_id}/index.jsonl")["Body"].read()
    chunks = [Chunk.from_index_line(line) for line in body.splitlines()]
    return [(chunk.number, chunk.start, chunk.end) for chunk in chunks]


def test_a_job_held_by_a_person_before_its_start_is_released_alone(
    harness: Harness, payloads: Payloads
) -> None:
    event = harness.upload(single_files(payloads, THREE), name="one.checkm", collection="maps")
    opened = harness.open({"input": event, "execution": "one"})
    batch_id = opened["origin_id"]
    harness.send_job_event(f"{batch_id}.0.1", "hold", reason="look first")
    harness.machines.run("batch", "one-rest", {
        "origin_id": batch_id, "command": "settle", "run": "main", "pass": 1,
    })  # fmt: skip

    waiting = harness.batch(batch_id)
    assert waiting.batch.state == "processing"
    assert (waiting.counts["succeeded"], waiting.counts["held"]) == (2, 1)
    assert harness.mails_of(batch_id) == []

    harness.send_job_event(f"{batch_id}.0.1", "release")

    assert harness.batch(batch_id).batch.state == "completed"
    assert len(harness.mails_of(batch_id)) == 1


def test_deleting_the_last_open_job_lets_the_batch_report(
    harness: Harness, payloads: Payloads
) -> None:
    event = harness.upload(
        single_files(payloads, {"a.txt": b"1"}), name="d.checkm", collection="maps"
    )
    batch_id = harness.open({"input": event, "execution": "d"})["origin_id"]
    harness.send_job_event(f"{batch_id}.0.0", "hold")

    harness.send_job_event(f"{batch_id}.0.0", "delete")

    assert harness.batch(batch_id).batch.state == "deleted"
    assert harness.batch(batch_id).counts["deleted"] == 1


def test_a_job_deleted_after_the_report_is_a_change(harness: Harness, payloads: Payloads) -> None:
    batch_id = harness.drop(with_c_missing(payloads))

    harness.send_job_event(f"{batch_id}.1.0", "delete")
    harness.send_batch_event(batch_id, "update_reporting")

    assert "removed by the repository" in harness.mails_of(batch_id)[1].text
    assert harness.batch(batch_id).batch.state == "completed"


def test_a_cancelled_batch_ends_with_a_report(harness: Harness, payloads: Payloads) -> None:
    event = harness.upload(single_files(payloads, THREE), name="stop.checkm", collection="maps")
    opened = harness.open({"input": event, "execution": "stop"})
    batch_id = opened["origin_id"]
    first, *_ = _index(harness, batch_id)
    harness.execute_chunk(opened | dict(zip(("chunk", "start", "end"), first, strict=True)))

    harness.send_batch_event(batch_id, "cancel", reason="wrong files")
    assert harness.batch(batch_id).batch.state == "cancelling"
    for chunk in _index(harness, batch_id)[1:]:
        harness.execute_chunk(opened | dict(zip(("chunk", "start", "end"), chunk, strict=True)))
    assert harness.settle(opened)["next"] == "report"
    harness.report(opened)

    view = harness.batch(batch_id)
    assert view.batch.state == "cancelled"
    assert (view.counts["succeeded"], view.counts["cancelled"]) == (2, 1)
    assert "FAIL" in harness.mails_of(batch_id)[0].subject


def test_a_cancelled_batch_whose_jobs_are_all_held_ends_too(
    harness: Harness, payloads: Payloads
) -> None:
    event = harness.upload(single_files(payloads, THREE), name="ch.checkm", collection="ch")
    opened = harness.open({"input": event, "execution": "ch"})
    batch_id = opened["origin_id"]
    hold_commands.place_hold("collection:ch", None, harness.context())
    for chunk in _index(harness, batch_id):
        harness.execute_chunk(opened | dict(zip(("chunk", "start", "end"), chunk, strict=True)))
    assert harness.settle(opened)["next"] == "end"

    harness.send_batch_event(batch_id, "cancel")

    assert harness.batch(batch_id).batch.state == "cancelled"
    assert len(harness.mails_of(batch_id)) == 1
    hold_commands.lift_hold("collection:ch", harness.context())


def test_a_forced_failure_remains_whatever_the_worker_reports_later(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = harness.drop(with_c_missing(payloads))
    with_c_back(payloads)
    send_job_event(f"{batch_id}.1.0", "requeue", harness.context())
    send_job_event(f"{batch_id}.1.0", "force_fail", harness.context(reason="stuck"))

    harness.machines.run_all()

    view = job_queries.job(f"{batch_id}.1.0", harness.query_context())
    assert (view.job.state, view.job.failure_code) == ("failed", "FORCED")
    assert view.job.failure_message == "stuck"


# Access


def test_a_depositor_sees_only_what_they_submitted(harness: Harness, payloads: Payloads) -> None:
    batch_id = harness.drop(single_files(payloads, THREE))

    with pytest.raises(NotFound):
        batch_queries.batch(batch_id, harness.query_context(DEPOSITOR))
    with pytest.raises(NotFound):
        send_job_event(f"{batch_id}.0.0", "requeue", harness.context(DEPOSITOR))


def test_only_an_administrator_updates_reports(harness: Harness, payloads: Payloads) -> None:
    batch_id = harness.drop(with_c_missing(payloads))
    operator = Actor(sub_of("operator"), "operator", frozenset({"operator"}))

    with pytest.raises(Forbidden, match="only an admin may"):
        send_batch_event(batch_id, "update_reporting", harness.context(operator))


def test_a_job_of_a_completed_batch_is_not_requeued(harness: Harness, payloads: Payloads) -> None:
    batch_id = harness.drop(single_files(payloads, THREE))

    with pytest.raises(InvalidTransition):
        send_job_event(f"{batch_id}.0.0", "requeue", harness.context())


def test_the_jobs_of_a_deleted_batch_are_gone(harness: Harness, payloads: Payloads) -> None:
    batch_id = harness.drop(with_c_missing(payloads))
    harness.send_batch_event(batch_id, "delete")

    with pytest.raises(Gone):
        job_queries.job(f"{batch_id}.0.0", harness.query_context())


def test_a_request_that_is_sent_twice_moves_once(harness: Harness, payloads: Payloads) -> None:
    batch_id = harness.drop(with_c_missing(payloads))
    with_c_back(payloads)

    for _ in range(2):
        send_job_event(f"{batch_id}.1.0", "requeue", harness.context(key="the same"))
    harness.machines.run_all()
    send_job_event(f"{batch_id}.1.0", "requeue", harness.context(key="the same"))
    harness.machines.run_all()

    job = jobs.find(JobAddress(batch_id, 1, 0))
    assert job is not None
    assert job.requeue_count == 1
    assert job.state is JobState.SUCCEEDED


def test_of_two_simultaneous_requests_one_is_refused_as_late(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = harness.drop(with_c_missing(payloads))
    send_job_event(f"{batch_id}.1.0", "requeue", harness.context(key="one"))

    with pytest.raises((InvalidTransition, StaleState)):
        send_job_event(f"{batch_id}.1.0", "requeue", harness.context(key="two"))


# Reports


def test_the_files_of_a_report_name_every_job_and_no_formula(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, {"=1+1.txt": b"x", "b.txt": b"y"})
    payloads.status["/b.txt"] = 404

    batch_id = harness.drop(manifest)

    (report,) = reports.of_batch(batch_id)
    body = harness.s3.get_object(Bucket="work", Key=report.files["jobs.csv"])["Body"].read()
    rows = list(csv.DictReader(io.StringIO(body.decode())))
    failures = harness.s3.get_object(Bucket="work", Key=report.files["failures.csv"])["Body"].read()
    assert [row["job_id"] for row in rows] == [f"{batch_id}.0.0", f"{batch_id}.0.1"]
    assert rows[0]["name"] == "'=1+1.txt"
    assert rows[0]["label"] == "Completed"
    assert failures.decode().count("PAYLOAD_NOT_FOUND") == 1


def test_a_report_that_was_written_is_not_written_or_sent_again(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = harness.drop(single_files(payloads, THREE))

    harness.report({"origin_id": batch_id, "run": "main", "pass": 1})

    assert len(harness.mails_of(batch_id)) == 1
    assert [each.seq for each in reports.of_batch(batch_id)] == [1]


def test_jobs_are_listed_in_manifest_order_page_by_page(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = harness.drop(single_files(payloads, {f"{n}.txt": b"%d" % n for n in range(7)}))

    shown, after = [], (0, 0)
    while after is not None:
        page = list_jobs(batch_id, harness.query_context(), state="", after=after, limit=3)
        shown += [view.row["name"] for view in page.items]
        after = page.after

    assert shown == [f"{n}.txt" for n in range(7)]


def test_a_hold_that_has_run_out_holds_nothing(harness: Harness, payloads: Payloads) -> None:
    hold: Hold = hold_commands.place_hold(
        "collection:brief", harness.now() + timedelta(minutes=5), harness.context()
    )
    harness.advance(301)

    batch_id = harness.drop(single_files(payloads, THREE), collection="brief")

    assert hold.until is not None
    assert harness.batch(batch_id).batch.state == "completed"


# Workers that vanish


class WorkerKilledError(Exception):
    """The worker is killed."""


@pytest.fixture
def poison(harness: Harness) -> Iterator[None]:
    """A worker that has started the second job of a first chunk is killed at once."""
    sent: list[bool] = []

    def starts_it(statement: dict[str, Any]) -> bool:
        values = [named(statement)[name] for name in ("chunk_id", "position", "s")]
        chunk, position, state = (next(iter(each.values())) for each in values)
        return bool(chunk.endswith("#0") and position == "1" and state == "running")

    def check_call(params: dict[str, Any], **_: Any) -> None:
        sent.append(any(starts_it(each) for each in params["Statements"]))

    def kill(**_: Any) -> None:
        if sent.pop():
            raise WorkerKilledError

    events = tables.client().meta.events
    events.register("provide-client-params.dynamodb.BatchExecuteStatement", check_call)
    events.register("after-call.dynamodb.BatchExecuteStatement", kill)
    yield
    events.unregister("provide-client-params.dynamodb.BatchExecuteStatement", check_call)
    events.unregister("after-call.dynamodb.BatchExecuteStatement", kill)


@pytest.mark.usefixtures("poison")
def test_a_job_that_always_kills_its_worker_fails_and_the_others_succeed(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, {"a.txt": b"1", "poison.txt": b"2", "c.txt": b"3"})

    batch_id = harness.drop(manifest)

    poison = jobs.find(JobAddress(batch_id, 0, 1))
    assert poison is not None
    assert (poison.state, poison.failure_code) == ("failed", "WORKER_LOST")
    assert harness.batch(batch_id).counts["succeeded"] == 2
    assert harness.batch(batch_id).batch.state == "failed"
    assert len(harness.mails_of(batch_id)) == 1


def test_a_job_whose_own_execution_is_lost_fails_and_can_be_requeued(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = harness.drop(with_c_missing(payloads))
    with_c_back(payloads)
    whole = dict(harness.machines._functions)

    def vanish(event: dict[str, Any]) -> dict[str, Any]:
        run = ExecutionRun(event["run"], event["pass"])
        job = jobs.find(JobAddress(batch_id, 1, 0))
        assert job is not None
        if job.state is JobState.SCHEDULED:
            jobs.write_many([(job, after_start(job, harness.now(), run.cause(job.address, 1)))])
        raise WorkerKilledError

    harness.machines._functions = whole | {"ExecuteJobFunction": vanish}
    harness.send_job_event(f"{batch_id}.1.0", "requeue")
    lost = jobs.find(JobAddress(batch_id, 1, 0))
    assert lost is not None
    assert (lost.state, lost.failure_code) == ("failed", "WORKER_LOST")

    harness.machines._functions = whole
    harness.send_job_event(f"{batch_id}.1.0", "requeue")

    assert harness.batch(batch_id).counts["succeeded"] == 3


def test_a_batch_that_cannot_be_opened_says_so(harness: Harness, payloads: Payloads) -> None:
    manifest = single_files(payloads, THREE)
    whole = dict(harness.machines._functions)

    def half(event: dict[str, Any]) -> dict[str, Any]:
        open.open_object(
            source_of(event["input"]),
            OpenContext(harness.settings, NoReads(harness.s3), harness.now, event["execution"]),
        )
        raise AssertionError

    harness.machines._functions = whole | {"OpenFunction": half}

    batch_id = harness.drop(manifest)

    assert harness.batch(batch_id).batch.state == "failed"
    text = harness.mails_of(batch_id)[0].text
    assert "the manifest could not be opened; the cause is logged under request ID" in text
    assert "could not be read" not in text  # the exception


class NoReads:
    """An S3 client that cannot read."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def get_object(self, **_: Any) -> Any:
        """Refuse."""
        raise WorkerKilledError("it could not be read")


@pytest.mark.parametrize("job_type", ["odd", "sweep"])
def test_a_dropped_manifest_for_a_job_type_without_manifests_is_refused_with_a_message(
    harness: Harness, payloads: Payloads, job_type: str
) -> None:
    harness.s3.put_object(
        Bucket="intake",
        Key="manifests/maps/odd.checkm",
        Body=single_files(payloads, THREE).encode(),
        Metadata={"job-type": job_type},
    )
    head = harness.s3.head_object(Bucket="intake", Key="manifests/maps/odd.checkm")
    found = {
        "key": "manifests/maps/odd.checkm",
        "size": head["ContentLength"],
        "version-id": head["VersionId"],
    }
    event = {"detail": {"bucket": {"name": "intake"}, "object": found}}

    harness.machines.run("batch", f"odd-{job_type}", event)

    view = harness.batch(harness.batch_id_of(event))
    assert view.batch.state == "failed"
    assert f"batches cannot run job type {job_type!r}: give deposit" in view.batch.failure_message


def test_a_batch_with_jobs_at_work_is_not_deleted(harness: Harness, payloads: Payloads) -> None:
    batch_id = harness.drop(with_c_missing(payloads))
    send_job_event(f"{batch_id}.1.0", "requeue", harness.context())

    with pytest.raises(InvalidTransition, match="running or scheduled"):
        send_batch_event(batch_id, "delete", harness.context())


def test_a_hold_with_an_end_is_lifted_when_it_comes(harness: Harness, payloads: Payloads) -> None:
    until = harness.now() + timedelta(minutes=4)
    hold_commands.place_hold("collection:timed", until, harness.context(reason="lunch"))
    batch_id = harness.drop(single_files(payloads, THREE), collection="timed")
    assert harness.batch(batch_id).until == until

    hold_commands.lift_expired(lambda hold: harness.context(), harness.now())
    assert harness.batch(batch_id).batch.state == "held"
    harness.advance(240)
    assert hold_commands.lift_expired(lambda hold: harness.context(), harness.now()) >= 1
    harness.machines.run_all()

    assert harness.batch(batch_id).batch.state == "completed"


def test_a_lift_that_died_before_it_started_the_machine_can_be_repeated(
    harness: Harness, payloads: Payloads
) -> None:
    hold_commands.place_hold("collection:twice", None, harness.context(reason="maintenance"))
    batch_id = harness.drop(single_files(payloads, THREE), collection="twice")
    unreachable = harness.context(key="lift")
    start, harness.machines.start_execution = harness.machines.start_execution, _unreachable  # type: ignore[method-assign]
    with pytest.raises(WorkerKilledError):
        hold_commands.lift_hold("collection:twice", unreachable)
    harness.machines.start_execution = start  # type: ignore[method-assign]
    assert harness.batch(batch_id).batch.state == "pending"

    hold_commands.lift_hold("collection:twice", harness.context(key="lift"))
    harness.machines.run_all()

    assert harness.batch(batch_id).batch.state == "completed"


def _unreachable(**_: Any) -> None:
    raise WorkerKilledError


def test_a_list_shows_the_counts_that_were_reported(harness: Harness, payloads: Payloads) -> None:
    batch_id = harness.drop(with_c_missing(payloads), collection="listed")

    listed = batch_queries.list_batches(
        harness.query_context(), state="", collection="listed", after={}, limit=10
    )

    (view,) = listed.items
    assert view.batch.batch_id == batch_id
    assert (view.counts["succeeded"], view.counts["failed"], view.counts["total"]) == (2, 1, 3)
    assert view.why == "1 failed job for a person to requeue or delete"
    assert listed.after is None


def test_a_second_upload_to_the_promised_address_makes_no_second_batch(
    harness: Harness, payloads: Payloads
) -> None:
    submission = submissions.Submission(
        "promised", "may.checkm", "deposit", "", ("d@example.org",), {}, ""
    )
    batch, _ = submissions.submit(submission, harness.context(DEPOSITOR))
    for number in range(2):
        name = f"{batch.batch_id}/may.checkm"
        event = harness.upload(single_files(payloads, THREE), name=name, collection="promised")
        harness.machines.run("batch", f"promised-{number}", event)

    listed = batch_queries.list_batches(
        harness.query_context(), state="", collection="promised", after={}, limit=10
    )
    assert [view.batch.batch_id for view in listed.items] == [batch.batch_id]
    assert harness.batch(batch.batch_id).batch.state == "completed"
    assert len(harness.mails_of(batch.batch_id)) == 1


def test_what_a_worker_held_while_the_hold_was_lifted_is_released_by_the_next_tick(
    harness: Harness, payloads: Payloads
) -> None:
    event = harness.upload(single_files(payloads, THREE), name="late.checkm", collection="late")
    opened = harness.open({"input": event, "execution": "late"})
    batch_id = opened["origin_id"]
    hold = hold_commands.place_hold("collection:late", None, harness.context(reason="maintenance"))
    hold_commands.lift_hold("collection:late", harness.context())
    assert harness.batch(batch_id).counts["held"] == 0
    held_by_a_late_worker(harness, opened, hold)
    assert harness.settle(opened)["next"] == "end"

    harness.advance(61)
    hold_commands.lift_expired(lambda hold: harness.context(), harness.now())
    harness.machines.run_all()

    assert harness.batch(batch_id).batch.state == "completed"


def held_by_a_late_worker(harness: Harness, opened: dict[str, Any], hold: Hold) -> None:
    """A worker that reads the hold before it is lifted, and writes afterwards."""
    lifted = holds.find(hold.scope)
    assert lifted is not None
    holds.put(hold, seen=lifted)
    for chunk in _index(harness, opened["origin_id"]):
        harness.execute_chunk(opened | dict(zip(("chunk", "start", "end"), chunk, strict=True)))
    holds.put(lifted, seen=hold)


def test_a_hold_is_lifted_although_an_announced_manifest_was_not_uploaded(harness: Harness) -> None:
    submission = submissions.Submission(
        "never", "m.checkm", "deposit", "", ("d@example.org",), {}, ""
    )
    submissions.submit(submission, harness.context(DEPOSITOR))
    hold_commands.place_hold("collection:never", None, harness.context(reason="maintenance"))
    harness.advance(3600)

    assert hold_commands.lift_hold("collection:never", harness.context()).released_count == 0


def test_lifting_a_hold_leaves_a_job_that_a_person_holds(
    harness: Harness, payloads: Payloads
) -> None:
    event = harness.upload(single_files(payloads, THREE), name="two.checkm", collection="two")
    opened = harness.open({"input": event, "execution": "two"})
    batch_id = opened["origin_id"]
    harness.send_job_event(f"{batch_id}.0.0", "hold", reason="look first")
    hold_commands.place_hold("collection:two", None, harness.context(reason="maintenance"))
    for chunk in _index(harness, batch_id):
        harness.execute_chunk(opened | dict(zip(("chunk", "start", "end"), chunk, strict=True)))
    harness.settle(opened)

    hold_commands.lift_hold("collection:two", harness.context())
    harness.machines.run_all()

    counts = harness.batch(batch_id).counts
    assert (counts["held"], counts["succeeded"]) == (1, 2)


@pytest.mark.parametrize("name", ["manifests/maps/.DS_Store", "manifests/maps/", "manifests/.x"])
def test_a_file_that_is_not_a_manifest_makes_no_batch(harness: Harness, name: str) -> None:
    found = {"key": name, "size": 5, "version-id": "v"}
    event = {"detail": {"bucket": {"name": "intake"}, "object": found}}

    assert harness.open({"input": event, "execution": "x"})["next"] == "end"


def test_a_collection_that_no_hold_can_name_is_refused_with_a_message(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = harness.drop(single_files(payloads, THREE), collection="My Maps")

    assert "not a collection name" in harness.batch(batch_id).batch.failure_message


def test_a_job_that_only_waits_fails_in_the_end(harness: Harness, payloads: Payloads) -> None:
    batch_id = harness.drop(with_c_missing(payloads))
    record = jobs.find(JobAddress(batch_id, 1, 0))
    assert record is not None
    record = replace(record, state=JobState.RUNNING, attempts=(), start_count=1)
    waiting = AttemptResult(record, Snooze(15, "another job has it"), "recording")

    for _ in range(MAX_SNOOZES):
        after = after_attempt(waiting, TYPES["deposit"], harness.now(), "c")
        assert after.attempts[-1].failure_code == "WAIT"
        waiting = replace(waiting, record=replace(after, state=JobState.RUNNING, start_count=1))

    last = after_attempt(waiting, TYPES["deposit"], harness.now(), "c")
    assert (last.state, last.attempts[-1].failure_code) == (JobState.SCHEDULED, "TIMEOUT")


def test_a_batch_that_is_cancelled_while_its_manifest_is_read_ends_with_a_report(
    harness: Harness, payloads: Payloads
) -> None:
    event = harness.upload(single_files(payloads, THREE), name="read.checkm", collection="maps")
    source = source_of(event)
    start = OpenContext(harness.settings, NoReads(harness.s3), harness.now, "reading")
    with pytest.raises(WorkerKilledError):
        open.open_object(source, start)
    batch_id = harness.batch_id_of(event)

    harness.send_batch_event(batch_id, "cancel")
    harness.machines.run("batch", "reading", event)

    assert harness.batch(batch_id).batch.state == "cancelled"
    assert len(harness.mails_of(batch_id)) == 1


def test_a_job_requeued_while_its_batch_is_reported_does_not_make_it_complete(
    harness: Harness, payloads: Payloads
) -> None:
    batch_id = harness.drop(with_c_missing(payloads))
    request = harness.context()
    send_batch_event(batch_id, "update_reporting", request)

    with pytest.raises(InvalidTransition, match="its batch is update_reporting"):
        send_job_event(f"{batch_id}.1.0", "requeue", harness.context())


REQUESTS: dict[str, Callable[[str, CommandContext], Any]] = {
    "requeue": lambda batch, who: send_job_event(f"{batch}.1.0", "requeue", who),
    "retry": lambda batch, who: operations.change_jobs(
        batch, "requeue", Filter(JobState.FAILED), who
    ),
    "update_reporting": lambda batch, who: send_batch_event(batch, "update_reporting", who),
}


@pytest.mark.parametrize("event", REQUESTS)
def test_a_request_without_an_execution_is_recovered_a_minute_later(
    harness: Harness, payloads: Payloads, event: str
) -> None:
    batch_id = harness.drop(with_c_missing(payloads))
    with_c_back(payloads)
    start, harness.machines.start_execution = harness.machines.start_execution, _unreachable  # type: ignore[method-assign]
    with pytest.raises(WorkerKilledError):
        REQUESTS[event](batch_id, harness.context())
    harness.machines.start_execution = start  # type: ignore[method-assign]
    if event != "update_reporting":
        harness.send_batch_event(batch_id, "update_reporting")
        assert harness.batch(batch_id).batch.state == "update_reporting"

    harness.advance(61)
    recover_batches(Executions(harness.settings, harness.machines), harness.now())  # type: ignore[arg-type]
    harness.machines.run_all()

    outcome = "failed" if event == "update_reporting" else "completed"
    assert harness.batch(batch_id).batch.state == outcome


def test_a_refused_manifest_of_many_findings_is_reported_with_all_of_them(harness: Harness) -> None:
    head = single_files(Payloads(), {})
    rows = "".join(f"x{n} | | | | | {n}.txt\n" for n in range(3000))
    batch_id = harness.drop(head.replace("#%eof", rows + "#%eof"))

    (report,) = reports.of_batch(batch_id)
    body = harness.s3.get_object(Bucket="work", Key=report.files["report.json"])["Body"].read()
    findings = json.loads(body)["findings"]
    assert len([each for each in findings if each["level"] == "error"]) == 3000
    assert f"and {len(findings) - 50} more" in harness.mails_of(batch_id)[0].text


def test_an_operation_sends_a_job_once_however_many_passes_it_takes(
    harness: Harness, payloads: Payloads
) -> None:
    manifest = single_files(payloads, {"gone.txt": b"1", "busy.txt": b"2"})
    payloads.status |= {"/gone.txt": 404, "/busy.txt": 404}
    batch_id = harness.drop(manifest)
    payloads.status["/busy.txt"] = 503  # retried automatically, in later passes

    operations.change_jobs(batch_id, "requeue", Filter(JobState.FAILED), harness.context())
    harness.machines.run_all()

    gone = jobs.find(JobAddress(batch_id, 0, 0))
    assert gone is not None
    assert (gone.state, gone.requeue_count, len(gone.attempts)) == (JobState.FAILED, 1, 2)


def test_a_manifest_outside_every_collection_is_reported_to_the_operators(
    harness: Harness, payloads: Payloads
) -> None:
    body = single_files(payloads, {"a.txt": b"a"}).encode()
    metadata = {"notify": "stranger@example.org"}
    harness.s3.put_object(Bucket="intake", Key="manifests/x.checkm", Body=body, Metadata=metadata)
    version = harness.s3.head_object(Bucket="intake", Key="manifests/x.checkm")["VersionId"]
    found = {"key": "manifests/x.checkm", "size": len(body), "version-id": version}
    event = {"detail": {"bucket": {"name": "intake"}, "object": found}}

    harness.machines.run("batch", "misplaced", event)
    harness.machines.run_all()

    batch = harness.batch(harness.batch_id_of(event)).batch
    (mail,) = harness.mails_of(batch.batch_id)
    assert (batch.state, batch.entries) == ("failed", 0)
    assert mail.to == ("operators@example.org",)
    assert "put it under manifests/COLLECTION/" in mail.text
    assert payloads.requests == []
