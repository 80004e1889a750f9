"""Logs every call of a deployed function to AWS, one line each.

It imports only what a function has. `benchmarks.project` adds it to the functions that it deploys.
"""

import json
import time
from pathlib import Path
from typing import Any

import botocore.handlers


def record(call_log: str) -> None:
    """From now on, append each call of this process to the file `call_log` after its response.

    Each line is a JSON object: `at` (seconds since 1970), `call` (service and operation), `items`
    (how many DynamoDB returned) and `units` (its consumed capacity).
    """

    def record_call(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        call = f"{model.service_model.service_name}:{model.name}"
        line = {"at": time.time(), "call": call, "items": items_of(parsed), "units": _units(parsed)}
        with Path(call_log).open("a") as lines:
            lines.write(json.dumps(line) + "\n")

    botocore.handlers.BUILTIN_HANDLERS.append(("after-call", record_call))


def items_of(parsed: dict[str, Any]) -> int:
    """How many items a response of DynamoDB has."""
    if "Item" in parsed:
        return 1
    if "Items" in parsed:
        return len(parsed["Items"])
    found = parsed.get("Responses", {})
    return sum(map(len, found.values())) if isinstance(found, dict) else 0


def _units(parsed: dict[str, Any]) -> float:
    reported = parsed.get("ConsumedCapacity", [])
    of_tables = reported if isinstance(reported, list) else [reported]
    return sum(float(each.get("CapacityUnits", 0.0)) for each in of_tables)
