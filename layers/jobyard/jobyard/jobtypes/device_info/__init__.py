"""The device-info job type: reads what a device is, and changes nothing. See docs/devices.md."""

from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job import labels_for
from jobyard.domain.jobs.job_type import Done, JobType, RetryPolicy, StepInput, StepResult
from jobyard.jobtypes.device_advice import UNREACHED
from jobyard.jobtypes.device_client import Device, or_refusal
from jobyard.jobtypes.step_context import DeviceContext


@or_refusal
def _read(step_input: StepInput, context: DeviceContext) -> StepResult:
    """Read the device's model, version and serial number."""
    info = Device.of(step_input, context).info()
    return Done({name: value for name, value in vars(info).items() if value not in ("", None)})


DEVICE_INFO = JobType(
    name="device-info",
    title="Device information",
    steps=(("read", _read),),
    needs_address=True,
    context=DeviceContext,
    retry=RetryPolicy(first_wait=300.0, factor=1.0),
    labels=labels_for("device"),
    origins=frozenset({Origin.CAMPAIGN}),
    advice={"read": UNREACHED},
    is_listed_as_system=True,
)
