"""The client in examples/api_client, against the API function itself."""

from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from examples.api_client.client import Client, Problem
from tests.functions.api.api_client import Api
from tests.functions.api.batch_records import a_batch, a_job
from tests.functions.api.gateway import HOST, event_of


class Transport(httpx.BaseTransport):
    """Sends requests to the API function as events. A token is the name of a role.

    `failures` are the next answers, before any request reaches the function. An upload is kept.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self.failures: list[httpx.Response | httpx.TransportError] = []
        self.uploads: list[bytes] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if f"https://{request.url.host}" != HOST:
            assert "authorization" not in request.headers
            self.uploads.append(request.read())
            return httpx.Response(204)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, httpx.TransportError):
                raise failure
            return failure
        answer = self._api.send(event_of(_environ(request)))
        headers = {name: each for name, each in answer.headers.items() if name != "content-length"}
        headers.pop("content-encoding", None)
        return httpx.Response(answer.status, headers=headers, text=answer.text)


def _environ(request: httpx.Request) -> dict[str, Any]:
    body = request.read()
    headers = {f"HTTP_{name.upper().replace('-', '_')}": v for name, v in request.headers.items()}
    url = urlsplit(str(request.url))
    return headers | {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": url.path,
        "QUERY_STRING": url.query,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
    }


@pytest.fixture
def transport(api: Api) -> Transport:
    return Transport(api)


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(transport: Transport, pauses: list[float]) -> Client:
    http = httpx.Client(transport=transport)
    return Client(HOST, lambda: "depositor", http, pause=pauses.append)


def test_a_submission_uploads_the_manifest_with_the_form(
    client: Client, transport: Transport
) -> None:
    batch_id = client.submit(b"fileUrl\n", "may.csv", "maps")

    assert client.get(f"/batches/{batch_id}")["filename"] == "may.csv"
    assert b"fileUrl\n" in transport.uploads[0]


def test_the_same_key_makes_one_batch_and_another_manifest_is_refused(client: Client) -> None:
    first = client.submit(b"x", "may.csv", "maps", key="order-7")

    assert client.submit(b"x", "may.csv", "maps", key="order-7") == first
    with pytest.raises(Problem) as refused:
        client.submit(b"x", "june.csv", "maps", key="order-7")
    assert refused.value.type == "idempotency-key-reused"


def test_a_request_is_sent_again_when_the_api_is_busy_or_out_of_reach(
    client: Client, transport: Transport, pauses: list[float]
) -> None:
    busy = httpx.Response(503, headers={"Retry-After": "7"}, json={})
    transport.failures = [httpx.ConnectError("refused"), busy]

    batch_id = client.submit(b"x", "may.csv", "maps")

    assert [each["batch_id"] for each in client.items("/batches")] == [batch_id]
    assert pauses == [0.5, 7.0]


def test_a_server_that_stays_down_is_given_up_on(client: Client, transport: Transport) -> None:
    transport.failures = [httpx.Response(500, text="oh")] * 5

    with pytest.raises(Problem, match="HTTP 500"):
        client.get("/batches")


def test_an_expired_token_is_replaced(transport: Transport) -> None:
    tokens = iter(["old", "depositor"])
    client = Client(HOST, lambda: next(tokens), httpx.Client(transport=transport))
    transport.failures = [httpx.Response(401, json={"message": "Unauthorized"})]

    assert list(client.items("/batches")) == []


def test_a_problem_has_a_type_for_programs_and_a_text_for_people(client: Client) -> None:
    with pytest.raises(Problem) as refused:
        client.submit(b"x", "may.csv", "nowhere")

    assert (refused.value.status, refused.value.type) == (404, "not-found")
    assert "nowhere" in str(refused.value)


def test_a_list_is_read_page_by_page(client: Client, transport: Transport) -> None:
    submitted = [client.submit(b"x", f"{number}.csv", "maps") for number in range(5)]

    found = [each["batch_id"] for each in client.items("/batches", limit=2)]

    assert found == submitted[::-1]


def test_waiting_ends_when_the_batch_has(transport: Transport, pauses: list[float]) -> None:
    client = Client(HOST, lambda: "admin", httpx.Client(transport=transport), pause=pauses.append)
    batch = a_batch("failed", entries=1)
    a_job(batch, 0, "failed")

    ended = client.wait(batch.batch_id)

    (job,) = client.items(f"/batches/{batch.batch_id}/jobs")
    assert (ended["state"], job["state"], pauses) == ("failed", "failed", [])
