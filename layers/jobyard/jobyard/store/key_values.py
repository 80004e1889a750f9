"""Stores small values under a key: the secret that signs cursors, the manifests of recent batches,
and where a long search continues."""

from datetime import datetime

from jobyard.store.tables import KeyValueItem, save_if


def get_or_create_secret(name: str, candidate: str) -> str:
    """The deployment's secret called `name`. If there is none, `candidate` is stored as the secret.

    The table is encrypted, and only functions may read it. So nobody has to set a secret.
    """
    item = KeyValueItem(id=f"secret#{name}", content=candidate)
    if not save_if(item, KeyValueItem.id.does_not_exist()):
        return KeyValueItem.get(f"secret#{name}", consistent_read=True).content
    return candidate


def find_secret(name: str) -> str:
    """The deployment's secret called `name`; "" if there is none."""
    try:
        return KeyValueItem.get(f"secret#{name}").content
    except KeyValueItem.DoesNotExist:
        return ""


def register_manifest(manifest: str, batch_id: str, now: datetime, until: datetime) -> str:
    """The id of an earlier batch with the same manifest, and from now on `batch_id`.

    `manifest` is a digest with a collection and a submitter, so that nobody learns of the batches
    of others. Returns "" if there is no earlier batch. The manifest is remembered `until` then. Two
    equal manifests at the same moment may both get "": only a warning depends on it.
    """
    key = f"manifest#{manifest}"
    try:
        item = KeyValueItem.get(key, consistent_read=True)
        before = item.content if item.expires and item.expires > now.timestamp() else ""
    except KeyValueItem.DoesNotExist:
        before = ""
    if before == batch_id:
        return ""
    KeyValueItem(id=key, content=batch_id, expires=int(until.timestamp())).save()
    return before


def get(name: str) -> str:
    """The value stored under `name`; "" if there is none."""
    try:
        return KeyValueItem.get(f"note#{name}", consistent_read=True).content
    except KeyValueItem.DoesNotExist:
        return ""


def put(name: str, content: str) -> None:
    """Store `content` under `name`. Concurrent writers overwrite each other.

    So use it only for what saves work, not for what must be right.
    """
    KeyValueItem(id=f"note#{name}", content=content).save()
