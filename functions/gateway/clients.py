"""AWS clients that are created when a request first needs them.

Most requests need the tables only. Loading the API models of S3 and Step Functions would double
their cold start.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any


class LazyClient:
    """A client that `make` creates at its first use."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @cached_property
    def _client(self) -> Any:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)
