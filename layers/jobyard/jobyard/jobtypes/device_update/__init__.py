"""The device-update job type: brings a device to a version. See docs/devices.md.

The steps are imported when they run: code that only lists job types does not load them.
"""

from collections.abc import Callable

from jobyard.domain.ids import Origin
from jobyard.domain.jobs.job import labels_for
from jobyard.domain.jobs.job_type import JobType, RetryPolicy, StepInput, StepResult
from jobyard.jobtypes.device_advice import UNREACHED
from jobyard.jobtypes.device_update.plan import UpdatePlan
from jobyard.jobtypes.step_context import DeviceContext


def _step(name: str) -> Callable[[StepInput, DeviceContext], StepResult]:
    def run(step_input: StepInput, context: DeviceContext) -> StepResult:
        from jobyard.jobtypes.device_update import steps

        step: Callable[[StepInput, DeviceContext], StepResult] = getattr(steps, name)
        return step(step_input, context)

    return run


DEVICE_UPDATE = JobType(
    name="device-update",
    title="Device update",
    steps=tuple((name, _step(name)) for name in ("reach", "compare", "upload", "apply", "verify")),
    bound_steps=frozenset({"apply", "verify"}),
    needs_min=10,  # as long as `verify` waits for a restart: steps.RESTART_S
    needs_address=True,
    context=DeviceContext,
    retry=RetryPolicy(first_wait=300.0, factor=1.0),
    labels=labels_for("device"),
    origins=frozenset({Origin.CAMPAIGN}),
    check_parameters=UpdatePlan.of,
    advice={
        "reach": UNREACHED,
        "compare": "The image is for another model. Start a job for this device with an image of "
        "its model.",
        "upload": "Check that the device has space for the image and stays connected, and that "
        "the image and its digest are the right ones. The upload continues with the first "
        "missing byte.",
        "apply": "Read the device's own log. Restart the device, or apply the image at it: the "
        "next attempt reads its version first.",
        "verify": "The device does not run the new version. Restart it, or apply the image at it. "
        "If it went back to the old version, its own log says why. The next attempt reads the "
        "version again, but does not apply the image again: a new job does.",
    },
    parameters={
        "version": "The version that the device has after the update.",
        "image": "The URL of the image; the deployment must be allowed to call it.",
        "sha256": "The image's SHA-256 digest, in hexadecimal.",
        "models": "The models that the image is for; any if it is left out.",
    },
)
