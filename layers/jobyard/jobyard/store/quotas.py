"""Stores what each person uses of their quotas: one item, whose conditions hold the limits.

Each addition names its batch, so a repeat adds nothing. The item is removed when it was not used
for `_TTL`.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from jobyard.domain.quota import Quotas, QuotaUse, SlotKind, day_of
from jobyard.store import transactions
from jobyard.store.tables import KeyValueItem, client

_TTL = timedelta(days=60)
_NO_LIMIT = 10**18
# The attributes with the slots, by id.
_MAPS = {SlotKind.BATCH: "slots", SlotKind.CAMPAIGN: "campaigns", SlotKind.EDIT: "edits"}


def get(owner: str) -> QuotaUse:
    """What the owner of a quota uses, as of the day of the last addition."""
    found = client().get_item(**_key(owner), ConsistentRead=True).get("Item")
    if found is None:
        return QuotaUse()
    return QuotaUse(
        _notes(found["slots"]),
        found["day"]["S"],
        int(found["bytes"]["N"]),
        int(found["mails"]["N"]),
        *(_notes(found.get(name)) for name in ("campaigns", "edits")),
    )


def _notes(slots: Any) -> dict[str, str]:
    return {each: note["S"] for each, note in slots["M"].items()} if slots else {}


def begin_day(owner: str, now: datetime) -> None:
    """Count from zero, if the stored numbers are of an earlier day, or if there are none."""
    _update(
        owner,
        "SET #day = :day, #bytes = :zero, #mails = :zero, #expires = :expires, "
        + ", ".join(f"#{each} = if_not_exists(#{each}, :none)" for each in _MAPS.values()),
        "attribute_not_exists(#day) OR #day < :day",
        {":day": day_of(now), ":zero": 0, ":none": {}, ":expires": _expiry(now)},
    )


def take_slot(
    owner: str, batch_id: str, mails: int, size: int | None, quotas: Quotas, now: datetime
) -> bool:
    """Add an open batch, with its mails and its bytes, to those of today. None are bytes that are
    not known yet. Returns False if a limit, another day or an earlier call prevents it.
    """
    at = str(int(now.timestamp()))
    return _update(
        owner,
        "SET #slots.#batch = :note, #expires = :expires ADD #mails :mails, #bytes :size",
        "#day = :day AND attribute_not_exists(#slots.#batch) AND size(#slots) < :most "
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
    condition = "#slots.#batch = :before"
    if limit is not None:
        condition += " AND #day = :day AND #bytes <= :rest"
        values |= {":day": day_of(now), ":rest": limit - size + known}
    update = "SET #slots.#batch = :after ADD #bytes :size"
    return _update(owner, update, condition, values, batch_id)


def add_mails(owner: str, mails: int, quotas: Quotas, now: datetime) -> bool:
    """Add mails to those of today. Returns False if there would be too many."""
    values = {":day": day_of(now), ":mails": mails, ":rest": quotas.daily_mails - mails}
    return _update(owner, "ADD #mails :mails", "#day = :day AND #mails <= :rest", values)


def take_open_slot(owner: str, kind: SlotKind, thing_id: str, most: int, now: datetime) -> bool:
    """Add an open campaign or edit job. Returns False if the limit, another day or an earlier call
    prevents it.
    """
    slots = f"#{_MAPS[kind]}"
    return _update(
        owner,
        f"SET {slots}.#batch = :note, #expires = :expires",
        f"#day = :day AND attribute_not_exists({slots}.#batch) AND size({slots}) < :most",
        {
            ":day": day_of(now),
            ":note": str(int(now.timestamp())),
            ":most": most,
            ":expires": _expiry(now),
        },
        thing_id,
    )


def free_slots(owner: str, kind: SlotKind, ids: Iterable[str]) -> None:
    """Remove what has ended."""
    slot = f"#{_MAPS[kind]}.#batch"
    for each in ids:
        _update(owner, f"REMOVE {slot}", f"attribute_exists({slot})", {}, each)


def noted_at(note: str) -> float:
    """When a batch was added, in seconds since 1970."""
    return float(note.partition(" ")[0])


def noted_bytes(note: str) -> int | None:
    """The bytes that were added for a batch; None before its manifest was read."""
    size = note.partition(" ")[2]
    return int(size) if size else None


def _expiry(now: datetime) -> int:
    return int((now + _TTL).timestamp())


def _key(owner: str) -> dict[str, Any]:
    return transactions.key_of(KeyValueItem(id=f"quota#{owner}"))


def _update(
    owner: str, update: str, condition: str, values: Mapping[str, Any], batch_id: str = ""
) -> bool:
    """Update the item if the condition holds. Returns whether it did."""
    text = f"{update} {condition}"
    fields = ("day", "bytes", "mails", "expires", *_MAPS.values())
    names = {f"#{name}": name for name in fields}
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
    except ClientError as error:  # a slot in an item that was removed has no path
        if error.response["Error"]["Code"] != "ValidationException" or not batch_id:
            raise
        return False
    return True


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    return {"N": json.dumps(value)} if isinstance(value, int) else {"M": {}}
