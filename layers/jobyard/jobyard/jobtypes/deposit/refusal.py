"""Why a deposit cannot continue."""

from jobyard.domain.errors import JobyardError
from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.redaction import text_without_secrets
from jobyard.domain.text import clean
from jobyard.jobtypes.http_client import RESERVE_S


class Refused(JobyardError):
    """The step failed. `requeueable` False: a requeue cannot help, the row must be submitted again.

    The message may quote names that strangers chose, so it is cleaned here.
    """

    def __init__(self, code: Failure, message: str, *, requeueable: bool = True) -> None:
        self.message = clean(text_without_secrets(message))
        super().__init__(self.message)
        self.code = code
        self.requeueable = requeueable

    @property
    def retryable(self) -> bool:
        """Whether a retry may succeed without any change."""
        return self.code in RETRYABLE


class RetryLater(JobyardError):
    """The step must run again in `seconds`. `has_progressed`: a part of it is done."""

    def __init__(self, seconds: float, message: str, *, has_progressed: bool = False) -> None:
        self.message = clean(text_without_secrets(message))
        super().__init__(self.message)
        self.seconds = seconds
        self.has_progressed = has_progressed


def check_time(remaining_s: float) -> None:
    """Check that the worker has time left to read a container.

    Raises:
        Refused: TIMEOUT.
    """
    if remaining_s <= RESERVE_S:
        message = "the worker ran out of time in the middle of the container"
        raise Refused(Failure.TIMEOUT, message)
