"""The steps of an update. Each asks the device first what is already done, so it may be repeated.

`apply` and `verify` are bound: once `apply` has begun, no closing window stops the attempt.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime

from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.jobs.job_type import Continue, Done, Fail, Skipped, StepInput, StepResult
from jobyard.jobtypes.device_client import Device, DeviceRefused, UpdateStatus, or_refusal
from jobyard.jobtypes.device_update.plan import UpdatePlan
from jobyard.jobtypes.http_client import FetchRefused, Response
from jobyard.jobtypes.step_context import DeviceContext

PART_S = 90.0  # of one part of an upload; a step of a campaign has 120
RESTART_S = 600.0  # for a device to apply an update and answer again
_POLL_S = 10.0
_MAX_DIGESTS = 1_000  # of some hundred bytes each
_CURRENT = "current"  # in the data of a job: the device has the version already

# The digests of parts of images that this worker has read: by the image, its digest and the bytes.
# The next part of an upload continues with one, and need not read the image from its first byte.
_digests: dict[tuple[str, str, int], "hashlib._Hash"] = {}


@or_refusal
def reach(step_input: StepInput, context: DeviceContext) -> StepResult:
    """Find out whether the device answers, and what it is."""
    info = Device.of(step_input, context).info()
    return Done({"model": info.model, "version_before": info.version, "serial": info.serial})


@or_refusal
def compare(step_input: StepInput, context: DeviceContext) -> StepResult:
    """Compare the device with the update: it may have the version, or be of another model."""
    plan, model = UpdatePlan.of(step_input.parameters), step_input.data["model"]
    if plan.models and model not in plan.models:
        models = ", ".join(plan.models)
        return Fail(Failure.INCOMPATIBLE, f"the device is a {model}; the image is for {models}")
    if step_input.data["version_before"] == plan.version:
        return Done({_CURRENT: True}, f"the device has version {plan.version} already")
    return Done()


@or_refusal
def upload(step_input: StepInput, context: DeviceContext) -> StepResult:
    """Send the image, from the byte on that the device lacks. The digest is checked before the last
    block is sent, and again by the device.
    """
    if step_input.data.get(_CURRENT):
        return Skipped("not needed")
    device, plan = Device.of(step_input, context), UpdatePlan.of(step_input.parameters)
    status = device.update()
    if status and status.sha256 == plan.sha256 and status.state != "receiving":
        return Done()
    received = status.received if status and status.sha256 == plan.sha256 else 0
    try:
        return _upload(device, plan, received, context)
    except FetchRefused as refusal:
        _forget(plan)  # the next attempt reads all of it
        message = f"the image cannot be fetched: {refusal.message}"
        return Fail(refusal.code, message, refusal.code in RETRYABLE, refusal.retry_after)


def _upload(device: Device, plan: UpdatePlan, received: int, context: DeviceContext) -> StepResult:
    began = last = context.now()
    longest_s = 0.0  # that one block took
    offset, known = _longest_digest(plan, received)
    with context.http.get(plan.image, context.remaining, offset=offset) as image:
        if not image.length:
            message = "its server does not say how long the image is"
            raise FetchRefused(Failure.PAYLOAD_REFUSED, message)
        size = image.offset + image.length
        digest = known.copy() if known and image.offset else hashlib.sha256()
        # The last byte is always sent, because the device checks the digest then.
        first = min(received, size - 1)
        for start, block in _blocks(image, digest, first):
            end = start + len(block)
            if end == size and digest.hexdigest() != plan.sha256:
                message = f"the image has the digest {digest.hexdigest()}, not {plan.sha256}"
                return Fail(Failure.DIGEST_MISMATCH, message)
            if block:
                received = device.put(plan.sha256, block, start, size).received
                if received < end:
                    message = f"the device lost a part of the image: it has {received:,} bytes"
                    return Continue(0, message)
                context.progress(100 * received / size)
            now = context.now()
            longest_s, last = max(longest_s, (now - last).total_seconds()), now
            has_time = (now - began).total_seconds() + longest_s < PART_S
            if end < size and not (has_time and not context.must_stop()):
                _keep(plan, end, digest)
                return Continue(0, f"{100 * received // size} % of the image is uploaded")
    return Done()


def _keep(plan: UpdatePlan, read: int, digest: "hashlib._Hash") -> None:
    if len(_digests) >= _MAX_DIGESTS:
        _digests.clear()
    _digests[plan.image, plan.sha256, read] = digest


def _longest_digest(plan: UpdatePlan, received: int) -> "tuple[int, hashlib._Hash | None]":
    """The digest of the first bytes of the image, as many as are known but not more than a device
    has, and their number.
    """
    known = (each for each in [*_digests] if each[:2] == (plan.image, plan.sha256))
    read = max((each[2] for each in known if each[2] <= received), default=0)
    return read, _digests.get((plan.image, plan.sha256, read))


def _forget(plan: UpdatePlan) -> None:
    for each in [*_digests]:
        if each[:2] == (plan.image, plan.sha256):
            _digests.pop(each, None)


def _blocks(image: Response, digest: "hashlib._Hash", received: int) -> Iterator[tuple[int, bytes]]:
    """The blocks of the image, which are added to `digest`: of each what the device lacks, and
    where that starts.
    """
    start = image.offset
    for block in image.blocks(has_digest=True):
        digest.update(block)
        skipped = min(max(received - start, 0), len(block))
        yield start + skipped, block[skipped:]
        start += len(block)


@or_refusal
def apply(step_input: StepInput, context: DeviceContext) -> StepResult:
    """Ask the device to apply the image, unless it has done so and has the version now."""
    if step_input.data.get(_CURRENT):
        return Skipped("not needed")
    device, plan = Device.of(step_input, context), UpdatePlan.of(step_input.parameters)
    status = device.update()
    state = status.state if status and status.sha256 == plan.sha256 else ""
    if state != "received" and device.info().version == plan.version:
        message = f"the device has version {plan.version} already"
        return Done({"applied_at": context.now().isoformat()}, message)
    if state in {"", "receiving"}:
        message = "the device does not have the image any more: retry it in a new campaign"
        return Fail(Failure.DEVICE_ERROR, message)
    if state != "applying":  # one that has applied it, but does not run it, applies it again
        device.apply(plan.sha256)
    return Done({"applied_at": context.now().isoformat()})


@or_refusal
def verify(step_input: StepInput, context: DeviceContext) -> StepResult:
    """Check that the device has the version. It has `RESTART_S` seconds to restart.

    A retry reads the version again, and applies nothing: `apply` is done.
    """
    if step_input.data.get(_CURRENT):
        return Skipped("not needed")
    plan = UpdatePlan.of(step_input.parameters)
    applied_at = datetime.fromisoformat(step_input.data["applied_at"])
    may_wait = _seconds_since(applied_at, context) < RESTART_S
    device = Device.of(step_input, context)
    try:
        version, status = device.info().version, device.update()
    except DeviceRefused as refused:
        if may_wait and isinstance(refused.result, Fail) and refused.result.retryable:
            return Continue(_POLL_S, f"the device restarts: {refused.result.message}")
        raise
    if version == plan.version:
        return Done({"version": version})
    if may_wait and status is not None and status.state == "applying":
        return Continue(_POLL_S, "the device applies the update")
    return Fail(Failure.VERIFY_FAILED, _mismatch(plan, version, status), retryable=True)


def _mismatch(plan: UpdatePlan, version: str, status: UpdateStatus | None) -> str:
    reason = f" ({status.message})" if status and status.message else ""
    return f"after the update the device has version {version}, not {plan.version}{reason}"


def _seconds_since(began: datetime, context: DeviceContext) -> float:
    return (context.now() - began).total_seconds()
