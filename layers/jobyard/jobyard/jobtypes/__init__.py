"""The registry of job types. To add one, add a folder here and a line in `TYPES`."""

from collections.abc import Mapping
from typing import Any

from jobyard.domain.ids import Origin
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import Fail, JobType, StepInput, StepResult
from jobyard.jobtypes.deposit import DEPOSIT
from jobyard.jobtypes.device_info import DEVICE_INFO
from jobyard.jobtypes.device_update import DEVICE_UPDATE
from jobyard.jobtypes.http_call import HTTP
from jobyard.jobtypes.lambda_call import LAMBDA
from jobyard.jobtypes.pack import PACK
from jobyard.jobtypes.reconcile import RECONCILE
from jobyard.jobtypes.retention import RETENTION
from jobyard.jobtypes.step_context import StepContext
from jobyard.jobtypes.sweep import SWEEP

TYPES: Mapping[str, JobType[Any]] = {
    DEPOSIT.name: DEPOSIT,
    SWEEP.name: SWEEP,
    DEVICE_UPDATE.name: DEVICE_UPDATE,
    DEVICE_INFO.name: DEVICE_INFO,
    HTTP.name: HTTP,
    LAMBDA.name: LAMBDA,
    RETENTION.name: RETENTION,
    RECONCILE.name: RECONCILE,
    PACK.name: PACK,
}


def types_of(origin: Origin) -> tuple[JobType[Any], ...]:
    """The job types that users may run by this origin, without system job types."""
    return tuple(each for each in TYPES.values() if origin in each.origins and not each.is_system)


def batch_refusal(name: str) -> str:
    """Why a batch cannot have this job type, and which it can have; "" if it can."""
    kinds = [each.name for each in types_of(Origin.BATCH)]
    if name in kinds:
        return ""
    return f"batches cannot run job type {name!r}: give {' or '.join(kinds)}"


def job_type_of(name: str) -> JobType[Any]:
    """The job type of that name.

    For a removed job type it is a placeholder without labels and with one step, which fails with
    JOB_TYPE_GONE.
    """
    return TYPES.get(name) or _removed_job_type(name)


def _removed_job_type(name: str) -> JobType[Any]:
    def finding_its_type(step_input: StepInput, context: StepContext) -> StepResult:
        known = ", ".join(TYPES)
        message = f"there is no job type {name!r} any more; there are {known}"
        return Fail(Failure.JOB_TYPE_GONE, message)

    return JobType(name, name, ((finding_its_type.__name__, finding_its_type),), StepContext)
