"""docs/campaigns.md says what the code does."""

import re
from pathlib import Path

from typer.testing import CliRunner

from cli.campaigns import app
from jobyard.domain.campaigns.rules import RULE_FIELDS
from jobyard.domain.campaigns.simulation_input import INPUT_FIELDS, ActEvent
from jobyard.domain.campaigns.targets import TARGET_FIELDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "campaigns.md").read_text()
EXAMPLES = ROOT / "examples" / "campaigns"


def test_the_simulation_of_the_page_is_what_the_command_prints() -> None:
    drawn = PAGE.split("<!-- simulation -->\n```\n")[1].split("```\n<!-- /simulation")[0]

    result = CliRunner().invoke(app, ["simulate", str(EXAMPLES / "nights.json")])

    assert result.stdout == drawn


def test_the_targets_of_the_page_can_be_started() -> None:
    result = CliRunner().invoke(app, ["check", str(EXAMPLES / "routers.csv")])

    assert result.exit_code == 0
    assert "4 tasks will be created: no errors or warnings" in result.stdout


def test_every_field_is_on_the_page() -> None:
    cells = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}

    assert {*RULE_FIELDS, *INPUT_FIELDS, *TARGET_FIELDS} <= named
    assert all(f"`{event}`" in PAGE for event in ActEvent)
