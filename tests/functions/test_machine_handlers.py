"""The handlers the machines and rules wake: recorded events in, answers and effects out."""

import importlib
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from cli.local import clients
from jobyard.domain.batches.batch import Batch, BatchState, ManifestSource
from jobyard.domain.batches.report import Delivery, DeliveryState, Report, ReportKind
from jobyard.domain.hold import Hold
from jobyard.domain.ids import batch_id_of_object
from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.domain.metrics import DIMENSIONS
from jobyard.domain.schedules.occurrence import SkipReason, Verdict
from jobyard.domain.schedules.rule_parsing import recurrence_of
from jobyard.domain.schedules.schedule import CatchUp, MissedPolicy, Policy, Schedule, ScheduleState
from jobyard.services.batches.open import source_of
from jobyard.services.executions import job_execution
from jobyard.services.jobs.runner import FinishedJob
from jobyard.services.runs import ExecutionInput, ExecutionRun
from jobyard.store import batches, holds, occurrences, reports, schedules, tables, usage

pytestmark = pytest.mark.emulator
NOW = datetime.now(UTC)
BUCKETS = ("fn-intake", "fn-work", "fn-archive")
BROKEN = {"StartAt": "Broken", "States": {"Broken": {"Type": "Fail"}}}


@dataclass
class Context:
    """What Lambda hands to a handler beside the event."""

    function_name: str = "f"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:f"
    aws_request_id: str = "8f5a6a2e-0000-4000-8000-000000000000"
    remaining_ms: int = 300_000

    def get_remaining_time_in_millis(self) -> int:
        """What is left of the invocation's time."""
        return self.remaining_ms


@pytest.fixture(scope="module")
def functions(bound: str) -> Iterator[dict[str, ModuleType]]:
    """The handlers' modules, imported with a deployment's environment."""
    s3, ses = clients.client("s3", bound), clients.client("sesv2", bound)
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    ses.create_email_identity(EmailIdentity="fn@example.org")
    machines = clients.client("stepfunctions", bound)
    batch_machine, job_machine = (
        machines.create_state_machine(
            name=f"fn-{name}", definition=json.dumps(BROKEN), roleArn="arn:aws:iam::0:role/fn"
        )["stateMachineArn"]
        for name in ("batch", "job")
    )
    environment = {
        "AWS_REGION": clients.REGION,
        "AWS_DEFAULT_REGION": clients.REGION,
        "AWS_ENDPOINT_URL": bound,
        "JOBYARD_INTAKE_BUCKET": BUCKETS[0],
        "JOBYARD_WORK_BUCKET": BUCKETS[1],
        "JOBYARD_ARCHIVE_BUCKET": BUCKETS[2],
        "JOBYARD_BATCH_MACHINE": batch_machine,
        "JOBYARD_JOB_MACHINE": job_machine,
        "JOBYARD_CHUNK_SIZE": "100",
        "JOBYARD_MAX_CONCURRENCY": "4",
        "JOBYARD_MAIL_FROM": "fn@example.org",
        "JOBYARD_MAIL_TO": "ops@example.org",
        "JOBYARD_MAIL_BCC": "",
        "JOBYARD_MAIL_CONFIGURATION_SET": "fn",
        "JOBYARD_INSTANCE": "fn",
        "JOBYARD_STAGE_URL": "http://fn.example.org/",
        "JOBYARD_ALLOWED_HOSTS": "",
        "JOBYARD_S3_SOURCES": "",
        "JOBYARD_SWEEP_TABLES": "",
        "JOBYARD_USER_POOL": "people",
        "POWERTOOLS_SERVICE_NAME": "jobyard",
    }
    for noun in tables.MODELS:
        environment[f"JOBYARD_{noun.upper()}_TABLE"] = f"test-{noun}"
    names = (
        "schedule.scheduler_tick",
        "schedule.execution_failure",
    )  # without a meter: the others' come after it
    names += ("ingest.open", "execute.chunk", "execute.job", "report.settle")
    names += ("report.report", "report.outbox_tick", "report.delivery")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield {name: importlib.import_module(name) for name in names}
    same = {noun: f"test-{noun}" for noun in tables.MODELS}
    tables.bind(same, region=clients.REGION, host=bound)


def emitted(output: str) -> dict[str, Any]:
    """The metrics in what a handler printed, by name, with their dimensions."""
    found: dict[str, Any] = {}
    for line in output.splitlines():
        document = json.loads(line)
        for group in document.get("_aws", {}).get("CloudWatchMetrics", ()):
            for metric in group["Metrics"]:
                found[metric["Name"]] = tuple(group["Dimensions"][0])
    return found


def event_of(key: str, body: bytes) -> dict[str, Any]:
    """The event of an object that was just put into the intake bucket."""
    return {"detail": {"bucket": {"name": BUCKETS[0]}, "object": {"key": key, "size": len(body)}}}


def test_a_refused_manifest_goes_through_open_and_report(
    functions: dict[str, ModuleType], bound: str
) -> None:
    body = b"no manifest at all"
    key = "manifests/fn/bad.checkm"
    clients.client("s3", bound).put_object(Bucket=BUCKETS[0], Key=key, Body=body)

    opened = functions["ingest.open"].handler(
        {"input": event_of(key, body), "execution": "one"}, Context()
    )
    told = functions["report.report"].handler(opened, Context())

    assert opened["next"] == "report"
    assert told["next"] == "end"
    batch = batches.get(opened["origin_id"], NOW)
    assert batch.state is BatchState.FAILED
    used = usage.of_origin(batch.batch_id)
    assert (used.invocations, used.events, used.mails) == (2, 1, 1)
    assert used.transitions == len(["Open", "Opened", "Report", "Reported", "Done"])
    assert used.write_units > 5  # claimed, refused, told, handed over, ended
    mail = reports.get(batch.batch_id, 1).files["mail.txt"]
    text = clients.client("s3", bound).get_object(Bucket=BUCKETS[1], Key=mail)["Body"].read()
    assert re.search(rb"Cost: +\$\d+\.\d+ \(\d+ write units, 5 transitions", text)


def test_an_open_that_failed_is_settled_into_a_report(
    functions: dict[str, ModuleType], bound: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = b"x"
    key = "manifests/fn/broken.checkm"
    clients.client("s3", bound).put_object(Bucket=BUCKETS[0], Key=key, Body=body)
    event = event_of(key, body)
    source = source_of(event["detail"])
    s3 = clients.client("s3", bound)
    version = s3.head_object(Bucket=source.bucket, Key=key)["VersionId"]
    batch_id = batch_id_of_object(source.bucket, key, version)
    batches.put_new(
        Batch(
            batch_id,
            BatchState.PROCESSING,
            0,
            "fn",
            "s3",
            "deposit",
            "broken.checkm",
            NOW,
            source=ManifestSource(source.bucket, key, version, 1),
        )
    )

    settled = functions["report.settle"].handler(
        event | {"error": {"Error": "Odd", "Cause": "out of memory"}}, Context()
    )

    assert settled["next"] == "report"
    _tells_a_stranger_nothing(batches.get(batch_id, NOW).failure_message, caplog)


def _tells_a_stranger_nothing(told: str, caplog: pytest.LogCaptureFixture) -> None:
    """`told` is our own sentence, with an id under which the log has what AWS said."""
    assert "out of memory" not in told
    assert Context.aws_request_id in told
    (line,) = (vars(each) for each in caplog.records if "out of memory" in str(vars(each)))
    assert line["request_id"] == Context.aws_request_id


def test_an_open_that_failed_before_there_was_a_batch_leaves_one_that_is_opened_later(
    functions: dict[str, ModuleType], bound: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = b"x"
    key = "manifests/fn/nothing.checkm"
    clients.client("s3", bound).put_object(Bucket=BUCKETS[0], Key=key, Body=body)
    event = event_of(key, body) | {"error": {"Error": "Odd", "Cause": "out of memory"}}

    functions["report.settle"].handler(event, Context())
    caplog.clear()
    settled = functions["report.settle"].handler(event, Context())

    batch = batches.get(settled["origin_id"], NOW)
    assert settled["next"] == "end"
    assert (batch.state, len(batch.history)) == ("pending", 1)
    _tells_a_stranger_nothing(batch.history[0].reason, caplog)
    assert batch.source is not None
    assert batch.source.key == key


def test_an_open_that_failed_on_what_is_no_manifest_leaves_nothing(
    functions: dict[str, ModuleType], bound: str
) -> None:
    key = "manifests/fn/"
    clients.client("s3", bound).put_object(Bucket=BUCKETS[0], Key=key, Body=b"")

    settled = functions["report.settle"].handler(
        event_of(key, b"") | {"error": {"Error": "Odd", "Cause": "x"}}, Context()
    )

    assert (settled["next"], settled["origin_id"]) == ("end", "")


@pytest.mark.parametrize("key", ["manifests/beside.checkm", "manifests//beside.checkm"])
def test_a_manifest_beside_every_collection_is_logged_and_counted(
    functions: dict[str, ModuleType],
    bound: str,
    key: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    clients.client("s3", bound).put_object(Bucket=BUCKETS[0], Key=key, Body=b"x")
    asked = {"execution": "beside", "input": event_of(key, b"x")}

    opened = functions["ingest.open"].handler(asked, Context())

    assert opened["next"] == "report"
    assert "MisplacedManifests" in capsys.readouterr().out
    (line,) = (vars(each) for each in caplog.records if "beside every" in each.message)
    assert line["key"] == key


@pytest.mark.parametrize("job_type", ["deposit", "sweep", "one of tomorrow"])
def test_a_failed_job_of_any_type_is_counted_for_the_alarm(
    functions: dict[str, ModuleType], capsys: pytest.CaptureFixture[str], job_type: str
) -> None:
    worker = importlib.import_module("execute.worker")
    failed = FinishedJob(JobAddress("b", 0, 0), job_type, JobState.FAILED, "TIMEOUT")
    worker.report_finished([failed], ExecutionInput("b", ExecutionRun("main", 1)))

    out = capsys.readouterr().out
    found = emitted("\n".join(line for line in out.splitlines() if "_aws" in line))
    assert found["JobsFailedTotal"] == ("service",)


def report(batch_id: str, state: DeliveryState) -> Report:
    return reports.put_new(
        Report(
            batch_id,
            1,
            ReportKind.FIRST,
            NOW,
            ("a@example.org",),
            f"subject {batch_id}",
            "OK",
            {"succeeded": 1},
            0,
            {"mail.txt": f"{batch_id}.txt", "report.html": f"{batch_id}.html"},
            Delivery(state, NOW),
        )
    )


def test_the_minute_sends_what_waits_and_tells_how_things_stand(
    functions: dict[str, ModuleType], bound: str, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = clients.client("s3", bound)
    for suffix in ("txt", "html"):
        s3.put_object(Bucket=BUCKETS[1], Key=f"b-queued.{suffix}", Body=b"words")
    report("b-queued", DeliveryState.QUEUED)

    functions["report.outbox_tick"].handler({}, Context())

    assert reports.get("b-queued", 1).delivery.state is DeliveryState.SENT
    found = emitted("\n".join(x for x in capsys.readouterr().out.splitlines() if "_aws" in x))
    assert {name: dims for name, dims in found.items() if DIMENSIONS[name] != dims} == {}
    assert {"UndeliveredReports", "OpenBatches", "OldestOpenBatchAgeSeconds"} <= set(found)


@pytest.mark.parametrize(
    ("news", "state"),
    [
        ("Delivery", "delivered"),
        ("Bounce", "bounced"),
        ("Reject", "failed"),
        ("Complaint", "complained"),
        ("Open", "sent"),
    ],
)
def test_what_the_mail_service_tells_is_noted_with_the_report(
    functions: dict[str, ModuleType], news: str, state: str
) -> None:
    batch_id = f"b-news-{news.lower()}"
    report(batch_id, DeliveryState.SENT)
    detail = {
        "eventType": news,
        "mail": {"messageId": "m", "tags": {"batch_id": [batch_id], "seq": ["1"]}},
    }

    functions["report.delivery"].handler({"detail": detail}, Context())
    functions["report.delivery"].handler({"detail": detail}, Context())

    assert reports.get(batch_id, 1).delivery.state == state


def test_who_a_mail_did_not_reach_is_kept_with_the_report(
    functions: dict[str, ModuleType],
) -> None:
    report("b-bounced", DeliveryState.SENT)
    bounced = [
        {"emailAddress": "jo@example.org", "diagnosticCode": "550 no such\r\nuser"},
        {"emailAddress": "ed@example.org"},
    ]
    detail = {
        "eventType": "Bounce",
        "mail": {"messageId": "m", "tags": {"batch_id": ["b-bounced"], "seq": ["1"]}},
        "bounce": {"bouncedRecipients": bounced},
    }

    functions["report.delivery"].handler({"detail": detail}, Context())
    functions["report.delivery"].handler({"detail": detail}, Context())

    assert [each.description for each in reports.get("b-bounced", 1).delivery.undeliverable] == [
        "jo@example.org: 550 no such\ufffd\ufffduser",
        "ed@example.org: its server refused the mail",
    ]


def test_news_of_mails_that_are_not_ours_is_let_be(functions: dict[str, ModuleType]) -> None:
    handler = functions["report.delivery"].handler
    foreign = {"eventType": "Delivery", "mail": {"messageId": "m", "tags": {}}}
    unknown = {"messageId": "m", "tags": {"batch_id": ["b-none"], "seq": ["7"]}}

    assert handler({"detail": foreign}, Context()) == {}
    assert handler({"detail": foreign | {"mail": unknown}}, Context()) == {}


def test_a_mail_that_came_to_nothing_is_counted_for_a_while(
    functions: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    before = functions["report.outbox_tick"].handler({}, Context())["undelivered"]
    lost = report("b-lost", DeliveryState.SENT)
    reports.put_delivery(lost, Delivery(DeliveryState.BOUNCED, datetime.now(UTC)))

    after = functions["report.outbox_tick"].handler({}, Context())["undelivered"]

    assert after == before + 1


def scheduled(
    name: str,
    due: timedelta,
    missed: MissedPolicy = MissedPolicy.LATEST,
    state: ScheduleState = ScheduleState.ACTIVE,
) -> Schedule:
    """A daily schedule that has been due for a while; the only one there is."""
    for noun in ("batches", "holds", "schedules"):
        for item in tables.MODELS[noun].scan():
            item.delete()  # other stories', whose machines are not here
    at = (datetime.now(UTC) - due).replace(second=0, microsecond=0)
    rule = {"kind": "daily", "at": f"{at:%H:%M}", "zone": "UTC", "anchor": f"{at:%Y-%m-%d}"}
    return schedules.put_new(
        Schedule(
            schedule_id=f"s{name:a<20}",
            state=state,
            version=1,
            title=name,
            job_type="sweep",
            rule=recurrence_of(rule),
            policy=Policy(CatchUp(missed)),
            owner="admin",
            created_at=at,
            next_at=at,
        )
    )


def test_the_minute_starts_what_is_due_and_only_once(
    functions: dict[str, ModuleType], bound: str
) -> None:
    schedule = scheduled("due", timedelta(minutes=2))

    first = functions["schedule.scheduler_tick"].handler({}, Context())
    again = functions["schedule.scheduler_tick"].handler({}, Context())

    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    assert (first["started"], again["started"]) == (1, 0)
    assert occurrence.verdict is Verdict.RUN
    assert execution(bound, functions, job_execution(occurrence.address, "main"))["input"]
    assert schedules.get(schedule.schedule_id).active[0].scheduled_for == schedule.next_at


def test_the_minute_tells_of_a_time_that_nobody_could_start_a_job_at(
    functions: dict[str, ModuleType],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    schedule = scheduled("missed", timedelta(hours=2), MissedPolicy.NONE)

    told = functions["schedule.scheduler_tick"].handler({}, Context())

    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    found = metrics_of(capsys)
    lines = [vars(line) for line in caplog.records if line.message == "skipped"]
    assert told["started"] == 0
    assert occurrence.skip_reason is SkipReason.MISSED
    assert found == {"RunsFailedOrMissed": DIMENSIONS["RunsFailedOrMissed"]}
    assert [line["reason"] for line in lines] == [SkipReason.MISSED]


def test_the_minute_counts_each_time_that_was_missed(
    functions: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    scheduled("misseddaily", timedelta(days=2, hours=2), MissedPolicy.NONE)

    functions["schedule.scheduler_tick"].handler({}, Context())

    (line,) = [line for line in capsys.readouterr().out.splitlines() if "_aws" in line]
    assert json.loads(line)["RunsFailedOrMissed"] == [3.0]


def test_the_minute_tells_which_schedule_it_could_not_look_after(
    functions: dict[str, ModuleType], caplog: pytest.LogCaptureFixture
) -> None:
    schedule = scheduled("broken", timedelta(minutes=2))
    item = tables.ScheduleItem.get(schedule.schedule_id)
    item.body = {}
    item.save()

    told = functions["schedule.scheduler_tick"].handler({}, Context())

    lines = [vars(line) for line in caplog.records if line.message == "schedule error"]
    assert told["started"] == 0
    assert [line["origin_id"] for line in lines] == [schedule.schedule_id]


def test_the_minute_starts_nothing_in_the_time_that_what_comes_after_needs(
    functions: dict[str, ModuleType],
) -> None:
    scheduled("hurried", timedelta(minutes=2))

    late = functions["schedule.scheduler_tick"].handler({}, Context(remaining_ms=20_000))
    next_time = functions["schedule.scheduler_tick"].handler({}, Context(remaining_ms=21_000))

    assert (late["started"], next_time["started"]) == (0, 1)


def test_the_minute_lifts_a_hold_that_is_over(functions: dict[str, ModuleType]) -> None:
    scheduled("beside", timedelta(days=-1))
    now = datetime.now(UTC)
    minute = timedelta(minutes=1)
    holds.put(Hold("collection:fn", "operator", "a move", now - 2 * minute, now - minute))
    holds.put(Hold("collection:nf", "operator", "a move", now - 2 * minute, now + 9 * minute))

    functions["schedule.scheduler_tick"].handler({}, Context())

    assert [hold.scope for hold in holds.list_all()] == ["collection:nf"]


def metrics_of(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The metrics that were emitted since this was asked last; logs may stand between."""
    out = capsys.readouterr().out
    return emitted("\n".join(line for line in out.splitlines() if "_aws" in line))


def test_a_time_that_somebody_wanted_skipped_is_no_trouble(
    functions: dict[str, ModuleType], capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = scheduled("suspended", timedelta(minutes=2), state=ScheduleState.SUSPENDED)

    functions["schedule.scheduler_tick"].handler({}, Context())

    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    assert occurrence.skip_reason is SkipReason.SUSPENDED
    assert metrics_of(capsys) == {}


def test_the_minute_makes_the_system_s_schedules(functions: dict[str, ModuleType]) -> None:
    scheduled("alone", timedelta(minutes=2))
    minute = functions["schedule.scheduler_tick"]
    minute._make_system_schedules.cache_clear()

    minute.handler({}, Context())

    made = schedules.by_title(system=True, limit=9).items
    assert sorted(each.job_type for each in made) == ["reconcile", "retention"]


def test_the_minute_takes_up_a_batch_that_no_execution_works_on(
    functions: dict[str, ModuleType],
) -> None:
    scheduled("beside", timedelta(days=-1))
    leave("b-left")

    told = functions["schedule.scheduler_tick"].handler({}, Context())

    assert told == {"started": 0, "recovered": 1}


def leave(batch_id: str) -> None:
    """Have a batch that no execution has worked on for an hour."""
    source = ManifestSource(BUCKETS[0], f"manifests/fn/{batch_id}.checkm", "v1", 1)
    since = datetime.now(UTC) - timedelta(hours=1)
    left = (batch_id, BatchState.PENDING, 0, "fn", "s3", "deposit", f"{batch_id}.checkm", since)
    batches.put_new(Batch(*left, source=source))


def test_the_minute_takes_up_a_run_that_no_execution_works_on(
    functions: dict[str, ModuleType], bound: str
) -> None:
    schedule = scheduled("runlost", timedelta(minutes=2))
    functions["schedule.scheduler_tick"].handler({}, Context())
    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    execution(bound, functions, job_execution(occurrence.address, "main"))  # it has failed
    running = schedules.get(schedule.schedule_id)
    due = replace(running, version=running.version + 1, next_check_at=datetime.now(UTC))
    schedules.write(running, due)

    told = functions["schedule.scheduler_tick"].handler({}, Context())

    assert told == {"started": 0, "recovered": 1}


@pytest.mark.parametrize("lost", [False, True], ids=["failed by its worker", "given up"])
def test_a_job_of_a_schedule_that_fails_is_counted_and_told_to_its_schedule(
    functions: dict[str, ModuleType], capsys: pytest.CaptureFixture[str], lost: bool
) -> None:
    schedule = scheduled(f"fails{'lost' if lost else ''}", timedelta(minutes=2))
    functions["schedule.scheduler_tick"].handler({}, Context())
    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    place = occurrence.address
    asked = {"origin_id": place.origin_id, "chunk": 0, "position": place.position}
    asked |= {"run": "main", "pass": 1}
    metrics_of(capsys)

    if lost:
        answer = asked | {"error": {"Error": "Lambda.Unknown", "Cause": "no worker"}}
    else:
        answer = functions["execute.job"].handler(asked, Context())
    counted = {} if lost else metrics_of(capsys)
    functions["report.settle"].handler(answer, Context())

    metric = "RunsFailedOrMissed"
    assert (counted | metrics_of(capsys))[metric] == DIMENSIONS[metric]
    (told,) = occurrences.newest(schedule.schedule_id, limit=9)
    assert told.outcome
    assert (told.outcome.state, told.outcome.failure_message != "") == ("failed", True)
    assert schedules.get(schedule.schedule_id).label == "Failed"


def test_an_execution_that_failed_is_followed_at_once_and_only_once(
    functions: dict[str, ModuleType], bound: str
) -> None:
    schedule = scheduled("failing", timedelta(minutes=2))
    functions["schedule.scheduler_tick"].handler({}, Context())
    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    name = job_execution(occurrence.address, "main")
    failed = execution(bound, functions, name)
    detail = {key: failed[key] for key in ("executionArn", "status", "input")}

    first = functions["schedule.execution_failure"].handler({"detail": detail}, Context())
    second = execution(bound, functions, f"{name}-1")
    again = functions["schedule.execution_failure"].handler({"detail": detail}, Context())

    assert (first, again) == ({"recovered": 1}, {"recovered": 0})  # the next is not yet to be
    assert json.loads(second["input"]) == json.loads(detail["input"]) | {"pass": 1_000_001}


def test_a_batch_whose_execution_failed_is_recovered_at_once_and_only_once(
    functions: dict[str, ModuleType],
) -> None:
    scheduled("beside", timedelta(days=-1))
    leave("b-failed")
    detail = {"executionArn": "one", "status": "FAILED", "input": '{"origin_id": "b-failed"}'}

    first = functions["schedule.execution_failure"].handler({"detail": detail}, Context())
    again = functions["schedule.execution_failure"].handler({"detail": detail}, Context())

    assert (first, again) == ({"recovered": 1}, {"recovered": 0})


@pytest.mark.parametrize("told", [None, {"detail": {}}, {"origin_id": "b-none"}], ids=str)
def test_an_execution_that_failed_without_a_batch_or_schedule_is_only_told_of(
    functions: dict[str, ModuleType], told: dict[str, Any] | None
) -> None:
    detail = {"executionArn": "one", "status": "FAILED"}
    detail |= {"input": json.dumps(told)} if told else {}

    assert functions["schedule.execution_failure"].handler({"detail": detail}, Context()) == {
        "recovered": 0
    }


def execution(bound: str, functions: dict[str, ModuleType], name: str) -> dict[str, Any]:
    """An execution of the job machine, once it has failed, as they all do here."""
    machines = clients.client("stepfunctions", bound)
    arn = functions["schedule.scheduler_tick"].SETTINGS.job_machine.replace(
        ":stateMachine:", ":execution:"
    )
    while (found := machines.describe_execution(executionArn=f"{arn}:{name}"))[
        "status"
    ] == "RUNNING":
        time.sleep(0.02)
    return dict(found)
