"""Pagination: signed cursors that name a place in a list."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobyard.services import cursors


@dataclass(frozen=True)
class Pagination:
    """The pagination of one list. A cursor is valid for this list with its filters only."""

    kind: str
    cursor_key: Callable[[], bytes]

    def start(self, cursor: str, first: Any) -> Any:
        """Where the page of `cursor` starts; `first` without a cursor.

        Raises:
            BadRequest: the cursor does not belong to this list.
        """
        return cursors.verify(cursor, self.kind, self.cursor_key()) if cursor else first

    def next_cursor(self, position: Any) -> str | None:
        """The cursor of the page that starts at `position`; None when that is None."""
        return None if position is None else cursors.sign(position, self.kind, self.cursor_key())
