"""Why a deposit cannot go on."""

from jobyard.domain.errors import JobyardError
from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.text import clean
from jobyard.domain.urls import text_without_secrets
from jobyard.jobtypes.http_client import RESERVE_S


class Refused(JobyardError):
    """The step cannot be done. `recoverable` False: no requeue helps, it must be submitted anew.

    The message may quote names that strangers chose: it is cleaned here.
    """

    def __init__(self, code: Failure, message: str, *, recoverable: bool = True) -> None:
        self.message = clean(text_without_secrets(message))
        super().__init__(self.message)
        self.code = code
        self.recoverable = recoverable

    @property
    def retryable(self) -> bool:
        """True when trying again may help without anyone doing anything."""
        return self.code in RETRYABLE


class NotYet(JobyardError):
    """The step has to be run again in `seconds`. `has_progressed`: a part of it is done."""

    def __init__(self, seconds: float, message: str, *, has_progressed: bool = False) -> None:
        self.message = clean(text_without_secrets(message))
        super().__init__(self.message)
        self.seconds = seconds
        self.has_progressed = has_progressed


def check_time(remaining_s: float) -> None:
    """See that a worker which unpacks a container has time left.

    Raises:
        Refused: TIMEOUT.
    """
    if remaining_s <= RESERVE_S:
        words = "the worker's time was up in the middle of the container"
        raise Refused(Failure.TIMEOUT, words)
