"""The CLI in surroundings of its own: a fake API, a fake Cognito, a folder for tokens."""

import io
import re
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from cli.local.stack import Stack
from cli.main import app
from cli.session import CliContext, Deployment
from tests.cli.fake_api import URL, FakeApi, Run
from tests.cli.fake_cognito import FakeCognito

STACK = Stack(
    **{each.name: each.name for each in fields(Stack)}
    | {"api_url": URL, "user_pool": "us-east-1_pool"}
)

LookedAt = Callable[..., str]  # runs `jobyard` at a terminal so wide, with some words


class Terminal(io.StringIO):
    """A standard output that somebody looks at."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def api() -> FakeApi:
    """The API that the commands talk to."""
    return FakeApi()


@pytest.fixture
def cognito() -> FakeCognito:
    """Where they sign in."""
    return FakeCognito()


@pytest.fixture
def local(tmp_path: Path, cognito: FakeCognito) -> Deployment:
    """The local stack, as if it ran."""
    return Deployment(
        "local",
        tmp_path / "session.json",
        lambda: STACK,
        lambda _: cognito,
        url_prefix=URL,
        passwords={"admin": "secret", "operator": "secret"},
        default_user="admin",
    )


@pytest.fixture
def on_aws(tmp_path: Path, cognito: FakeCognito) -> Deployment:
    """A stack on AWS, where nobody is signed in yet."""
    return Deployment("prod", tmp_path / "aws" / "prod.json", lambda: STACK, lambda _: cognito)


@pytest.fixture
def surroundings(api: FakeApi, local: Deployment, on_aws: Deployment) -> CliContext:
    """What commands are handed here."""
    return CliContext(
        lambda name: on_aws if name else local, httpx.MockTransport(api), api.paused.append
    )


@pytest.fixture
def run(surroundings: CliContext) -> Run:
    """Run `jobyard` with these words."""

    def run(*words: str, typed: str = "") -> Result:
        return CliRunner().invoke(app, list(words), input=typed, obj=surroundings)

    return run


@pytest.fixture
def looked_at(surroundings: CliContext, monkeypatch: pytest.MonkeyPatch) -> LookedAt:
    """What `jobyard` prints on a terminal of so many columns, without its colours."""

    def looked_at(width: int, *words: str) -> str:
        terminal = Terminal()
        with monkeypatch.context() as here:
            here.setattr(sys, "stdout", terminal)
            for name, value in {"COLUMNS": str(width), "NO_COLOR": "1", "TERM": "xterm"}.items():
                here.setenv(name, value)
            app(list(words), standalone_mode=False, obj=surroundings)
        return re.sub(r"\x1b\[[\d;]*m", "", terminal.getvalue())

    return looked_at
