"""The errors of the domain, all under `JobyardError`. The API maps each to an HTTP problem."""

from collections.abc import Sequence


class JobyardError(Exception):
    """A request was refused or has failed. The message says what the caller can do."""


class InvalidLifecycle(JobyardError):
    """A lifecycle table contradicts itself; the program must not start."""


class InvalidTransition(JobyardError):
    """The state does not allow the event."""


class LinkNotValid(InvalidTransition):
    """The link of a mail has expired, was replaced by that of a newer mail, or was used."""


class OperationInProgress(InvalidTransition):
    """An operation on the same jobs is running; wait for its end."""


class AlreadyHeld(InvalidTransition):
    """The scope is already on hold. A request may say that it replaces the hold."""


class QuotaExceeded(JobyardError):
    """A limit for each person is reached. `retry_after_s` is in how many seconds it is free again,
    None if that is not known.
    """

    def __init__(self, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Forbidden(JobyardError):
    """The actor's roles do not allow this."""


class StaleState(JobyardError):
    """Another writer changed the record first; read it again and decide again."""


class NotFound(JobyardError):
    """It does not exist."""


class Gone(JobyardError):
    """It existed and was removed for good."""


class BadRequest(JobyardError):
    """The request is not valid; the message says what is allowed."""


class InvalidRule(JobyardError):
    """A recurrence rule, a calendar or a rule of a dataset is not valid.

    `where` is the field that is wrong, `allowed` says which values are allowed.
    """

    def __init__(self, where: str, allowed: str) -> None:
        super().__init__(f"{where}: {allowed}")
        self.where = where
        self.allowed = allowed


class InvalidCampaign(JobyardError):
    """A campaign is not valid. `problems` are what is wrong, a field each; at least one."""

    def __init__(self, problems: Sequence[InvalidRule]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class InvalidParameters(JobyardError):
    """The parameters for a job type are not valid.

    `field` is the parameter that is wrong, "" if it is not a single one; `problem` says why.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem
