"""The usage of an invocation: counted at the calls of AWS clients, and at the end added to its
batch, schedule, campaign, edit job or dataset, and to the totals of the deployment.

Usage that belongs to none of them is not recorded: of the scheduler tick, the API, logs.
"""

import math
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jobyard.domain.cost import Usage
from jobyard.domain.rates import JobTotals
from jobyard.store import rates, tables, usage

USAGE_SHARDS = 8  # items that a batch's chunks add to, so that its workers do not all write one
_READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})
_LISTS = frozenset({"ListObjectsV2", "ListObjectVersions"})
_RECIPIENTS = "recipients"
_FREE = frozenset({"DeleteObject", "DeleteObjects", "AbortMultipartUpload"})
_REFUSED_TRANSACTION = 2  # write units for each item of a cancelled transaction
_REFUSED = frozenset({"ConditionalCheckFailed", "DuplicateItem"})  # charged although refused


@dataclass
class Invocation:
    """What a handler adds to the usage of its invocation.

    `part` names the function in the usage. `origin_id` is the batch, schedule, campaign, edit job
    or dataset; if it is "", nothing is recorded. `transitions` are of the state machine, `events`
    of EventBridge.
    """

    part: str
    memory_mb: int
    origin_id: str = ""
    transitions: int = 0
    events: int = 0
    jobs: Callable[[], JobTotals] = JobTotals  # returns those that are not in the totals yet
    metering_error: str = ""  # why the usage could not be recorded; "" if it was


class Meter:
    """Counts the usage of its clients, in all threads of one invocation at a time.

    `clock` and `cpu` return seconds: of wall time from any start, and of the process's CPU.
    """

    def __init__(
        self,
        clients: Iterable[Any],
        clock: Callable[[], float] = time.perf_counter,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._clock, self._cpu = clock, cpu
        self._is_first = True
        self._began = self._startup_s = 0.0
        for client in (tables.client(), *clients):
            events = client.meta.events
            events.register("after-call.dynamodb.*", self._dynamodb)
            events.register("before-send.s3.*", self._s3)
            events.register("before-parameter-build.sesv2.SendEmail", _note_recipients)
            events.register("after-call.sesv2.SendEmail", self._mail)

    @contextmanager
    def invocation(self, part: str, memory_mb: int) -> Iterator[Invocation]:
        """Count the usage inside the block, and record it for the block's origin and in the totals.

        The first invocation of a process also counts the CPU time of its imports and connections.
        """
        self._startup_s = self._cpu() if self._is_first else 0.0
        self._is_first = False
        with self._lock:
            self._counts.clear()
        self._began = self._clock()
        invocation = Invocation(part, memory_mb)
        try:
            yield invocation
        finally:
            if invocation.origin_id:
                used = self.used(invocation)
                shard = zlib.crc32(f"{invocation.origin_id} {part}".encode())
                invocation.metering_error = usage.add(
                    invocation.origin_id, part, used
                ) or rates.add(shard, invocation.jobs(), used)

    def used(self, invocation: Invocation) -> Usage:
        """The usage of the invocation so far, with the two writes that record it."""
        ms = math.ceil((self._clock() - self._began + self._startup_s) * 1000)
        with self._lock:
            counts = dict(self._counts)
        return Usage(
            write_units=counts.get("write_units", 0) + 2,
            read_units=counts.get("read_units", 0),
            transitions=invocation.transitions,
            invocations=1,
            ms=ms,
            mb_ms=ms * invocation.memory_mb,
            s3_writes=counts.get("s3_writes", 0),
            s3_reads=counts.get("s3_reads", 0),
            bytes_stored=counts.get("bytes_stored", 0),
            mails=counts.get("mails", 0),
            events=invocation.events,
        )

    def _count(self, **used: float) -> None:
        with self._lock:
            self._counts.update(used)

    def _dynamodb(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        kind = "read_units" if model.name in _READS else "write_units"
        self._count(**{kind: units_of(parsed, writes=kind == "write_units")})

    def _s3(self, request: Any, event_name: str, **_: Any) -> None:
        name = event_name.rpartition(".")[2]
        if name in _FREE:
            return
        if request.method in {"PUT", "POST"} or name in _LISTS:
            headers = request.headers
            size = headers.get("X-Amz-Decoded-Content-Length") or headers.get("Content-Length")
            self._count(s3_writes=1, bytes_stored=int(size or 0))
        else:
            self._count(s3_reads=1)

    def _mail(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if "Error" not in parsed:
            self._count(mails=context[_RECIPIENTS])


def _note_recipients(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    context[_RECIPIENTS] = sum(len(listed) for listed in params["Destination"].values())


def units_of(parsed: dict[str, Any], *, writes: bool) -> float:
    """The capacity units of a response of DynamoDB.

    A refused write is charged but not reported: one unit for each statement or single item, two
    for each item of a transaction. Source: DynamoDB developer guide, Working with items.
    """
    reported = parsed.get("ConsumedCapacity", [])
    of_tables = reported if isinstance(reported, list) else [reported]
    units: float = sum(each.get("CapacityUnits", 0.0) for each in of_tables)
    if units or not writes:
        return units
    if "CancellationReasons" in parsed:
        return _REFUSED_TRANSACTION * len(parsed["CancellationReasons"])
    if "Error" in parsed:
        return 1.0 if parsed["Error"]["Code"] == "ConditionalCheckFailedException" else 0.0
    errors = (each.get("Error", {}) for each in parsed.get("Responses", ()))
    return sum(1.0 for error in errors if error.get("Code") in _REFUSED)
