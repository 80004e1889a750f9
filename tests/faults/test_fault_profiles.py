"""Scenarios under fault profiles, and effects of real sizes, rates and times."""

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from cli.local import clients
from jobyard.domain.batches.chunks import Chunk
from jobyard.domain.jobs.job import JOB, JobAddress, new_job
from jobyard.domain.lifecycle import Cause
from jobyard.services.batches.chunk_source import run_chunk
from jobyard.services.jobs.commands import send_job_event
from jobyard.services.runs import ExecutionRun
from jobyard.store import jobs, reports
from tests.call_interceptor import Call, CallInterceptor, Listener
from tests.faults.aws_semantics import Capacity, Conflict, Sizes, key_names
from tests.faults.fault_plans import differing
from tests.faults.fault_profiles import FAULT_PROFILES
from tests.faults.scenario import NOON, ScenarioRunner
from tests.harness import Clients, Harness, Payloads, single_files

# A machine's ARN of the greatest length, up to its own name.
LONG = f"arn:aws:states:us-east-1:123456789012:stateMachine:{'jobyard-production-of-the-maps-' * 3}"
LONG = LONG[: 131 - len("-batch")] + "-"
EXECUTION = "0b0e8d3a-5a4e-4f1c-9c11-3e7a5d2f9a10"  # as EventBridge names them


@pytest.mark.turns(4)
@pytest.mark.parametrize("scenario", ["requeued", "recurring"])
@pytest.mark.parametrize("name", FAULT_PROFILES)
def test_a_scenario_ends_the_same_under_any_fault_profile(
    name: str, scenario: str, runner: ScenarioRunner, store_endpoint: str
) -> None:
    baseline = runner.baseline(scenario)
    with FAULT_PROFILES[name](
        runner.harness, clients.client("dynamodb", store_endpoint)
    ) as profile:
        end = runner.run(scenario=scenario).end

    assert differing(end, baseline) == []
    assert profile.hits > 0


def test_of_forty_workers_that_end_the_last_jobs_at_once_one_has_the_batch_reported(
    store_endpoint: str, aws_clients: Clients, payloads: Payloads, harness: Harness
) -> None:
    harness = Harness(aws_clients, payloads, chunk_size=1)
    manifest = single_files(payloads, {f"{n}.txt": b"%d" % n for n in range(40)})
    event = harness.upload(manifest, name="forty.checkm", collection="forty")
    batch_id = harness.open({"input": event, "execution": "forty"})["origin_id"]
    inputs = []
    for n in range(40):
        send_job_event(f"{batch_id}.{n}.0", "hold", harness.context())
        job = send_job_event(f"{batch_id}.{n}.0", "release", harness.context())
        inputs.append(
            {"origin_id": batch_id, "run": job.cause, "pass": 1, "chunk": n, "position": 0}
        )
    together = threading.Barrier(40)

    def work(document: dict[str, Any]) -> str:
        following = harness.execute_job(document)
        together.wait()
        return str(harness.settle(following)["next"])

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(work, inputs))
    harness.report({"origin_id": batch_id, "run": "main", "pass": 1})

    assert sorted(answers) == ["end"] * 39 + ["report"]
    assert harness.batch(batch_id).batch.state == "completed"
    assert harness.batch(batch_id).counts["succeeded"] == 40
    assert len(harness.mails_of(batch_id)) == 1


# Sizes


def test_items_stay_under_a_kilobyte_with_identifiers_as_long_as_those_of_aws(
    store_endpoint: str, aws_clients: Clients, payloads: Payloads, harness: Harness
) -> None:
    harness = Harness(aws_clients, payloads, machines=LONG)
    assert len(harness.settings.batch_machine) == 131
    names = {name: name.encode() for name in ("a.txt", "b.txt", "c.txt")}
    event = harness.upload(single_files(payloads, names), name="long.checkm", collection="long")
    payloads.status["/c.txt"] = 404
    sizes = Sizes()

    with harness.interceptor.listening(sizes):
        harness.machines.run(harness.settings.batch_machine, EXECUTION, event)
        straight = sizes.largest["test-jobs"]
        payloads.status.clear()
        batch_id = harness.batch_id_of(event)
        harness.send_job_event(f"{batch_id}.1.0", "requeue", key=EXECUTION)
        harness.send_batch_event(batch_id, "update_reporting", key=EXECUTION)

    assert harness.batch(batch_id).batch.state == "completed"
    assert {"test-jobs", "test-chunks", "test-batches"} <= sizes.largest.keys()
    assert 500 < straight < 1024
    assert straight < sizes.largest["test-jobs"] < 2048  # a failure, a requeue and its reason
    assert sizes.largest["test-chunks"] < 1024


# Rates


def test_a_chunk_is_written_as_fast_as_one_partition_takes_it(
    aws_semantics: CallInterceptor,
) -> None:
    """1,300 records of one chunk; a partition takes 1,000 write units a second, and no time passes
    but what the writer waits."""
    started = JOB.move("scheduled", "start", NOON, Cause("main.p1.c0.t1"))
    places = [JobAddress("b" + "7" * 20, 0, n) for n in range(1300)]
    changes = [(None, new_job(place, NOON).moved(started)) for place in places]
    waits: list[float] = []
    profile = Capacity(key_names(), clock=lambda: sum(waits))

    with aws_semantics.listening(profile):
        stored = jobs.write_many(changes, pause=waits.append)

    assert [job and job.address for job in stored] == places
    assert profile.units["test-jobs"] == 1300
    assert profile.hits > 0
    assert 0.2 < sum(waits) < 1  # 300 more than fit at once


def test_throttled_writers_wait_longer_each_time_and_not_all_alike(
    aws_semantics: CallInterceptor,
) -> None:
    """The partition has one unit, which another took, and no more flows in: time stands still."""
    waits: list[list[float]] = [[], []]
    started = JOB.move("scheduled", "start", NOON, Cause("main.p1.c0.t1"))
    changes = [
        (None, new_job(JobAddress("b" + "8" * 20, 0, n), NOON).moved(started)) for n in (0, 1)
    ]
    with aws_semantics.listening(Capacity(key_names(), key=1, clock=lambda: 0.0)):
        jobs.write_many(changes[:1])
        for pauses in waits:
            with pytest.raises(RuntimeError):
                jobs.write_many(changes[1:], pause=pauses.append)

    assert waits[0] != waits[1]
    assert all(later > 0.9 * before for pauses in waits for before, later in pairwise(pauses))
    assert all(sum(pauses) > 5 for pauses in waits)


# Mail


class LostMailAnswer(Listener):
    """The mail service accepts so many mails without an answer."""

    def __init__(self, times: int) -> None:
        self.left = times

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        if call.operation == "SendEmail" and self.left:
            self.left -= 1
            raise ReadTimeoutError(endpoint_url="https://email.example.org")


@pytest.fixture
def unanswered(harness: Harness, payloads: Payloads) -> Iterator[str]:
    """A batch whose mail was accepted without an answer."""
    with harness.interceptor.listening(LostMailAnswer(1)):
        batch_id = harness.drop(single_files(payloads, {"a.txt": b"a"}))
        assert harness.batch(batch_id).batch.state == "completed"
        (report,) = reports.of_batch(batch_id)
        assert report.delivery.state == "sending"
        yield batch_id


def test_a_mail_that_was_accepted_without_an_answer_is_sent_once(
    harness: Harness, unanswered: str
) -> None:
    mail = {"tags": {"batch_id": [unanswered], "seq": ["1"]}, "messageId": "m"}
    harness.receive_mail_event({"detail": {"mail": mail, "eventType": "Send"}})
    for _ in range(60):
        harness.advance(60)
        harness.tick()

    assert len(harness.mails_of(unanswered)) == 1
    (report,) = reports.of_batch(unanswered)
    assert report.delivery.state == "sent"


def test_only_a_lost_answer_and_a_lost_event_send_a_mail_twice_after_15_minutes(
    harness: Harness, unanswered: str
) -> None:
    """The one case of decision 6."""
    for _ in range(14):
        harness.advance(60)
        harness.tick()
    assert len(harness.mails_of(unanswered)) == 1
    for _ in range(60):
        harness.advance(60)
        harness.tick()

    assert len(harness.mails_of(unanswered)) == 2


# Time


@pytest.mark.parametrize("seconds", [20, 45])
def test_a_worker_that_has_too_little_time_for_a_file_leaves_it_to_the_next(
    seconds: int, harness: Harness, payloads: Payloads
) -> None:
    """A file of thirty blocks, each of which takes a second."""
    content = bytes(30 * 64 * 1024)
    manifest = single_files(payloads, {"slow.bin": content})
    event = harness.upload(manifest, name="slow.checkm", collection="slow")
    opened = harness.open({"input": event, "execution": "slow"})
    left = [float(seconds)]

    def remaining() -> float:
        left[0] -= 0.5
        return left[0]

    hurried = replace(harness.worker(), remaining=remaining)
    (chunk,) = index_of(harness, opened["origin_id"])
    run_chunk(opened["origin_id"], chunk, ExecutionRun("main", 1), hurried)
    job = jobs.find(JobAddress(opened["origin_id"], 0, 0))
    assert job is None or (job.state, job.failure_code) == ("scheduled", "TIMEOUT")

    settled = harness.settle(opened)
    assert settled["next"] == "next_pass"
    harness.advance(10)
    harness.execute_chunk(settled | {"chunk": 0, "start": chunk.start, "end": chunk.end})
    assert harness.settle(settled)["next"] == "report"
    harness.report(settled)

    assert harness.batch(opened["origin_id"]).batch.state == "completed"
    assert len(harness.mails_of(opened["origin_id"])) == 1


def index_of(harness: Harness, batch_id: str) -> list[Chunk]:
    """The chunks of a batch."""
    body = harness.s3.get_object(Bucket="work", Key=f"work/{batch_id}/index.jsonl")["Body"].read()
    return [Chunk.from_index_line(line) for line in body.splitlines()]


# Large files


def test_large_files_come_whole_into_an_archive_as_strict_as_s3(
    harness: Harness, payloads: Payloads
) -> None:
    """One whose digest the manifest has, one without, one that is there already."""
    large = {"known.bin": b"k" * 9 * 1024**2, "unknown.bin": b"u" * 9 * 1024**2}
    lines = single_files(payloads, {**large, "again.bin": large["known.bin"]}).splitlines()
    blind = [
        line.replace(hashlib.sha256(large["unknown.bin"]).hexdigest(), "").replace(
            "| sha-256 | ", "| | "
        )
        if "unknown.bin" in line
        else line
        for line in lines
    ]
    conflict = Conflict()

    with harness.interceptor.listening(conflict):
        batch_id = harness.drop("\n".join([*blind, ""]), collection="large")

    assert harness.batch(batch_id).counts["succeeded"] == 3
    assert conflict.hits == 1
    for content in large.values():
        digest = hashlib.sha256(content).hexdigest()
        key = f"content/sha256/{digest[:2]}/{digest[2:4]}/{digest}"
        stored = harness.s3.get_object(Bucket="archive", Key=key)["Body"].read()
        assert hashlib.sha256(stored).hexdigest() == digest
