"""Why something was not fetched."""

from jobyard.domain.errors import JobyardError
from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.text import clean
from jobyard.domain.urls import text_without_secrets

_COME_AGAIN = frozenset({202, 429, 503})  # statuses whose Retry-After says when to come again


class FetchRefused(JobyardError):
    """The file was not, or not wholly, fetched. `code` says why, the message says it of this URL.

    `retry_after` is what the server asked for, in seconds; `status` its answer, if it gave one. The
    message may quote what servers and libraries say: it is cleaned here.
    """

    def __init__(
        self,
        code: Failure,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        self.message = clean(text_without_secrets(message))
        super().__init__(self.message)
        self.code = code
        self.retry_after = retry_after
        self.status = status

    @property
    def retryable(self) -> bool:
        """True when trying again may help without anyone doing anything."""
        return self.code in RETRYABLE

    @property
    def come_again(self) -> float | None:
        """Seconds after which the server itself says that it will have the file; else None."""
        return self.retry_after if self.status in _COME_AGAIN else None

    def about(self, name: str) -> "FetchRefused":
        """The same, its message beginning with the name of the file it is about."""
        message = f"{name}: {self.message}"
        return FetchRefused(self.code, message, retry_after=self.retry_after, status=self.status)
