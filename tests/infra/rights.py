"""The calls of each folder of functions, the actions that AWS checks, and what the roles grant.

`tests/infra/test_iam.py` compares the table with the roles. `tests/live/test_rights.py` compares it
with the calls of the deployed functions.
"""

import re
from typing import Any

from tests.infra.template_reader import Resources, of_type, written

# The actions that AWS checks for a call, where they differ from the call's name. Sources: the
# Service Authorization Reference; the developer guides on PartiQL and on multipart uploads.
ACTIONS = {
    "cognito-idp:GetTokensFromRefreshToken": [],  # the token itself is the permission
    "cognito-idp:RevokeToken": [],
    "dynamodb:BatchExecuteStatement(INSERT)": ["dynamodb:PartiQLInsert"],
    "dynamodb:BatchExecuteStatement(UPDATE)": ["dynamodb:PartiQLUpdate"],
    "dynamodb:TransactWriteItems(Put)": ["dynamodb:PutItem"],
    "dynamodb:TransactWriteItems(ConditionCheck)": ["dynamodb:ConditionCheckItem"],
    "dynamodb:TransactWriteItems(Delete)": ["dynamodb:DeleteItem"],
    "dynamodb:TransactWriteItems(Update)": ["dynamodb:UpdateItem"],
    "s3:CompleteMultipartUpload": ["s3:PutObject"],
    "s3:CopyObject": ["s3:PutObject"],  # and s3:GetObject or GetObjectVersion on the source
    "s3:CreateMultipartUpload": ["s3:PutObject"],
    "s3:DeleteObjects": ["s3:DeleteObject"],
    "s3:DeleteObjects(VersionId)": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
    "s3:GetObject(VersionId)": ["s3:GetObjectVersion"],
    "s3:HeadObject": ["s3:GetObject"],
    "s3:HeadObject(VersionId)": ["s3:GetObjectVersion"],
    "s3:ListObjectVersions": ["s3:ListBucketVersions"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:PostObject": ["s3:PutObject"],
    "s3:UploadPart": ["s3:PutObject"],
    "s3:UploadPartCopy": ["s3:PutObject"],  # and s3:GetObject on the source
    "ses:SendEmail": ["ses:SendEmail"],
}

# The calls of each folder of functions/, by resource.
CALLS: dict[str, dict[str, list[str]]] = {
    "IngestRole": {
        "BatchesTable": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "CampaignsTable": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
        "ChunksTable": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "JobsTable": ["dynamodb:Query"],
        "HoldsTable": ["dynamodb:BatchGetItem"],
        "CollectionsTable": ["dynamodb:GetItem"],
        "OperationsTable": ["dynamodb:GetItem"],
        "UsageTable": ["dynamodb:UpdateItem"],
        "TimelineTable": ["dynamodb:UpdateItem"],
        "RequestsTable": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
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
        "CampaignsTable": [
            "dynamodb:BatchExecuteStatement(INSERT)",
            "dynamodb:BatchExecuteStatement(UPDATE)",
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
        ],
        "CallSecrets": ["secretsmanager:GetSecretValue"],
        "DeviceSecrets": ["secretsmanager:GetSecretValue"],
        "BatchesTable": ["dynamodb:GetItem"],
        "ChunksTable": ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"],
        "JobsTable": [
            "dynamodb:BatchExecuteStatement(INSERT)",
            "dynamodb:BatchExecuteStatement(UPDATE)",
            "dynamodb:GetItem",
            "dynamodb:Query",
        ],
        "HoldsTable": ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem"],
        "CollectionsTable": ["dynamodb:BatchGetItem"],
        "OperationsTable": ["dynamodb:GetItem"],
        "OccurrencesTable": ["dynamodb:GetItem"],
        "UsageTable": ["dynamodb:UpdateItem"],
        "TimelineTable": ["dynamodb:UpdateItem"],
        "CheckpointsTable": [
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "SweepTables": [
            "dynamodb:BatchGetItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Update)",
        ],
        "ObjectsTable": ["dynamodb:PutItem", "dynamodb:Query"],
        "IdentifiersTable": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "WorkBucket": [
            "s3:AbortMultipartUpload",
            "s3:CompleteMultipartUpload",
            "s3:CreateMultipartUpload",
            "s3:DeleteObjects",
            "s3:GetObject",
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
    "SystemRole": {
        "DatasetsTable": [
            "dynamodb:BatchGetItem",
            "dynamodb:BatchWriteItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
        ],
        "CommitsTable": ["dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"],
        "EditMachine": ["states:DescribeExecution", "states:StartExecution"],
        "VersionsTable": [
            "dynamodb:BatchExecuteStatement(INSERT)",
            "dynamodb:BatchExecuteStatement(UPDATE)",
            "dynamodb:BatchWriteItem",
        ],
        "EditsTable": [
            "dynamodb:BatchGetItem",
            "dynamodb:BatchWriteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "CampaignsTable": [
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "BatchesTable": [
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "ChunksTable": ["dynamodb:BatchWriteItem", "dynamodb:Query"],
        "JobsTable": [
            "dynamodb:BatchExecuteStatement(INSERT)",
            "dynamodb:BatchExecuteStatement(UPDATE)",
            "dynamodb:BatchWriteItem",
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Delete)",
        ],
        "OperationsTable": ["dynamodb:BatchWriteItem", "dynamodb:GetItem", "dynamodb:Query"],
        "ReportsTable": ["dynamodb:BatchWriteItem", "dynamodb:Query"],
        "SchedulesTable": [
            "dynamodb:GetItem",
            "dynamodb:Scan",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "OccurrencesTable": [
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Delete)",
        ],
        "UsageTable": ["dynamodb:BatchWriteItem", "dynamodb:Query", "dynamodb:UpdateItem"],
        "TimelineTable": ["dynamodb:UpdateItem"],
        "RequestsTable": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "CheckpointsTable": ["dynamodb:GetItem", "dynamodb:TransactWriteItems(Put)"],
        "WorkBucket": [
            "s3:AbortMultipartUpload",
            "s3:CompleteMultipartUpload",
            "s3:CreateMultipartUpload",
            "s3:DeleteObjects",
            "s3:DeleteObjects(VersionId)",
            "s3:GetObject",
            "s3:ListObjectVersions",
            "s3:ListObjectsV2",
            "s3:PutObject",
            "s3:UploadPart",
        ],
        "ArchiveBucket": [
            "s3:AbortMultipartUpload",
            "s3:CompleteMultipartUpload",
            "s3:CreateMultipartUpload",
            "s3:GetObject",
            "s3:HeadObject",
            "s3:PutObject",
            "s3:UploadPart",
        ],
        "BatchMachine": ["states:DescribeExecution", "states:StartExecution"],
        "JobMachine": ["states:DescribeExecution", "states:StartExecution"],
        "SystemMachine": ["states:DescribeExecution", "states:StartExecution"],
    },
    "ReportRole": {
        "CampaignsTable": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "BatchesTable": [
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(ConditionCheck)",
        ],
        "ChunksTable": [
            "dynamodb:GetItem",
            "dynamodb:PutItem",
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
        "SchedulesTable": ["dynamodb:GetItem", "dynamodb:TransactWriteItems(Put)"],
        "CheckpointsTable": ["dynamodb:GetItem"],
        "CollectionsTable": ["dynamodb:GetItem"],
        "HoldsTable": [
            "dynamodb:BatchGetItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Scan",
        ],
        "OccurrencesTable": ["dynamodb:GetItem", "dynamodb:TransactWriteItems(Put)"],
        "OperationsTable": [
            "dynamodb:GetItem",
            "dynamodb:TransactWriteItems(Put)",
            "dynamodb:TransactWriteItems(Update)",
        ],
        "ReportsTable": [
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "UsageTable": ["dynamodb:Query", "dynamodb:UpdateItem"],
        "TimelineTable": ["dynamodb:Query", "dynamodb:UpdateItem"],
        "RequestsTable": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
        "IntakeBucket": ["s3:HeadObject", "s3:HeadObject(VersionId)"],
        "WorkBucket": [
            "s3:AbortMultipartUpload",
            "s3:CompleteMultipartUpload",
            "s3:CreateMultipartUpload",
            "s3:GetObject",
            "s3:GetObject(VersionId)",
            "s3:PutObject",
            "s3:UploadPart",
            "s3:UploadPartCopy",
        ],
        "JobMachine": ["states:StartExecution"],
        "SystemMachine": ["states:StartExecution"],
        "*": ["ses:SendEmail"],
    },
    "ScheduleRole": {
        "CampaignsTable": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
        "SchedulesTable": [
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "OccurrencesTable": ["dynamodb:GetItem", "dynamodb:TransactWriteItems(Put)"],
        "CalendarsTable": ["dynamodb:GetItem"],
        "CheckpointsTable": ["dynamodb:GetItem"],
        "BatchesTable": [
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(ConditionCheck)",
        ],
        "ChunksTable": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
        "JobsTable": ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:TransactWriteItems(Put)"],
        "OperationsTable": ["dynamodb:GetItem", "dynamodb:TransactWriteItems(Put)"],
        "HoldsTable": [
            "dynamodb:BatchGetItem",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Scan",
        ],
        "RequestsTable": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "BatchMachine": ["states:DescribeExecution", "states:StartExecution"],
        "JobMachine": ["states:DescribeExecution", "states:StartExecution"],
        "SystemMachine": ["states:DescribeExecution", "states:StartExecution"],
        "EditMachine": ["states:DescribeExecution", "states:StartExecution"],
        "EditsTable": ["dynamodb:GetItem", "dynamodb:Query"],
    },
    "ApiRole": {
        "DatasetsTable": [
            "dynamodb:BatchGetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(ConditionCheck)",
        ],
        "CommitsTable": ["dynamodb:GetItem", "dynamodb:Query"],
        "VersionsTable": ["dynamodb:Query"],
        "EditMachine": ["states:DescribeExecution", "states:StartExecution"],
        "CampaignsTable": [
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
        ],
        "BatchesTable": [
            "dynamodb:BatchGetItem",
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
        "OperationsTable": [
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "dynamodb:TransactWriteItems(Put)",
            "dynamodb:TransactWriteItems(Update)",
        ],
        "ReportsTable": [
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "EditsTable": [
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "TeamsTable": [
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Delete)",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "UsageTable": ["dynamodb:Query"],
        "TimelineTable": ["dynamodb:PutItem", "dynamodb:Query"],
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
        "SchedulesTable": [
            "dynamodb:BatchGetItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:Scan",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "OccurrencesTable": [
            "dynamodb:GetItem",
            "dynamodb:Query",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "CalendarsTable": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Scan"],
        "CollectionsTable": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
        "CheckpointsTable": ["dynamodb:GetItem", "dynamodb:PutItem"],
        "IntakeBucket": [
            "s3:GetObject",
            "s3:GetObject(VersionId)",
            "s3:HeadObject",
            "s3:PostObject",
        ],
        "ObjectsTable": ["dynamodb:GetItem", "dynamodb:Query"],
        "IdentifiersTable": ["dynamodb:GetItem"],
        "ArchiveBucket": ["s3:GetObject"],
        "WorkBucket": ["s3:CopyObject", "s3:GetObject", "s3:PutObject"],
        "BatchMachine": ["states:StartExecution"],
        "JobMachine": ["states:StartExecution"],
        "SystemMachine": ["states:StartExecution"],
        "*": ["cloudwatch:DescribeAlarms"],
        "UserPool": ["cognito-idp:AdminGetUser"],
        "ExecuteChunkLogs": ["logs:FilterLogEvents"],
        "ExecuteJobLogs": ["logs:FilterLogEvents"],
        "SystemJobLogs": ["logs:FilterLogEvents"],
    },
    "EditRole": {
        "DatasetsTable": ["dynamodb:PutItem", "dynamodb:Query", "dynamodb:TransactWriteItems(Put)"],
        "CommitsTable": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"],
        "VersionsTable": [
            "dynamodb:BatchExecuteStatement(INSERT)",
            "dynamodb:BatchExecuteStatement(UPDATE)",
            "dynamodb:Query",
        ],
        "EditsTable": [
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:TransactWriteItems(Put)",
        ],
        "TeamsTable": ["dynamodb:Query"],
        "RequestsTable": ["dynamodb:PutItem"],
        "TimelineTable": ["dynamodb:UpdateItem"],
        "UsageTable": ["dynamodb:UpdateItem"],
        "ReportsTable": ["dynamodb:TransactWriteItems(Put)"],
        "IntakeBucket": ["s3:GetObject", "s3:GetObject(VersionId)"],
        "WorkBucket": [
            "s3:AbortMultipartUpload",
            "s3:CompleteMultipartUpload",
            "s3:CreateMultipartUpload",
            "s3:DeleteObjects",
            "s3:GetObject",
            "s3:ListObjectsV2",
            "s3:PutObject",
            "s3:UploadPart",
        ],
        "EditMachine": ["states:StartExecution"],
        "default": ["events:PutEvents"],
    },
}
# Pages show what the API returns, and send the same events.
CALLS["WebRole"] = CALLS["ApiRole"] | {
    "CheckpointsTable": ["dynamodb:GetItem"],
    "OperationsTable": [*CALLS["ApiRole"]["OperationsTable"], "dynamodb:Query"],
    "RequestsTable": ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
    "SessionsTable": ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"],
    "UserPoolClient": ["cognito-idp:GetTokensFromRefreshToken", "cognito-idp:RevokeToken"],
    "DeadLetters": [
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ReceiveMessage",
    ],
    "*": ["cloudwatch:DescribeAlarms"],
}

# Actions that are granted although our code makes no such call, each with its reason.
BESIDES = {
    "dynamodb:BatchExecuteStatement": "the emulator's name for the PartiQL actions",
    "logs:CreateLogStream": "Lambda writes the log",
    "logs:PutLogEvents": "Lambda writes the log",
    "s3:ListBucket": "without it S3 answers 403 for a missing object, not 404",
    "sqs:SendMessage": "Lambda sends failed events to the dead-letter queue",
    "xray:GetSamplingRules": "Lambda sends the traces",
    "xray:GetSamplingTargets": "Lambda sends the traces",
    "xray:PutTelemetryRecords": "Lambda sends the traces",
    "xray:PutTraceSegments": "Lambda sends the traces",
}

MACHINE = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:"
EXECUTION = "arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:execution:"
EVENT_BUS = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/"
LOG_GROUP = "arn:${AWS::Partition}:logs:${AWS::Region}:${AWS::AccountId}:log-group:"
BATCH = "${AWS::StackName}-batch"
SECRET = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:"
SWEPT = "arn:*:dynamodb:*:*:table/${Tables}"  # each table of SweepTables
MET = {"HasSweepTables"}  # conditions that hold in the tested deployment


def statements(resources: Resources, role: str) -> list[dict[str, Any]]:
    """A role's statements: its own, and those of the policies that name it or that it names.

    Without S3SourcesPolicy, CallFunctionsPolicy and DeviceSubnetsPolicy, whose conditions are not
    met.
    """
    documents = [
        policy["PolicyDocument"] for policy in resources[role]["Properties"].get("Policies", ())
    ]
    documents += [
        policy["Properties"]["PolicyDocument"]
        for policy in of_type(resources, "AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Properties"]["Roles"]
        and {policy.get("Condition")} <= {None, *MET}
    ]
    documents += [
        resources[arn["Ref"]]["Properties"]["PolicyDocument"]
        for arn in map(_chosen, resources[role]["Properties"].get("ManagedPolicyArns", ()))
        if arn["Ref"] != "AWS::NoValue"
    ]
    return [statement for document in documents for statement in document["Statement"]]


def _chosen(value: dict[str, Any]) -> dict[str, Any]:
    """The branch of an If that is taken; another value as it is."""
    if "Fn::If" not in value:
        return value
    condition, yes, no = value["Fn::If"]
    branch: dict[str, Any] = yes if condition in MET else no
    return branch


def grants(resources: Resources, role: str) -> set[tuple[str, str]]:
    """(action, resource as text) of all permissions of a role."""
    return set(grant_list(resources, role))


def grant_list(resources: Resources, role: str) -> list[tuple[str, str]]:
    """(action, resource as text) for each grant, with duplicates."""
    found = []
    for statement in statements(resources, role):
        assert statement["Effect"] == "Allow"
        actions, on = statement["Action"], statement["Resource"]
        for action in actions if isinstance(actions, list) else [actions]:
            for resource in on if isinstance(on, list) else [on]:
                found.append((action, _written(resource)))
    return found


def _written(resource: Any) -> str:
    if isinstance(resource, dict) and "Fn::Split" in resource:  # each element of the list
        each = written(resource["Fn::Split"][1])
        return each.replace(SWEPT, "${SweepTables.Arn}")
    return written(resource)


def thing_of(resource: str) -> str:
    """The logical id of the resource that an ARN belongs to; "*" for all resources."""
    if resource.startswith((MACHINE, EXECUTION)):
        name = resource.rpartition("${AWS::StackName}-")[2].split(":")[0]
        return f"{name.capitalize()}Machine"
    for prefix in (LOG_GROUP, SECRET, EVENT_BUS, "${"):
        resource = resource.removeprefix(prefix)
    return re.split(r"[.}]", resource)[0]


def grants_all(resources: Resources, role: str, call: str, on: str) -> bool:
    """Whether AWS would allow `role` the `call` on the resource `on`, an ARN as in the template."""
    granted = grants(resources, role)
    return all(
        any(action == required and _matches(on, pattern) for action, pattern in granted)
        for required in ACTIONS.get(call, [call])
    )


def _matches(on: str, pattern: str) -> bool:
    """Whether an ARN matches an IAM pattern, in which * matches anything."""
    parts = (re.escape(part) for part in pattern.split("*"))
    return re.fullmatch(".*".join(parts), on) is not None
