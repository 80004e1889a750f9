"""What a person can do about the failed tasks of a campaign, by failure code."""

from jobyard.domain.jobs.failures import Failure, failure_description

NEVER_REACHED = "NEVER_REACHED"  # a group of failures: expired before the first attempt

_ADVICE = {
    NEVER_REACHED: "Retry the Job with longer or more windows, a faster rollout, or a later end.",
    Failure.EXPIRED: "See the Job Task for what the last attempt failed with, then retry the Job.",
    Failure.DEVICE_OFFLINE: "Check the power and the network of the device, and its address.",
    Failure.DEVICE_BUSY: "Retry the Job when the device has less to do.",
    Failure.DEVICE_FORBIDDEN: "Correct the credentials in the secret of the device.",
    Failure.DEVICE_ERROR: "Read the message and the log of the Job Task, then check the device.",
    Failure.INCOMPATIBLE: "Start a Job with an image for this model.",
    Failure.VERIFY_FAILED: "Look at the device: it may run its old version, or not have started.",
    Failure.TIMEOUT: "Check that the device answers, or allow longer attempts.",
    Failure.ADDRESS_NOT_ALLOWED: "Have an administrator allow the network of the device.",
    Failure.DIGEST_MISMATCH: "Correct the digest or the image, then start a new Job.",
    Failure.WORKER_LOST: "Retry the Job; if it happens again, tell an administrator.",
}
_GENERAL = "Read the message and the log of the Job Task, remove the cause, then retry the Job."


def advice_for(group: str) -> str:
    """What to do about the failures of a group: a failure code, or `NEVER_REACHED`."""
    return _ADVICE.get(group, _GENERAL)


def group_description(group: str) -> str:
    """What a group of failures has in common."""
    if group == NEVER_REACHED:
        return "The Job expired before the first attempt at the device."
    if group == Failure.EXPIRED:
        return "The Job expired before the Job Task succeeded."
    return failure_description(group)
