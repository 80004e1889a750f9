"""The sizes of items by DynamoDB's rules."""

from typing import Any

from jobyard.store import tables


def item_bytes(noun: str, key: dict[str, Any]) -> int:
    """The size of the stored item with that key: names and strings in bytes; a number takes a byte
    for two digits, and one more."""
    item = tables.client().get_item(
        TableName=tables.MODELS[noun].Meta.table_name, Key=key, ConsistentRead=True
    )["Item"]
    return sum(
        len(name) + (len(value["S"].encode()) if "S" in value else len(value["N"]) // 2 + 2)
        for name, value in item.items()
    )


def job_bytes(origin_id: str, chunk: int, position: int) -> int:
    """The size of a job's record."""
    key = {"chunk_id": {"S": f"{origin_id}#{chunk}"}, "position": {"N": str(position)}}
    return item_bytes("jobs", key)


def batch_bytes(batch_id: str) -> int:
    """The size of a batch's record."""
    return item_bytes("batches", {"batch_id": {"S": batch_id}})
