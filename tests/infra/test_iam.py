"""Each role may do what its functions do on AWS, and nothing else.

A green run on the emulator proves less than it seems: it asks other rights than AWS for some calls
and none at all for others. So the calls are written down here, AWS's action for each is looked up
in a table, and the roles are compared with that.
"""

from typing import Any

import pytest

from tests.infra.reading import Resources, of_type, written

# What AWS asks for a call, where it is not the call's own name. Sources: the Service Authorization
# Reference, and the developer guide for PartiQL and multipart uploads.
ACTIONS = {
    "dynamodb:BatchExecuteStatement(INSERT)": ["dynamodb:PartiQLInsert"],
    "dynamodb:BatchExecuteStatement(UPDATE)": ["dynamodb:PartiQLUpdate"],
    "dynamodb:TransactWriteItems(Put)": ["dynamodb:PutItem"],
    "dynamodb:TransactWriteItems(ConditionCheck)": ["dynamodb:ConditionCheckItem"],
    "s3:CompleteMultipartUpload": ["s3:PutObject"],
    "s3:CopyObject": ["s3:GetObject", "s3:PutObject"],
    "s3:CreateMultipartUpload": ["s3:PutObject"],
    "s3:DeleteObjects": ["s3:DeleteObject"],
    "s3:GetObject(VersionId)": ["s3:GetObjectVersion"],
    "s3:HeadObject": ["s3:GetObject"],
    "s3:HeadObject(VersionId)": ["s3:GetObjectVersion"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:UploadPart": ["s3:PutObject"],
    "s3:UploadPartCopy": ["s3:GetObject", "s3:PutObject"],
    "ses:SendEmail": ["ses:SendEmail"],
}

# The calls of each folder of functions/, by what they are made on.
CALLS: dict[str, dict[str, list[str]]] = {
    "IngestRole": {
        "BatchesTable": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "HoldsTable": ["dynamodb:BatchGetItem"],
        "OperationsTable": ["dynamodb:GetItem"],
        "UsageTable": ["dynamodb:UpdateItem"],
        "RequestsTable": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "IntakeBucket": [
            "s3:GetObject(VersionId)",
            "s3:HeadObject",
            "s3:HeadObject(VersionId)",
        ],
        "WorkBucket": [
            "s3:AbortMultipartUpload",
            "s3:CompleteMultipartUpload",
            "s3:CreateMultipartUpload",
            "s3:GetObject",
            "s3:HeadObject",
            "s3:PutObject",
            "s3:UploadPart",
        ],
    },
    "ExecuteRole": {
        "BatchesTable": ["dynamodb:GetItem"],
        "ChunksTable": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "JobsTable": [
            "dynamodb:BatchExecuteStatement(INSERT)",
            "dynamodb:BatchExecuteStatement(UPDATE)",
            "dynamodb:GetItem",
            "dynamodb:Query",
        ],
        "HoldsTable": ["dynamodb:BatchGetItem"],
        "OperationsTable": ["dynamodb:GetItem"],
        "UsageTable": ["dynamodb:UpdateItem"],
        "ObjectsTable": ["dynamodb:PutItem", "dynamodb:Query"],
        "IdentifiersTable": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "WorkBucket": [
            "s3:AbortMultipartUpload",
            "s3:CompleteMultipartUpload",
            "s3:CreateMultipartUpload",
            "s3:DeleteObjects",
            "s3:GetObject",
            "s3:HeadObject",
            "s3:ListObjectsV2",
            "s3:PutObject",
            "s3:UploadPart",
        ],
        "ArchiveBucket": [
            "s3:AbortMultipartUpload",
            "s3:CompleteMultipartUpload",
            "s3:CopyObject",
            "s3:CreateMultipartUpload",
            "s3:GetObject",
            "s3:HeadObject",
            "s3:PutObject",
            "s3:UploadPart",
            "s3:UploadPartCopy",
        ],
    },
    "ReportRole": {
        "BatchesTable": [
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(ConditionCheck)",
        ],
        "ChunksTable": [
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "JobsTable": [
            "dynamodb:BatchExecuteStatement(INSERT)",
            "dynamodb:BatchExecuteStatement(UPDATE)",
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "HoldsTable": [
            "dynamodb:BatchGetItem",
            "dynamodb:DeleteItem",
            "dynamodb:PutItem",
            "dynamodb:Scan",
        ],
        "OperationsTable": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
        "ReportsTable": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
        "UsageTable": ["dynamodb:Query", "dynamodb:UpdateItem"],
        "IntakeBucket": ["s3:HeadObject"],
        "WorkBucket": [
            "s3:AbortMultipartUpload",
            "s3:CompleteMultipartUpload",
            "s3:CreateMultipartUpload",
            "s3:GetObject",
            "s3:PutObject",
            "s3:UploadPart",
        ],
        "BatchMachine": ["states:StartExecution"],
        "JobMachine": ["states:StartExecution"],
        "*": ["ses:SendEmail"],
    },
    "ApiRole": {
        "BatchesTable": [
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(ConditionCheck)",
        ],
        "ChunksTable": [
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "JobsTable": [
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "OperationsTable": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
        "ReportsTable": ["dynamodb:Query"],
        "UsageTable": ["dynamodb:Query"],
        "HoldsTable": [
            "dynamodb:BatchGetItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Scan",
        ],
        "RequestsTable": [
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
        ],
        "IntakeBucket": ["s3:PutObject"],
        "WorkBucket": ["s3:GetObject"],
        "BatchMachine": ["states:StartExecution"],
        "JobMachine": ["states:StartExecution"],
        "UserPool": ["cognito-idp:AdminGetUser"],
    },
}

# Granted although no call of ours asks for it, each with its reason.
BESIDES = {
    "dynamodb:BatchExecuteStatement": "the emulator's word for the PartiQL rights",
    "logs:CreateLogStream": "Lambda itself writes the log",
    "logs:PutLogEvents": "Lambda itself writes the log",
    "s3:ListBucket": "else a missing object answers 403 instead of 404",
    "sqs:SendMessage": "Lambda itself sends what failed to the dead letters",
    "xray:GetSamplingRules": "active tracing, by Lambda itself",
    "xray:GetSamplingTargets": "active tracing, by Lambda itself",
    "xray:PutTelemetryRecords": "active tracing, by Lambda itself",
    "xray:PutTraceSegments": "active tracing, by Lambda itself",
}

# Actions that may be granted on everything, each with its reason.
UNBOUNDED = {
    "dynamodb:BatchExecuteStatement": "means nothing on AWS; the emulator asks it of *",
    "logs:CreateLogDelivery": "log deliveries have no ARN",
    "logs:DeleteLogDelivery": "log deliveries have no ARN",
    "logs:DescribeLogGroups": "log deliveries have no ARN",
    "logs:DescribeResourcePolicies": "log deliveries have no ARN",
    "logs:GetLogDelivery": "log deliveries have no ARN",
    "logs:ListLogDeliveries": "log deliveries have no ARN",
    "logs:PutResourcePolicy": "log deliveries have no ARN",
    "logs:UpdateLogDelivery": "log deliveries have no ARN",
    "ses:SendEmail": "bounded by the sender; the emulator asks it of *",
    "xray:GetSamplingRules": "X-Ray has no resources here",
    "xray:GetSamplingTargets": "X-Ray has no resources here",
    "xray:PutTelemetryRecords": "X-Ray has no resources here",
    "xray:PutTraceSegments": "X-Ray has no resources here",
}

MACHINE = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:"
EXECUTION = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:"
BATCH = "${AWS::StackName}-batch"


@pytest.mark.parametrize("role", CALLS)
def test_a_role_may_do_what_its_functions_do_and_no_more(resources: Resources, role: str) -> None:
    allowed: dict[str, set[str]] = {}
    for action, resource in _grants(resources, role):
        if action not in BESIDES:
            allowed.setdefault(_thing(resource), set()).add(action)
    needed = {
        thing: {action for call in calls for action in ACTIONS.get(call, [call])}
        for thing, calls in CALLS[role].items()
    }
    if role == "ExecuteRole":
        needed["WorkBucket"] |= {"s3:GetObject"}  # a copy into the archive reads what is staged
    needed = {thing: actions - BESIDES.keys() for thing, actions in needed.items()}

    assert allowed == needed


def test_every_folder_of_functions_has_its_role_here(resources: Resources) -> None:
    used = {
        written(function["Properties"]["Role"]).removeprefix("${").removesuffix(".Arn}")
        for function in of_type(resources, "AWS::Lambda::Function").values()
    }

    assert used == CALLS.keys()


def test_no_role_has_a_wildcard_among_its_actions(resources: Resources) -> None:
    for role in of_type(resources, "AWS::IAM::Role"):
        assert [action for action, _ in _grants(resources, role) if "*" in action] == []


def test_what_is_granted_on_everything_has_a_reason(resources: Resources) -> None:
    for role in of_type(resources, "AWS::IAM::Role"):
        unbounded = {action for action, resource in _grants(resources, role) if resource == "*"}
        assert unbounded <= UNBOUNDED.keys(), role


def test_mail_is_sent_in_one_name_only(resources: Resources) -> None:
    (statement,) = (
        one for one in _statements(resources, "ReportRole") if "ses:SendEmail" in one["Action"]
    )

    assert statement["Condition"] == {
        "StringEqualsIfExists": {"ses:FromAddress": {"Ref": "MailFrom"}}
    }


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
            for action, resource in _grants(resources, role)
            if action == "logs:PutLogEvents"
        }
        assert logs == own, role


def test_workers_touch_no_manifest_and_depositors_uploads_nothing_else(
    resources: Resources,
) -> None:
    prefixes = {
        role: {
            (action, resource)
            for action, resource in _grants(resources, role)
            if resource.startswith("${IntakeBucket.Arn}/")
        }
        for role in CALLS
    }

    assert prefixes["ExecuteRole"] == set()
    assert prefixes["ApiRole"] == {("s3:PutObject", "${IntakeBucket.Arn}/manifests/*")}


def test_only_workers_write_to_the_archive_and_nobody_deletes_there(resources: Resources) -> None:
    for role in of_type(resources, "AWS::IAM::Role"):
        actions = {
            action
            for action, resource in _grants(resources, role)
            if resource.startswith("${ArchiveBucket.Arn}")
        }
        assert role == "ExecuteRole" or not actions, role
        assert not {action for action in actions if "Delete" in action}


def test_the_batch_machine_may_run_a_distributed_map(resources: Resources) -> None:
    """AWS asks for these; the emulator asks a machine's role for nothing, and SAM writes none."""
    grants = _grants(resources, "BatchMachineRole")

    assert ("states:StartExecution", f"{MACHINE}{BATCH}") in grants
    for action in ("states:DescribeExecution", "states:StopExecution"):
        assert {(action, f"{EXECUTION}{BATCH}{end}") for end in (":*", "/*")} <= grants
    for action in ("s3:GetObject", "s3:GetObjectVersion"):
        assert (action, "${WorkBucket.Arn}/work/*") in grants


def test_a_machine_is_not_there_before_its_rights(template: dict[str, Any]) -> None:
    assert template["Resources"]["BatchMachine"]["DependsOn"] == "BatchMapPolicy"


def test_a_machine_may_call_the_functions_of_its_states(
    resources: Resources, template: dict[str, Any]
) -> None:
    for machine in ("BatchMachine", "JobMachine"):
        names = template["Resources"][machine]["Properties"]["DefinitionSubstitutions"]
        called = {
            resource
            for action, resource in _grants(resources, f"{machine}Role")
            if action == "lambda:InvokeFunction"
        }
        assert called == {f"${{{name}.Arn}}" for name in names}


def test_payloads_are_read_by_s3_urls_only_where_it_was_allowed(resources: Resources) -> None:
    policy = resources["S3SourcesPolicy"]

    assert policy["Condition"] == "HasS3Sources"
    assert policy["Properties"]["Roles"] == [{"Ref": "ExecuteRole"}]


def _statements(resources: Resources, role: str) -> list[dict[str, Any]]:
    documents = [
        policy["PolicyDocument"] for policy in resources[role]["Properties"].get("Policies", ())
    ]
    documents += [
        policy["Properties"]["PolicyDocument"]
        for policy in of_type(resources, "AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Properties"]["Roles"] and "Condition" not in policy
    ]
    return [statement for document in documents for statement in document["Statement"]]


def _grants(resources: Resources, role: str) -> set[tuple[str, str]]:
    """(action, resource as text) of everything a role may do."""
    found = set()
    for statement in _statements(resources, role):
        assert statement["Effect"] == "Allow"
        actions, on = statement["Action"], statement["Resource"]
        for action in actions if isinstance(actions, list) else [actions]:
            for resource in on if isinstance(on, list) else [on]:
                found.add((action, written(resource)))
    return found


def _thing(resource: str) -> str:
    """The logical id an ARN is of; * of one of everything."""
    for machine in ("batch", "job"):
        if resource == f"{MACHINE}${{AWS::StackName}}-{machine}":
            return f"{machine.capitalize()}Machine"
    return resource.removeprefix("${").split(".")[0]
