"""Items of several tables are read in one call, in order, whatever DynamoDB leaves out."""

from dataclasses import dataclass
from typing import Any

import pytest

from jobyard.store import reads
from jobyard.store.tables import CheckpointItem, ChunkItem
from tests.call_interceptor import Answer, Call, CallInterceptor, Listener

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("store_endpoint")]


@dataclass
class LeavesOut(Listener):
    """The first `times` calls leave out one key of each table."""

    times: int
    call_count: int = 0

    def prepare(self, call: Call) -> None:
        self.call_count += 1
        requested = call.parameters["RequestItems"]
        if self.call_count <= self.times:
            call.notes["left"] = {
                table: {**each, "Keys": [each["Keys"].pop()]} for table, each in requested.items()
            }
            for table in [table for table, each in requested.items() if not each["Keys"]]:
                del requested[table]

    def before(self, call: Call) -> Answer | None:
        if call.parameters["RequestItems"]:
            return None
        return Answer.success({"Responses": {}, "UnprocessedKeys": {}})

    def after(self, call: Call, status: int, parsed: dict[str, Any]) -> None:
        parsed["UnprocessedKeys"] = call.notes.get("left", {})


@pytest.fixture
def keys(request: pytest.FixtureRequest) -> list[Any]:
    """Keys of two tables; nothing is stored under the third."""
    name = str(request.node.name)
    CheckpointItem(job_id=name, version=3, expires=0, body={}).save()
    for number in (1, 12):
        ChunkItem(batch_id=name, chunk=number, version=number, body={}).save()
    return [ChunkItem(name, 12), CheckpointItem(name), ChunkItem(name, 2), ChunkItem(name, 1)]


def versions(keys: list[Any], pauses: list[float] | None = None) -> list[int | None]:
    found = reads.get_many(keys, [].append if pauses is None else pauses.append)
    return [item and int(item.version) for item in found]


def test_items_of_two_tables_are_read_in_order(keys: list[Any]) -> None:
    assert versions(keys) == [12, 3, None, 1]


def test_keys_that_were_left_out_are_read_again(
    keys: list[Any], interceptor: CallInterceptor
) -> None:
    pauses: list[float] = []
    listener = LeavesOut(times=2)

    with interceptor.listening(listener):
        assert versions(keys, pauses) == [12, 3, None, 1]

    assert listener.call_count == len(pauses) + 1 == 3


def test_a_read_whose_keys_are_always_left_out_fails(
    keys: list[Any], interceptor: CallInterceptor
) -> None:
    with interceptor.listening(LeavesOut(times=99)), pytest.raises(RuntimeError, match="left keys"):
        versions(keys)
