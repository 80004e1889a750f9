"""Clients of AWS that are made when a request first needs them.

Most requests are answered from the tables alone. To describe S3 and Step Functions to their clients
takes as long as everything a cold start does for those.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any


class LazyClient:
    """A client, once something is asked of it. `make` makes it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @cached_property
    def _client(self) -> Any:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)
