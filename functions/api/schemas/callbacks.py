"""Callbacks."""

from pydantic import Field, JsonValue

from api.schemas.fields import Schema
from jobyard.domain.jobs.callback import RESULT_BYTES, CallbackAnswer, CallbackStatus

_TOKEN_LENGTH = 200


class CallbackRequest(Schema, extra="forbid"):
    """The answer to a call."""

    token: str = Field(
        min_length=1, max_length=_TOKEN_LENGTH, description="The token that came with the call."
    )
    status: CallbackStatus
    result: dict[str, JsonValue] = Field(
        default_factory=dict,
        description=f"What the job keeps, up to {RESULT_BYTES} bytes as JSON.",
    )
    message: str = Field(default="", max_length=500, description="Why the work failed, for people.")

    def answer(self) -> CallbackAnswer:
        """The answer as the service takes it.

        Raises:
            BadRequest: the result is too large.
        """
        return CallbackAnswer.of(self.status, self.result, self.message)


class CallbackReceipt(Schema):
    """The answer that was recorded: the first one."""

    status: CallbackStatus = Field(description="The status of that answer.")
