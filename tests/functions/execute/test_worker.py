"""What workers log and count."""

import importlib
import json
from types import ModuleType

import pytest

from jobyard.domain.errors import Forbidden
from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.jobtypes.lambda_call.plan import INVOCATION_S
from jobyard.jobtypes.retention import RETENTION
from jobyard.services.jobs.runner import AttemptOutcome
from jobyard.services.machines.inputs import ExecutionInput
from jobyard.services.runs import ExecutionRun
from tests.functions.invocations import Context, emitted

pytestmark = pytest.mark.emulator


@pytest.mark.parametrize("job_type", ["deposit", "sweep", "one of tomorrow"])
def test_a_failed_job_of_any_type_is_counted_for_the_alarm(
    functions: dict[str, ModuleType], capsys: pytest.CaptureFixture[str], job_type: str
) -> None:
    finished_jobs = importlib.import_module("telemetry.finished_jobs")
    failed = AttemptOutcome(JobAddress("b", 0, 0), job_type, JobState.FAILED, "TIMEOUT")
    finished_jobs.log_finished([failed], ExecutionInput("b", ExecutionRun("main", 1)))

    out = capsys.readouterr().out
    found = emitted("\n".join(line for line in out.splitlines() if "_aws" in line))
    assert found["JobsFailedTotal"] == ("service",)


def test_every_line_has_the_request_id_and_those_about_a_job_its_id(
    functions: dict[str, ModuleType], caplog: pytest.LogCaptureFixture
) -> None:
    """So that the log of an attempt is found by them."""
    worker = importlib.import_module("execute.worker")
    worker.worker(Context())
    caplog.clear()
    first, second = (JobAddress("b", 0, number) for number in range(2))
    found = (
        AttemptOutcome(first, "deposit", JobState.SCHEDULED, "PAYLOAD_BUSY", step="downloading"),
        AttemptOutcome(second, "deposit", JobState.FAILED, "STEP_ERROR", error=ValueError("odd")),
    )
    finished_jobs = importlib.import_module("telemetry.finished_jobs")
    finished_jobs.log_finished(found, ExecutionInput("b", ExecutionRun("main", 1)))

    formatter = worker.LOGGER.registered_formatter
    lines = [json.loads(formatter.format(record)) for record in caplog.records]
    assert {line["request_id"] for line in lines} == {Context.aws_request_id}
    assert {line["message"]: line.get("job_id") for line in lines} == {
        "step error": "b.0.1",
        "pass ended": None,
        "attempt failed": "b.0.0",
        "job failed": "b.0.1",
    }
    (failed,) = [line for line in lines if line["message"] == "attempt failed"]
    assert (failed["step"], failed["failure_code"]) == ("downloading", "PAYLOAD_BUSY")


def test_a_worker_does_nothing_that_only_system_jobs_may(functions: dict[str, ModuleType]) -> None:
    worker = importlib.import_module("execute.worker").worker(Context())

    with pytest.raises(Forbidden):
        worker.step_context(RETENTION).maintenance()


def test_a_function_is_invoked_once_and_waited_for_as_long_as_it_may_take(
    functions: dict[str, ModuleType],
) -> None:
    """By default botocore invokes a function again after a minute."""
    worker = importlib.import_module("execute.worker")

    config = worker.FUNCTIONS.client().meta.config

    assert config.retries["total_max_attempts"] == 1
    assert config.read_timeout >= INVOCATION_S
