"""The cost of a million jobs of one second each: Jobyard, and a Map with a Lambda per item.

One batch of 1,000 jobs runs on the local stack with the default chunk size. Afterwards its usage,
the jobs' records, the execution's history and the log are read and priced as by AWS. The peer runs
in the same emulator: a Standard Distributed Map whose child invokes a Lambda. The Lambda writes an
item as pending and as running, works for a second and writes it as succeeded: three writes per
item, the simplest design.

Times are the emulator's: its Lambdas wait for its own DynamoDB, not for that of AWS.
"""

import io
import json
import math
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.output import main, say
from benchmarks.stacks import LocalStack, local_stack, manifest, reported_at, send
from jobyard.domain.cost import PRICES, Usage, price_usage, total

JOBS = 1000
CHUNK = 100
MILLION = 1_000_000
MEMORY_MB = 512

# Prices that Jobyard's own table lacks, because this usage cannot be attributed to a batch.
LOG_GB = 0.50  # CloudWatch Logs, a GB ingested; source: CloudWatch pricing, 4 October 2026
LOG_EVENT = 26  # bytes CloudWatch adds to each line
TRACE = 5.0 / 1e6  # X-Ray, a trace recorded; source: X-Ray pricing, the same day
TABLE_GB_MONTH = 0.25 + 0.20  # DynamoDB storage and point-in-time recovery; the same day's pages
_GB = 1024**3
_PRICE = {price.kind: price.dollars / price.per for price in PRICES}


Item = Mapping[str, Mapping[str, str]]


class WrongMeter(Exception):
    """The usage that Jobyard recorded differs from what happened."""


@dataclass(frozen=True)
class Line:
    """A line of the table: what was used, how much for a million jobs, and its price."""

    what: str
    quantity: float
    dollars: float


def measure() -> dict[str, Any]:
    """The cost of a million jobs, compared with a Lambda per item."""
    with local_stack() as local:
        ours, per_job = _ours(local)
        plain = _plain(local)
    say(f"{MILLION:,} jobs of one second, batches of {JOBS:,}, chunks of 100:")
    dollars = _show(ours)
    say("the same as a Standard Distributed Map, a Lambda and three writes per item:")
    plain_dollars = _show(plain)
    return per_job | {
        "dollars_per_million": round(dollars, 2),
        "plain_dollars_per_million": round(plain_dollars, 2),
        "ratio": round(plain_dollars / dollars, 1),
    }


def _show(lines: list[Line]) -> float:
    total = sum(line.dollars for line in lines)
    for line in lines:
        share = 100 * line.dollars / total
        say(f"  {line.what:<58} {line.quantity:>14,.0f} {line.dollars:>9.3f} {share:>4.0f} %")
    say(f"  {'total':<58} {'':>14} {total:>9.3f}")
    return total


# Ours


@dataclass(frozen=True)
class Batch:
    """A finished batch of jobs of a second: the usage of each part, its records by table, how many
    states its execution entered, and how many bytes its functions logged."""

    parts: dict[str, Usage]
    items: dict[str, list[Item]]
    entered: int
    log_bytes: int

    @property
    def whole(self) -> Usage:
        """The usage of all parts."""
        return total(self.parts.values())

    @property
    def chunks(self) -> Usage:
        """The usage of the workers."""
        return total(each for name, each in self.parts.items() if name.startswith("chunk"))

    @property
    def rest(self) -> Usage:
        """The usage of Open, Settle and Report."""
        return total(each for name, each in self.parts.items() if not name.startswith("chunk"))


def _ours(local: LocalStack) -> tuple[list[Line], dict[str, float]]:
    cold, warm = (_used_by(local, f"noop-{number}.checkm", "noop") for number in (1, 2))
    found = _batch(local)
    whole, chunks, rest = found.whole, found.chunks, found.rest
    children = 2 * chunks.invocations  # a child's start, and its task
    if found.entered + children != whole.transitions:
        raise WrongMeter(
            f"{whole.transitions} transitions were recorded, but the execution entered "
            f"{found.entered} states and its children {children}"
        )
    sizes = [stored_bytes(record) for record in found.items["JobsTable"]]
    job_writes = sum(
        int(record["v"]["N"]) * math.ceil(stored_bytes(record) / 1024)
        for record in found.items["JobsTable"]
    )
    chunk_writes = sum(int(record["version"]["N"]) for record in found.items["ChunksTable"])
    refused = chunks.write_units - job_writes - chunk_writes - chunks.invocations
    stored = sum(stored_bytes(item) for items in found.items.values() for item in items)
    # The emulator reports one unit per read. So the report's reads of jobs are added by their size.
    read_units = whole.read_units + sum(sizes) / 4096
    start_up = max(0.0, total(cold.values()).mb_ms - total(warm.values()).mb_ms)
    times = MILLION / JOBS
    lines = [
        _line("job writes", "write_units", job_writes * times),
        _line("refused statements and conditions", "write_units", refused * times),
        _line("chunk counts", "write_units", chunk_writes * times),
        _line("writes of usage", "write_units", whole.invocations * times),
        _line(
            "batch, report and outbox records, their indexes",
            "write_units",
            (rest.write_units - rest.invocations) * times,
        ),
        _line("reads", "read_units", read_units * times),
        _line("transitions: children's starts and tasks", "transitions", children * times),
        _line("transitions: parents", "transitions", found.entered * times),
        _line("Lambda execute, MB·ms", "mb_ms", chunks.mb_ms * times),
        _line("Lambda open, settle, report, MB·ms", "mb_ms", rest.mb_ms * times),
        _line("Lambda init, if each batch had new workers, MB·ms", "mb_ms", start_up * times),
        _line("Lambda requests", "invocations", whole.invocations * times),
        _line(
            "S3 PUT (manifest, rows, index, reports)", "s3_writes", (whole.s3_writes + 1) * times
        ),
        _line("S3 GET", "s3_reads", whole.s3_reads * times),
        Line("logs, bytes", found.log_bytes * times, found.log_bytes * times / _GB * LOG_GB),
        _line("mails", "mails", whole.mails * times),
        _line("EventBridge, S3's events", "events", whole.events * times),
        Line("X-Ray traces, at most one a batch", times, times * TRACE),
        _line("S3 storage, a month, bytes", "bytes_stored", whole.bytes_stored * times),
        Line(
            "table storage + PITR, a month, bytes",
            stored * times,
            stored * times / _GB * TABLE_GB_MONTH,
        ),
    ]
    say(f"recorded usage of the batch: {price_usage(whole).description()}")
    say(f"a job's record has {min(sizes)} to {max(sizes)} bytes")
    return lines, {
        "write_units_per_job": round(whole.write_units / JOBS, 4),
        "transitions_per_job": round(whole.transitions / JOBS, 4),
        "invocations_per_job": round(whole.invocations / JOBS, 4),
        "refused_statements_per_job": round(refused / JOBS, 4),
        "record_bytes": max(sizes),
    }


def _used_by(local: LocalStack, name: str, job_type: str) -> dict[str, Usage]:
    """Run a batch and return the usage of each part."""
    sent = send(local, manifest(JOBS), name, job_type=job_type)
    reported_at(local, sent, JOBS)
    return _usage(local, sent.batch_id)


def _batch(local: LocalStack) -> Batch:
    sent = send(local, manifest(JOBS), "seconds.checkm", job_type="second")
    reported_at(local, sent, JOBS)
    places = [f"{sent.batch_id}#{number}" for number in range(-(-JOBS // CHUNK))]
    keys = {"JobsTable": ("chunk_id", places)} | {
        f"{noun}Table": ("batch_id", [sent.batch_id]) for noun in ("Batches", "Chunks", "Reports")
    }
    keys["UsageTable"] = ("origin_id", [sent.batch_id])
    return Batch(
        parts=_usage(local, sent.batch_id),
        items={table: [*_items(local, table, *key)] for table, key in keys.items()},
        entered=_entered(local, sent.batch_id),
        log_bytes=_logged(local, sent.at),
    )


def _line(what: str, kind: str, quantity: float) -> Line:
    return Line(what, quantity, quantity * _PRICE[kind])


def _usage(local: LocalStack, batch_id: str) -> dict[str, Usage]:
    """The recorded usage of each part, once the last part is recorded."""
    while True:
        parts = {
            item.pop("part")["S"]: Usage(
                **{name: float(value["N"]) for name, value in item.items() if name != "origin_id"}
            )
            for item in _items(local, "UsageTable", "origin_id", [batch_id])
        }
        if "report" in parts:
            return parts
        time.sleep(0.1)


def _items(
    local: LocalStack, table: str, key: str, values: list[str]
) -> Iterator[dict[str, Mapping[str, str]]]:
    dynamodb = local.client("dynamodb")
    for value in values:
        pages = dynamodb.get_paginator("query").paginate(
            TableName=local.tables[table],
            KeyConditionExpression="#k = :v",
            ExpressionAttributeNames={"#k": key},
            ExpressionAttributeValues={":v": {"S": value}},
        )
        for page in pages:
            yield from page["Items"]


def stored_bytes(item: Item) -> int:
    """Bytes of an item of strings and numbers; source: DynamoDB developer guide, Item sizes."""
    size = 0
    for name, value in item.items():
        ((kind, text),) = value.items()
        number = math.ceil(len(text.strip("-").replace(".", "")) / 2) + 1
        size += len(name.encode()) + (number if kind == "N" else len(text.encode()))
    return size


def _entered(local: LocalStack, batch_id: str) -> int:
    """How many states the batch's execution entered, by its history."""
    machines = local.client("stepfunctions")
    listed = machines.list_executions(stateMachineArn=local.stack.batch_machine)["executions"]
    for execution in listed:
        events = machines.get_execution_history(
            executionArn=execution["executionArn"], maxResults=1000
        )["events"]
        if batch_id in json.dumps(events, default=str):
            return sum(event["type"].endswith("StateEntered") for event in events)
    return 0


def _logged(local: LocalStack, since: float) -> int:
    """Bytes that functions logged since a time: their own lines and those of Lambda."""
    logs = local.client("logs")
    found = 0
    for group in logs.describe_log_groups()["logGroups"]:
        if "Tick" in group["logGroupName"]:
            continue  # the ticks belong to no batch
        for page in logs.get_paginator("filter_log_events").paginate(
            logGroupName=group["logGroupName"], startTime=int(since * 1000)
        ):
            found += sum(len(each["message"].encode()) + LOG_EVENT for each in page["events"])
    return found


# The peer

_ITEM = """
import os, time
import boto3

TABLE = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def put(key, state):
    answer = TABLE.update_item(
        Key={"id": key},
        UpdateExpression="SET #s = :s",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={":s": state},
        ReturnConsumedCapacity="TOTAL",
    )
    return float(answer["ConsumedCapacity"]["CapacityUnits"])


def handler(event, context):
    began = time.perf_counter()
    units = sum(put(event["id"], state) for state in ("pending", "running"))
    time.sleep(1)
    units += put(event["id"], "succeeded")
    ms = round((time.perf_counter() - began) * 1000)
    TABLE.update_item(
        Key={"id": "bill"},
        UpdateExpression="ADD units :u, ms :m, invocations :i",
        ExpressionAttributeValues={":u": int(units), ":m": ms, ":i": 1},
    )
    print("done", event["id"])
    return {}
"""
_ROLE = "arn:aws:iam::000000000000:role/plain"
_PLAIN = {
    "StartAt": "Items",
    "States": {
        "Items": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "MaxConcurrency": 25,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "Item",
                "States": {"Item": {"Type": "Task", "Resource": "", "End": True}},
            },
            "ResultPath": None,
            "End": True,
        }
    },
}
PLAIN_ITEMS = 200  # its cost per item does not depend on how many there are


def _plain(local: LocalStack) -> list[Line]:
    dynamodb, functions = local.client("dynamodb"), local.client("lambda")
    dynamodb.create_table(
        TableName="plain",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("item.py", _ITEM)
    layers = functions.list_layers()["Layers"]
    (vendor,) = [each for each in layers if "vendor" in each["LayerName"].lower()]
    made = functions.create_function(
        FunctionName="plain",
        Runtime="python3.13",
        Handler="item.handler",
        Role=_ROLE,
        Code={"ZipFile": packed.getvalue()},
        Environment={"Variables": {"TABLE": "plain"}},
        Layers=[vendor["LatestMatchingVersion"]["LayerVersionArn"]],
        MemorySize=MEMORY_MB,
        Timeout=60,
    )
    definition = json.loads(json.dumps(_PLAIN))
    processor = definition["States"]["Items"]["ItemProcessor"]
    processor["States"]["Item"]["Resource"] = made["FunctionArn"]
    machines = local.client("stepfunctions")
    machine = machines.create_state_machine(
        name="plain", definition=json.dumps(definition), roleArn=_ROLE
    )["stateMachineArn"]
    started = machines.start_execution(
        stateMachineArn=machine,
        input=json.dumps({"items": [{"id": f"item-{n}"} for n in range(PLAIN_ITEMS)]}),
    )
    while machines.describe_execution(executionArn=started["executionArn"])["status"] == "RUNNING":
        time.sleep(0.2)
    item = dynamodb.get_item(TableName="plain", Key={"id": {"S": "bill"}})["Item"]
    units, ms, ran = (float(item[name]["N"]) for name in ("units", "ms", "invocations"))
    if ran != PLAIN_ITEMS:
        raise RuntimeError(f"the peer ran {ran} of {PLAIN_ITEMS} items")
    times = MILLION / PLAIN_ITEMS
    return [
        _line("item writes", "write_units", units * times),
        _line("transitions: children's starts and tasks", "transitions", 2 * ran * times),
        _line("Lambda, MB·ms", "mb_ms", ms * MEMORY_MB * times),
        _line("Lambda requests", "invocations", ran * times),
    ]


if __name__ == "__main__":
    main("cost", measure)
