"""The parameters of an invocation."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jobyard.domain.errors import InvalidParameters
from jobyard.jobtypes.calls import MAX_WAIT_H, check_body, number_of, text_of

INVOCATION_S = 300  # how long a function may take whose answer is waited for


class InvocationMode(StrEnum):
    """How a function answers: what it returns, or a callback later."""

    WAIT = "wait"
    CALLBACK = "callback"


@dataclass(frozen=True)
class InvocationPlan:
    """The checked parameters of an invocation, which docs/calls.md describes."""

    function: str
    mode: InvocationMode
    wait_h: float

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> "InvocationPlan":
        """The plan of a job's parameters.

        Raises:
            InvalidParameters: a parameter is not valid.
        """
        mode = text_of(parameters, "mode", InvocationMode.WAIT)
        if mode not in tuple(InvocationMode):
            raise InvalidParameters("mode", f"must be {' or '.join(InvocationMode)}")
        check_body(parameters)
        return cls(
            function=text_of(parameters, "function", limit=300),
            mode=InvocationMode(mode),
            wait_h=number_of(parameters, "wait_hours", 1.0, 0.01, MAX_WAIT_H),
        )
