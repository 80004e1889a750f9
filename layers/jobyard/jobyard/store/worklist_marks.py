"""Change tokens of the worklists of people and teams, so that a poll reads little: as an ETag does.

Each change of a worklist stores a new token. It is written after the edit job, without a condition:
if the write is lost, readers find the change within a minute all the same.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from pynamodb.exceptions import PutError

from jobyard.store.documents import from_ms, to_ms
from jobyard.store.tables import KeyValueItem

_TTL = timedelta(days=2)  # then DynamoDB removes the token, which readers see as a change


@dataclass(frozen=True)
class WorklistMark:
    """The token of the last change of a worklist: `change` is the id and version of the edit job
    that changed, "" if there is none.
    """

    change: str = ""
    at: datetime | None = None


def of_person(sub: str) -> str:
    """The name of a person's worklist."""
    return f"person#{sub}"


def of_team(name: str) -> str:
    """The name of a team's worklist."""
    return f"team#{name}"


def put(worklists: Iterable[str], change: str, at: datetime) -> None:
    """Store a new token for worklists."""
    for each in worklists:
        with suppress(PutError):
            KeyValueItem(
                id=_key(each),
                content=f"{to_ms(at)} {change}",
                expires=int((at + _TTL).timestamp()),
            ).save()


def read(worklists: Iterable[str]) -> list[WorklistMark]:
    """The tokens of worklists, in this order."""
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
