"""The functions of the edit machine, as Step Functions calls them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from types import ModuleType
from typing import Any

import pytest

from jobyard.domain.datasets.load import DatasetFile, LoadRequest
from jobyard.domain.edits.work import ChangeSet, SentFile, UploadOutcome
from jobyard.store import datasets, edits, usage
from tests.functions.invocations import BUCKETS, Context
from tests.services.edits.edit_records import a_stored_job

pytestmark = pytest.mark.emulator
Handlers = dict[str, ModuleType]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SQUARE = [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]
FEATURE = {
    "type": "Feature",
    "id": "1",
    "geometry": {"type": "Polygon", "coordinates": SQUARE},
    "properties": {"name": "one"},
}


def collection(*features: dict[str, Any]) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def step(task: str, job_id: str, number: str = "1", **fields: Any) -> dict[str, Any]:
    """The document that the machine carries."""
    return {"task": task, "job_id": job_id, "number": number, **fields}


def test_a_load_makes_a_dataset_of_an_uploaded_file(functions: Handlers) -> None:
    body = collection(FEATURE)
    loading = functions["edit.load"]
    stored = loading.S3.put_object(Bucket=BUCKETS[0], Key="datasets/f", Body=body)
    file = DatasetFile("datasets/f", stored["VersionId"], len(body))
    request = LoadRequest("l" * 21, "fn-roads", "Roads", file, "admin", "s", NOW)

    done = loading.handler(request.document(), Context())

    assert done["state"] == "loaded", done
    assert datasets.get("fn-roads").features == 1
    assert usage.of_origin("dataset fn-roads").invocations == 1


def test_an_uploaded_file_is_read_and_refused_by_its_content(functions: Handlers) -> None:
    prepare, body = functions["edit.prepare"], b"not JSON"
    functions["edit.load"].S3.put_object(Bucket=BUCKETS[0], Key="edits/f", Body=body)
    sent = SentFile("edits/f", "p", sha256(body).hexdigest(), "changes", None, 0, 2, NOW)
    job = a_stored_job("downloaded", "anna", dataset="fn-roads", sent=sent)

    following = prepare.handler(step("read", job.edit_id, "1-2"), Context())

    read = edits.get(job.edit_id)
    assert (following["task"], following["job_id"]) == ("end", job.edit_id)
    assert (read.state, read.sent and read.sent.outcome) == ("downloaded", UploadOutcome.REFUSED)
    assert "nothing was changed" in read.problem
    assert usage.of_origin(job.edit_id).invocations == 1


def test_a_check_leads_to_a_commit_that_leads_to_the_end(functions: Handlers) -> None:
    """A job without changes needs no file."""
    job = a_stored_job("uploaded", "anna", dataset="fn-roads", checks=1, workspace=None)

    ready = functions["edit.check"].handler(step("check", job.edit_id, "1-1"), Context())
    published = functions["edit.commit"].handler(ready, Context())

    assert (ready["task"], ready["revision"], published["task"]) == ("commit", 1, "publish")
    assert edits.get(job.edit_id).state == "committed"
    again = functions["edit.check"].handler(step("check", job.edit_id, "1-1"), Context())
    assert again["task"] == "publish"


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        ({"Error": "LostRaces", "Cause": "{}"}, "other commits came first"),
        ({"Error": "Sandbox.Timedout"}, "failed to check: see execution e-check-1"),
        (None, "failed to check: see execution e-check-1"),
    ],
)
def test_a_job_is_taken_back_from_an_execution_that_failed(
    error: Any, problem: str, functions: Handlers
) -> None:
    changes = ChangeSet("edits/none", "d" * 64, 1, "s" * 64)
    job = a_stored_job("uploaded", "anna", dataset="fn-roads", workspace=changes)
    failed = {**step("check", job.edit_id, "1-1"), "error": error}

    following = functions["edit.commit"].handler(
        {"input": failed, "execution": "e-check-1"}, Context()
    )

    given_back = edits.get(job.edit_id)
    assert (following["task"], given_back.state, given_back.workspace) == (
        *("end", "downloaded"),
        None,
    )
    assert problem in given_back.problem


def test_a_task_without_a_field_is_an_error_of_its_caller(functions: Handlers) -> None:
    handlers: list[Callable[[dict[str, Any], Context], Any]] = [
        functions[f"edit.{name}"].handler for name in ("prepare", "check", "commit")
    ]

    for handler in handlers:
        with pytest.raises(KeyError):
            handler({"task": "prepare"}, Context())
