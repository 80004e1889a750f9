"""Runs the CLI in a context of its own: a fake API, a fake Cognito, a folder for tokens."""

import functools
import io
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
import typer.main
from typer.testing import CliRunner, Result

from cli.client import ApiClient
from cli.connections import StackConnection
from cli.context import CliContext
from cli.local.stack import Stack
from cli.main import app
from tests.cli.fake_api import URL, FakeApi, Run, token
from tests.cli.fake_cognito import FakeCognito

STACK = Stack(
    **{each.name: each.name for each in fields(Stack)}
    | {"api_url": URL, "user_pool": "us-east-1_pool"}
)

RunOnTerminal = Callable[
    ..., str
]  # runs `jobyard` on a terminal of that width, with these arguments


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="session", autouse=True)
def commands_are_built_once() -> Iterator[None]:
    """Build the commands once in a process. To build them takes longer than most of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cli.main.get_group", functools.cache(typer.main.get_group))
        patch.setattr("typer.testing._get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture
def api() -> FakeApi:
    """The API that the commands talk to."""
    return FakeApi()


@pytest.fixture
def cognito() -> FakeCognito:
    """The user pool that the commands sign in to."""
    return FakeCognito()


@pytest.fixture
def local(tmp_path: Path, cognito: FakeCognito) -> StackConnection:
    """A running local stack."""
    return StackConnection(
        "local",
        tmp_path / "session.json",
        lambda: STACK,
        lambda _: cognito,
        url_prefix=URL,
        passwords={"admin": "secret", "operator": "secret"},
        default_user="admin",
    )


@pytest.fixture
def on_aws(tmp_path: Path, cognito: FakeCognito) -> StackConnection:
    """A stack on AWS, where nobody is signed in yet."""
    return StackConnection("prod", tmp_path / "aws" / "prod.json", lambda: STACK, lambda _: cognito)


@pytest.fixture
def cli_context(api: FakeApi, local: StackConnection, on_aws: StackConnection) -> CliContext:
    """The context that commands get."""
    return CliContext(
        lambda name: on_aws if name else local,
        httpx.MockTransport(api),
        api.paused.append,
        environment={},
    )


@pytest.fixture
def run(cli_context: CliContext) -> Run:
    """Run `jobyard` with these arguments."""

    def run(*words: str, typed: str = "") -> Result:
        return CliRunner().invoke(app, list(words), input=typed, obj=cli_context)

    return run


@pytest.fixture
def run_on_terminal(cli_context: CliContext, monkeypatch: pytest.MonkeyPatch) -> RunOnTerminal:
    """Run `jobyard` on a terminal of that width. Returns its output without colours."""

    def run_on_terminal(width: int, *words: str) -> str:
        terminal = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", terminal)
            for name, value in {"COLUMNS": str(width), "NO_COLOR": "1", "TERM": "xterm"}.items():
                patch.setenv(name, value)
            app(list(words), standalone_mode=False, obj=cli_context)
        return re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue())

    return run_on_terminal


class OperatorTokens:
    """An operator's tokens."""

    def token(self) -> str:
        return token("operator", "operator")

    def renew(self) -> str:
        return self.token()


@pytest.fixture
def client(api: FakeApi) -> ApiClient:
    """A client of the fake API."""
    return ApiClient(
        URL, OperatorTokens(), transport=httpx.MockTransport(api), pause=api.paused.append
    )
