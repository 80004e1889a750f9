"""Requests at the pages' port reach the gateway unchanged, and reach nothing else."""

import io
import json
import socket
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.local import clients, emulator
from cli.local.emulator import HOST, Emulator, EmulatorError
from cli.local.web_port import API_ID

pytestmark = pytest.mark.emulator

# Answers with what the function got, and sets two cookies.
ECHO = """
import json
from base64 import b64decode
from hashlib import sha256


def handler(event, context):
    body = event.get("body", "")
    body = b64decode(body) if event["isBase64Encoded"] else body.encode()
    got = {name: event[name] for name in ("rawPath", "rawQueryString")}
    got |= {"method": event["requestContext"]["http"]["method"], "headers": event["headers"]}
    got |= {"length": len(body), "digest": sha256(body).hexdigest()}
    print("answered")
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "cookies": ["first=1; Path=/", "second=2; Path=/"],
        "body": json.dumps(got),
    }
"""
LARGE = bytes(range(256)) * 20_000  # five MB


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """An emulator whose gateway calls `ECHO`, and that has an object in a bucket."""
    home = tmp_path_factory.mktemp("pages")
    started = emulator.start(home, emulator.free_port(), persist=False)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as code:
        code.writestr("echo.py", ECHO)
    function = clients.client("lambda", started.endpoint).create_function(
        FunctionName="echo",
        Runtime="python3.13",
        Role="arn:aws:iam::000000000000:role/echo",
        Handler="echo.handler",
        Code={"ZipFile": packed.getvalue()},
    )
    gateway = clients.client("apigatewayv2", started.endpoint)
    gateway.create_api(Name="pages", ProtocolType="HTTP", Tags={"ms-custom-id": API_ID})
    integration = gateway.create_integration(
        ApiId=API_ID,
        IntegrationType="AWS_PROXY",
        IntegrationUri=function["FunctionArn"],
        PayloadFormatVersion="2.0",
    )
    target = f"integrations/{integration['IntegrationId']}"
    gateway.create_route(ApiId=API_ID, RouteKey="$default", Target=target)
    gateway.create_stage(ApiId=API_ID, StageName="$default")
    s3 = clients.client("s3", started.endpoint)
    s3.create_bucket(Bucket="uploads")
    s3.put_object(Bucket="uploads", Key="page.html", Body=b"<script>", ContentType="text/html")
    yield started
    emulator.stop(home)


@pytest.fixture
def browser(running: Emulator) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.web_url, trust_env=False, timeout=60) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "raw_path"),
    [
        ("/", "/"),
        ("/batches/b1/jobs", "/batches/b1/jobs"),
        ("/batches/", "/batches/"),
        ("/objects/ark%3A%2F13030%2Fx", "/objects/ark:/13030/x"),
        ("/find/a%20b%C3%A9", "/find/a bé"),
        ("/find/100%25", "/find/100%25"),
        ("/$default/x", "/$default/x"),
        ("/uploads/page.html", "/uploads/page.html"),
        ("/_ministack/ses/messages", "/_ministack/ses/messages"),
        ("/oauth2/authorize", "/oauth2/authorize"),
        ("/_aws/execute-api/jobyard/$default/x", "/_aws/execute-api/jobyard/$default/x"),
    ],
)
def test_every_path_is_one_of_the_pages(browser: httpx.Client, path: str, raw_path: str) -> None:
    assert browser.get(path).json()["rawPath"] == raw_path


@pytest.mark.parametrize("query", ["state=failed&state=held", "q=a%20b%2Bc&empty=", "q=a+b%26c"])
def test_a_query_is_not_changed(browser: httpx.Client, query: str) -> None:
    assert browser.get(f"/find?{query}").json()["rawQueryString"] == query


def test_the_function_gets_the_host_of_the_pages(browser: httpx.Client, running: Emulator) -> None:
    assert browser.get("/").json()["headers"]["host"] == f"{HOST}:{running.web_port}"


def test_cookies_pass_in_both_directions(browser: httpx.Client) -> None:
    set_by_it = browser.get("/").headers.get_list("Set-Cookie")

    assert set_by_it == ["first=1; Path=/", "second=2; Path=/"]
    assert browser.get("/").json()["headers"]["cookie"] == "first=1; second=2"


@pytest.mark.parametrize("kind", ["application/octet-stream", "text/plain; charset=utf-8"])
@pytest.mark.parametrize("body", [b"", "key=1&reason=é".encode(), LARGE])
def test_a_body_is_not_changed(browser: httpx.Client, kind: str, body: bytes) -> None:
    if kind.startswith("text/") and body is LARGE:
        body = b"a line\n" * 700_000

    got = browser.post("/batches", content=body, headers={"Content-Type": kind}).json()

    assert (got["method"], got["length"]) == ("POST", len(body))
    assert got["digest"] == sha256(body).hexdigest()


def test_a_form_is_not_changed(browser: httpx.Client) -> None:
    got = browser.post("/holds", data={"reason": "a & b", "key": "1"}).json()

    assert got["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert got["digest"] == sha256(b"reason=a+%26+b&key=1").hexdigest()


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_other_methods_pass(browser: httpx.Client, method: str) -> None:
    assert browser.request(method, "/api/holds/everything").json()["method"] == method


def test_head_has_the_headers_of_get_and_no_body(browser: httpx.Client) -> None:
    head = browser.head("/")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"] == "application/json"
    assert len(head.headers.get_list("Set-Cookie")) == 2


def test_localhost_is_another_name_of_the_pages(running: Emulator) -> None:
    host = f"localhost:{running.web_port}"

    got = httpx.get(running.web_url, headers={"Host": host}, trust_env=False, timeout=60).json()

    assert got["headers"]["host"] == host


@pytest.mark.parametrize("name", ["uploads.s3.amazonaws.com", "uploads.localhost:{port}", "evil"])
def test_no_other_host_name_is_served(running: Emulator, name: str) -> None:
    """The emulator has virtual hosts, S3's among them. And a name that somebody else owns may lead
    to this machine."""
    host = name.format(port=running.web_port)

    answer = httpx.get(
        f"{running.web_url}/page.html", headers={"Host": host}, trust_env=False, timeout=60
    )

    assert answer.status_code == 421
    assert answer.text == f"the pages are at {running.web_url}/\n"


def test_a_whole_url_as_path_is_refused(running: Emulator) -> None:
    request = (
        b"GET http://uploads.s3.amazonaws.com/page.html HTTP/1.1\r\n"
        b"Host: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % running.web_port
    )
    with socket.create_connection((HOST, running.web_port), timeout=60) as connection:
        connection.sendall(request)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"<script>" not in answer


def test_a_websocket_is_refused(browser: httpx.Client) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }

    assert browser.get("/", headers=headers).status_code == 403


def test_objects_are_at_the_other_port_only(running: Emulator, browser: httpx.Client) -> None:
    path = "/uploads/page.html"

    assert httpx.get(f"{running.endpoint}{path}", trust_env=False).text == "<script>"
    assert "<script>" not in browser.get(path).text


def test_the_port_is_on_loopback_only(running: Emulator) -> None:
    with pytest.raises(OSError, match=r"."):
        socket.create_connection(("127.0.0.2", running.web_port), timeout=5)


def test_a_used_port_is_refused_with_the_program_that_uses_it(tmp_path: Path) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(EmulatorError, match=rf"port {port} is used by .*--web-port, or JOB"):
            emulator.start(tmp_path, emulator.free_port(), port)


def test_a_port_that_is_taken_at_the_last_moment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "port_owner", lambda port: None)
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]

        with pytest.raises(EmulatorError, match=f"cannot serve the pages on port {port}"):
            emulator.start(tmp_path, emulator.free_port(), port)

    assert emulator.running(tmp_path) is None


def test_one_port_cannot_be_both(tmp_path: Path) -> None:
    port = emulator.free_port()

    with pytest.raises(EmulatorError, match=f"a port of their own: choose another than {port}"):
        emulator.start(tmp_path, port, port)


def test_an_emulator_of_an_earlier_version_is_restarted_with_its_state(tmp_path: Path) -> None:
    """Its note has no port of the pages."""
    started = emulator.start(tmp_path, emulator.free_port())
    s3: Any = clients.client("s3", started.endpoint)
    s3.create_bucket(Bucket="kept")
    lock = tmp_path / "emulator.lock"
    note = json.loads(lock.read_text())
    del note["web_port"]
    lock.write_text(json.dumps(note))
    earlier = emulator.running(tmp_path)
    port = emulator.free_port()
    messages: list[str] = []

    try:
        assert earlier == replace(started, web_port=0)
        now = emulator.updated(earlier, port, messages.append)

        assert (now.port, now.web_port) == (started.port, port)
        assert messages == ["restarting the emulator, which an earlier version of Jobyard started"]
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["kept"]
        assert emulator.updated(now, 0) == now
    finally:
        emulator.stop(tmp_path)
