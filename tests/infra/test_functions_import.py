"""Every function can be imported with the path it has on Lambda."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from benchmarks.coldstart import HANDLERS
from cli.local import artifacts
from cli.local.emulator import ROOT
from tests.infra.template_reader import Resources, of_type, written

PROGRAM = """
import sys
sys.path[:0] = {path!r}
import gc, importlib, os
os.environ.clear()
os.environ.update({environment!r})
importlib.import_module({module!r})
assert gc.isenabled()
print(*sorted(name for name in sys.modules if name.startswith({unneeded!r})))
"""

# What a start loads for nothing: packages that only the services of other requests need.
UNNEEDED = {
    "api.handler": ("jobyard.jobtypes",),
    "ingest.open": ("jobyard.domain.campaigns", "jobyard.domain.edits"),
    "report.report": (
        "jobyard.domain.campaigns",
        "jobyard.domain.edits",
        "jobyard.services.queries",
    ),
    "report.settle": ("jobyard.domain.campaigns", "jobyard.domain.edits", "jobyard.jobtypes."),
    "web.handler": ("jobyard.jobtypes", "jobyard.services.edits", "jobyard.services.queries"),
}


@pytest.fixture(scope="module")
def path(layers: Path) -> list[str]:
    """The path of a function: its code and its two layers."""
    vendor = artifacts.packages_layer(ROOT / "layers" / "vendor", layers)
    return [str(folder) for folder in (ROOT / "functions", ROOT / "layers" / "jobyard", vendor)]


@pytest.fixture(scope="module")
def environment(template: dict[str, Any], resources: Resources) -> dict[str, str]:
    """A function's environment in a deployment with default parameters."""
    functions = of_type(resources, "AWS::Lambda::Function")
    variables = functions["OpenFunction"]["Properties"]["Environment"]["Variables"]
    defaults = {name: str(one["Default"]) for name, one in template["Parameters"].items()}

    def with_defaults(value: str) -> str:
        return re.sub(r"\$\{(\w+)\}", lambda found: defaults.get(found[1], found[0]), value)

    given = {name: written(value) for name, value in variables.items()}
    region = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    return {name: with_defaults(value) for name, value in given.items()} | region


@pytest.mark.turns(2)
@pytest.mark.parametrize("module", HANDLERS)
def test_a_function_imports_from_its_layers_alone_and_nothing_for_nothing(
    module: str, path: list[str], environment: dict[str, str], tmp_path: Path
) -> None:
    unneeded = ("aws_xray_sdk", *UNNEEDED.get(module, ()))
    program = PROGRAM.format(path=path, environment=environment, module=module, unneeded=unneeded)

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


VALIDATING = """
import sys
sys.path[:0] = {path!r}
from jobyard.domain.datasets.feature import Feature
from jobyard.domain.datasets.rules import read_rules
from jobyard.validation.validate import validate
rules = read_rules([
    {{"rule": "schema", "schema": {{"required": ["name"]}}}},
    {{"rule": "geometry"}}, {{"rule": "no_overlap"}}, {{"rule": "no_gap"}},
])
square = {{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}}
changed = {{each: Feature(each, square, {{}}) for each in "ab"}}
print(*(each.code for each in validate(changed, {{}}, lambda _: (), list, rules, 7).failures))
"""


def test_the_trimmed_geometry_layer_is_enough_to_validate(
    path: list[str], layers: Path, tmp_path: Path
) -> None:
    layer = artifacts.packages_layer(ROOT / "layers" / "geometry", layers)
    program = VALIDATING.format(path=[*path, str(layer)])

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.split() == ["SCHEMA_BROKEN", "SCHEMA_BROKEN", "OVERLAP"], done.stderr


# A call to each service with its parameters: botocore reads the service's data for all of it. No
# request is sent.
CALLS = {
    "cloudwatch": ("describe_alarms", {"AlarmNamePrefix": "jobyard-Monitoring-"}),
    "cognito-idp": ("list_user_pools", {"MaxResults": 1}),
    "dynamodb": ("list_tables", {}),
    "events": ("put_events", {"Entries": [{"Source": "a", "DetailType": "b", "Detail": "{}"}]}),
    "lambda": ("invoke", {"FunctionName": "editor", "Payload": b"{}"}),
    "logs": ("filter_log_events", {"logGroupName": "jobyard-execute-job"}),
    "s3": ("head_bucket", {"Bucket": "somebodys"}),
    "secretsmanager": ("get_secret_value", {"SecretId": "jobyard/devices/x"}),
    "sesv2": ("get_account", {}),
    "sqs": ("get_queue_attributes", {"QueueUrl": "https://sqs.example.org/0/letters"}),
    "stepfunctions": ("list_state_machines", {}),
}
CALLING = """
import sys
sys.path[:0] = {path!r}
import botocore.awsrequest, botocore.session
import aws_lambda_powertools.utilities.idempotency  # imports boto3, which imports its docs
import boto3
boto3.resource("dynamodb", region_name="us-east-1").Table("voters").update_item
session = botocore.session.get_session()
session.set_credentials("a", "b")
raw = type("Raw", (), {{"stream": lambda self: iter(())}})()
answer = botocore.awsrequest.AWSResponse("", 204, {{}}, raw)
for service, (name, given) in {calls!r}.items():
    client = session.create_client(service, region_name="us-east-1")
    client.meta.events.register("before-send", lambda **_: answer)
    getattr(client, name)(**given)
print("all")
"""


def test_the_trimmed_service_data_is_enough_for_our_calls(path: list[str], tmp_path: Path) -> None:
    services = (ROOT / "layers" / "vendor" / "services.txt").read_text().split()
    program = CALLING.format(path=path, calls=CALLS)

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert sorted(CALLS) == services
    assert (done.returncode, done.stdout.strip()) == (0, "all"), done.stderr


EXPORTING = """
import sys
sys.path[:0] = {path!r}
import importlib
for package in {packages!r}:
    module = importlib.import_module(package)
    assert "_EXPORTED" in vars(module), package
    for name in module.__all__:
        assert callable(getattr(module, name)), name
    assert not hasattr(module, "nothing_of_that_name")
print("all")
"""


def test_a_lazy_package_of_the_layer_exports_all_it_did(path: list[str], tmp_path: Path) -> None:
    packages = (
        "aws_lambda_powertools.event_handler",
        "aws_lambda_powertools.utilities.data_classes",
    )
    program = EXPORTING.format(path=path, packages=packages)

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout.strip()) == (0, "all"), done.stderr


FINDING = """
import sys
sys.path[:0] = {path!r}
import botocore.session
session = botocore.session.get_session()
for service in {services!r}:
    for region in {regions!r}:
        print(session.create_client(service, region_name=region).meta.endpoint_url)
"""


def test_the_layer_finds_the_endpoints_that_the_whole_of_botocore_finds(
    path: list[str], tmp_path: Path
) -> None:
    regions = ("us-east-1", "eu-central-1", "us-gov-west-1", "cn-north-1")
    program = FINDING.format(path=path, services=sorted(CALLS), regions=regions)
    session = botocore.session.get_session()
    whole = [
        session.create_client(service, region_name=region).meta.endpoint_url
        for service in sorted(CALLS)
        for region in regions
    ]

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.split() == whole, done.stderr
