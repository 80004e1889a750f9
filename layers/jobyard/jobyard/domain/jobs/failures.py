"""The closed list of failure codes of jobs, a sentence each.

A code groups failures in reports, filters retries and names a metric's dimension, so new ones are
added here and nowhere else.
"""

from enum import StrEnum


class Failure(StrEnum):
    """Why a job failed. `sentence` says it to the depositor."""

    description: str

    PAYLOAD_NOT_FOUND = "PAYLOAD_NOT_FOUND", "The server does not have the file (404 or 410)."
    PAYLOAD_FORBIDDEN = "PAYLOAD_FORBIDDEN", "The server refuses to give the file (401 or 403)."
    PAYLOAD_BUSY = "PAYLOAD_BUSY", "The server asks to be called later (202, 425 or 429)."
    PAYLOAD_SERVER_ERROR = "PAYLOAD_SERVER_ERROR", "The server failed while giving the file (5xx)."
    PAYLOAD_REFUSED = "PAYLOAD_REFUSED", "The server answered with something that is not the file."
    PAYLOAD_UNREACHABLE = "PAYLOAD_UNREACHABLE", "The server cannot be reached."
    PAYLOAD_TIMEOUT = "PAYLOAD_TIMEOUT", "The server is too slow."
    PAYLOAD_TRUNCATED = "PAYLOAD_TRUNCATED", "The server hung up before the end of the file."
    PAYLOAD_UNTRUSTED = "PAYLOAD_UNTRUSTED", "The server's certificate cannot be trusted."
    ADDRESS_NOT_ALLOWED = "ADDRESS_NOT_ALLOWED", "The URL leads to an address Jobyard may not call."
    TOO_MANY_REDIRECTS = "TOO_MANY_REDIRECTS", "The URL redirects without end."
    SIZE_MISMATCH = "SIZE_MISMATCH", "The file is not as long as the manifest says."
    DIGEST_MISMATCH = "DIGEST_MISMATCH", "The file's digest is not the one the manifest gives."
    TOO_LARGE = "TOO_LARGE", "The file is larger than this job type takes."
    BAD_MANIFEST = "BAD_MANIFEST", "The manifest that describes the object has errors."
    BAD_CONTAINER = "BAD_CONTAINER", "The container cannot be unpacked."
    CONTAINER_LIMIT = (
        "CONTAINER_LIMIT",
        "The container breaks a limit on size, ratio, count or path.",
    )
    IDENTIFIER_CONFLICT = "IDENTIFIER_CONFLICT", "The identifiers belong to different objects."
    DEPOSIT_NOT_ALLOWED = (
        "DEPOSIT_NOT_ALLOWED",
        "Who submitted it may not deposit into the collection.",
    )
    ARK_NOT_ALLOWED = "ARK_NOT_ALLOWED", "The collection may not name arks of this authority."
    CALLBACK_FAILED = "CALLBACK_FAILED", "The callback could not be delivered."
    BAD_PARAMETERS = (
        "BAD_PARAMETERS",
        "The parameters do not fit the table.",
    )
    TABLE_NOT_ALLOWED = "TABLE_NOT_ALLOWED", "The table is not one that sweeps may change."
    TABLE_BUSY = "TABLE_BUSY", "The table takes no more for the moment."
    RECORDS_FAILED = "RECORDS_FAILED", "Some of the records could not be changed."
    TIMEOUT = "TIMEOUT", "The job did not end within its time limit."
    WORKER_LOST = "WORKER_LOST", "The worker ended in the middle of the job, again and again."
    NO_WORKER = "NO_WORKER", "No worker could begin with the job."
    UNWRITABLE = "UNWRITABLE", "What the job came to could not be written down."
    JOB_TYPE_GONE = "JOB_TYPE_GONE", "The job's type is not there any more."
    STEP_ERROR = "STEP_ERROR", "A step of the job type failed in a way it did not foresee."
    FORCED = "FORCED", "An operator made the job fail."

    def __new__(cls, code: str, description: str = "") -> "Failure":
        member = str.__new__(cls, code)
        member._value_ = code
        member.description = description
        return member


def failure_description(code: str) -> str:
    """The sentence of a code; of one that is no more, what can be said of it."""
    try:
        return Failure(code).description
    except ValueError:
        return "A cause that is no longer known."


# The failures that may pass by themselves, so that a job's retry policy tries again. The others
# wait for a person: a requeue helps once the cause is gone.
RETRYABLE = frozenset(
    {
        Failure.PAYLOAD_BUSY,
        Failure.PAYLOAD_SERVER_ERROR,
        Failure.PAYLOAD_UNREACHABLE,
        Failure.PAYLOAD_TIMEOUT,
        Failure.PAYLOAD_TRUNCATED,
        Failure.CALLBACK_FAILED,
        Failure.TABLE_BUSY,
        Failure.TIMEOUT,
        Failure.STEP_ERROR,
    }
)
