"""Deploys template.yaml to the emulator: packages, expands, creates or updates the stack."""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from cli import versions
from cli.local import artifacts, machine_aliases, stack, voters
from cli.local.clients import client, session
from cli.local.emulator import HOST, ROOT, Emulator
from cli.local.template_file import read_template
from cli.local.web_port import API_ID
from jobyard.domain.errors import JobyardError

STACK = "jobyard"
ARTIFACTS = "jobyard-artifacts"
FILES_PORT = 4915  # where the demo serves payloads
# Workers of each function below. Thousands of single jobs may start in a minute, and each worker
# takes 50 MB.
JOB_WORKERS = 8

# Resource types of the template that are not deployed here, each with the reason.
NOT_EMULATED = {
    "AWS::Cognito::ManagedLoginBranding": "the emulator's sign-in page does not need it",
    "AWS::S3::BucketPolicy": "ours refuse plain HTTP, and the emulator serves only that",
}


# At each gradual deployment SAM warns of a switch that only AWS can set.
logging.getLogger("samtranslator.feature_toggle.feature_toggle").setLevel(logging.ERROR)


class DeploymentError(JobyardError):
    """CloudFormation could not create or update the stack; the message is its reason."""


def parameters(running: Emulator, files_port: int = FILES_PORT) -> dict[str, str]:
    """The parameters of the template that a laptop sets."""
    return {
        "PublicUrl": running.web_url,
        "SignInUrl": running.endpoint,
        "MachineClientName": "nightly",
        "MachineClientRoles": "depositor,viewer",
        "Instance": "local",
        # A worker is a process of about 50 MB, and the emulator is the bottleneck.
        "MaxConcurrency": "4",
        "MaxWorkers": "8",
        "AllowedHosts": f"{HOST}:{files_port}",
        "SweepTables": voters.TABLE,
        "MailFrom": "jobyard@example.org",
        "MailTo": "operators@example.org",
        "MailIdentity": "example.org",
        "LogLevel": "INFO",
        "DeletionProtection": "false",
    }


def files_port(endpoint: str) -> int:
    """The port that the stack at `endpoint` may fetch payloads from."""
    try:
        (found,) = client("cloudformation", endpoint).describe_stacks(StackName=STACK)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return FILES_PORT
        raise
    values = {row["ParameterKey"]: row["ParameterValue"] for row in found.get("Parameters", ())}
    port = values.get("AllowedHosts", "").rpartition(":")[2]
    return int(port) if port.isdecimal() else FILES_PORT


def deploy(
    endpoint: str,
    values: Mapping[str, str],
    *,
    build: Path,
    root: Path = ROOT,
    say: Callable[[str], None] = lambda _: None,
) -> stack.Stack:
    """Create or update the stack from the project at `root`. Does nothing if it is up to date.

    `build` is a folder that keeps built layers.

    Raises:
        DeploymentError: CloudFormation could not create or update the stack.
    """
    say("packing functions and layers")
    if not any(build.glob("vendor-*")):
        say("the first time this takes half a minute")
    template = read_template(root)
    s3 = client("s3", endpoint)
    _ensure_bucket(s3)
    _package(s3, template, values, root, build)
    _package_nested(s3, template, root, endpoint)
    with_known_conditions(template)
    for name in [n for n, r in template["Resources"].items() if r["Type"] in NOT_EMULATED]:
        del template["Resources"][name]
    values = {**values, "UpdateId": _update_id(values)}
    expanded = machine_aliases.without_machine_aliases(expand(template, values))
    body = json.dumps(expanded, indent=1).encode()
    url = _url(endpoint, _upload(s3, body, "template", "json"))

    cloudformation = client("cloudformation", endpoint)
    _create_or_update(cloudformation, url, values, say)
    physical = _physical(cloudformation)
    _set_lifecycle_rules(s3, expanded, physical)
    functions, machines = client("lambda", endpoint), client("stepfunctions", endpoint)
    for function in ("ExecuteJobFunction", "SettleFunction"):
        functions.put_function_concurrency(
            FunctionName=physical[function], ReservedConcurrentExecutions=JOB_WORKERS
        )
    arns = _named(expanded, physical, "AWS::StepFunctions::StateMachine")
    machine_aliases.ensure_machine_aliases(machines, arns)
    # Each version that was called has a worker that the emulator never ends.
    versions.delete_old(
        versions.Clients(functions, machines),
        _named(expanded, physical, "AWS::Lambda::Function"),
        arns,
        kept_since=datetime.now(UTC),
        shift=timedelta(),
    )
    return stack.read(cloudformation, STACK)


def expand(template: dict[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """A packaged template after the SAM transform, as CloudFormation applies it."""
    translator = Translator(None, Parser(), boto_session=session())
    expanded: dict[str, Any] = translator.translate(
        template, parameter_values=dict(values), get_managed_policy_map=dict
    )
    return expanded


def _update_id(values: Mapping[str, str]) -> str:
    """A text that differs with the parameters. Code that changes needs none."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _named(expanded: Mapping[str, Any], physical: Mapping[str, str], kind: str) -> list[str]:
    """The physical names of the resources of one type."""
    return [physical[name] for name, one in expanded["Resources"].items() if one["Type"] == kind]


def _ensure_bucket(s3: Any) -> None:
    try:
        s3.head_bucket(Bucket=ARTIFACTS)
    except ClientError:
        s3.create_bucket(Bucket=ARTIFACTS)


def _package(
    s3: Any,
    template: dict[str, Any],
    values: Mapping[str, str],
    root: Path,
    build: Path,
) -> None:
    """Upload code and definitions and refer to them in `template`, as `sam package` does."""
    functions = artifacts.code_zip(root / "functions", build)
    layers = {
        "JobyardLayer": artifacts.code_zip(
            root / "layers" / "jobyard" / "jobyard", build, "python/jobyard/"
        ),
        "VendorLayer": artifacts.packages_zip(root / "layers" / "vendor", build),
        "GeometryLayer": artifacts.packages_zip(root / "layers" / "geometry", build),
    }
    template["Globals"]["Function"]["CodeUri"] = _upload(s3, functions, "functions", "zip")
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            properties["ContentUri"] = _upload(s3, layers[name], name, "zip")
            resource.pop("Metadata")
        if resource["Type"] == "AWS::Serverless::StateMachine":
            definition = (root / properties["DefinitionUri"]).read_bytes()
            definition = with_plain_concurrency(definition, values["MaxConcurrency"])
            definition = with_emulated_throttling(definition)
            properties["DefinitionUri"] = _upload(s3, definition, name, "asl.json")


def _package_nested(s3: Any, template: dict[str, Any], root: Path, endpoint: str) -> None:
    """Upload nested templates and refer to them in `template`, as `sam package` does."""
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            properties = resource["Properties"]
            nested = (root / properties["TemplateURL"]).read_bytes()
            properties["TemplateURL"] = _url(endpoint, _upload(s3, nested, name, "yaml"))


def with_known_conditions(template: dict[str, Any]) -> None:
    """Let `template` restrict the sender of mail only where the emulator knows it.

    The emulator evaluates conditions, and its requests never have the key ses:FromAddress.
    """
    roles = [one for one in template["Resources"].values() if one["Type"] == "AWS::IAM::Role"]
    for role in roles:
        for policy in role["Properties"].get("Policies", ()):
            for statement in policy["PolicyDocument"]["Statement"]:
                condition = statement.get("Condition", {})
                if "ses:FromAddress" in condition.get("StringEquals", {}):
                    condition["StringEqualsIfExists"] = condition.pop("StringEquals")


def with_plain_concurrency(definition: bytes, limit: str) -> bytes:
    """A machine whose Maps have their limit as a number.

    The emulator ignores MaxConcurrencyPath and would run 64 children, one for each of its threads.
    The path leads to the value of this parameter, which the functions return.
    """
    return definition.replace(
        b'"MaxConcurrencyPath": "$.max_concurrency"', f'"MaxConcurrency": {int(limit)}'.encode()
    )


def with_emulated_throttling(definition: bytes) -> bytes:
    """A machine that retries throttling on the emulator too.

    The emulator reports throttling as Lambda.Unknown; a function's own failure never has that name.
    It also ignores MaxDelaySeconds, so BackoffRate is lowered until the last delay equals it.
    """
    machine = json.loads(definition)
    for state in machine["States"].values():
        for each in (*state.get("Retry", ()), *state.get("Catch", ())):
            if "Lambda.TooManyRequestsException" not in each["ErrorEquals"]:
                continue
            each["ErrorEquals"].append("Lambda.Unknown")
            if "MaxDelaySeconds" in each and each["MaxAttempts"] > 1:
                growth = each["MaxDelaySeconds"] / each["IntervalSeconds"]
                each["BackoffRate"] = round(growth ** (1 / (each["MaxAttempts"] - 1)), 3)
    return json.dumps(machine, indent=2).encode()


def _upload(s3: Any, content: bytes, name: str, suffix: str) -> dict[str, str]:
    key = f"{name}-{hashlib.sha256(content).hexdigest()[:16]}.{suffix}"
    try:
        s3.head_object(Bucket=ARTIFACTS, Key=key)
    except ClientError:
        s3.put_object(Bucket=ARTIFACTS, Key=key, Body=content)
    return {"Bucket": ARTIFACTS, "Key": key}


def _url(endpoint: str, uploaded: Mapping[str, str]) -> str:
    return f"{endpoint}/{uploaded['Bucket']}/{uploaded['Key']}"


def _create_or_update(
    cloudformation: Any, template_url: str, values: Mapping[str, str], say: Callable[[str], None]
) -> None:
    request = {
        "StackName": STACK,
        "TemplateURL": template_url,
        "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in values.items()],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        "Tags": [{"Key": "ms-custom-id", "Value": API_ID}],  # fixes the API's URL
    }
    state = _wait(cloudformation)  # a deployment that was killed may still run
    if state == "ROLLBACK_COMPLETE":  # a failed creation can only be deleted, as on AWS
        cloudformation.delete_stack(StackName=STACK)
        _wait(cloudformation)
        state = None
    say("creating the stack" if state is None else "updating the stack")
    try:
        if state is None:
            cloudformation.create_stack(**request)
        else:
            cloudformation.update_stack(**request)
    except ClientError as error:
        if "No updates are to be performed" in str(error):
            return
        raise DeploymentError(str(error)) from error
    state = _wait(cloudformation)
    if state not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise DeploymentError(f"the stack is {state}:\n{_reasons(cloudformation)}")


def _state(cloudformation: Any) -> str | None:
    try:
        found = cloudformation.describe_stacks(StackName=STACK)["Stacks"]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise
    return str(found[0]["StackStatus"])


def _wait(cloudformation: Any) -> str | None:
    state = _state(cloudformation)
    while state is not None and state.endswith("_IN_PROGRESS"):
        time.sleep(0.1)
        state = _state(cloudformation)
    return state


def _reasons(cloudformation: Any) -> str:
    events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
    return "\n".join(
        f"  {event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("_FAILED") and event.get("ResourceStatusReason")
    )


def _physical(cloudformation: Any) -> dict[str, str]:
    """The physical names of the stack's resources by logical id."""
    resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
    return {row["LogicalResourceId"]: row["PhysicalResourceId"] for row in resources}


def _set_lifecycle_rules(s3: Any, expanded: Mapping[str, Any], physical: Mapping[str, str]) -> None:
    """Set the lifecycle rules of buckets, which the emulator's CloudFormation ignores."""
    for name, resource in expanded["Resources"].items():
        if resource["Type"] == "AWS::S3::Bucket":
            rules = resource["Properties"]["LifecycleConfiguration"]["Rules"]
            s3.put_bucket_lifecycle_configuration(
                Bucket=physical[name],
                LifecycleConfiguration={"Rules": [_lifecycle_rule(rule) for rule in rules]},
            )


def _lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A lifecycle rule of CloudFormation in the form of the S3 API."""
    converted: dict[str, Any] = {
        "ID": rule["Id"],
        "Status": rule["Status"],
        "Filter": {"Prefix": rule.get("Prefix", "")},
    }
    if "ExpirationInDays" in rule:
        converted["Expiration"] = {"Days": rule["ExpirationInDays"]}
    for same in ("AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration"):
        if same in rule:
            converted[same] = rule[same]
    return converted
