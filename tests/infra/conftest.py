"""The templates as they are written, as CloudFormation expands them, and the state machines."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.local import deployment
from cli.local.emulator import ROOT
from tests.infra.template_reader import Resources, expanded_of, with_nested


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    """template.yaml, its short intrinsics in their long form."""
    return deployment.read_template(ROOT)


@pytest.fixture(scope="session")
def expanded(template: dict[str, Any]) -> dict[str, Any]:
    """template.yaml after the SAM transform."""
    return expanded_of(template)


@pytest.fixture(scope="session")
def resources(expanded: dict[str, Any]) -> Resources:
    """Every resource of the expanded template and of those nested in it, by logical id."""
    return with_nested(expanded["Resources"])


@pytest.fixture(scope="session")
def definitions(template: dict[str, Any]) -> dict[str, Any]:
    """The definitions of the machines by logical id, with CloudFormation's substitutions."""
    values = {"Partition": "aws"}
    found = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] != "AWS::Serverless::StateMachine":
            continue
        properties = resource["Properties"]
        text = Path(ROOT, properties["DefinitionUri"]).read_text()
        for placeholder in properties["DefinitionSubstitutions"]:
            arn = f"arn:aws:lambda:us-east-1:123456789012:function:{placeholder}"
            text = text.replace(f"${{{placeholder}}}", values.get(placeholder, arn))
        found[name] = json.loads(text)
    return found
