"""How far a page of a list searched, if it stopped before it was full and before the end."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Searched:
    """A page read `count` items for those that match, the last of which is `last`: its number in
    the order of the list, its name, or its time; None if that is not known.
    """

    count: int
    last: int | str | datetime | None = None
