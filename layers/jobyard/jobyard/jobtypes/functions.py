"""The answers of Lambda functions, and why one was not invoked."""

from dataclasses import dataclass

from jobyard.domain.errors import JobyardError
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.text import clean


@dataclass(frozen=True)
class FunctionAnswer:
    """What a function returned, as JSON. `is_error`: it raised an exception, which `body` has."""

    body: bytes = b""
    is_error: bool = False


class FunctionRefused(JobyardError):
    """A function was not invoked, or there was no answer. `code` is the reason."""

    def __init__(self, code: Failure, message: str) -> None:
        self.code, self.message = code, clean(message)
        super().__init__(self.message)
