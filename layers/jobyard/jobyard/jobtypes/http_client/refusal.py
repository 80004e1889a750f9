"""Why something was not fetched."""

from jobyard.domain.errors import JobyardError
from jobyard.domain.jobs.failures import RETRYABLE, Failure
from jobyard.domain.redaction import text_without_secrets
from jobyard.domain.text import clean

_WAIT_STATUSES = frozenset({202, 429, 503})  # with Retry-After: the server asks us to wait


class FetchRefused(JobyardError):
    """The file was not fetched, or not completely. `code` is the reason, the message its details.

    `retry_after` is the wait in seconds that the server asked for; `status` is its response, if
    any. The message may quote servers and libraries, so it is cleaned here.
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
        """Whether a retry may succeed without any change."""
        return self.code in RETRYABLE

    @property
    def requested_wait_s(self) -> float | None:
        """The seconds that the server asks us to wait for the file; None if it does not."""
        return self.retry_after if self.status in _WAIT_STATUSES else None

    def about(self, name: str) -> "FetchRefused":
        """The same refusal, with the name of the file at the start of its message."""
        message = f"{name}: {self.message}"
        return FetchRefused(self.code, message, retry_after=self.retry_after, status=self.status)
