"""The refusals: one name each, all under `JobyardError`. The API makes HTTP problems of them."""


class JobyardError(Exception):
    """Something was refused, in words its caller can act on."""


class InvalidLifecycle(JobyardError):
    """A lifecycle table contradicts itself; the program must not start."""


class InvalidTransition(JobyardError):
    """The event is not one this state knows, or not one this sender may send."""


class OperationInProgress(InvalidTransition):
    """An operation on the same jobs is under way; await its end."""


class AlreadyHeld(InvalidTransition):
    """The scope is on hold already; say that you replace the hold if you mean to."""


class Forbidden(JobyardError):
    """The actor's roles do not allow this."""


class StaleState(JobyardError):
    """Someone else moved it first; read again and decide anew."""


class NotFound(JobyardError):
    """There is no such thing."""


class Gone(JobyardError):
    """It was here and has been removed; nothing will bring it back."""


class BadRequest(JobyardError):
    """The request cannot be carried out as it stands; the message says what is allowed."""


class InvalidRule(JobyardError):
    """A rule of recurrence, or a calendar, cannot be so.

    `where` is the field that is wrong, `allowed` what may stand there.
    """

    def __init__(self, where: str, allowed: str) -> None:
        super().__init__(f"{where}: {allowed}")
        self.where = where
        self.allowed = allowed


class InvalidParameters(JobyardError):
    """A job type cannot do what it is told to.

    `field` is the parameter that is wrong, "" when it is all of them; `words` say how.
    """

    def __init__(self, field: str, words: str) -> None:
        super().__init__(f"{field}: {words}" if field else words)
        self.field = field
        self.problem = words
