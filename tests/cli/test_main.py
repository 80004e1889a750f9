import subprocess
import sys

import pytest

from cli.main import LAZY_GROUPS
from tests.cli.fake_api import FakeApi, Run

SLOW = ("boto3", "samtranslator", "cli.local.commands")


def test_help_names_every_command_and_imports_nothing_slow(run: Run) -> None:
    program = f"import sys, cli.main; print([name for name in {SLOW} if name in sys.modules])"
    imported = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    shown = run("--help").stdout

    assert imported.stdout == "[]\n"
    assert all(
        f" {name} " in shown for name in ("submit", "watch", "requeue", "lifecycle", *LAZY_GROUPS)
    )


@pytest.mark.parametrize("group", LAZY_GROUPS)
def test_a_lazy_group_has_its_commands(group: str, run: Run) -> None:
    shown = run(group, "--help")

    assert shown.exit_code == 0
    assert "Commands" in shown.stdout


def test_the_help_names_the_default_user(run: Run) -> None:
    assert "the demo user" in run("--help").stdout


@pytest.mark.parametrize(("typed", "meant"), [("batchs", "batches"), ("campain", "campaign")])
def test_a_misspelt_command_is_a_usage_error_with_a_suggestion(
    run: Run, api: FakeApi, typed: str, meant: str
) -> None:
    result = run(typed)

    assert result.exit_code == 2
    assert "Did you mean" in result.stderr
    assert f"'{meant}'" in result.stderr
    assert api.requests == []
