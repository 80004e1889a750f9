"""Small values stored under a key: the secret that signs cursors, manifests seen lately, the place
where a long search goes on."""

from datetime import datetime

from jobyard.store.tables import KeyValueItem, save_if


def get_or_create_secret(name: str, candidate: str) -> str:
    """The deployment's own secret called `name`; the first `candidate` ever offered becomes it.

    It is stored encrypted in a table that only functions may read, so nobody has to carry it.
    """
    item = KeyValueItem(id=f"secret#{name}", content=candidate)
    if not save_if(item, KeyValueItem.id.does_not_exist()):
        return KeyValueItem.get(f"secret#{name}", consistent_read=True).content
    return candidate


def register_manifest(manifest: str, batch_id: str, now: datetime, until: datetime) -> str:
    """The batch that had the same `manifest` (its digest and collection) before, "" if none had.

    From now `until` the manifest is known as that of `batch_id`. Only a warning depends on it, so
    two equal manifests at the same moment may both get "".
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
    """The value stored under `name`, "" when there is none."""
    try:
        return KeyValueItem.get(f"note#{name}", consistent_read=True).content
    except KeyValueItem.DoesNotExist:
        return ""


def put(name: str, content: str) -> None:
    """Store `content` under `name` in place of what was there.

    Only work saved may depend on it: concurrent writers overwrite each other.
    """
    KeyValueItem(id=f"note#{name}", content=content).save()
