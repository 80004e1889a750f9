"""Small things remembered under a name: what cursors are signed with, manifests seen today, where a
long look need not begin."""

from datetime import datetime

from pynamodb.exceptions import PutError

from jobyard.store.tables import RememberedItem, is_refused


def secret(name: str, candidate: str) -> str:
    """The deployment's own secret called `name`; the first `candidate` ever offered becomes it.

    It lies encrypted in a table only functions may read, so that nobody has to carry it.
    """
    item = RememberedItem(id=f"secret#{name}", content=candidate)
    try:
        item.save(condition=RememberedItem.id.does_not_exist())
    except PutError as error:
        if not is_refused(error):
            raise
        return RememberedItem.get(f"secret#{name}", consistent_read=True).content
    return candidate


def seen_before(manifest: str, batch_id: str, now: datetime, until: datetime) -> str:
    """The batch that had the same `manifest` (its digest and collection) before, "" if none had.

    From now `until` the manifest is known as that of `batch_id`. A warning hangs on it and nothing
    else, so a lost race between two equal manifests is let be.
    """
    name = f"manifest#{manifest}"
    try:
        item = RememberedItem.get(name, consistent_read=True)
        before = item.content if item.expires and item.expires > now.timestamp() else ""
    except RememberedItem.DoesNotExist:
        before = ""
    if before == batch_id:
        return ""
    RememberedItem(id=name, content=batch_id, expires=int(until.timestamp())).save()
    return before


def noted(name: str) -> str:
    """What was noted last under `name`, "" when nothing was."""
    try:
        return RememberedItem.get(f"note#{name}", consistent_read=True).content
    except RememberedItem.DoesNotExist:
        return ""


def note(name: str, content: str) -> None:
    """Note `content` under `name`, over what was noted there. Nothing but work saved may hang on
    it."""
    RememberedItem(id=f"note#{name}", content=content).save()
