"""What workers log and count."""

import importlib
from types import ModuleType

import pytest

from jobyard.domain.jobs.job import JobAddress, JobState
from jobyard.services.jobs.runner import FinishedJob
from jobyard.services.machines.inputs import ExecutionInput
from jobyard.services.runs import ExecutionRun
from tests.functions.invocations import emitted

pytestmark = pytest.mark.emulator


@pytest.mark.parametrize("job_type", ["deposit", "sweep", "one of tomorrow"])
def test_a_failed_job_of_any_type_is_counted_for_the_alarm(
    functions: dict[str, ModuleType], capsys: pytest.CaptureFixture[str], job_type: str
) -> None:
    worker = importlib.import_module("execute.worker")
    failed = FinishedJob(JobAddress("b", 0, 0), job_type, JobState.FAILED, "TIMEOUT")
    worker.log_finished([failed], ExecutionInput("b", ExecutionRun("main", 1)))

    out = capsys.readouterr().out
    found = emitted("\n".join(line for line in out.splitlines() if "_aws" in line))
    assert found["JobsFailedTotal"] == ("service",)
