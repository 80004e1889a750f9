"""Stores callbacks, in the table of checkpoints."""

from datetime import datetime, timedelta
from typing import Any

from jobyard.domain.jobs.callback import Callback, CallbackAnswer, CallbackStatus
from jobyard.store.tables import CheckpointItem, save_if

_TTL = timedelta(days=30)  # after the last token has expired


def get(key: str) -> Callback:
    """The callback of the call with `key`, by a strong read; one of version 0 if there is none."""
    try:
        item = CheckpointItem.get(_id_of(key), consistent_read=True)
    except CheckpointItem.DoesNotExist:
        return Callback(key)
    body = item.body
    tokens = {digest: datetime.fromisoformat(at) for digest, at in body["tokens"]}
    return Callback(key, int(item.version), tokens, _answer_of(body.get("answer")))


def put(seen: Callback, after: Callback) -> bool:
    """Replace the callback `seen` by `after`. Returns False if somebody else changed it first."""
    body: dict[str, Any] = {"tokens": [[key, at.isoformat()] for key, at in after.tokens.items()]}
    if found := after.answer:
        body["answer"] = [found.status.value, dict(found.result), found.message]
    item = CheckpointItem(
        job_id=_id_of(after.key),
        version=after.version,
        expires=int((max(after.tokens.values()) + _TTL).timestamp()),
        body=body,
    )
    version = CheckpointItem.version
    return save_if(item, version == seen.version if seen.version else version.does_not_exist())


def _id_of(key: str) -> str:
    """The key in the table, which no job's id can equal."""
    return f"callback#{key}"


def _answer_of(found: Any) -> CallbackAnswer | None:
    return None if found is None else CallbackAnswer(CallbackStatus(found[0]), *found[1:])
