"""The worked example of docs/api.md runs as it is written, by a machine client, against a stack."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from cli.local.emulator import ROOT
from cli.local.stack import Stack
from tests.harness import Payloads

_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def machine_client_of(stack: Stack, aws: Callable[[str], Any]) -> str:
    """The id of the client of the stack's machine client."""
    (found,) = aws("cloudformation").describe_stacks(StackName=stack.name)["Stacks"]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found["Outputs"]}
    return str(outputs["MachineClient"])


def test_the_worked_example_runs(
    stack: Stack, aws: Callable[[str], Any], payloads: Payloads, tmp_path: Path
) -> None:
    blocks = _BLOCK.findall((ROOT / "docs" / "api.md").read_text())
    payloads.files["/coast.tif"] = b"a coast"
    client = aws("cognito-idp").describe_user_pool_client(
        UserPoolId=stack.user_pool, ClientId=machine_client_of(stack, aws)
    )["UserPoolClient"]
    given = (
        f"API='{stack.api_url}' SIGN_IN_URL='{stack.sign_in_url}'; export no_proxy=127.0.0.1\n"
        f"CLIENT_ID='{client['ClientId']}' CLIENT_SECRET='{client['ClientSecret']}'\n"
    )
    script = given + "".join(blocks).replace("https://files.example.org", payloads.url)

    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads((tmp_path / "batch.json").read_text())["state"] == "completed"
    assert "coast.tif" in (tmp_path / "jobs.csv").read_text()
    problem = json.loads((tmp_path / "problem.json").read_text())
    assert problem["type"].endswith("/api/docs#validation-failed")
    assert ran.stdout.splitlines()[-1].startswith("query.limit: ")


def test_the_documentation_needs_no_token(stack: Stack) -> None:
    for path in ("docs", "docs/swagger-ui-bundle.min.js", "docs/swagger-ui.min.css"):
        answer = httpx.get(f"{stack.api_url}/api/{path}", trust_env=False, timeout=60)

        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/")
