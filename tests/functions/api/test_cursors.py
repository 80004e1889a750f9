"""Cursors: positions in one list, sealed."""

import base64
import json
from collections import Counter
from datetime import timedelta

import pytest

from gateway import runtime
from jobyard.domain.errors import BadRequest
from jobyard.services import cursors
from jobyard.store.tables import KeyValueItem
from tests.functions.api.api_client import NOW, Api
from tests.functions.api.batch_records import a_batch, put_findings


def test_a_cursor_that_was_changed_anywhere_is_refused(api: Api) -> None:
    for _ in range(2):
        a_batch()
    cursor: str = api.get("/batches", query={"limit": 1}).json["next_cursor"]

    for place in range(0, len(cursor) - 1, 7):
        other = "A" if cursor[place] != "A" else "B"
        changed = cursor[:place] + other + cursor[place + 1 :]
        answer = api.get("/batches", query={"limit": 1, "cursor": changed})
        assert (answer.status, answer.kind) == (400, "bad-request")


@pytest.mark.parametrize(
    "cursor",
    ["x", "?", "é", "====", base64.urlsafe_b64encode(json.dumps([0, 0]).encode()).decode()],
)
def test_text_that_is_not_a_cursor_is_refused(api: Api, cursor: str) -> None:
    batch = a_batch(entries=2)

    for path in (
        "/batches",
        f"/batches/{batch.batch_id}/jobs",
        f"/batches/{batch.batch_id}/findings",
    ):
        answer = api.get(path, query={"cursor": cursor})
        assert (answer.status, answer.kind) == (400, "bad-request")
        assert "page before" in answer.json["detail"]


def test_a_cursor_is_of_one_list_only(api: Api) -> None:
    batch, other = a_batch(entries=2), a_batch(entries=2)
    finding = {"level": "error", "code": "C", "line": 1, "column": 0, "message": "m"}
    put_findings(batch, [finding] * 2)
    cursor = api.get(f"/batches/{batch.batch_id}/jobs", query={"limit": 1}).json["next_cursor"]

    for path, query in (
        (f"/batches/{other.batch_id}/jobs", {}),
        (f"/batches/{batch.batch_id}/jobs", {"state": "failed"}),
        (f"/batches/{batch.batch_id}/findings", {}),
        ("/batches", {}),
    ):
        answer = api.get(path, query={**query, "cursor": cursor})
        assert (answer.status, answer.kind) == (400, "bad-request")


def test_a_cursor_that_is_far_too_long_is_refused(api: Api) -> None:
    assert api.get("/batches", query={"cursor": "a" * 1025}).status == 422


def test_nobody_reads_a_position_in_a_cursor() -> None:
    """It may have ids of records that the reader may not see."""
    sealed = cursors.sign(["b" * 21, "x" * 100], "batches", b"one")

    raw = base64.b64decode(sealed + "=" * (-len(sealed) % 4), altchars=b"-_")
    assert b"bbb" not in raw
    assert max(Counter(raw).values()) < 10  # no pattern of the 100 letters is left
    assert cursors.verify(sealed, "batches", b"one") == ["b" * 21, "x" * 100]


def test_keys_are_rotated_without_a_gap() -> None:
    before = cursors.sign(7, "batches", b"old")
    after = cursors.sign(7, "batches", b"new old")

    assert cursors.verify(before, "batches", b"new old") == 7
    assert cursors.verify(after, "batches", b"new") == 7
    with pytest.raises(BadRequest):
        cursors.verify(before, "batches", b"new")


def test_keys_are_read_again_after_ten_minutes(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    before = runtime.cursor_key()
    item = KeyValueItem.get("secret#cursors")
    item.content = f"newer {before.decode()}"
    item.save()

    kept = runtime.cursor_key()
    monkeypatch.setattr(runtime, "now", lambda: NOW + timedelta(minutes=10))

    assert kept == before
    assert runtime.cursor_key() == b"newer " + before
