"""Writes transactions through DynamoDB's own client, and builds their items.

PynamoDB's transactions take only its own models, and send their items in an order of their own. A
sweep also writes to a table of somebody else. A job's write reads from the order which condition
failed.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pynamodb.models import Model

from jobyard.domain.errors import StaleState
from jobyard.store.tables import client

# An item of a transaction: {"Put": …}, {"Update": …}, {"Delete": …} or {"ConditionCheck": …}.
TransactItem = Mapping[str, Any]
MAX_ITEMS = 100  # items of a transaction; source: DynamoDB API reference
CONDITION_FAILED = "ConditionalCheckFailed"  # DynamoDB's code for an item, or a PartiQL statement
# Codes of a cancellation because of what somebody else wrote at the same time.
CHANGED_MEANWHILE = frozenset({CONDITION_FAILED, "TransactionConflict"})
_NO_REASON = "None"  # of an item that did not cancel the transaction
_TRIES = 8


def backoff_s(tries: int) -> float:
    """Seconds to wait after `tries` failed tries: exponential, with jitter so that two writers that
    conflicted do not conflict again."""
    return 0.05 * 2.0**tries * random.uniform(0.5, 1.0)


def put(item: Model, seen_version: int) -> TransactItem:
    """The item that puts `item` over its `seen_version`; 0: where there is no item."""
    return {
        "Put": {"TableName": item.Meta.table_name, "Item": item.serialize()}
        | _is_version(item, seen_version)
    }


def replace(item: Model) -> TransactItem:
    """The item that puts `item` without a condition: another one of the transaction has it."""
    return {"Put": {"TableName": item.Meta.table_name, "Item": item.serialize()}}


def remove(item: Model) -> TransactItem:
    """The item that deletes `item` without a condition: another one of the transaction has it."""
    return {"Delete": key_of(item)}


def delete(item: Model, seen_version: int) -> TransactItem:
    """The item that deletes `item`, of which only the keys are used, in its `seen_version`."""
    return {"Delete": key_of(item) | _is_version(item, seen_version)}


def increment_version(item: Model) -> TransactItem:
    """The item that adds 1 to the stored version. If there is no item, it stores `item` first."""
    key = key_of(item)
    stored = item.serialize()
    version = item.get_attributes()["version"].attr_name
    rest = [name for name in stored if name != version and name not in key["Key"]]
    sets = ", ".join(f"#{name} = if_not_exists(#{name}, :{name})" for name in rest)
    return {
        "Update": key
        | {
            "UpdateExpression": f"SET {sets} ADD #{version} :one",
            "ExpressionAttributeNames": {f"#{name}": name for name in (*rest, version)},
            "ExpressionAttributeValues": {f":{name}": stored[name] for name in rest}
            | {":one": {"N": "1"}},
        }
    }


def require_state(item: Model, state: str) -> TransactItem:
    """The item that checks that `item`, of which only the keys are used, is in `state`."""
    return require_value(item, "state", state)


def require_value(item: Model, attribute: str, value: str) -> TransactItem:
    """The item that checks that an attribute of `item`, of which only the keys are used, has a
    value.
    """
    condition = {
        "ConditionExpression": "#attribute = :value",
        "ExpressionAttributeNames": {"#attribute": item.get_attributes()[attribute].attr_name},
        "ExpressionAttributeValues": {":value": {"S": value}},
    }
    return {"ConditionCheck": key_of(item) | condition}


def key_of(item: Model) -> dict[str, Any]:
    """The table and the key of `item`, of which only the keys are used."""
    attributes = item.get_attributes().values()
    keys = [each.attr_name for each in attributes if each.is_hash_key or each.is_range_key]
    stored = item.serialize(null_check=False)
    return {"TableName": item.Meta.table_name, "Key": {name: stored[name] for name in keys}}


def _is_version(item: Model, seen_version: int) -> dict[str, Any]:
    attributes = item.get_attributes()
    if not seen_version:
        (hash_key,) = (each.attr_name for each in attributes.values() if each.is_hash_key)
        return {
            "ConditionExpression": "attribute_not_exists(#key)",
            "ExpressionAttributeNames": {"#key": hash_key},
        }
    return {
        "ConditionExpression": "#version = :seen",
        "ExpressionAttributeNames": {"#version": attributes["version"].attr_name},
        "ExpressionAttributeValues": {":seen": {"N": str(seen_version)}},
    }


def write(items: Sequence[TransactItem], pause: Callable[[float], None] = time.sleep) -> None:
    """Write all items or none. A transaction that was cancelled without a failed condition is
    retried: it conflicted with another one, or was throttled.

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
