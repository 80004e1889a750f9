"""The seven steps of a deposit. A step may run again, or in two workers at once: its result is the
same."""

from collections.abc import Callable, Mapping
from typing import Any

from jobyard.domain.jobs.failures import Failure
from jobyard.domain.jobs.job_type import (
    Continue,
    Done,
    Fail,
    Skipped,
    Snooze,
    StepInput,
    StepResult,
)
from jobyard.jobtypes.deposit import bucket, callbacks, file_list, receipts
from jobyard.jobtypes.deposit.access import authorize
from jobyard.jobtypes.deposit.container_limits import MAX_OBJECT_BYTES
from jobyard.jobtypes.deposit.content import MAX_FILE_BYTES, SMALL_BYTES, Stored
from jobyard.jobtypes.deposit.download import fetch_all, fetch_one, unpack
from jobyard.jobtypes.deposit.identity import identify
from jobyard.jobtypes.deposit.keys import staging
from jobyard.jobtypes.deposit.refusal import Refused, RetryLater
from jobyard.jobtypes.deposit.versions import VersionManifest, record, write_manifest
from jobyard.jobtypes.http_client import FetchRefused
from jobyard.jobtypes.step_context import StorageContext

Step = Callable[[StepInput, StorageContext], StepResult]


def _as_step_result(step: Step) -> Step:
    """The step, with its refusals as results."""

    def run(step_input: StepInput, context: StorageContext) -> StepResult:
        try:
            return step(step_input, context)
        except RetryLater as later:
            result_class = Continue if later.has_progressed else Snooze
            return result_class(later.seconds, later.message)
        except FetchRefused as refusal:
            if refusal.requested_wait_s is not None:
                message = f"{refusal.message}, and asks to retry in {refusal.requested_wait_s:g} s"
                return Snooze(refusal.requested_wait_s, message, exhausted_code=refusal.code)
            return Fail(
                refusal.code,
                refusal.message,
                retryable=refusal.retryable,
                retry_after=refusal.retry_after,
            )
        except Refused as refusal:
            return Fail(
                refusal.code,
                refusal.message,
                retryable=refusal.retryable,
                requeueable=refusal.requeueable,
            )

    return run


def estimating(step_input: StepInput, context: StorageContext) -> StepResult:
    """List the object's files, and ask their servers for the sizes."""
    remarks = ""
    if not file_list.is_listed(step_input.entry):
        estimate = file_list.estimate((file_list.file(step_input.entry),), context)
        result: dict[str, Any] = {"files": 1}
    else:
        rows = file_list.rows(step_input, context)
        estimate = file_list.estimate(file_list.files(rows), context)
        result = {"files": len(rows.lines), "largest": estimate.largest}
        remarks = rows.remarks
        if step_input.entry["kind"] == "manifest":
            file_list.save(step_input, context, rows)
            result["staged"] = True
    if estimate.total is not None:
        result["bytes"] = estimate.total
    return Done(result, remarks)


def provisioning(step_input: StepInput, context: StorageContext) -> StepResult:
    """Refuse an object that is too large. No disk space has to be reserved."""
    total = step_input.data.get("bytes")
    if total is None:
        return Skipped("no server gave a size; it is checked while the files are fetched")
    largest = step_input.data.get("largest", total)
    if largest > MAX_FILE_BYTES:
        message = f"a file has {largest} bytes; {MAX_FILE_BYTES} are allowed"
        raise Refused(Failure.TOO_LARGE, message)
    if total > MAX_OBJECT_BYTES:
        message = f"the object has {total} bytes; {MAX_OBJECT_BYTES} are allowed"
        raise Refused(Failure.TOO_LARGE, message)
    return Done()


def downloading(step_input: StepInput, context: StorageContext) -> StepResult:
    """Store the files in the archive under their digests, checked against the manifest's."""
    stored = _files_in_archive(step_input, context)
    result: dict[str, Any] = {
        "files": len(stored),
        "bytes": sum(each.size for each in stored),
    }
    if step_input.entry["kind"] == "file" and result["bytes"] <= SMALL_BYTES:
        return Done({**result, "digests": dict(stored[0].digests)})
    remarks = (
        receipts.remarks(step_input.job_id, context)
        if step_input.entry["kind"] == "container"
        else ""
    )
    return Done({**result, "staged": True}, remarks)


def _files_in_archive(step_input: StepInput, context: StorageContext) -> tuple[Stored, ...]:
    """The object's files in the archive. Files without a receipt are fetched now.

    A single small file has no receipt: fetching it again is cheaper than writing one.
    """
    kind = step_input.entry["kind"]
    small = kind == "file" and step_input.data.get("bytes", SMALL_BYTES + 1) <= SMALL_BYTES
    stored = None if small else receipts.read_list(step_input.job_id, context)
    if stored is not None:
        return stored
    if kind == "container":
        return unpack(step_input, context, file_list.file(step_input.entry))
    if file_list.is_listed(step_input.entry):
        return fetch_all(step_input, context, file_list.files(file_list.rows(step_input, context)))
    one = fetch_one(step_input, context, file_list.file(step_input.entry))
    return (
        (one,)
        if one.size <= SMALL_BYTES
        else receipts.write_list(step_input.job_id, [one], context)
    )


def _stored(step_input: StepInput, context: StorageContext) -> tuple[Stored, ...]:
    """The files that `downloading` stored. Without receipts they are fetched again."""
    if digests := step_input.data.get("digests"):
        return (Stored(step_input.entry["name"], step_input.data["bytes"], digests),)
    return _files_in_archive(step_input, context)


def processing(step_input: StepInput, context: StorageContext) -> StepResult:
    """Find the object's identifier, or mint one."""
    return Done({"ark": identify(step_input, context)})


def storing(step_input: StepInput, context: StorageContext) -> StepResult:
    """Write the manifest of the object's next version."""
    authorize(step_input, context)
    manifest = write_manifest(
        step_input, context, step_input.data["ark"], _stored(step_input, context)
    )
    return Done(_version(manifest), _nothing_new(manifest))


def recording(step_input: StepInput, context: StorageContext) -> StepResult:
    """Record the version. This makes it valid."""
    if step_input.data.get("same"):
        return Skipped("the version is recorded already")
    authorize(step_input, context)
    data = step_input.data
    manifest = VersionManifest(data["version"], data["manifest"], data["files"], data["bytes"])
    recorded = record(
        step_input, context, data["ark"], manifest, lambda: _stored(step_input, context)
    )
    return Done(_version(recorded), _nothing_new(recorded))


def _version(manifest: VersionManifest) -> dict[str, Any]:
    result: dict[str, Any] = {
        "version": manifest.version,
        "manifest": manifest.digest,
        "files": manifest.files,
        "bytes": manifest.bytes,
    }
    return {**result, "same": True} if manifest.same else result


def _nothing_new(manifest: VersionManifest) -> str:
    return f"nothing new: identical to version {manifest.version}" if manifest.same else ""


def notify(step_input: StepInput, context: StorageContext) -> StepResult:
    """Call the submission's callback URL, and remove staged files."""
    has_callback = callbacks.is_wanted(step_input)
    message = callbacks.post_success(step_input, context) if has_callback else ""
    if step_input.data.get("staged"):
        bucket.remove_all(context.s3, context.work_bucket, staging(step_input.job_id))
    if not has_callback:
        return Skipped("the submission has no callback URL")
    return Done(callbacks.error_data(step_input, message), message)


STEPS: Mapping[str, Step] = {
    step.__name__: _as_step_result(step)
    for step in (
        estimating,
        provisioning,
        downloading,
        processing,
        storing,
        recording,
        notify,
    )
}
