"""Why something was not fetched."""

from jobyard.domain.errors import JobyardError
from jobyard.domain.failures import RETRIED, Failure
from jobyard.domain.text import clean


class FetchRefused(JobyardError):
    """The file was not, or not wholly, fetched. `code` says why, the message says it of this URL.

    `retry_after` is what the server asked for, in seconds; `status` its answer, if it gave one.
    """

    def __init__(
        self,
        code: Failure,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        message = clean(message)
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.status = status

    @property
    def retryable(self) -> bool:
        """True when trying again may help without anyone doing anything."""
        return self.code in RETRIED

    def about(self, name: str) -> "FetchRefused":
        """The same, its message beginning with the name of the file it is about."""
        message = f"{name}: {self.message}"
        return FetchRefused(self.code, message, retry_after=self.retry_after, status=self.status)
