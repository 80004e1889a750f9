"""Tombstones: what remains of an archived batch or campaign, in the table where it was."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from jobyard.domain.archive import Archivable, Phase, Tombstone
from jobyard.domain.errors import StaleState
from jobyard.store import transactions
from jobyard.store.documents import from_ms, to_ms
from jobyard.store.tables import BatchItem, CampaignItem, save_if

# The stored state of a tombstone. No lifecycle has it, so no event applies any more.
ARCHIVED = "archived"

_Origin = TypeVar("_Origin", bound=Archivable)
_Item = TypeVar("_Item", BatchItem, CampaignItem)


@dataclass(frozen=True)
class TombstoneTable(Generic[_Origin, _Item]):
    """The tombstones in a table. `item_of` and `parsed` convert what is archived and its item.

    A tombstone is in no index. Its body keeps the `indexed` attributes that `parsed` needs. Until
    all records are removed, it has those that `listed` returns, by which an index lists it.
    """

    model: type[_Item]
    item_of: Callable[[_Origin], _Item]
    parsed: Callable[[_Item], _Origin]
    listed: Callable[[_Item], dict[str, Any]]
    indexed: tuple[str, ...] = ()

    def _item(self, tombstone: Tombstone[_Origin]) -> _Item:
        before = self.item_of(tombstone.origin)
        archived = {
            "state": before.state,
            "version": tombstone.origin.version,
            "at": to_ms(tombstone.archived_at),
            "folder": tombstone.folder,
            "phase": tombstone.phase.value,
            **{name: getattr(before, name) for name in self.indexed},
        }
        is_removed = tombstone.phase is Phase.REMOVED
        return self.model(
            _key_of(before),
            state=ARCHIVED,
            version=tombstone.version,
            body={**before.body, "archived": archived},
            **({} if is_removed else self.listed(before)),
        )

    def parse(self, item: _Item) -> Tombstone[_Origin]:
        """The tombstone in an item."""
        archived = item.body["archived"]
        before = self.model(
            _key_of(item),
            state=archived["state"],
            version=archived["version"],
            body=item.body,
            **{name: archived[name] for name in self.indexed},
        )
        return Tombstone(
            self.parsed(before),
            from_ms(archived["at"]),
            archived["folder"],
            Phase(archived["phase"]),
            int(item.version),
        )

    def find(self, origin_id: str) -> Tombstone[_Origin] | None:
        """The tombstone of what was archived; None if it is not."""
        try:
            item = self.model.get(origin_id, consistent_read=True)
        except self.model.DoesNotExist:
            return None
        return self.parse(item) if item.state == ARCHIVED else None

    def start(self, origin: _Origin, at: datetime, folder: str) -> Tombstone[_Origin]:
        """Replace a batch or campaign by a tombstone: no event applies to it any more, and no list
        shows it.

        A repeat with the same `at` succeeds.

        Raises:
            StaleState: it changed since it was read.
        """
        new = Tombstone(origin, from_ms(to_ms(at)), folder, Phase.ARCHIVING, origin.version + 1)
        item = self._item(new)
        if not save_if(item, self.model.version == origin.version):
            key = _key_of(item)
            if self.find(key) != new:
                raise StaleState(f"{key} has changed since it was read")
        return new

    def cancel(self, seen: Tombstone[_Origin], origin: _Origin) -> None:
        """Undo `start`, and store `origin`.

        Raises:
            StaleState: its records are being removed, or archiving was cancelled already.
        """
        item = self.item_of(origin)
        item.version = seen.version + 1
        if not save_if(item, self.model.version == seen.version):
            raise StaleState(f"{_key_of(item)} is no longer {seen.phase}")

    def put(self, seen: Tombstone[_Origin], after: Tombstone[_Origin]) -> transactions.TransactItem:
        """The item of a transaction that replaces the tombstone `seen` by `after`."""
        item = self._item(after)
        item.version = seen.version + 1
        return transactions.put(item, seen.version)


def _key_of(item: BatchItem | CampaignItem) -> str:
    (key,) = transactions.key_of(item)["Key"].values()
    return str(key["S"])
