"""The handler for failed executions: it starts the next one at once."""

import json
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from jobyard.services.executions import job_execution
from jobyard.store import occurrences
from tests.functions.invocations import Context, execution
from tests.functions.records import a_due_schedule, an_orphaned_batch

pytestmark = pytest.mark.emulator


def test_an_execution_that_failed_is_followed_at_once_and_only_once(
    functions: dict[str, ModuleType], store_endpoint: str
) -> None:
    schedule = a_due_schedule("failing", timedelta(minutes=2))
    functions["schedule.scheduler_tick"].handler({}, Context())
    (occurrence,) = occurrences.newest(schedule.schedule_id, limit=9)
    name = job_execution(occurrence.address, "main")
    failed = execution(store_endpoint, functions, name)
    detail = {key: failed[key] for key in ("executionArn", "status", "input")}

    first = functions["schedule.execution_failure"].handler({"detail": detail}, Context())
    second = execution(store_endpoint, functions, f"{name}-1")
    again = functions["schedule.execution_failure"].handler({"detail": detail}, Context())

    assert (first, again) == ({"recovered": 1}, {"recovered": 0})  # the next one is not due yet
    assert json.loads(second["input"]) == json.loads(detail["input"]) | {"pass": 1_000_001}


def test_a_batch_whose_execution_failed_is_recovered_at_once_and_only_once(
    functions: dict[str, ModuleType],
) -> None:
    a_due_schedule("later", timedelta(days=-1))
    an_orphaned_batch("b-failed")
    detail = {"executionArn": "one", "status": "FAILED", "input": '{"origin_id": "b-failed"}'}

    first = functions["schedule.execution_failure"].handler({"detail": detail}, Context())
    again = functions["schedule.execution_failure"].handler({"detail": detail}, Context())

    assert (first, again) == ({"recovered": 1}, {"recovered": 0})


@pytest.mark.parametrize("document", [None, {"detail": {}}, {"origin_id": "b-none"}], ids=str)
def test_an_execution_that_failed_without_a_batch_or_schedule_is_only_logged(
    functions: dict[str, ModuleType], document: dict[str, Any] | None
) -> None:
    detail = {"executionArn": "one", "status": "FAILED"}
    detail |= {"input": json.dumps(document)} if document else {}

    assert functions["schedule.execution_failure"].handler({"detail": detail}, Context()) == {
        "recovered": 0
    }
