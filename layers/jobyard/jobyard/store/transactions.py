"""Items of a transaction as DynamoDB's own client takes them, each over the version that was seen.

What goes through that client is written with a checkpoint, so that what is done is counted once.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pynamodb.models import Model

from jobyard.domain.errors import StaleState
from jobyard.store.tables import client

Item = Mapping[str, Any]  # of a transaction: {"Put": …}, {"Delete": …} or {"ConditionCheck": …}
MAX_ITEMS = 100  # items of a transaction; source: DynamoDB API reference
CONDITION_FAILED = "ConditionalCheckFailed"  # why DynamoDB cancelled an item or refused a statement
_NONE = "None"
_TRIES = 8


def backoff_s(tries: int) -> float:
    """Seconds to wait after `tries` failed tries: exponential, with jitter so that two writers that
    conflicted do not conflict again."""
    return 0.05 * 2.0**tries * random.uniform(0.5, 1.0)


def put(item: Model, seen: int) -> Item:
    """`item` over the one of version `seen`; 0: where there is none."""
    return {
        "Put": {"TableName": item.Meta.table_name, "Item": item.serialize()} | _over(item, seen)
    }


def replace(item: Model) -> Item:
    """`item` over whatever is there: another item of the transaction says that it may be."""
    return {"Put": {"TableName": item.Meta.table_name, "Item": item.serialize()}}


def delete(item: Model, seen: int) -> Item:
    """No item any more where `item` stands in version `seen`; `item` needs but its keys."""
    return {"Delete": _where(item) | _over(item, seen)}


def require_state(item: Model, state: str) -> Item:
    """Nothing, where `item`, which needs but its keys, is in `state`."""
    condition = {
        "ConditionExpression": "#state = :state",
        "ExpressionAttributeNames": {"#state": item.get_attributes()["state"].attr_name},
        "ExpressionAttributeValues": {":state": {"S": state}},
    }
    return {"ConditionCheck": _where(item) | condition}


def _where(item: Model) -> dict[str, Any]:
    attributes = item.get_attributes().values()
    keys = [each.attr_name for each in attributes if each.is_hash_key or each.is_range_key]
    stored = item.serialize(null_check=False)
    return {"TableName": item.Meta.table_name, "Key": {name: stored[name] for name in keys}}


def _over(item: Model, seen: int) -> dict[str, Any]:
    attributes = item.get_attributes()
    if not seen:
        (hash_key,) = (each.attr_name for each in attributes.values() if each.is_hash_key)
        return {
            "ConditionExpression": "attribute_not_exists(#key)",
            "ExpressionAttributeNames": {"#key": hash_key},
        }
    return {
        "ConditionExpression": "#version = :seen",
        "ExpressionAttributeNames": {"#version": attributes["version"].attr_name},
        "ExpressionAttributeValues": {":seen": {"N": str(seen)}},
    }


def write(items: Sequence[Item], pause: Callable[[float], None] = time.sleep) -> None:
    """Write all of them or none.

    Raises:
        StaleState: one of them is no longer as it was seen.
        ClientError: DynamoDB fails; whether they were written, a look at them will tell.
    """
    refused = client().exceptions.TransactionCanceledException
    for tries in range(1, _TRIES + 1):
        try:
            client().transact_write_items(TransactItems=list(items), ReturnConsumedCapacity="TOTAL")
        except refused as error:
            codes = {each["Code"] for each in error.response.get("CancellationReasons", ())}
            if CONDITION_FAILED in codes:
                raise StaleState("something changed since it was read") from error
            if tries == _TRIES or not codes - {_NONE}:
                raise
            pause(backoff_s(tries))
        else:
            return
