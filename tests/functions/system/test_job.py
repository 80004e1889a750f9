"""The function of system jobs."""

import re
from types import ModuleType

import pytest

from jobyard.domain.ids import schedule_id_of, system_schedule_id
from jobyard.domain.jobs.job import JobAddress
from jobyard.services.executions import is_system_job
from tests.functions.invocations import Context

pytestmark = pytest.mark.emulator


@pytest.mark.parametrize("job_type", ["retention", "reconcile"])
def test_a_job_of_the_schedule_of_a_system_job_type_is_one_of_the_system(job_type: str) -> None:
    assert is_system_job(JobAddress(system_schedule_id(job_type), 0, 1))


@pytest.mark.parametrize("seed", ["system\nsweep", "admin\nretention"])
def test_no_other_job_runs_with_the_rights_of_the_system(
    functions: dict[str, ModuleType], seed: str
) -> None:
    address = JobAddress(schedule_id_of(seed.encode()), 0, 1)

    assert not is_system_job(address)
    with pytest.raises(ValueError, match=re.escape(f"{address.origin_id} has no system jobs")):
        functions["system.job"].handler({**address.document(), "run": "main", "pass": 1}, Context())
