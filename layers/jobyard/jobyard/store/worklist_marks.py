"""Stores when the worklists of people and teams changed last, so that a poll reads little.

A mark is a value that no other change of the worklist has. It is written after the edit job,
without a condition: if it is lost, readers find the change within a minute all the same.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from pynamodb.exceptions import PutError

from jobyard.store.documents import from_ms, to_ms
from jobyard.store.tables import KeyValueItem

_KEPT = timedelta(days=2)  # then DynamoDB removes the mark, which is one more change


@dataclass(frozen=True)
class WorklistMark:
    """The last change of a worklist: of which job, to which version, and when; "" for none."""

    change: str = ""
    at: datetime | None = None


def of_person(sub: str) -> str:
    """The name of a person's worklist."""
    return f"person#{sub}"


def of_team(name: str) -> str:
    """The name of a team's worklist."""
    return f"team#{name}"


def put(worklists: Iterable[str], change: str, at: datetime) -> None:
    """Mark worklists as changed."""
    for each in worklists:
        with suppress(PutError):
            KeyValueItem(
                id=_key(each),
                content=f"{to_ms(at)} {change}",
                expires=int((at + _KEPT).timestamp()),
            ).save()


def read(worklists: Iterable[str]) -> list[WorklistMark]:
    """The marks of worklists, in this order."""
    return [_read(each) for each in worklists]


def _read(worklist: str) -> WorklistMark:
    try:
        content = KeyValueItem.get(_key(worklist), consistent_read=True).content
    except KeyValueItem.DoesNotExist:
        return WorklistMark()
    at, _, change = content.partition(" ")
    return WorklistMark(change, from_ms(int(at)))


def _key(worklist: str) -> str:
    return f"worklist#{worklist}"
