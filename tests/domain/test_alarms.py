"""What the runbooks and the alarms of the template say of each other."""

import re
import tomllib

from cli.docs import alarm_table
from cli.local.emulator import ROOT
from cli.local.template_file import read_template
from jobyard import VERSION
from jobyard.domain.alarms import RUNBOOKS, runbook_of


def test_every_alarm_has_one_runbook_and_says_what_that_says() -> None:
    resources = read_template(ROOT, "infra/monitoring.yaml")["Resources"]
    descriptions = {
        name: each["Properties"]["AlarmDescription"]
        for name, each in resources.items()
        if each["Type"] == "AWS::CloudWatch::Alarm"
    }
    named = [alarm for each in RUNBOOKS for alarm in each.alarms]

    assert sorted(named) == sorted(descriptions)
    for name, description in descriptions.items():
        runbook = runbook_of(name)
        assert runbook is not None
        assert runbook.description(name) == description


def test_the_docs_have_the_table_of_the_runbooks_and_their_chapters() -> None:
    text = (ROOT / "docs" / "operating.md").read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)

    assert alarm_table() in text
    assert {each.chapter for each in RUNBOOKS if each.chapter} <= set(headings)


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["version"] == VERSION
