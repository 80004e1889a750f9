"""The closed list of failure codes of jobs, each with a description.

Reports group failures by code, operations filter by it, and a metric has it as a dimension. So job
types use only the codes of this list.
"""

from enum import StrEnum


class Failure(StrEnum):
    """Why a job failed. `description` is for the people who read reports and pages."""

    description: str

    PAYLOAD_NOT_FOUND = "PAYLOAD_NOT_FOUND", "The server does not have the file (404 or 410)."
    PAYLOAD_FORBIDDEN = "PAYLOAD_FORBIDDEN", "The server refuses to give the file (401 or 403)."
    PAYLOAD_BUSY = "PAYLOAD_BUSY", "The server asks for a later request (202, 425 or 429)."
    PAYLOAD_SERVER_ERROR = "PAYLOAD_SERVER_ERROR", "The server failed while giving the file (5xx)."
    PAYLOAD_REFUSED = "PAYLOAD_REFUSED", "The server's response is an error, or not the file."
    PAYLOAD_UNREACHABLE = "PAYLOAD_UNREACHABLE", "The server cannot be reached."
    PAYLOAD_TIMEOUT = "PAYLOAD_TIMEOUT", "The server is too slow."
    PAYLOAD_TRUNCATED = (
        "PAYLOAD_TRUNCATED",
        "The server closed the connection before the end of the file.",
    )
    PAYLOAD_UNTRUSTED = "PAYLOAD_UNTRUSTED", "The server's certificate cannot be trusted."
    ADDRESS_NOT_ALLOWED = "ADDRESS_NOT_ALLOWED", "The URL leads to an address Jobyard may not call."
    TOO_MANY_REDIRECTS = "TOO_MANY_REDIRECTS", "The URL redirects without end."
    SIZE_MISMATCH = "SIZE_MISMATCH", "The file is not as long as the manifest says."
    DIGEST_MISMATCH = "DIGEST_MISMATCH", "The file's digest is not the expected one."
    TOO_LARGE = "TOO_LARGE", "The file or object is larger than this job type accepts."
    BAD_MANIFEST = "BAD_MANIFEST", "The manifest that describes the object has errors."
    BAD_CONTAINER = "BAD_CONTAINER", "The container cannot be unpacked."
    CONTAINER_LIMIT = (
        "CONTAINER_LIMIT",
        "The container breaks a limit on size, ratio, count or path.",
    )
    IDENTIFIER_CONFLICT = (
        "IDENTIFIER_CONFLICT",
        "An identifier belongs to another object or collection.",
    )
    DEPOSIT_NOT_ALLOWED = (
        "DEPOSIT_NOT_ALLOWED",
        "The submitter may not deposit into the collection.",
    )
    ARK_NOT_ALLOWED = "ARK_NOT_ALLOWED", "The collection may not use this ark."
    CALLBACK_FAILED = "CALLBACK_FAILED", "The callback could not be delivered."
    BAD_PARAMETERS = "BAD_PARAMETERS", "The parameters, or what they refer to, are not valid."
    TABLE_NOT_ALLOWED = "TABLE_NOT_ALLOWED", "The table is not one that sweeps may change."
    TABLE_BUSY = "TABLE_BUSY", "The table accepts no more requests at the moment."
    RECORDS_FAILED = "RECORDS_FAILED", "Some of the records could not be processed."
    DEVICE_OFFLINE = "DEVICE_OFFLINE", "The device cannot be reached."
    DEVICE_BUSY = "DEVICE_BUSY", "The device asks for a later request (429 or 503)."
    DEVICE_FORBIDDEN = "DEVICE_FORBIDDEN", "The device refuses the credentials (401 or 403)."
    DEVICE_ERROR = "DEVICE_ERROR", "The device's answer is an error, or not what it should be."
    INCOMPATIBLE = "INCOMPATIBLE", "The update is not for this device."
    VERIFY_FAILED = "VERIFY_FAILED", "The device does not show the change after the update."
    CALL_REFUSED = (
        "CALL_REFUSED",
        "The called service refuses the call, or its answer is not valid.",
    )
    CALL_FAILED = "CALL_FAILED", "The called service failed, or says that the work failed."
    CALL_BUSY = "CALL_BUSY", "The called service asks for a later call."
    CALL_UNANSWERED = "CALL_UNANSWERED", "There was no complete answer to the call."
    CALL_NOT_ALLOWED = "CALL_NOT_ALLOWED", "The deployment does not allow this call."
    CALLBACK_LOST = "CALLBACK_LOST", "The function did not call back in time."
    EXPIRED = "EXPIRED", "The time of the campaign ended before the task succeeded."
    TIMEOUT = "TIMEOUT", "The job, or what it waited for, took too long."
    WORKER_LOST = "WORKER_LOST", "Its worker vanished during the job, several times."
    NO_WORKER = "NO_WORKER", "No worker could start the job."
    UNWRITABLE = "UNWRITABLE", "The job's result could not be stored."
    JOB_TYPE_GONE = "JOB_TYPE_GONE", "The job's type does not exist any more."
    STEP_ERROR = "STEP_ERROR", "A step failed in a way that its job type did not expect."
    FORCED = "FORCED", "An operator made the job fail."

    def __new__(cls, code: str, description: str = "") -> "Failure":
        member = str.__new__(cls, code)
        member._value_ = code
        member.description = description
        return member


def failure_description(code: str) -> str:
    """The description of a failure code; a general one for a code that was removed."""
    try:
        return Failure(code).description
    except ValueError:
        return "A failure code of an earlier version."


# Failures that are temporary by their code: the job's retry policy retries them. A step may say the
# same of one failure with another code (`Fail.retryable`). The others wait for a person, who
# removes the cause and requeues the job.
RETRYABLE = frozenset(
    {
        Failure.PAYLOAD_BUSY,
        Failure.PAYLOAD_SERVER_ERROR,
        Failure.PAYLOAD_UNREACHABLE,
        Failure.PAYLOAD_TIMEOUT,
        Failure.PAYLOAD_TRUNCATED,
        Failure.CALLBACK_FAILED,
        Failure.TABLE_BUSY,
        Failure.DEVICE_OFFLINE,
        Failure.DEVICE_BUSY,
        Failure.VERIFY_FAILED,
        Failure.CALL_BUSY,
        Failure.CALL_UNANSWERED,
        Failure.CALLBACK_LOST,
        Failure.TIMEOUT,
        Failure.STEP_ERROR,
    }
)
