"""A machine client signs in with the client credentials in the environment."""

import base64
import json
from dataclasses import replace

import httpx
import pytest
from typer.testing import CliRunner

from cli.connections import StackConnection, StackNotRunning
from cli.context import CliContext
from cli.machine_client import ClientCredentials
from cli.main import app
from cli.session import SignInFailed
from tests.cli.fake_api import FakeApi, batch

GIVEN = {"JOBYARD_CLIENT_ID": "k5x", "JOBYARD_CLIENT_SECRET": "hidden"}
URLS = {
    "JOBYARD_API_URL": "https://api.example.org/",
    "JOBYARD_SIGN_IN_URL": "https://sign-in.example.org",
}


def token(expires: int = 4_000_000_000) -> str:
    claims = {"client_id": "k5x", "scope": "jobyard/viewer jobyard/depositor", "exp": expires}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.signature"


def run(context: CliContext, *words: str, environment: dict[str, str]) -> str:
    result = CliRunner().invoke(app, list(words), obj=replace(context, environment=environment))
    return result.output


def test_a_machine_client_sends_its_own_tokens(api: FakeApi, cli_context: CliContext) -> None:
    expired = httpx.Response(200, json={"access_token": token(expires=1)})
    api.answers("POST /oauth2/token", expired, {"access_token": token()})
    api.answers("GET /batches/baaaaaaaaaaaaaaaaaaaa", batch("completed"))

    run(cli_context, "batch", "baaaaaaaaaaaaaaaaaaaa", "--json", environment=GIVEN | URLS)

    asked, again, sent = api.requests[:3]
    assert asked.url == again.url == "https://sign-in.example.org/oauth2/token"
    basic = base64.b64encode(b"k5x:hidden").decode()
    assert asked.headers["Authorization"] == f"Basic {basic}"
    assert asked.content == b"grant_type=client_credentials"
    assert sent.headers["Authorization"] == f"Bearer {token()}"


def test_a_machine_client_is_shown_with_its_roles(api: FakeApi, cli_context: CliContext) -> None:
    api.answers("POST /oauth2/token", {"access_token": token()})

    shown = json.loads(run(cli_context, "whoami", "--json", environment=GIVEN | URLS))

    assert (shown["username"], shown["roles"]) == ("client k5x", ["depositor", "viewer"])
    assert run(cli_context, "token", environment=GIVEN | URLS).strip() == token()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(400, json={"error": "invalid_client"}),
        httpx.Response(200, json=["access_token"]),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"access_token": 7}),
    ],
)
def test_refused_credentials_are_said_without_the_secret(
    api: FakeApi, cli_context: CliContext, answer: httpx.Response
) -> None:
    api.answers("POST /oauth2/token", answer)

    output = run(cli_context, "whoami", environment=GIVEN | URLS)

    assert "token" in output
    assert "hidden" not in output


def test_a_machine_client_with_urls_looks_no_stack_up(
    api: FakeApi, cli_context: CliContext
) -> None:
    api.answers("POST /oauth2/token", {"access_token": token()})

    def connect(_name: str) -> StackConnection:
        raise StackNotRunning("there is none")

    alone = replace(cli_context, connect=connect)

    assert run(alone, "token", environment=GIVEN | URLS).strip() == token()
    assert "client k5x" in run(alone, "whoami", environment=GIVEN | URLS)
    assert "there is none" in run(alone, "token", environment=GIVEN)


def test_an_id_needs_its_secret() -> None:
    assert ClientCredentials.of_environment({"JOBYARD_CLIENT_SECRET": "hidden"}) is None
    with pytest.raises(SignInFailed, match="without JOBYARD_CLIENT_SECRET"):
        ClientCredentials.of_environment({"JOBYARD_CLIENT_ID": "k5x"})
