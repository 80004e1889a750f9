"""Values of a page that cost something: they are made when the page is rendered, if at all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Lazy:
    """A value that depends on nothing but its `key`, which stands for it in the page's ETag. So a
    poll that finds nothing new does not make it.
    """

    key: str
    make: Callable[[], Any] = field(repr=False)

    @cached_property
    def value(self) -> Any:
        """The value."""
        return self.make()
