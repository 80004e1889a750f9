"""Stores datasets: a head, which commits move, and settings, in two items of one partition."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jobyard.domain.datasets.dataset import Dataset, Deletion, PendingCommit
from jobyard.domain.datasets.extent import Box
from jobyard.domain.errors import Gone, NotFound, StaleState
from jobyard.domain.ids import is_name
from jobyard.store import transactions
from jobyard.store.documents import from_ms, from_ms_or_none, to_ms, to_ms_or_none, without_blanks
from jobyard.store.tables import DatasetItem, is_version, save_if

_LIST_PARTITION = "datasets"  # one partition of the index for all: there are few
_DELETED_PARTITION = "deleted"  # those whose files are not removed yet
_HEAD = "head"
_SETTINGS = "settings"
_Items = Mapping[str, DatasetItem]  # by part


def put_new(dataset: Dataset) -> None:
    """Store a new dataset. A repeat succeeds.

    Raises:
        StaleState: there is one of that name.
    """
    items = _head_item(dataset), _settings_item(dataset)
    try:
        transactions.write([transactions.put(each, 0) for each in items])
    except StaleState as error:
        found = find_any(dataset.name)
        if found is None or (found.created_at, found.created_by_sub) != (
            dataset.created_at,
            dataset.created_by_sub,
        ):
            raise StaleState(f"there is a dataset {dataset.name} already") from error


def find(name: str) -> Dataset | None:
    """The dataset; None if there is none, or it was deleted."""
    found = find_any(name)
    return None if found is None or found.deletion else found


def find_any(name: str) -> Dataset | None:
    """The dataset, also if it was deleted; None if there is none."""
    if not is_name(name):
        return None  # it may be longer than a key
    items = {each.part: each for each in DatasetItem.query(name, consistent_read=True)}
    return _dataset(items) if len(items) == 2 else None


def get(name: str) -> Dataset:
    """The dataset.

    Raises:
        NotFound: there is none. Gone: it was deleted.
    """
    found = find_any(name)
    if found is None:
        raise NotFound(f"there is no dataset {name!r:.80}")
    if found.deletion:
        raise Gone(found.description)
    return found


def by_name(*, after: str, limit: int) -> list[Dataset]:
    """Up to `limit` datasets with names after `after`, by name."""
    found = _listed(_LIST_PARTITION, after, limit)
    return [each for each in found if not each.deletion]


def deleted(*, after: str, limit: int) -> list[Dataset]:
    """Up to `limit` deleted datasets whose files are not removed yet, as `by_name`."""
    return [each for each in _listed(_DELETED_PARTITION, after, limit) if each.deletion]


def _listed(partition: str, after: str, limit: int) -> list[Dataset]:
    condition = DatasetItem.name > after if after else None
    found = DatasetItem.listed.query(partition, range_key_condition=condition, limit=limit)
    names = [each.name for each in found]
    items: dict[str, dict[str, DatasetItem]] = {name: {} for name in names}
    keys = [(name, part) for name in names for part in (_HEAD, _SETTINGS)]
    for each in DatasetItem.batch_get(keys, consistent_read=True):
        items[each.name][each.part] = each
    return [_dataset(items[name]) for name in names if len(items[name]) == 2]


def put_settings(dataset: Dataset) -> None:
    """Store new settings over those that were read; the head stays as it is. A repeat succeeds.

    Raises:
        StaleState: the settings changed since they were read.
    """
    item = _settings_item(dataset)
    if not save_if(item, is_version(DatasetItem, dataset.version - 1)):
        stored = find_any(dataset.name)
        if (
            stored is None
            or _settings_item(stored).body != item.body
            or stored.version != dataset.version
        ):
            raise StaleState(f"dataset {dataset.name} has changed since it was read")


def require(name: str) -> transactions.TransactItem:
    """The item of a transaction that checks that a dataset exists, and was not deleted."""
    return transactions.require_value(
        DatasetItem(name=name, part=_SETTINGS), "list_partition", _LIST_PARTITION
    )


def remove(dataset: Dataset) -> None:
    """Remove a deleted dataset, so that its name is free again."""
    with DatasetItem.batch_write() as removing:
        for part in (_HEAD, _SETTINGS):
            removing.delete(DatasetItem(name=dataset.name, part=part))


def put_removed(dataset: Dataset) -> None:
    """Store that no file of a deleted dataset is left. It stays as a tombstone."""
    item = _settings_item(replace(dataset, version=dataset.version + 1))
    item.list_partition = None
    save_if(item, is_version(DatasetItem, dataset.version))


def put_head(dataset: Dataset) -> bool:
    """Store a new head over the one that was read. Returns False if that has changed since, which a
    repeat of the call also finds.
    """
    return save_if(_head_item(dataset), is_version(DatasetItem, dataset.head_version - 1))


def _head_item(dataset: Dataset) -> DatasetItem:
    pending = dataset.pending
    body = {
        "revision": dataset.revision,
        "features": dataset.features,
        "boxes": [list(each) for each in dataset.boxes],
        "base": [dataset.base_revision, dataset.base],
        "pending": pending
        and [pending.revision, pending.file, pending.edit_id, pending.attempt, to_ms(pending.at)],
    }
    return DatasetItem(
        name=dataset.name, part=_HEAD, version=dataset.head_version, body=without_blanks(body)
    )


def _settings_item(dataset: Dataset) -> DatasetItem:
    body = {
        "title": dataset.title,
        "created": [to_ms(dataset.created_at), dataset.created_by, dataset.created_by_sub],
        "load": dataset.load_id,
        "changed": [to_ms_or_none(dataset.changed_at), dataset.cause],
        "precision": dataset.precision,
        "missing_is_null": dataset.missing_is_null,
        "rules": [dict(each) for each in dataset.rules],
        "rules_version": dataset.rules_version,
        "edit_types": {name: dict(each) for name, each in dataset.edit_types.items()},
    }
    if dataset.deletion:
        body["deleted"] = [
            to_ms(dataset.deletion.at),
            dataset.deletion.by,
            dataset.deletion.reason,
        ]
    partition = _DELETED_PARTITION if dataset.deletion else _LIST_PARTITION
    return DatasetItem(
        name=dataset.name,
        part=_SETTINGS,
        list_partition=partition,
        version=dataset.version,
        body=body,
    )


def _dataset(items: _Items) -> Dataset:
    head: dict[str, Any] = items[_HEAD].body
    settings: dict[str, Any] = items[_SETTINGS].body
    created_at, created_by, created_by_sub = settings["created"]
    return Dataset(
        name=items[_HEAD].name,
        title=settings["title"],
        created_at=from_ms(created_at),
        created_by=created_by,
        created_by_sub=created_by_sub,
        base=head["base"][1],
        base_revision=head["base"][0],
        features=head.get("features", 0),
        boxes=tuple(Box(*each) for each in head.get("boxes", ())),
        version=int(items[_SETTINGS].version),
        revision=head["revision"],
        pending=_pending(head.get("pending")),
        precision=settings["precision"],
        missing_is_null=settings["missing_is_null"],
        rules=tuple(settings["rules"]),
        rules_version=settings["rules_version"],
        edit_types=settings["edit_types"],
        head_version=int(items[_HEAD].version),
        load_id=settings["load"],
        changed_at=from_ms_or_none(settings["changed"][0]),
        cause=settings["changed"][1],
        deletion=_deletion(settings.get("deleted")),
    )


def _deletion(line: Any) -> Deletion | None:
    if not line:
        return None
    at, by, reason = line
    return Deletion(from_ms(at), by, reason)


def _pending(line: Any) -> PendingCommit | None:
    if not line:
        return None
    revision, file, edit_id, attempt, at = line
    return PendingCommit(revision, file, edit_id, attempt, from_ms(at))
