"""The Settle state's handler: errors of other states become failures of batches and jobs."""

from datetime import UTC, datetime, timedelta
from types import ModuleType

import pytest

from cli.local import clients
from jobyard.domain.batches.batch import Batch, BatchState, ManifestSource
from jobyard.domain.ids import batch_id_of_object
from jobyard.domain.metrics import DIMENSIONS
from jobyard.services.machines.inputs import manifest_source
from jobyard.store import batches, occurrences, schedules
from tests.functions.invocations import BUCKETS, Context, event_of, metrics_of
from tests.functions.records import a_due_schedule

pytestmark = pytest.mark.emulator
NOW = datetime.now(UTC)


def test_an_open_that_failed_is_settled_into_a_report(
    functions: dict[str, ModuleType], store_endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = b"x"
    key = "manifests/fn/broken.checkm"
    clients.client("s3", store_endpoint).put_object(Bucket=BUCKETS[0], Key=key, Body=body)
    event = event_of(key, body)
    source = manifest_source(event["detail"])
    s3 = clients.client("s3", store_endpoint)
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
    _assert_cause_is_only_logged(batches.get(batch_id, NOW).failure_message, caplog)


def _assert_cause_is_only_logged(message: str, caplog: pytest.LogCaptureFixture) -> None:
    """`message` is our own text, with an id under which the log has the error of AWS."""
    assert "out of memory" not in message
    assert Context.aws_request_id in message
    (line,) = (vars(each) for each in caplog.records if "out of memory" in str(vars(each)))
    assert line["request_id"] == Context.aws_request_id


def test_an_open_that_failed_before_there_was_a_batch_leaves_one_that_is_opened_later(
    functions: dict[str, ModuleType], store_endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = b"x"
    key = "manifests/fn/nothing.checkm"
    clients.client("s3", store_endpoint).put_object(Bucket=BUCKETS[0], Key=key, Body=body)
    event = event_of(key, body) | {"error": {"Error": "Odd", "Cause": "out of memory"}}

    functions["report.settle"].handler(event, Context())
    caplog.clear()
    settled = functions["report.settle"].handler(event, Context())

    batch = batches.get(settled["origin_id"], NOW)
    assert settled["next"] == "end"
    assert (batch.state, len(batch.history)) == ("pending", 1)
    _assert_cause_is_only_logged(batch.history[0].reason, caplog)
    assert batch.source is not None
    assert batch.source.key == key


def test_an_open_that_failed_on_what_is_no_manifest_leaves_nothing(
    functions: dict[str, ModuleType], store_endpoint: str
) -> None:
    key = "manifests/fn/"
    clients.client("s3", store_endpoint).put_object(Bucket=BUCKETS[0], Key=key, Body=b"")

    settled = functions["report.settle"].handler(
        event_of(key, b"") | {"error": {"Error": "Odd", "Cause": "x"}}, Context()
    )

    assert (settled["next"], settled["origin_id"]) == ("end", "")


@pytest.mark.parametrize("given_up", [False, True], ids=["failed by its worker", "given up"])
def test_a_failed_job_of_a_schedule_is_counted_and_noted_with_its_schedule(
    functions: dict[str, ModuleType], capsys: pytest.CaptureFixture[str], given_up: bool
) -> None:
    schedule = a_due_schedule(f"fails{'givenup' if given_up else ''}", timedelta(minutes=2))
    functions["schedule.scheduler_tick"].handler({}, Context())
    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    address = occurrence.address
    event = {"origin_id": address.origin_id, "chunk": 0, "position": address.position}
    event |= {"run": "main", "pass": 1}
    metrics_of(capsys)

    if given_up:
        answer = event | {"error": {"Error": "Lambda.Unknown", "Cause": "no worker"}}
    else:
        answer = functions["execute.job"].handler(event, Context())
    counted = {} if given_up else metrics_of(capsys)
    functions["report.settle"].handler(answer, Context())

    metric = "RunsFailedOrMissed"
    assert (counted | metrics_of(capsys))[metric] == DIMENSIONS[metric]
    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    assert occurrence.outcome
    assert (occurrence.outcome.state, occurrence.outcome.failure_message != "") == ("failed", True)
    assert schedules.get(schedule.schedule_id).label == "Failed"
