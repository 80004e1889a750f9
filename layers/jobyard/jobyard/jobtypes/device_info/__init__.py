"""The device-info job type: reads what a device is, and changes nothing. See docs/devices.md.

The step is imported when it runs: code that only lists job types does not load it.
"""

from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job import labels_for
from jobyard.domain.jobs.job_type import JobType, RetryPolicy, StepInput, StepResult
from jobyard.jobtypes.device_advice import UNREACHED
from jobyard.jobtypes.step_context import DeviceContext


def _read(step_input: StepInput, context: DeviceContext) -> StepResult:
    from jobyard.jobtypes.device_info.steps import read

    return read(step_input, context)


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
