"""Writes transactions through DynamoDB's own client, and builds their items.

PynamoDB's transactions take only its own models. A sweep writes to a table of somebody else,
together with its checkpoint, so that each record is counted once.
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
CONDITION_FAILED = "ConditionalCheckFailed"  # DynamoDB's code for an item, or a PartiQL statement
_NO_REASON = "None"  # of an item that did not cancel the transaction
_TRIES = 8


def backoff_s(tries: int) -> float:
    """Seconds to wait after `tries` failed tries: exponential, with jitter so that two writers that
    conflicted do not conflict again."""
    return 0.05 * 2.0**tries * random.uniform(0.5, 1.0)


def put(item: Model, seen: int) -> Item:
    """Put `item` over the item of version `seen`; 0: where there is no item."""
    return {
        "Put": {"TableName": item.Meta.table_name, "Item": item.serialize()}
        | _is_version(item, seen)
    }


def replace(item: Model) -> Item:
    """Put `item` over any other: another item of the transaction has the condition."""
    return {"Put": {"TableName": item.Meta.table_name, "Item": item.serialize()}}


def delete(item: Model, seen: int) -> Item:
    """Delete `item`, of which only the keys are used, in version `seen`."""
    return {"Delete": _key(item) | _is_version(item, seen)}


def require_state(item: Model, state: str) -> Item:
    """Check that `item`, of which only the keys are used, is in `state`."""
    condition = {
        "ConditionExpression": "#state = :state",
        "ExpressionAttributeNames": {"#state": item.get_attributes()["state"].attr_name},
        "ExpressionAttributeValues": {":state": {"S": state}},
    }
    return {"ConditionCheck": _key(item) | condition}


def _key(item: Model) -> dict[str, Any]:
    attributes = item.get_attributes().values()
    keys = [each.attr_name for each in attributes if each.is_hash_key or each.is_range_key]
    stored = item.serialize(null_check=False)
    return {"TableName": item.Meta.table_name, "Key": {name: stored[name] for name in keys}}


def _is_version(item: Model, seen: int) -> dict[str, Any]:
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
    """Write all items or none. Conflicts with other transactions are retried.

    Raises:
        StaleState: a condition failed, because an item changed since it was read.
        ClientError: DynamoDB failed. The items may have been written.
    """
    refused = client().exceptions.TransactionCanceledException
    for tries in range(1, _TRIES + 1):
        try:
            client().transact_write_items(TransactItems=list(items), ReturnConsumedCapacity="TOTAL")
        except refused as error:
            codes = {each["Code"] for each in error.response.get("CancellationReasons", ())}
            if CONDITION_FAILED in codes:
                raise StaleState("an item changed since it was read") from error
            if tries == _TRIES or not codes - {_NO_REASON}:
                raise
            pause(backoff_s(tries))
        else:
            return
