"""Each role grants what its functions need on AWS, and nothing else.

A green run on the emulator does not prove that: it checks other actions than AWS for some calls and
none for others. So `rights.py` lists the calls and the action that AWS checks for each, and these
tests compare the roles with the list.
"""

import json
from importlib.resources import files
from typing import Any

import pytest

from cli.local.emulator import ROOT
from tests.infra.rights import (
    ACTIONS,
    BATCH,
    BESIDES,
    CALLS,
    EXECUTION,
    MACHINE,
    grant_list,
    grants,
    grants_all,
    statements,
    thing_of,
)
from tests.infra.template_reader import Resources, of_type, version_of, written

# Actions that may be granted on all resources, each with its reason.
UNBOUNDED = {
    "cloudwatch:DescribeAlarms": "a list of alarms is checked for all of them",
    "dynamodb:BatchExecuteStatement": "AWS has no such action; the emulator checks it for *",
    "logs:CreateLogDelivery": "log deliveries have no ARN",
    "logs:DeleteLogDelivery": "log deliveries have no ARN",
    "logs:DescribeLogGroups": "log deliveries have no ARN",
    "logs:DescribeResourcePolicies": "log deliveries have no ARN",
    "logs:GetLogDelivery": "log deliveries have no ARN",
    "logs:ListLogDeliveries": "log deliveries have no ARN",
    "logs:PutResourcePolicy": "log deliveries have no ARN",
    "logs:UpdateLogDelivery": "log deliveries have no ARN",
    "ses:SendEmail": "restricted by the sender; the emulator checks it for *",
    "xray:GetSamplingRules": "X-Ray has no resources here",
    "xray:GetSamplingTargets": "X-Ray has no resources here",
    "xray:PutTelemetryRecords": "X-Ray has no resources here",
    "xray:PutTraceSegments": "X-Ray has no resources here",
}

NO_VALUE = {"Ref": "AWS::NoValue"}
MACHINES = ("BatchMachine", "EditMachine", "JobMachine", "SystemMachine")
# Lambda connects a function to a VPC with the function's own role. Source: its developer guide.
NETWORK_ACTIONS = {
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
}


@pytest.mark.parametrize("role", CALLS)
def test_a_role_grants_what_its_functions_call_and_no_more(resources: Resources, role: str) -> None:
    allowed: dict[str, set[str]] = {}
    for action, resource in grants(resources, role):
        if action not in BESIDES:
            allowed.setdefault(thing_of(resource), set()).add(action)
    needed = {
        thing: {action for call in calls for action in ACTIONS.get(call, [call])}
        for thing, calls in CALLS[role].items()
    }
    needed = {thing: actions - BESIDES.keys() for thing, actions in needed.items() if actions}

    assert allowed == needed


@pytest.mark.parametrize(
    ("role", "call", "on", "allowed"),
    [
        ("ApiRole", "dynamodb:Query", "${BatchesTable.Arn}/index/by_month", True),
        ("ApiRole", "dynamodb:Query", "${BatchesTable.Arn}/index/by_weekday", False),
        ("IngestRole", "s3:PutObject", "${WorkBucket.Arn}/work/b1/rows", True),
        ("IngestRole", "s3:PutObject", "${WorkBucket.Arn}/reports/b1", False),
        ("ExecuteRole", "s3:UploadPart", "${WorkBucket.Arn}/staging/b1", True),
        ("IngestRole", "s3:GetObject(VersionId)", "${IntakeBucket.Arn}/manifests/a", True),
        ("ExecuteRole", "dynamodb:BatchExecuteStatement(INSERT)", "${JobsTable.Arn}", True),
        ("ExecuteRole", "dynamodb:TransactWriteItems(Put)", "${JobsTable.Arn}", False),
        ("ExecuteRole", "dynamodb:Query", "${SweepTables.Arn}/index/by_expiry", True),
        ("ExecuteRole", "dynamodb:Query", "${SweepTables.Arn}", False),
        ("ReportRole", "dynamodb:Query", "${SweepTables.Arn}/index/by_expiry", False),
    ],
)
def test_permissions_match_by_index_and_prefix(
    resources: Resources, role: str, call: str, on: str, allowed: bool
) -> None:
    assert grants_all(resources, role, call, on) is allowed


def test_the_table_has_every_role_of_a_function(resources: Resources) -> None:
    used = {
        written(function["Properties"]["Role"]).removeprefix("${").removesuffix(".Arn}")
        for function in of_type(resources, "AWS::Lambda::Function").values()
    }

    assert used == CALLS.keys()


def test_no_role_has_a_wildcard_among_its_actions(resources: Resources) -> None:
    for role in of_type(resources, "AWS::IAM::Role"):
        assert [action for action, _ in grants(resources, role) if "*" in action] == []


def test_every_action_that_is_granted_exists(resources: Resources) -> None:
    """IAM and cfn-lint accept a misspelt action."""
    known = json.loads(files("cfnlint.data.AdditionalSpecs").joinpath("Policies.json").read_text())
    granted = {
        action
        for role in of_type(resources, "AWS::IAM::Role")
        for action, _ in grants(resources, role)
    }
    unknown = {
        action
        for action in granted | NETWORK_ACTIONS
        if action.partition(":")[2].lower() not in known[action.partition(":")[0]]["Actions"]
    }

    assert unknown == {"dynamodb:BatchExecuteStatement"}  # the emulator's name for PartiQL


def test_what_is_granted_on_everything_has_a_reason(resources: Resources) -> None:
    for role in of_type(resources, "AWS::IAM::Role"):
        unbounded = {action for action, resource in grants(resources, role) if resource == "*"}
        assert unbounded <= UNBOUNDED.keys(), role


def test_roles_name_their_managed_policies(
    resources: Resources,
) -> None:
    """Lambda and Step Functions check the role when tracing or logging is switched on. A role that
    names its policies has them by then. A policy that names the role may be attached later."""
    of_machines = [f"{machine}Role" for machine in MACHINES]
    for role in [*CALLS, *of_machines]:
        assert {"Ref": "TracingPolicy"} in resources[role]["Properties"]["ManagedPolicyArns"], role
    for role in of_machines:
        assert {"Ref": "LogDeliveryPolicy"} in resources[role]["Properties"]["ManagedPolicyArns"]
    for policy in of_type(resources, "AWS::IAM::ManagedPolicy").values():
        assert policy["Properties"].keys() == {"Description", "PolicyDocument"}


def test_no_permission_is_granted_twice(resources: Resources) -> None:
    for role in of_type(resources, "AWS::IAM::Role"):
        granted = grant_list(resources, role)
        assert len(granted) == len(set(granted)), role


def test_mail_has_one_sender(resources: Resources) -> None:
    (statement,) = (
        one for one in statements(resources, "ReportRole") if "ses:SendEmail" in one["Action"]
    )

    assert statement["Condition"] == {"StringEquals": {"ses:FromAddress": {"Ref": "MailFrom"}}}


def test_a_function_writes_to_its_own_logs_only(resources: Resources) -> None:
    functions = of_type(resources, "AWS::Lambda::Function")
    for role in CALLS:
        own = {
            written(function["Properties"]["LoggingConfig"]["LogGroup"])
            for function in functions.values()
            if written(function["Properties"]["Role"]) == f"${{{role}.Arn}}"
        }
        logs = {
            resource.replace(".Arn}", "}")
            for action, resource in grants(resources, role)
            if action == "logs:PutLogEvents"
        }
        assert logs == own, role


def test_workers_have_no_access_to_manifests_and_api_and_pages_only_write_them(
    resources: Resources,
) -> None:
    prefixes = {
        role: {
            (action, resource)
            for action, resource in grants(resources, role)
            if resource.startswith("${IntakeBucket.Arn}/")
        }
        for role in CALLS
    }

    assert prefixes["ExecuteRole"] == set()
    for role in ("ApiRole", "WebRole"):
        assert prefixes[role] == {
            ("s3:PutObject", "${IntakeBucket.Arn}/manifests/*"),
            *(
                (action, f"${{IntakeBucket.Arn}}/{prefix}/*")
                for action in ("s3:PutObject", "s3:GetObject", "s3:GetObjectVersion")
                for prefix in ("datasets", "edits", "targets")
            ),
        }


def test_only_the_pages_have_access_to_sessions(resources: Resources) -> None:
    having = {
        role
        for role in of_type(resources, "AWS::IAM::Role")
        for _, resource in grants(resources, role)
        if resource.startswith("${SessionsTable.Arn}")
    }

    assert having == {"WebRole"}


def test_no_function_may_administer_users(resources: Resources) -> None:
    granted = {
        action
        for role in of_type(resources, "AWS::IAM::Role")
        for action, _ in grants(resources, role)
        if action.startswith("cognito-idp:")
    }

    assert granted == {"cognito-idp:AdminGetUser"}


def test_only_workers_write_to_the_archive_and_nobody_deletes_there(resources: Resources) -> None:
    for role in of_type(resources, "AWS::IAM::Role"):
        actions = {
            action
            for action, resource in grants(resources, role)
            if resource.startswith("${ArchiveBucket.Arn}")
        }
        # The API and the pages sign links to download files.
        allowed = {"s3:GetObject"} if role in {"ApiRole", "WebRole"} else set()
        assert role in {"ExecuteRole", "SystemRole"} or actions <= allowed, role
        assert not {action for action in actions if "Delete" in action}


def test_what_reads_the_bytes_of_strangers_deletes_no_records_and_no_versions(
    resources: Resources,
) -> None:
    """Workers delete what they have staged, and edit jobs their files, which the bucket keeps as
    versions for a day and for a month."""
    deletions = {
        role: {
            (action, resource)
            for action, resource in grants(resources, role)
            if "Delete" in action or action == "dynamodb:BatchWriteItem"
        }
        for role in ("IngestRole", "ExecuteRole", "EditRole")
    }

    assert deletions == {
        "IngestRole": set(),
        "ExecuteRole": {("s3:DeleteObject", "${WorkBucket.Arn}/staging/*")},
        "EditRole": {("s3:DeleteObject", "${WorkBucket.Arn}/edits/*")},
    }


def test_system_jobs_archive_records_and_touch_no_deposited_content(resources: Resources) -> None:
    on_archive = {
        resource
        for action, resource in grants(resources, "SystemRole")
        if resource.startswith("${ArchiveBucket.Arn}") and action != "s3:ListBucket"
    }

    assert on_archive == {"${ArchiveBucket.Arn}/records/*"}
    tables = {thing_of(resource) for _, resource in grants(resources, "SystemRole")}
    assert not tables & {"ObjectsTable", "IdentifiersTable", "CollectionsTable"}


def test_only_the_systems_own_function_has_its_role(resources: Resources) -> None:
    functions = of_type(resources, "AWS::Lambda::Function")
    with_role = {
        name
        for name, function in functions.items()
        if function["Properties"]["Role"] == {"Fn::GetAtt": ["SystemRole", "Arn"]}
    }

    assert with_role == {"SystemJobFunction"}


def test_the_batch_machine_may_run_a_distributed_map(resources: Resources) -> None:
    """AWS checks these. The emulator does not check a machine's role, and SAM grants none."""
    granted = grants(resources, "BatchMachineRole")

    assert ("states:StartExecution", f"{MACHINE}{BATCH}") in granted
    for action in ("states:DescribeExecution", "states:StopExecution"):
        assert {(action, f"{EXECUTION}{BATCH}{end}") for end in (":*", "/*")} <= granted
    for action in ("s3:GetObject", "s3:GetObjectVersion"):
        assert (action, "${WorkBucket.Arn}/work/*") in granted
    # docs/operating.md says that a failed execution may be redriven.
    assert ("states:RedriveExecution", f"{EXECUTION}{BATCH}/*") in granted


def test_a_machine_is_created_after_its_policy(template: dict[str, Any]) -> None:
    assert template["Resources"]["BatchMachine"]["DependsOn"] == "BatchMapPolicy"


def test_a_machine_may_call_the_functions_of_its_states(
    resources: Resources, template: dict[str, Any]
) -> None:
    assert {*of_type(template["Resources"], "AWS::Serverless::StateMachine")} == {*MACHINES}
    for machine in MACHINES:
        names = resources[machine]["Properties"]["DefinitionSubstitutions"]
        called = {
            resource
            for action, resource in grants(resources, f"{machine}Role")
            if action == "lambda:InvokeFunction"
        }
        # All versions: an execution in flight has an earlier one.
        assert called == {
            f"${{{version_of(written(value))}.Arn}}:*"
            for name, value in names.items()
            if name.endswith("Function")
        }


def test_sweeps_change_only_the_allowed_tables(resources: Resources) -> None:
    policy = resources["SweepTablesPolicy"]

    assert policy["Condition"] == "HasSweepTables"
    assert policy["Properties"]["Roles"] == [{"Ref": "ExecuteRole"}]
    granted = []
    for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
        text, named = statement["Resource"]["Fn::Split"][1]["Fn::Sub"]
        delimiter, listed = named["Tables"]["Fn::Join"]
        assert listed == {"Ref": "SweepTables"}
        of_two = text.replace("${Tables}", delimiter.join(["voters", "members"]))
        granted.append((statement["Action"], of_two.split(",")))
    tables = [f"arn:*:dynamodb:*:*:table/{name}" for name in ("voters", "members")]
    assert granted == [
        (["dynamodb:BatchGetItem", "dynamodb:UpdateItem"], tables),
        ("dynamodb:Query", [f"{table}/index/*" for table in tables]),
    ]


def test_jobs_invoke_only_the_allowed_functions(resources: Resources) -> None:
    policy = resources["CallFunctionsPolicy"]

    assert policy["Condition"] == "HasCallFunctions"
    assert policy["Properties"]["Roles"] == [{"Ref": "ExecuteRole"}]
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "lambda:InvokeFunction"
    assert statement["Resource"] == {"Ref": "CallFunctions"}


def test_callbacks_change_no_checkpoint(resources: Resources) -> None:
    """Anybody may try to answer one: nobody is signed in."""
    (put,) = (
        each
        for each in resources["ApiRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        if (each["Action"], each["Resource"])
        == ("dynamodb:PutItem", {"Fn::GetAtt": ["CheckpointsTable", "Arn"]})
    )
    assert put["Condition"] == {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["callback#*"]}}


def test_s3_urls_read_only_from_the_allowed_buckets(resources: Resources) -> None:
    policy = resources["S3SourcesPolicy"]

    assert policy["Condition"] == "HasS3Sources"
    assert policy["Properties"]["Roles"] == [{"Ref": "ExecuteRole"}]


def test_only_workers_get_the_rights_of_a_vpc_and_only_with_subnets(resources: Resources) -> None:
    policy = {"Fn::If": ["HasDeviceSubnets", {"Ref": "DeviceSubnetsPolicy"}, NO_VALUE]}
    having = {
        role
        for role, one in of_type(resources, "AWS::IAM::Role").items()
        if "DeviceSubnetsPolicy" in json.dumps(one)
    }

    assert having == {"ExecuteRole"}
    # Named by the role, so that it has them when Lambda checks.
    assert policy in resources["ExecuteRole"]["Properties"]["ManagedPolicyArns"]
    assert resources["DeviceSubnetsPolicy"]["Condition"] == "HasDeviceSubnets"


def test_workers_may_be_connected_to_their_subnets_and_no_others(resources: Resources) -> None:
    interfaces = "arn:aws:ec2:${AWS::Region}:${AWS::AccountId}"
    allowed = {
        (action, arn)
        for statement in _network_statements(resources, "Allow")
        for action in _listed(statement["Action"])
        for arn in _arns(statement["Resource"], ["one", "two"])
    }

    assert allowed == {
        ("ec2:AssignPrivateIpAddresses", f"{interfaces}:*/*"),
        ("ec2:CreateNetworkInterface", f"{interfaces}:network-interface/*"),
        ("ec2:CreateNetworkInterface", "arn:*:ec2:*:*:subnet/one"),
        ("ec2:CreateNetworkInterface", "arn:*:ec2:*:*:subnet/two"),
        ("ec2:CreateNetworkInterface", "arn:*:ec2:*:*:security-group/one"),
        ("ec2:CreateNetworkInterface", "arn:*:ec2:*:*:security-group/two"),
        ("ec2:DeleteNetworkInterface", f"{interfaces}:*/*"),
        ("ec2:DescribeNetworkInterfaces", "*"),
        ("ec2:DescribeSubnets", "*"),
        ("ec2:UnassignPrivateIpAddresses", f"{interfaces}:*/*"),
    }
    assert {action for action, _ in allowed} == NETWORK_ACTIONS


def test_the_code_of_a_worker_may_not_change_networks(resources: Resources) -> None:
    """AWS sets the key only on calls of the code, not on Lambda's own with the same role."""
    (denied,) = _network_statements(resources, "Deny")

    assert set(denied["Action"]) == NETWORK_ACTIONS
    assert denied["Resource"] == "*"
    ((key, functions),) = denied["Condition"]["ArnLike"].items()
    assert key == "lambda:SourceFunctionArn"
    assert written(functions) == "arn:${AWS::Partition}:lambda:*:*:function:*"


def _network_statements(resources: Resources, effect: str) -> list[dict[str, Any]]:
    document = resources["DeviceSubnetsPolicy"]["Properties"]["PolicyDocument"]
    return [one for one in document["Statement"] if one["Effect"] == effect]


def _listed(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def _arns(resource: Any, ids: list[str]) -> list[str]:
    """The ARNs of a statement, whose list of ids is `ids`."""
    if not (isinstance(resource, dict) and "Fn::Split" in resource):
        return [written(resource).replace("${AWS::Partition}", "aws")]
    delimiter, text = resource["Fn::Split"]
    pattern, named = text["Fn::Sub"]
    joined = named["Ids"]["Fn::Join"]
    kind = {"DeviceSubnets": "subnet", "DeviceSecurityGroups": "security-group"}
    assert f":{kind[joined[1]['Ref']]}/" in pattern
    arns = pattern.replace("${Ids}", joined[0].join(ids)).replace("${AWS::Partition}", "aws")
    return list(arns.split(delimiter))


def test_no_partition_is_written_into_an_arn() -> None:
    """China and GovCloud have others. A * stands where CloudFormation takes no reference."""
    sources = [ROOT / "template.yaml", *ROOT.glob("infra/**/*.yaml"), *ROOT.glob("infra/**/*.json")]
    sources += [
        each for part in ("functions", "layers/jobyard") for each in ROOT.glob(f"{part}/**/*.py")
    ]

    assert [str(each) for each in sources if "arn:aws" in each.read_text()] == []
