"""Batches on the real local stack, from the API to the inbox: Merritt's four use cases first."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cli.local.stack import Stack
from jobyard.services.jobs.runner import CONCURRENT_JOBS
from tests.harness import Payloads, single_files
from tests.live.api_user import TIMEOUT_S, ApiUser

WORKERS = 8  # of the local stack for all batches; one is the reserve

THREE = {"a.txt": b"one", "b.txt": b"two", "c.txt": b"three"}


def failing(payloads: Payloads) -> str:
    manifest = single_files(payloads, THREE)
    payloads.status["/c.txt"] = 404
    return manifest


def test_a_successful_batch_sends_one_mail(
    api_user: Callable[[str], ApiUser], payloads: Payloads
) -> None:
    depositor = api_user("depositor")

    batch_id = depositor.submit(single_files(payloads, THREE))

    batch = depositor.await_state(f"/api/batches/{batch_id}", "completed", "failed")
    assert batch["state"] == "completed"
    assert batch["counts"]["succeeded"] == 3
    (sent,) = depositor.mails_of(batch_id)
    assert "OK" in sent.subject
    assert sent.to == ("depositor@example.org",)
    reports = depositor.get(f"/api/batches/{batch_id}/reports")["items"]
    page = httpx.get(reports[0]["files"]["jobs_csv"], trust_env=False)
    assert page.text.count("Completed") == 3


def test_a_failed_batch_sends_one_mail_and_none_when_deleted(
    api_user: Callable[[str], ApiUser], payloads: Payloads
) -> None:
    admin = api_user("admin")
    batch_id = admin.submit(failing(payloads))
    path = f"/api/batches/{batch_id}"
    batch = admin.await_state(path, "failed")

    admin.post(f"{path}/delete", reason="it will not be resubmitted")

    assert batch["failure_groups"][0]["failure_code"] == "PAYLOAD_NOT_FOUND"
    assert admin.get(path)["state"] == "deleted"
    (sent,) = admin.mails_of(batch_id)
    assert "FAIL" in sent.subject


def test_a_failed_batch_with_a_successful_requeue_sends_two_mails(
    api_user: Callable[[str], ApiUser], payloads: Payloads
) -> None:
    admin, operator = api_user("admin"), api_user("operator")
    batch_id = admin.submit(failing(payloads))
    path = f"/api/batches/{batch_id}"
    admin.await_state(path, "failed")
    payloads.status.clear()

    operation = operator.post(f"{path}/operations", reason="the file is back")
    operator.await_state(f"/api/jobs/{batch_id}.0.2", "succeeded")
    assert operator.get(path)["state"] == "failed"
    admin.post(f"{path}/update_reporting", reason="repaired")
    admin.await_state(path, "completed")

    first, second = admin.mails_of(batch_id)
    assert ("FAIL" in first.subject, "OK" in second.subject) == (True, True)
    assert "c.txt: failed -> completed" in second.text
    outcomes = operator.get(f"{path}/operations/{operation['operation_id']}")
    assert outcomes["counts"] == {"succeeded": 1}


def test_a_failed_batch_with_an_unsuccessful_requeue_sends_no_second_mail(
    api_user: Callable[[str], ApiUser], payloads: Payloads
) -> None:
    admin = api_user("admin")
    batch_id = admin.submit(failing(payloads))
    path = f"/api/batches/{batch_id}"
    admin.await_state(path, "failed")

    admin.post(f"/api/jobs/{batch_id}.0.2/requeue", reason="perhaps it is back")
    admin.await_state(f"/api/jobs/{batch_id}.0.2", "failed")
    admin.post(f"{path}/update_reporting", reason="tried again")
    batch = admin.await_state(path, "failed")

    assert len(admin.mails_of(batch_id)) == 1
    assert batch["history"][-1]["reason"] == "no change since the last report"


def test_a_refused_manifest_is_mailed_with_its_lines(
    api_user: Callable[[str], ApiUser], payloads: Payloads
) -> None:
    depositor = api_user("depositor")
    manifest = single_files(payloads, THREE).replace(" | sha-256 | ", " | crc | ", 1)

    batch_id = depositor.submit(manifest)

    batch = depositor.await_state(f"/api/batches/{batch_id}", "failed")
    assert batch["counts"]["total"] == 0
    (sent,) = depositor.mails_of(batch_id)
    assert "line 6" in sent.text


def test_a_manifest_that_is_dropped_makes_a_batch_too(
    api_user: Callable[[str], ApiUser],
    payloads: Payloads,
    stack: Stack,
    aws: Callable[[str], Any],
) -> None:
    viewer = api_user("viewer")
    aws("s3").put_object(
        Bucket=stack.intake_bucket,
        Key="manifests/drops/june.checkm",
        Body=single_files(payloads, THREE).encode(),
        Metadata={"notify": "drop@example.org"},
    )

    give_up = time.monotonic() + TIMEOUT_S
    while not (found := viewer.get("/api/batches?collection=drops")["items"]):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    batch_id = found[0]["batch_id"]
    viewer.await_state(f"/api/batches/{batch_id}", "completed")

    (sent,) = viewer.mails_of(batch_id)
    assert sent.to == ("drop@example.org",)


def test_a_held_collection_waits_and_says_why(
    api_user: Callable[[str], ApiUser], payloads: Payloads
) -> None:
    operator = api_user("operator")
    scope = "/api/holds/collection:quiet"
    assert operator.api.put(scope, json={"reason": "maintenance"}).is_success
    batch_id = operator.submit(single_files(payloads, THREE), collection="quiet")
    held = operator.await_state(f"/api/batches/{batch_id}", "held")
    assert "maintenance" in held["waiting_reason"]

    assert operator.api.delete(scope).is_success

    operator.await_state(f"/api/batches/{batch_id}", "completed")
    assert len(operator.mails_of(batch_id)) == 1


def test_the_main_log_messages_have_an_origin_id(
    api_user: Callable[[str], ApiUser], payloads: Payloads, aws: Callable[[str], Any]
) -> None:
    admin = api_user("admin")
    batch_id = admin.submit(failing(payloads))
    admin.await_state(f"/api/batches/{batch_id}", "failed")

    lines_of: dict[str, list[Any]] = {}
    for group in aws("logs").describe_log_groups()["logGroups"]:
        for event in aws("logs").filter_log_events(logGroupName=group["logGroupName"])["events"]:
            line = json.loads(event["message"]) if event["message"].startswith("{") else {}
            if "level" in line:
                lines_of.setdefault(line["message"], []).append(line)

    of_batches = {"opened", "pass ended", "settled", "reported", "job failed"}
    assert of_batches <= set(lines_of)
    for message in of_batches:
        for line in lines_of[message]:
            assert line["origin_id"], line
    (failed,) = [line for line in lines_of["job failed"] if line["origin_id"] == batch_id]
    assert failed["job_id"] == f"{batch_id}.0.2"
    log = admin.get(f"/api/jobs/{batch_id}.0.2/log")
    assert {"pass ended", "job failed"} <= {line["message"] for line in log["lines"]}, log
    assert log["attempt"]["request_id"] == failed["request_id"]


def test_a_small_batch_ends_while_the_workers_of_others_are_busy(
    api_user: Callable[[str], ApiUser], payloads: Payloads
) -> None:
    """More batches than there are workers wait for a server that does not answer."""
    depositor, admin = api_user("depositor"), api_user("admin")
    slow = single_files(payloads, {"slow.txt": b"slow"})
    payloads.held["/slow.txt"] = threading.Event()
    try:
        others = [depositor.submit(slow) for _ in range(WORKERS + 2)]
        deadline = time.monotonic() + TIMEOUT_S
        while len(payloads.requests) < WORKERS - 1:
            assert time.monotonic() < deadline
            time.sleep(0.1)

        small = admin.submit(single_files(payloads, {"small.txt": b"1"}), collection="brief")

        admin.await_state(f"/api/batches/{small}", "completed")
        states = {depositor.get(f"/api/batches/{each}")["state"] for each in others}
        assert states <= {"pending", "processing"}
    finally:
        payloads.held["/slow.txt"].set()
    for each in others:
        depositor.await_state(f"/api/batches/{each}", "completed", "failed")


@pytest.mark.turns(3)
def test_a_batch_of_one_job_ends_while_sixteen_large_ones_wait_for_a_server(
    api_user: Callable[[str], ApiUser], payloads: Payloads
) -> None:
    """In another collection and in theirs, though no job of theirs can end."""
    depositor, admin = api_user("depositor"), api_user("admin")
    slow = {f"slow-{number}.txt": b"slow" for number in range(400)}
    answered = threading.Event()
    payloads.held |= {f"/{name}": answered for name in slow}
    manifest = single_files(payloads, slow)
    try:
        others = [depositor.submit(manifest) for _ in range(16)]
        deadline = time.monotonic() + TIMEOUT_S
        while len(payloads.requests) < (WORKERS - 1) * CONCURRENT_JOBS:
            assert time.monotonic() < deadline
            time.sleep(0.1)

        for collection in ("brief", "maps"):
            small = admin.submit(single_files(payloads, {"1.txt": b"1"}), collection=collection)
            admin.await_state(f"/api/batches/{small}", "completed")

        found = [depositor.get(f"/api/batches/{each}") for each in others]
        assert {each["state"] for each in found} <= {"pending", "processing"}
        assert sum(each["counts"]["succeeded"] for each in found) == 0
        for each in others:
            depositor.post(f"/api/batches/{each}/cancel", reason="seen enough")
    finally:
        answered.set()
    for each in others:
        depositor.await_state(f"/api/batches/{each}", "cancelled")
