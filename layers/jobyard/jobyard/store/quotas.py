"""Stores what each person uses of their quotas: one item, whose conditions hold the limits.

Each addition names its batch, so a repeat adds nothing. The item is removed when it was not used
for `_KEPT`.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from jobyard.domain.quota import Quotas, QuotaUse, day_of
from jobyard.store import transactions
from jobyard.store.tables import KeyValueItem, client

_KEPT = timedelta(days=60)
_NO_LIMIT = 10**18


def get(owner: str) -> QuotaUse:
    """What the owner of a quota uses, as of the day of the last addition."""
    found = client().get_item(**_key(owner), ConsistentRead=True).get("Item")
    if found is None:
        return QuotaUse()
    return QuotaUse(
        {batch_id: each["S"] for batch_id, each in found["places"]["M"].items()},
        found["day"]["S"],
        int(found["bytes"]["N"]),
        int(found["mails"]["N"]),
    )


def begin_day(owner: str, now: datetime) -> None:
    """Count from zero, if the stored numbers are of an earlier day, or if there are none."""
    _update(
        owner,
        "SET #day = :day, #bytes = :zero, #mails = :zero, #expires = :expires, "
        "#places = if_not_exists(#places, :none)",
        "attribute_not_exists(#day) OR #day < :day",
        {":day": day_of(now), ":zero": 0, ":none": {}, ":expires": _expiry(now)},
    )


def take_place(
    owner: str, batch_id: str, mails: int, size: int | None, quotas: Quotas, now: datetime
) -> bool:
    """Add an open batch, with its mails and its bytes, to those of today. None are bytes that are
    not known yet. Returns False if a limit, another day or an earlier call prevents it.
    """
    at = str(int(now.timestamp()))
    return _update(
        owner,
        "SET #places.#batch = :note, #expires = :expires ADD #mails :mails, #bytes :size",
        "#day = :day AND attribute_not_exists(#places.#batch) AND size(#places) < :most "
        "AND #mails <= :mails_before AND #bytes <= :bytes_before",
        {
            ":day": day_of(now),
            ":note": at if size is None else f"{at} {size}",
            ":most": quotas.open_batches,
            ":mails": mails,
            ":mails_before": quotas.daily_mails - mails if mails else _NO_LIMIT,
            ":size": size or 0,
            ":bytes_before": quotas.daily_bytes - size if size else _NO_LIMIT,
            ":expires": _expiry(now),
        },
        batch_id,
    )


def add_bytes(
    owner: str, batch_id: str, note: str, size: int, limit: int | None, now: datetime
) -> bool:
    """Add the bytes of an open batch to those of today, over its `note`: from then on it has
    `size` in it. Returns False if the limit, another day or an earlier call prevents it. Without a
    limit nothing but an earlier call does.
    """
    known = noted_bytes(note) or 0
    values: dict[str, Any] = {
        ":before": note,
        ":after": f"{note.partition(' ')[0]} {size}",
        ":size": size - known,
    }
    condition = "#places.#batch = :before"
    if limit is not None:
        condition += " AND #day = :day AND #bytes <= :rest"
        values |= {":day": day_of(now), ":rest": limit - size + known}
    update = "SET #places.#batch = :after ADD #bytes :size"
    return _update(owner, update, condition, values, batch_id)


def add_mails(owner: str, mails: int, quotas: Quotas, now: datetime) -> bool:
    """Add mails to those of today. Returns False if there would be too many."""
    values = {":day": day_of(now), ":mails": mails, ":rest": quotas.daily_mails - mails}
    return _update(owner, "ADD #mails :mails", "#day = :day AND #mails <= :rest", values)


def leave_places(owner: str, batch_ids: Iterable[str]) -> None:
    """Remove batches that have ended."""
    for batch_id in batch_ids:
        _update(owner, "REMOVE #places.#batch", "attribute_exists(#places.#batch)", {}, batch_id)


def noted_at(note: str) -> float:
    """When a batch was added, in seconds since 1970."""
    return float(note.partition(" ")[0])


def noted_bytes(note: str) -> int | None:
    """The bytes that were added for a batch; None before its manifest was read."""
    size = note.partition(" ")[2]
    return int(size) if size else None


def _expiry(now: datetime) -> int:
    return int((now + _KEPT).timestamp())


def _key(owner: str) -> dict[str, Any]:
    return transactions.key_of(KeyValueItem(id=f"quota#{owner}"))


def _update(
    owner: str, update: str, condition: str, values: Mapping[str, Any], batch_id: str = ""
) -> bool:
    """Update the item if the condition holds. Returns whether it did."""
    text = f"{update} {condition}"
    names = {f"#{name}": name for name in ("day", "bytes", "mails", "expires", "places")}
    names |= {"#batch": batch_id}
    request: dict[str, Any] = {
        **_key(owner),
        "UpdateExpression": update,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {name: to for name, to in names.items() if name in text},
        "ReturnConsumedCapacity": "TOTAL",
    }
    if values:
        request["ExpressionAttributeValues"] = {name: _value(each) for name, each in values.items()}
    try:
        client().update_item(**request)
    except client().exceptions.ConditionalCheckFailedException:
        return False
    except ClientError as error:  # a place in an item that was removed has no path
        if error.response["Error"]["Code"] != "ValidationException" or not batch_id:
            raise
        return False
    return True


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    return {"N": json.dumps(value)} if isinstance(value, int) else {"M": {}}
