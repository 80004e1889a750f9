"""The step of a device-info job."""

from jobyard.domain.jobs.job_type import Done, StepInput, StepResult
from jobyard.jobtypes.device_client import Device, or_refusal
from jobyard.jobtypes.step_context import DeviceContext


@or_refusal
def read(step_input: StepInput, context: DeviceContext) -> StepResult:
    """Read the device's model, version and serial number."""
    info = Device.of(step_input, context).info()
    return Done({name: value for name, value in vars(info).items() if value not in ("", None)})
