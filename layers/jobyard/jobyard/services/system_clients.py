"""The clients that say how the system itself is. What they do not answer can be done without."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

_T = TypeVar("_T")


@dataclass(frozen=True)
class SystemClients:
    """Clients of CloudWatch and SQS. `on_unavailable` gets the error if one does not answer."""

    cloudwatch: Any
    sqs: Any
    on_unavailable: Callable[[Exception], None]

    def result_or_none(self, call: Callable[[], _T]) -> _T | None:
        """The result of a call; None if AWS refuses it or does not answer."""
        try:
            return call()
        except (BotoCoreError, ClientError) as error:
            self.on_unavailable(error)
            return None
