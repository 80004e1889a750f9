"""Reads items of several tables in one call, which PynamoDB cannot."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pynamodb.models import Model

from jobyard.store import transactions
from jobyard.store.tables import client

_TRIES = 8


def get_many(keys: Sequence[Model], pause: Callable[[float], None] = time.sleep) -> list[Any]:
    """The stored items with the keys of `keys`, in their order; None where there is none. The keys
    differ, and are at most a hundred. Reads are strongly consistent.

    Raises:
        RuntimeError: DynamoDB left keys out `_TRIES` times.
        ClientError: the call failed.
    """
    wanted = [transactions.key_of(key) for key in keys]
    pending: dict[str, Any] = {}
    for each in wanted:
        of_table = pending.setdefault(each["TableName"], {"Keys": [], "ConsistentRead": True})
        of_table["Keys"].append(each["Key"])
    found: dict[str, list[dict[str, Any]]] = {table: [] for table in pending}
    for tries in range(1, _TRIES + 1):
        response = client().batch_get_item(RequestItems=pending, ReturnConsumedCapacity="TOTAL")
        for table, items in response.get("Responses", {}).items():
            found[table] += items
        pending = response.get("UnprocessedKeys", {})
        if not pending:
            break
        if tries == _TRIES:
            raise RuntimeError(f"DynamoDB left keys of {', '.join(pending)} out {_TRIES} times")
        pause(transactions.backoff_s(tries))
    return [
        _item(type(key), found[each["TableName"]], each["Key"])
        for key, each in zip(keys, wanted, strict=True)
    ]


def _item(model: type[Model], found: Iterable[dict[str, Any]], key: dict[str, Any]) -> Model | None:
    """The item of `found` with this key."""
    stored = next((item for item in found if key.items() <= item.items()), None)
    return None if stored is None else model.from_raw_data(stored)
