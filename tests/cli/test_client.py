"""Requests of the CLI: retries, idempotency keys, tokens, pages."""

import httpx
import pytest

from cli.client import MAX_TRIES, ApiClient, ApiError, ApiUnreachable
from tests.cli.fake_api import URL, FakeApi, pages, problem


class RenewableToken:
    """A token that can be renewed once."""

    def __init__(self) -> None:
        self.tokens = ["old", "new"]

    def token(self) -> str:
        return self.tokens[0]

    def renew(self) -> str:
        self.tokens.pop(0)
        return self.tokens[0]


@pytest.fixture
def client(api: FakeApi) -> ApiClient:
    return ApiClient(
        URL, RenewableToken(), transport=httpx.MockTransport(api), pause=api.paused.append
    )


def test_a_change_is_retried_with_the_same_key(api: FakeApi, client: ApiClient) -> None:
    api.answers(
        "POST /batches",
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        problem(502, "bad gateway"),
        {"batch_id": "b1"},
    )

    made = client.post("/batches", {"collection": "maps"})

    keys = {request.headers["Idempotency-Key"] for request in api.requests}
    assert made == {"batch_id": "b1"}
    assert len(api.requests) == 4
    assert len(keys) == 1
    assert api.paused == sorted(api.paused)


def test_each_change_has_a_key_of_its_own(api: FakeApi, client: ApiClient) -> None:
    api.answers("POST /batches", {})

    client.post("/batches", {})
    client.post("/batches", {})

    assert len({request.headers["Idempotency-Key"] for request in api.requests}) == 2


def test_a_retry_waits_while_the_first_try_is_in_progress(api: FakeApi, client: ApiClient) -> None:
    in_progress = problem(409, "it is being carried out", **{"Retry-After": "2"})
    api.answers("POST /batches", in_progress, {"batch_id": "b1"})

    assert client.post("/batches", {}) == {"batch_id": "b1"}
    assert api.paused == [2.0]


@pytest.mark.parametrize("status", [409, 429])
def test_an_api_error_is_not_retried(status: int, api: FakeApi, client: ApiClient) -> None:
    """Not even one of a quota; the gateway's own 429 is no problem document, and is."""
    api.answers("POST /batches/b1/cancel", problem(status, "batch is completed: cannot cancel"))

    with pytest.raises(ApiError, match="batch is completed: cannot cancel") as refusal:
        client.post("/batches/b1/cancel", {"reason": "why"})

    assert refusal.value.status == status
    assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.Response(404, json={"message": "Not Found"}), "Not Found"),
        (httpx.Response(400, text="<html>"), "HTTP 400: Bad Request"),
        (httpx.Response(400, json=[1]), "HTTP 400: Bad Request"),
    ],
)
def test_an_error_without_a_problem_document_still_has_a_message(
    answer: httpx.Response, words: str, api: FakeApi, client: ApiClient
) -> None:
    api.answers("GET /batches", answer)

    with pytest.raises(ApiError, match=words):
        client.get("/batches")


def test_an_api_that_never_answers_is_unreachable(api: FakeApi, client: ApiClient) -> None:
    api.answers("GET /batches", httpx.ConnectError("refused"))

    with pytest.raises(ApiUnreachable, match=r"api\.example\.org does not answer"):
        client.get("/batches")

    assert len(api.requests) == MAX_TRIES


def test_an_expired_token_is_renewed_and_the_change_keeps_its_key(
    api: FakeApi, client: ApiClient
) -> None:
    api.answers("POST /batches", problem(401, "Unauthorized"), {"batch_id": "b1"})

    client.post("/batches", {})

    first, second = api.requests
    assert first.headers["Authorization"] == "Bearer old"
    assert second.headers["Authorization"] == "Bearer new"
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


def test_pages_are_joined(api: FakeApi, client: ApiClient) -> None:
    api.answers("GET /batches", *pages([{"n": 1}, {"n": 2}], [{"n": 3}]))

    found = client.list_items("/batches", state="failed", collection="")

    assert found == {"items": [{"n": 1}, {"n": 2}, {"n": 3}], "next_cursor": None}
    assert api.calls() == [
        "GET /batches?state=failed&limit=100",
        "GET /batches?state=failed&cursor=c1&limit=100",
    ]


def test_a_limit_fetches_no_page_too_many_and_says_where_the_rest_begins(
    api: FakeApi, client: ApiClient
) -> None:
    api.answers("GET /batches", *pages([{"n": 1}, {"n": 2}], [{"n": 3}], [{"n": 4}]))

    found = client.list_items("/batches", 3)

    assert [each["n"] for each in found["items"]] == [1, 2, 3]
    assert found["next_cursor"] == "c2"
    assert [request.url.params["limit"] for request in api.requests] == ["3", "1"]


def test_a_document_that_has_not_changed_is_not_sent_again(api: FakeApi, client: ApiClient) -> None:
    fresh = httpx.Response(200, json={"state": "pending"}, headers={"ETag": '"1"'})
    api.answers("GET /batches/b1", fresh, httpx.Response(304))

    first = client.get_if_changed("/batches/b1")
    second = client.get_if_changed("/batches/b1", first.etag)

    assert first.document == {"state": "pending"}
    assert second.document is None
    assert second.etag == '"1"'
    assert api.requests[1].headers["If-None-Match"] == '"1"'
