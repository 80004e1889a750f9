"""The calls of the deployed functions, compared with the listed calls and the actions AWS requires.

The emulator checks other actions than AWS for some calls and none for others, so a scenario that
passes on it proves less than it seems. Here the calls themselves are compared: those of the
scenario below, and those of the other live tests if they ran before.
"""

import hashlib
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from cli.local import deployment, voters
from cli.local.emulator import ROOT, Emulator
from cli.local.stack import Stack
from tests.harness import Payloads, serving, single_files
from tests.infra.rights import CALLS, EVENT_BUS, EXECUTION, MACHINE, SECRET, grants_all, thing_of
from tests.infra.template_reader import Resources, expanded_of
from tests.live.api_user import ApiUser
from tests.live.reader import hidden_fields, signed_in

LARGE = bytes(9 * 2**20)  # more than one PutObject takes
NOBODY = {"batch_id": ["b" + "a" * 20], "seq": ["1"]}
Aws = Callable[[str], Any]

# Lines of the table that the scenario does not call, each with the reason.
UNSEEN: dict[tuple[str, str, str], str] = {
    **{
        ("SystemRole", thing, f"states:{call}Execution"): "an execution left something undone"
        for thing, call in (
            ("BatchMachine", "Describe"),
            ("BatchMachine", "Start"),
            ("JobMachine", "Describe"),
            ("JobMachine", "Start"),
            ("SystemMachine", "Start"),
        )
    },
    **{
        ("SystemRole", "ArchiveBucket", f"s3:{call}"): "rows or a report of more than 8 MiB"
        for call in (
            "AbortMultipartUpload",
            "CompleteMultipartUpload",
            "CreateMultipartUpload",
            "UploadPart",
        )
    },
    **{
        (role, "SystemMachine", f"states:{call}Execution"): "a system job is due, or waited"
        for role, call in (
            ("ReportRole", "Start"),
            ("ScheduleRole", "Describe"),
            ("ScheduleRole", "Start"),
        )
    },
    ("ExecuteRole", "ArchiveBucket", "s3:UploadPartCopy"): "a staged file of more than 5 GB",
    **{
        (role, "WorkBucket", f"s3:{call}"): "rows or a report of more than 8 MiB"
        for role in ("IngestRole", "ReportRole")
        for call in (
            "AbortMultipartUpload",
            "CompleteMultipartUpload",
            "CreateMultipartUpload",
            "UploadPart",
        )
    },
    **{
        ("ReportRole", "WorkBucket", f"s3:{call}"): "a report of more than 100,000 jobs"
        for call in ("GetObject(VersionId)", "UploadPartCopy")
    },
    ("ExecuteRole", "JobsTable", "dynamodb:GetItem"): "another worker wrote the job in between",
    ("ExecuteRole", "SweepTables", "dynamodb:BatchGetItem"): "a record changed since it was read",
    **{
        ("ReportRole", thing, f"dynamodb:{call}"): "an execution of the job machine was lost"
        for thing, call in (
            ("BatchesTable", "TransactWriteItems(ConditionCheck)"),
            ("ChunksTable", "GetItem"),
            ("ChunksTable", "TransactWriteItems(Put)"),
            ("JobsTable", "GetItem"),
            ("JobsTable", "TransactWriteItems(Put)"),
            ("OperationsTable", "TransactWriteItems(Update)"),
        )
    },
    **{
        ("ReportRole", "JobsTable", f"dynamodb:BatchExecuteStatement({kind})"): (
            "no worker got through a chunk in five passes"
        )
        for kind in ("INSERT", "UPDATE")
    },
    **{
        ("ReportRole", thing, call): "an Open that failed before it had claimed its manifest"
        for thing, call in (
            ("CollectionsTable", "dynamodb:GetItem"),
            ("IntakeBucket", "s3:HeadObject(VersionId)"),
            ("RequestsTable", "dynamodb:PutItem"),
        )
    },
    ("ReportRole", "RequestsTable", "dynamodb:UpdateItem"): "a batch stored more than it had said",
    ("ReportRole", "ReportsTable", "dynamodb:TransactWriteItems(Put)"): (
        "a run of a schedule failed about which somebody gets a mail"
    ),
    **{
        ("ExecuteRole", "HoldsTable", f"dynamodb:{call}"): "a worker was late, its hold is gone"
        for call in ("GetItem", "PutItem")
    },
    ("ScheduleRole", "HoldsTable", "dynamodb:GetItem"): "two lifted a hold at once",
    **{
        (role, "CampaignsTable", f"dynamodb:{call}"): "no execution decided about a campaign"
        for role, call in (
            ("SystemRole", "PutItem"),
            ("ScheduleRole", "GetItem"),
            ("ScheduleRole", "PutItem"),
        )
    },
    **{
        ("ReportRole", "HoldsTable", f"dynamodb:{call}"): "too many tasks of a campaign failed"
        for call in ("GetItem", "PutItem")
    },
    ("ScheduleRole", "RequestsTable", "dynamodb:PutItem"): "more than 100 batches are open",
    **{
        (role, "HoldsTable", "dynamodb:DeleteItem"): "a hold that is over lingers for a minute"
        for role in ("ScheduleRole", "ApiRole")
    },
    ("ScheduleRole", "ChunksTable", "dynamodb:PutItem"): "a worker that was cut off had counted",
    ("ScheduleRole", "JobsTable", "dynamodb:Query"): "a worker was cut off",
    ("ScheduleRole", "JobsTable", "dynamodb:TransactWriteItems(Put)"): (
        "the run that makes way is one whose worker has not ended"
    ),
    **{
        ("WebRole", thing, call): "the scenario uses the API, whose role is the same there"
        for thing, calls in CALLS["WebRole"].items()
        for call in calls
        if call in CALLS["ApiRole"].get(thing, ()) and thing != "RequestsTable"
    },
    **{
        ("SystemRole", thing, f"dynamodb:{call}"): "a dataset has many changes"
        for thing, call in (
            ("DatasetsTable", "BatchGetItem"),
            ("DatasetsTable", "PutItem"),
            ("CommitsTable", "PutItem"),
            ("CommitsTable", "Query"),
            ("VersionsTable", "BatchExecuteStatement(INSERT)"),
            ("VersionsTable", "BatchExecuteStatement(UPDATE)"),
            ("VersionsTable", "BatchWriteItem"),
        )
    },
    ("SystemRole", "DatasetsTable", "dynamodb:BatchWriteItem"): "a dataset was deleted",
    ("SystemRole", "CommitsTable", "dynamodb:DeleteItem"): "a dataset was deleted",
    **{
        ("SystemRole", "EditsTable", f"dynamodb:{call}"): "an edit job was archived long ago"
        for call in (
            "BatchGetItem",
            "BatchWriteItem",
            "GetItem",
            "PutItem",
            "TransactWriteItems(Put)",
        )
    },
    **{
        ("SystemRole", "WorkBucket", f"s3:{call}"): "a dataset has many changes"
        for call in (
            "AbortMultipartUpload",
            "CompleteMultipartUpload",
            "CreateMultipartUpload",
            "DeleteObjects",
            "ListObjectsV2",
            "PutObject",
            "UploadPart",
        )
    },
    **{
        ("ApiRole", thing, call): "the scenario has no dataset; tests/functions/api has"
        for thing in ("DatasetsTable", "CommitsTable", "VersionsTable", "EditMachine")
        for call in CALLS["ApiRole"][thing]
    },
    ("ApiRole", "TeamsTable", "dynamodb:TransactWriteItems(Delete)"): "a team is deleted",
    ("ApiRole", "WorkBucket", "s3:CopyObject"): "a planner sends a file for a custodian",
    ("ApiRole", "IntakeBucket", "s3:GetObject"): "a planner sends a file for a custodian",
    **{
        ("EditRole", thing, call): "the scenario has no edit job; tests/live/test_edits.py has"
        for thing, calls in CALLS["EditRole"].items()
        for call in calls
    },
    **{
        (role, thing, call): "an execution of the edit machine was lost"
        for role in ("ScheduleRole", "SystemRole")
        for thing, call in (
            ("EditMachine", "states:DescribeExecution"),
            ("EditMachine", "states:StartExecution"),
            ("EditsTable", "dynamodb:GetItem"),
        )
    },
    ("WebRole", "UserPoolClient", "cognito-idp:GetTokensFromRefreshToken"): (
        "a session that is older than a quarter of an hour"
    ),
}


class Call(NamedTuple):
    """A call of a function: its role, its name in the table, and its target as in the template."""

    role: str
    name: str
    on: str

    @property
    def line(self) -> tuple[str, str, str]:
        """Its line in the table: role, resource, name."""
        return self.role, thing_of(self.on), self.name


@pytest.fixture(scope="module")
def physical(stack: Stack, aws: Aws) -> dict[str, str]:
    """The physical names of the stack's resources, by logical id."""
    found = aws("cloudformation").describe_stack_resources(StackName=deployment.STACK)
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found["StackResources"]}


@pytest.fixture(scope="module")
def served(files_port: int) -> Iterator[Payloads]:
    """A depositor's web server, during the scenario."""
    with serving(files_port) as server:
        yield server


@pytest.fixture(scope="module")
def story(
    api_user: Callable[[str], ApiUser],
    served: Payloads,
    aws: Aws,
    physical: dict[str, str],
    stack: Stack,
    platform: Emulator,
) -> None:
    """A scenario with as many different calls as possible: large files and containers, failures
    repaired in two ways, refusals and repeats, a hold that expires, and what only rules start."""
    admin = api_user("admin")
    _large_files(admin, served)
    _container(admin, served)
    _container(admin, served)  # a second version of the same object
    _repairs(admin, served)
    _many_chunks(admin)
    _calls(admin, aws, physical)
    _repeats(admin)
    _holds_that_end(admin, served, aws, physical)
    _what_rules_wake(admin, aws, physical, stack)
    _schedules(admin, aws)
    _campaigns(admin, served)
    _clockwork(admin, aws, physical, stack)
    (found,) = admin.get("/api/batches?limit=1")["items"]
    of_batch = [f"/api/batches/{found['batch_id']}/{part}" for part in ("cost", "reports")]
    about_all = [
        f"/api/{part}" for part in ("batches", "holds", "activity", "alarms", "rates", "cost")
    ]
    for path in (*about_all, "/api/batches?collection=maps", *of_batch):
        admin.get(path)
    schedules = admin.get("/api/schedules")["items"]
    last = next(each["latest_run"]["job_id"] for each in schedules if each["latest_run"])
    admin.get(f"/api/jobs/{last}/log")  # in the second of the workers' log groups
    found = admin.get("/api/objects?collection=maps&local_id=box:1")
    version = f"/api/objects/{found['object_id']}/versions/1"
    for path in (f"/api/objects/{found['object_id']}", version, f"{version}/download?name=a.txt"):
        admin.get(path)
    _pages(admin, platform, _lost_events(admin, aws, physical))
    _the_system_s_own(admin)


def _large_files(admin: ApiUser, payloads: Payloads) -> None:
    staged = b"staged" + LARGE
    files = {
        "known.bin": (LARGE, "sha-256", hashlib.sha256(LARGE).hexdigest()),
        "staged.bin": (staged, "md5", hashlib.md5(staged, usedforsecurity=False).hexdigest()),
        "wrong.bin": (LARGE, "sha-256", "0" * 64),
        "wrong-staged.bin": (LARGE, "md5", "0" * 32),
    }
    lines = ["fileUrl,hashAlgorithm,hashValue,fileSize,fileName,localIdentifier,title"]
    for name, (content, algorithm, digest) in files.items():
        payloads.files[f"/{name}"] = content
        where = f"{payloads.url}/{name}"
        lines.append(f"{where},{algorithm},{digest},{len(content)},{name},large:{name},{name}")
    batch_id = admin.submit("\n".join([*lines, ""]), filename="large.csv")
    batch = admin.await_state(f"/api/batches/{batch_id}", "failed")
    assert batch["counts"]["succeeded"] == 2, batch["failure_groups"]
    assert [group["failure_code"] for group in batch["failure_groups"]] == ["DIGEST_MISMATCH"]
    admin.post(f"/api/batches/{batch_id}/delete", reason="it was wrong on purpose")


def _container(admin: ApiUser, payloads: Payloads) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as container:
        container.writestr("a.txt", "one")
        container.writestr("large.bin", LARGE)
    payloads.files["/box.zip"] = packed.getvalue()
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    batch_id = admin.submit(
        "fileUrl,hashAlgorithm,hashValue,fileSize,fileName,localIdentifier,title\n"
        f"{payloads.url}/box.zip,sha-256,{digest},{len(packed.getvalue())},box.zip,box:1,A box\n",
        filename="box.csv",
    )
    admin.await_state(f"/api/batches/{batch_id}", "completed")


def _calls(admin: ApiUser, aws: Aws, physical: dict[str, str]) -> None:
    """A call whose secret does not exist, one whose function is not allowed, and a callback."""
    of_url = {"url": "https://files.invalid/", "secret": "jobyard/calls/none"}
    of_function = {"function": "none", "mode": "callback"}
    for job_type, parameters in (("http", of_url), ("lambda", of_function)):
        manifest = "fileUrl,fileName,title\nhttps://files.invalid/1,1.txt,One\n"
        how = {"filename": "calls.csv", "job_type": job_type, "parameters": parameters}
        batch_id = admin.submit(manifest, **how)
        batch = admin.await_state(f"/api/batches/{batch_id}", "failed")
        assert [each["failure_code"] for each in batch["failure_groups"]] == ["CALL_NOT_ALLOWED"]
    tokens = [[hashlib.sha256(b"secret").hexdigest(), "2099-01-01T00:00:00+00:00"]]
    issued = {
        "job_id": {"S": "callback#rights"},
        "version": {"N": "1"},
        "expires": {"N": "4070908800"},
        "body": {"S": json.dumps({"tokens": tokens})},
    }
    aws("dynamodb").put_item(TableName=physical["CheckpointsTable"], Item=issued)
    for token, status in (("secret.rights", 200), ("secret.wrong", 404)):
        sent = {"token": token, "status": "succeeded"}
        answer = httpx.post(admin.api.base_url.join("/api/callbacks"), json=sent, trust_env=False)
        assert answer.status_code == status, answer.text


def _many_chunks(admin: ApiUser) -> None:
    """A batch whose tally is stored; it is cancelled at once."""
    rows = [f"https://files.invalid/{number},{number}.bin,A file" for number in range(2_001)]
    batch_id = admin.submit("\n".join(["fileUrl,fileName,title", *rows, ""]), filename="many.csv")
    path = f"/api/batches/{batch_id}"
    admin.await_state(path, "processing")
    while not (batch := admin.get(path))["counts"]["total"]:
        time.sleep(0.1)
    assert batch["counted_at"]
    admin.post(f"{path}/cancel", reason="it was counted")
    admin.await_state(path, "cancelled")


def _repairs(admin: ApiUser, payloads: Payloads) -> None:
    manifest = single_files(payloads, {"first.txt": b"1", "second.txt": b"2"})
    payloads.status = {"/first.txt": 404, "/second.txt": 404}
    batch_id = admin.submit(manifest)
    path = f"/api/batches/{batch_id}"
    admin.await_state(path, "failed")
    payloads.status.clear()
    admin.post(f"/api/jobs/{batch_id}.0.0/requeue", reason="it is back")
    admin.await_state(f"/api/jobs/{batch_id}.0.0", "succeeded")
    admin.post(f"{path}/operations", reason="so are the others")
    admin.await_state(f"/api/jobs/{batch_id}.0.1", "succeeded")
    admin.post(f"{path}/update_reporting", reason="repaired")
    admin.await_state(path, "completed")
    admin.post(f"{path}/reports/1/resend", reason="it was lost")


def _repeats(admin: ApiUser) -> None:
    path = "/api/holds/collection:rights"
    body = {"reason": "to see it repeated"}
    for _ in range(2):
        assert admin.api.put(path, json=body, headers={"Idempotency-Key": "one"}).is_success
    late = body | {"until": "2001-01-01T00:00:00Z"}
    refused = admin.api.put(path, json=late, headers={"Idempotency-Key": "two"})
    assert refused.is_client_error
    assert admin.api.delete(path).is_success


def _holds_that_end(admin: ApiUser, payloads: Payloads, aws: Aws, physical: dict[str, str]) -> None:
    """One holds a whole batch, the other a job that waits for a retry; a tick lifts both."""
    payloads.files["/held.txt"] = b"held"
    digest = hashlib.sha256(b"held").hexdigest()
    wanted = (
        "fileUrl,hashAlgorithm,hashValue,fileSize,fileName\n"
        f"{payloads.url}/held.txt,sha-256,{digest},4,held.txt\n"
    )
    _hold(admin, "collection:brief")
    batch_id = admin.submit(wanted, collection="brief", filename="held.csv")
    payloads.status = {"/held.txt": 503}
    job_of = admin.submit(wanted, collection="broken", filename="held.csv")
    while not admin.get(f"/api/batches/{job_of}")["counts"]["total"]:
        time.sleep(0.1)  # it is processing before its manifest is read
    while not admin.get(f"/api/jobs/{job_of}.0.0")["failure_code"]:
        time.sleep(0.1)
    _hold(admin, "collection:broken")
    admin.await_state(f"/api/jobs/{job_of}.0.0", "held")
    payloads.status = {}
    for each in (batch_id, job_of):
        while admin.get(f"/api/batches/{each}")["state"] != "completed":
            _invoke(aws, physical["SchedulerTickFunction"], {})


def _hold(admin: ApiUser, scope: str) -> None:
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 8))
    put = admin.api.put(f"/api/holds/{scope}", json={"reason": "soon over", "until": until})
    assert put.is_success, put.text


def _what_rules_wake(admin: ApiUser, aws: Aws, physical: dict[str, str], stack: Stack) -> None:
    news = {"eventType": "Delivery", "mail": {"messageId": "none", "tags": NOBODY}}
    assert _invoke(aws, physical["DeliveryFunction"], {"detail": news}) == {}
    _invoke(aws, physical["OutboxTickFunction"], {})
    s3 = aws("s3")
    s3.put_object(Bucket=stack.intake_bucket, Key="manifests/maps/dropped.checkm", Body=b"#")
    key = "manifests/maps/empty.checkm"
    s3.put_object(Bucket=stack.intake_bucket, Key=key, Body=b"")
    landed = {"bucket": {"name": stack.intake_bucket}, "object": {"key": key, "size": 0}}
    settled = _invoke(aws, physical["SettleFunction"], {"detail": landed, "error": {}})
    assert settled["next"] == "end"
    while "dropped.checkm" not in {
        one["filename"] for one in admin.get("/api/batches?state=failed")["items"]
    }:
        time.sleep(0.1)


def _campaigns(admin: ApiUser, payloads: Payloads) -> None:
    """Two campaigns on one target, which is no device, and a third that is paused and resumed."""
    wanted = {"job_type": "device-info", "kind": "fire_and_forget"}
    target = {"id": "rights-1", "address": payloads.url, "secret": "jobyard/devices/none"}
    for _ in range(2):
        campaign = admin.post("/api/campaigns", **wanted, targets=[target])["campaign_id"]
        path = f"/api/campaigns/{campaign}"
        admin.await_state(path, "failed")
        admin.get(f"{path}/tasks")
    admin.get("/api/campaigns?system=true")
    dates = {"from": "2099-12-01", "to": "2099-12-31"}
    later: dict[str, Any] = {**wanted, "kind": "scheduled", **dates}
    waits = admin.post("/api/campaigns", **later, targets=["rights-2", "rights-3"])["campaign_id"]
    file = admin.upload_targets("id\nrights-2\n")
    later["replace_overlapping"] = True
    campaign = admin.post("/api/campaigns", **later, targets_file=file)["campaign_id"]
    path = f"/api/campaigns/{campaign}/tasks"
    while not admin.get(path)["items"]:  # it is opened, and a task is replaced
        time.sleep(0.1)
    admin.post(f"/api/campaigns/{waits}/cancel", reason="to see it")
    for event in ("pause", "resume", "cancel"):
        admin.post(f"/api/campaigns/{campaign}/{event}", reason="to see it")


def _schedules(admin: ApiUser, aws: Aws) -> None:
    """Every request about schedules; one job runs and sweeps the example table."""
    voters.fill_table(aws("dynamodb"), datetime.now(UTC))
    why = {"reason": "to see it"}
    calendar = "/api/calendars/rights"
    assert admin.api.put(calendar, json=why).is_success
    rule = {"kind": "monthly", "day": "last", "at": "23:00"}
    parameters = json.loads((ROOT / "examples" / "voters" / "sweep.json").read_text())
    wanted = {"job_type": "sweep", "rule": rule, "parameters": parameters, "calendar": "rights"}
    made = admin.post("/api/schedules", title="rights", **wanted)
    path = f"/api/schedules/{made['schedule_id']}"
    job_id = admin.post(f"{path}/run_now", **why)["job_id"]
    admin.get(f"{path}/occurrences")
    admin.await_state(f"/api/jobs/{job_id}", "succeeded", "failed")
    while admin.get(path)["running_job_ids"]:
        time.sleep(0.1)
    assert admin.get("/api/schedules")["items"][0]["label"] in {"Completed", "Failed"}
    assert admin.api.patch(path, json=why | {"calendar": ""}).is_success
    admin.post(f"{path}/suspend", **why)
    admin.post(f"{path}/resume", **why)
    assert admin.api.delete(path, params=why).is_success
    admin.get("/api/calendars")
    assert admin.api.delete(calendar, params=why).is_success


def _clockwork(admin: ApiUser, aws: Aws, physical: dict[str, str], stack: Stack) -> None:
    """The clock starts a job; one waits for the end of another; one loses its execution, and is
    replaced by the next one."""
    parameters = json.loads((ROOT / "examples" / "voters" / "sweep.json").read_text())
    why = {"reason": "to see it"}
    wanted = {
        "job_type": "sweep",
        "rule": _soon(),
        "parameters": parameters,
        "overlap": "queue_one",
    }
    assert admin.api.put("/api/calendars/clockwork", json=why).is_success
    made = admin.post("/api/schedules", title="clockwork", calendar="clockwork", **wanted)
    path = f"/api/schedules/{made['schedule_id']}"
    _await_clock(admin, path, aws, physical)
    voters.fill_table(aws("dynamodb"), datetime.now(UTC))
    for _ in range(2):
        admin.post(f"{path}/run_now", **why)
    _await_rest(admin, path)
    voters.fill_table(aws("dynamodb"), datetime.now(UTC))
    job_id = admin.post(f"{path}/run_now", **why)["job_id"]
    arn = stack.job_machine.replace(":stateMachine:", ":execution:")
    stopped = {"executionArn": f"{arn}:{job_id}-main", "status": "ABORTED"}
    aws("stepfunctions").stop_execution(executionArn=stopped["executionArn"])
    stopped["input"] = json.dumps({"origin_id": made["schedule_id"]})
    assert _invoke(aws, physical["ExecutionFailureFunction"], {"detail": stopped}) == {
        "recovered": 0
    }
    assert admin.get(path)["running_job_ids"]
    changed = why | {"overlap": "replace", "rule": _soon()}
    assert admin.api.patch(path, json=changed).is_success
    _await_clock(admin, path, aws, physical)
    _await_rest(admin, path)


def _soon() -> dict[str, str]:
    """A rule whose time is some seconds ahead."""
    soon = datetime.now(UTC) + timedelta(seconds=3)
    anchor = f"{soon:%Y-%m-%d}"
    return {"kind": "daily", "at": f"{soon:%H:%M:%S}", "anchor": anchor, "zone": "UTC"}


def _await_clock(admin: ApiUser, path: str, aws: Aws, physical: dict[str, str]) -> None:
    """Wait until the clock has started the schedule's newest job."""
    while [one["trigger"] for one in admin.get(f"{path}/occurrences?limit=1")["items"]] != [
        "schedule"
    ]:
        _invoke(aws, physical["SchedulerTickFunction"], {})


def _await_rest(admin: ApiUser, path: str) -> None:
    """Wait until no job of the schedule runs."""
    while admin.get(path)["running_job_ids"]:
        time.sleep(0.1)


def _the_system_s_own(admin: ApiUser) -> None:
    """Check everything and archive what has ended; here it is kept for no time."""
    own = {one["job_type"]: one for one in admin.get("/api/schedules?system=true")["items"]}
    for name in ("reconcile", "retention", "pack"):
        path = f"/api/schedules/{own[name]['schedule_id']}"
        _await_rest(admin, path)  # it also runs by itself, at some minutes of the hour
        job_id = admin.post(f"{path}/run_now", reason="to see it")["job_id"]
        while (job := admin.get(f"/api/jobs/{job_id}"))["state"] != "succeeded":
            assert not job["failure_code"], job["failure_message"]
            time.sleep(0.1)
        admin.get(f"/api/jobs/{job_id}/log")


def _lost_events(admin: ApiUser, aws: Aws, physical: dict[str, str]) -> list[str]:
    """Put the events about the newest manifest and the mail of a report into the dead-letter queue.
    Returns the ids of the letters.

    The batch has begun long ago and the mail has arrived, so that a redrive changes nothing.
    """
    bucket = physical["IntakeBucket"]
    found = aws("s3").list_object_versions(Bucket=bucket, Prefix="manifests/maps/")["Versions"]
    newest = max(found, key=lambda each: each["LastModified"])
    place = {"key": newest["Key"], "size": newest["Size"], "version-id": newest["VersionId"]}
    batch_id = admin.get("/api/batches?state=completed")["items"][0]["batch_id"]
    mail = {"messageId": "m-1", "tags": {"batch_id": [batch_id], "seq": ["1"]}}
    events = (
        {"source": "aws.s3", "detail": {"bucket": {"name": bucket}, "object": place}},
        {
            "source": "aws.ses",
            "detail-type": "Email Sent",
            "detail": {"eventType": "Send", "mail": mail},
        },
    )
    return [
        str(
            aws("sqs").send_message(
                QueueUrl=physical["DeadLetters"], MessageBody=json.dumps(event)
            )["MessageId"]
        )
        for event in events
    ]


def _pages(admin: ApiUser, platform: Emulator, letters: list[str]) -> None:
    """Look at every kind of page, place a hold and lift it, upload a manifest, redrive the dead
    letters, and sign out.
    """
    batch = f"/batches/{admin.get('/api/batches?state=completed')['items'][0]['batch_id']}"
    schedule = f"/schedules/{admin.get('/api/schedules?system=true')['items'][0]['schedule_id']}"
    pages = [
        *(
            "/",
            "/activity",
            "/batches",
            "/batches?state=failed",
            "/batches/new",
            "/holds",
            "/system",
        ),
        *("/collections", "/collections/maps", "/calendars", "/lifecycles/batch"),
        *("/job-management", "/schedules/new", f"/jobs/{batch.rpartition('/')[2]}.0.0", batch),
        f"/jobs/{batch.rpartition('/')[2]}.0.0/log",
        *(f"{batch}/{part}" for part in ("jobs", "findings", "reports", "cost", "history")),
        *(schedule, *(f"{schedule}/{part}" for part in ("history", "year", "cost"))),
    ]
    with signed_in(platform, "admin") as reader:
        for path in pages:
            page = reader.get(path)
            assert page.status_code == 200, f"{path}: {page.text}"
        csrf = hidden_fields(page.text)["csrf"]

        def send(path: str, **fields: str) -> str:
            key = str(time.monotonic_ns())
            form = {"csrf": csrf, "key": key, "reason": "to see it"} | fields
            done = reader.post(path, data=form, headers={"Sec-Fetch-Site": "same-origin"})
            assert done.status_code == 303, f"{path}: {done.text}"
            return done.headers["Location"]

        send("/holds", kind="collection", name="rights")
        send("/holds/collection:rights/lift")
        upload = send("/batches/new", collection="maps", file="page.csv")
        assert reader.get(upload).status_code == 200
        for letter in letters:
            assert letter in reader.get("/system").text
            send(f"/system/dead-letters/{letter}/redrive")
            assert letter not in reader.get("/system").text
        assert send("/sign-out").startswith(platform.endpoint)


def _invoke(aws: Aws, function: str, event: dict[str, Any]) -> dict[str, Any]:
    answer = aws("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    document: dict[str, Any] = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, document
    return document


@pytest.fixture(scope="module")
def recorded(story: None, notes: Path) -> list[dict[str, str]]:
    """The lines of the recorders; see `tests.live.recorder`."""
    return [json.loads(line) for line in notes.read_text().splitlines()]


@pytest.fixture(scope="module")
def calls(recorded: list[dict[str, str]], physical: dict[str, str]) -> set[Call]:
    """The recorded calls, each kind once."""
    logical = {name.rpartition("/")[2]: one for one, name in physical.items()}
    return {
        Call(f"{one['folder'].capitalize()}Role", one["call"], _written(one["on"], logical))
        for one in recorded
    }


@pytest.fixture(scope="module")
def resources() -> Resources:
    """The template's resources, as CloudFormation expands them."""
    found: Resources = expanded_of(deployment.read_template(ROOT))["Resources"]
    return found


def _written(on: str, logical: dict[str, str]) -> str:
    """A physical name as the ARN in the template."""
    if on == "*":
        return on
    if ":states:" in on:
        kind, name, *execution = on.split(":")[5:]
        word = name.rpartition("-")[2]
        if kind == "stateMachine":  # for an alias AWS checks the ARN of the machine
            return f"{MACHINE}${{AWS::StackName}}-{word}"
        return f"{EXECUTION}${{AWS::StackName}}-{':'.join([word, *execution])}"
    for kind, parameter in (("devices", "DeviceSecrets"), ("calls", "CallSecrets")):
        if on.startswith(f"secret:jobyard/{kind}/"):  # where the parameter's value begins
            return f"{SECRET}${{{parameter}}}{on.removeprefix(f'secret:jobyard/{kind}/')}"
    if on.startswith("event-bus/"):
        return f"{EVENT_BUS}{on.removeprefix('event-bus/')}"
    name, slash, rest = on.partition("/")
    if name == voters.TABLE:
        name, logical = "swept", logical | {"swept": "SweepTables"}
    return f"${{{logical[name]}.Arn}}{slash}{rest}"


def test_every_call_of_a_function_is_written_down(calls: set[Call]) -> None:
    lines = _lines()

    assert {call.line for call in calls} - lines == set()


def test_every_call_that_is_written_down_is_made_or_has_a_reason(calls: set[Call]) -> None:
    unmade = _lines() - {call.line for call in calls}

    assert not (left := sorted(unmade - UNSEEN.keys())), "\n".join(map(str, left))
    assert UNSEEN.keys() - _lines() == set()


def test_on_aws_every_call_would_be_allowed(calls: set[Call], resources: Resources) -> None:
    refused = [call for call in calls if not grants_all(resources, *call)]

    assert refused == []


def test_functions_sign_with_the_key_of_their_role_and_no_other(
    recorded: list[dict[str, str]],
) -> None:
    assert {one["key"] for one in recorded} == {"role"}


# Calls for the prober, and whether the workers' role may make them.
PROBES: dict[str, tuple[tuple[str, str, dict[str, Any]], str]] = {
    "what the role has": (
        ("dynamodb", "get_item", {"TableName": "BatchesTable", "Key": {"batch_id": {"S": "none"}}}),
        "",
    ),
    "what it lacks on a table": (
        ("dynamodb", "scan", {"TableName": "BatchesTable"}),
        "AccessDeniedException",
    ),
    "what it lacks on a bucket": (
        ("s3", "delete_object", {"Bucket": "ArchiveBucket", "Key": "content/none"}),
        "AccessDenied",
    ),
    "what it has under another prefix": (
        ("s3", "put_object", {"Bucket": "WorkBucket", "Key": "reports/none", "Body": "x"}),
        "AccessDenied",
    ),
}
PROBER = """
import boto3
from botocore.exceptions import ClientError


def handler(event, context):
    try:
        getattr(boto3.client(event["service"]), event["call"])(**event["parameters"])
    except ClientError as error:
        return {"refused": error.response["Error"]["Code"]}
    return {"refused": ""}
"""


@pytest.fixture(scope="module")
def prober(aws: Aws, physical: dict[str, str]) -> str:
    """A function that tries a call under the workers' role."""
    functions = aws("lambda")
    worker = functions.get_function_configuration(FunctionName=physical["ExecuteChunkFunction"])
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as code:
        code.writestr("prober.py", PROBER)
    made = functions.create_function(
        FunctionName="prober",
        Runtime="python3.13",
        Role=worker["Role"],
        Handler="prober.handler",
        Code={"ZipFile": packed.getvalue()},
        Layers=[layer["Arn"] for layer in worker["Layers"]],
        Timeout=60,
    )
    return str(made["FunctionName"])


@pytest.mark.parametrize("kind", PROBES)
def test_a_role_is_refused_what_it_lacks(
    kind: str, prober: str, aws: Aws, physical: dict[str, str]
) -> None:
    """Were the root's key behind the functions, or the rights not asked for, nothing would be."""
    (service, call, wanted), refused = PROBES[kind]
    parameters = {
        name: physical.get(value, value) if isinstance(value, str) else value
        for name, value in wanted.items()
    }

    answer = _invoke(aws, prober, {"service": service, "call": call, "parameters": parameters})

    assert answer == {"refused": refused}


def _lines() -> set[tuple[str, str, str]]:
    """The table's lines: role, thing, call."""
    return {
        (role, thing, name)
        for role, things in CALLS.items()
        for thing, names in things.items()
        for name in names
    }
