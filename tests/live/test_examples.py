"""The API client and the batch of containers of examples/ on the local stack."""

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cli.local import demo_users
from cli.local.emulator import Emulator
from cli.local.stack import Stack
from examples.api_client import client as api_client
from examples.api_client.client import Client, sign_in
from examples.containers.deposit import deposit
from tests.examples.test_containers import objects
from tests.harness import Payloads

LETTERS = Path(api_client.__file__).with_name("letters.csv")


@pytest.fixture
def signed_in(platform: Emulator, stack: Stack) -> Callable[[], str]:
    """Sign the demo's depositor in, with one request to Cognito."""
    return partial(
        sign_in, platform.endpoint, stack.user_pool_client, "depositor", demo_users.PASSWORD
    )


def test_the_client_submits_a_manifest_and_returns_how_it_ended(
    signed_in: Callable[[], str],
    stack: Stack,
    payloads: Payloads,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    payloads.files |= {"/README.md": b"one", "/voters/sweep.json": b"two"}
    manifest = tmp_path / LETTERS.name
    manifest.write_text(LETTERS.read_text().replace("http://127.0.0.1:4915", payloads.url))
    monkeypatch.setenv("JOBYARD_API", stack.api_url)
    monkeypatch.setenv("JOBYARD_TOKEN", signed_in())

    assert api_client.main([str(manifest), "--key", "letters of May"]) == 0
    assert api_client.main([str(manifest), "--collection", "nowhere"]) == 1

    output = capsys.readouterr()
    assert output.out.count(" succeeded: ") == 2
    assert output.err.startswith("refused (not-found): there is no collection 'nowhere'")


def test_containers_are_deposited_and_read_back(
    signed_in: Callable[[], str], stack: Stack, aws: Callable[[str], Any], files_port: int
) -> None:
    with closing(Client(stack.api_url, signed_in)) as client:
        archived = deposit(client, aws("s3"), stack.archive_bucket, files_port)

    assert {name.partition(".")[0]: files for name, files in archived.items()} == objects()
