"""Why a deposit cannot go on."""

from jobyard.domain.errors import JobyardError
from jobyard.domain.failures import RETRIED, Failure
from jobyard.domain.text import clean


class Refused(JobyardError):
    """The step cannot be done. `recoverable` False: no requeue helps, it must be submitted anew."""

    def __init__(self, code: Failure, message: str, *, recoverable: bool = True) -> None:
        message = clean(message)
        super().__init__(message)
        self.code = code
        self.message = message
        self.recoverable = recoverable

    @property
    def retryable(self) -> bool:
        """True when trying again may help without anyone doing anything."""
        return self.code in RETRIED


class NotYet(JobyardError):
    """The step has to wait for `seconds`; no fault of its own."""

    def __init__(self, seconds: float, message: str) -> None:
        message = clean(message)
        super().__init__(message)
        self.seconds = seconds
        self.message = message
