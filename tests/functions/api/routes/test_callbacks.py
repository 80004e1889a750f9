"""Functions answer the calls of jobs, with a token of the call and no other one."""

from datetime import timedelta

import pytest

from jobyard.services.jobs.callbacks import CallbackTokens
from jobyard.store import callbacks
from tests.functions.api.api_client import NOW, Api

KEY = "baaaaaaaaaaaaaaaaaaaa.0.0"


def token(key: str = KEY) -> str:
    """A token for a call, valid for an hour."""
    return CallbackTokens(lambda: "secret").issue(key, NOW + timedelta(hours=1))


@pytest.mark.parametrize("role", ["nobody", "viewer"])
def test_a_token_answers_once_without_any_role(api: Api, role: str) -> None:
    key = f"{KEY}.{role}"
    body = {"token": token(key), "status": "succeeded", "result": {"words": 4}}

    answers = [api.post("/callbacks", body, role=role) for _ in range(2)]
    other = api.post("/callbacks", {**body, "result": {}}, role=role)

    assert [(each.status, each.json) for each in answers] == [(200, {"status": "succeeded"})] * 2
    assert (other.status, other.kind) == (409, "stale-state")
    found = callbacks.get(key).answer
    assert found is not None
    assert found.result == {"words": 4}


def test_a_wrong_or_expired_token_answers_nothing(api: Api) -> None:
    valid = token(f"{KEY}.late")

    for wrong in ("x", f"other.{KEY}.late", valid + "0"):
        answer = api.post("/callbacks", {"token": wrong, "status": "failed"}, role="nobody")
        assert (answer.status, answer.kind) == (404, "not-found")
    api.now += timedelta(hours=1)
    answer = api.post("/callbacks", {"token": valid, "status": "failed"}, role="nobody")
    assert (answer.status, answer.kind) == (410, "gone")
    assert callbacks.get(f"{KEY}.late").answer is None


def test_a_large_result_and_an_unknown_field_are_refused(api: Api) -> None:
    body = {"token": token(f"{KEY}.large"), "status": "succeeded"}

    large = api.post("/callbacks", {**body, "result": {"a": "x" * 1024}}, role="nobody")
    unknown = api.post("/callbacks", {**body, "more": 1}, role="nobody")

    assert (large.status, large.kind) == (400, "bad-request")
    assert (unknown.status, unknown.kind) == (422, "validation-failed")
