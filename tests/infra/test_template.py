"""The templates protect data, restrict access and monitor what can fail."""

import json
import re
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cli.local.emulator import ROOT
from cli.local.stack import Stack, output_name
from cli.local.template_file import read_template
from jobyard.domain import metrics
from jobyard.domain.access import ROLES
from jobyard.domain.batches.report import LATE_AFTER
from jobyard.domain.dead_letter import LETTER_KINDS
from jobyard.domain.freshness import CLAIM_TIME
from jobyard.domain.machine_clients import MACHINE_CLIENT_ROLES, SCOPES
from jobyard.services.jobs.runner import CONCURRENT_JOBS
from jobyard.store import tables
from tests.infra.template_reader import Resources, called_by, of_type, written

FUNCTIONS = {
    "OpenFunction": "ingest.open.handler",
    "ExecuteChunkFunction": "execute.chunk.handler",
    "ExecuteJobFunction": "execute.job.handler",
    "SystemJobFunction": "system.job.handler",
    "SettleFunction": "report.settle.handler",
    "ReportFunction": "report.report.handler",
    "OutboxTickFunction": "report.outbox_tick.handler",
    "SchedulerTickFunction": "schedule.scheduler_tick.handler",
    "ExecutionFailureFunction": "schedule.execution_failure.handler",
    "DeliveryFunction": "report.delivery.handler",
    "PrepareFunction": "edit.prepare.handler",
    "CheckFunction": "edit.check.handler",
    "CommitFunction": "edit.commit.handler",
    "LoadFunction": "edit.load.handler",
    "ApiFunction": "api.handler.handler",
    "WebFunction": "web.handler.handler",
}

# (hash, range, {index: (hash, range)}, expires)
TABLES: dict[str, tuple[str, str, dict[str, tuple[str, str]], bool]] = {
    "BatchesTable": (
        "batch_id",
        "",
        {
            "by_month": ("month", "submitted"),
            "by_state": ("state", "submitted"),
            "by_collection": ("collection", "submitted"),
            "by_submitter": ("submitter", "submitted"),
        },
        True,
    ),
    "JobsTable": ("chunk_id", "position", {}, False),
    "ChunksTable": ("batch_id", "chunk", {"held": ("held_shard", "held_of")}, False),
    "ReportsTable": (
        "batch_id",
        "seq",
        {"undelivered": ("undelivered", "queued_at"), "by_webhook": ("webhook", "delivery")},
        False,
    ),
    "HoldsTable": ("scope", "", {}, False),
    "ObjectsTable": ("ark", "version", {}, False),
    "IdentifiersTable": ("identifier", "", {}, False),
    "OperationsTable": ("batch_id", "operation_id", {}, False),
    "SchedulesTable": (
        "schedule_id",
        "",
        {
            "due": ("due_shard", "due_at"),
            "listed": ("shelf", "title"),
            "problems": ("problem_partition", "problem_at"),
        },
        False,
    ),
    "OccurrencesTable": ("schedule_id", "at", {}, False),
    "CampaignsTable": (
        "campaign_id",
        "",
        {"due": ("due_shard", "due_at"), "listed": ("shelf", "created")},
        False,
    ),
    "CalendarsTable": ("name", "", {}, False),
    "DatasetsTable": ("name", "part", {"listed": ("shelf", "name")}, False),
    "CommitsTable": ("dataset", "revision", {}, False),
    "VersionsTable": ("feature", "revision", {}, False),
    "CollectionsTable": ("name", "", {"listed": ("shelf", "name")}, False),
    "EditsTable": (
        "job_id",
        "",
        {
            "by_team": ("team", "place"),
            "by_worker": ("worker", "place"),
            "by_dataset": ("shelf", "created"),
            "by_planner": ("planner", "created"),
            "listed": ("listing", "created"),
            "due": ("due_shard", "due_at"),
        },
        False,
    ),
    "TeamsTable": (
        "name",
        "part",
        {"listed": ("shelf", "name"), "by_member": ("member", "name")},
        False,
    ),
    "CheckpointsTable": ("job_id", "", {}, True),
    "UsageTable": ("origin_id", "part", {}, False),
    "TimelineTable": ("series", "at", {}, True),
    "RequestsTable": ("id", "", {}, True),
    "SessionsTable": ("id", "", {}, True),
}

# Properties that give a resource a physical name. A retained resource with a fixed name would block
# the next deployment.
NAMES = {
    "AlarmName",
    "BucketName",
    "DashboardName",
    "FunctionName",
    "LogGroupName",
    "PolicyName",
    "QueueName",
    "RoleName",
    "StateMachineName",
    "TableName",
    "TopicName",
    "UserPoolName",
}
# Types whose names are local to another resource, and cannot collide.
INNER = {"AWS::IAM::Role", "AWS::IAM::Policy", "AWS::Lambda::Permission"}

# The metrics that AWS emits, with their dimensions.
SERVICE_METRICS = {
    ("AWS/Lambda", "Errors"): {"FunctionName"},
    ("AWS/Lambda", "Throttles"): {"FunctionName"},
    ("AWS/States", "ExecutionsStarted"): {"StateMachineArn"},
    ("AWS/States", "ExecutionsFailed"): {"StateMachineArn"},
    ("AWS/States", "ApproximateOpenMapRunCount"): set(),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): {"QueueName"},
    ("AWS/ApiGateway", "Count"): {"ApiId"},
    ("AWS/ApiGateway", "4xx"): {"ApiId"},
    ("AWS/ApiGateway", "5xx"): {"ApiId"},
}

ACCOUNT = "123456789012"
LONGEST_STACK_NAME = "jobyard-production-of-the-university-library"


# ---- Data


def test_the_tables_match_the_store(resources: Resources) -> None:
    found = {}
    for name, table in of_type(resources, "AWS::DynamoDB::Table").items():
        properties = table["Properties"]
        indexes = {
            index["IndexName"]: _keys(index)
            for index in properties.get("GlobalSecondaryIndexes", [])
        }
        expires = properties.get("TimeToLiveSpecification", {})
        found[name] = (*_keys(properties), indexes, expires.get("AttributeName") == "expires")

    assert found == TABLES


def test_tables_are_on_demand_restorable_and_encrypted_for_free(resources: Resources) -> None:
    for name, table in of_type(resources, "AWS::DynamoDB::Table").items():
        properties = table["Properties"]

        assert properties["BillingMode"] == "PAY_PER_REQUEST", name
        assert properties["PointInTimeRecoverySpecification"] == {
            "PointInTimeRecoveryEnabled": True
        }, name
        # Without it DynamoDB encrypts a table with a key of its own. Any other key is in KMS, which
        # charges for every use.
        assert "SSESpecification" not in properties, name
        assert properties["DeletionProtectionEnabled"] == {
            "Fn::If": ["ProtectData", True, False]
        }, name


DATA = ["AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::Cognito::UserPool"]


@pytest.mark.parametrize("kind", DATA)
def test_data_is_retained_when_its_stack_is_deleted(resources: Resources, kind: str) -> None:
    for name, resource in of_type(resources, kind).items():
        assert resource["DeletionPolicy"] == "Retain", name
        assert resource["UpdateReplacePolicy"] == "Retain", name


def test_nothing_has_a_fixed_name(resources: Resources) -> None:
    named = {
        f"{logical}.{key}": value
        for logical, resource in resources.items()
        if resource["Type"] not in INNER
        for key, value in resource.get("Properties", {}).items()
        if key in NAMES and set(value) != {"Ref"} and "${AWS::StackName}" not in written(value)
    }

    assert named == {}


def test_buckets_are_private_encrypted_and_versioned(resources: Resources) -> None:
    for name, bucket in of_type(resources, "AWS::S3::Bucket").items():
        properties = bucket["Properties"]
        rules = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]

        assert rules == [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}], name
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}, name
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}, name
        assert len(properties["PublicAccessBlockConfiguration"]) == 4, name
        assert properties["OwnershipControls"] == {
            "Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]
        }, name


def test_buckets_answer_over_tls_only(resources: Resources) -> None:
    policies = {
        written(policy["Properties"]["Bucket"]): policy["Properties"]["PolicyDocument"]["Statement"]
        for policy in of_type(resources, "AWS::S3::BucketPolicy").values()
    }

    for name in of_type(resources, "AWS::S3::Bucket"):
        statement, *_ = policies[f"${{{name}}}"]
        assert statement["Effect"] == "Deny"
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert [written(one) for one in statement["Resource"]] == [
            f"${{{name}.Arn}}",
            f"${{{name}.Arn}}/*",
        ]


def test_the_archive_is_written_once(resources: Resources) -> None:
    """The first is the statement of AWS's guide, "Enforce conditional writes"."""
    statements = resources["ArchiveBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    overwriting, deleting = statements[1:]

    assert (overwriting["Effect"], overwriting["Principal"]) == ("Deny", "*")
    assert overwriting["Action"] == "s3:PutObject"
    assert overwriting["Condition"] == {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }
    assert (deleting["Effect"], deleting["Principal"]) == ("Deny", "*")
    assert deleting["Action"] == ["s3:DeleteObject", "s3:DeleteObjectVersion"]
    assert "Condition" not in deleting
    for each in (overwriting, deleting):
        assert each["Resource"] == {"Fn::Sub": "${ArchiveBucket.Arn}/*"}


def test_the_archive_is_locked_by_a_parameter(
    template: dict[str, Any], resources: Resources
) -> None:
    properties = resources["ArchiveBucket"]["Properties"]

    assert template["Conditions"]["LocksArchive"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "ArchiveLockDays"}, 0]}]
    }
    condition, enabled, otherwise = properties["ObjectLockEnabled"]["Fn::If"]
    assert (condition, enabled, otherwise) == ("LocksArchive", True, {"Ref": "AWS::NoValue"})
    condition, rule, otherwise = properties["ObjectLockConfiguration"]["Fn::If"]
    assert (condition, otherwise) == ("LocksArchive", {"Ref": "AWS::NoValue"})
    assert rule["Rule"]["DefaultRetention"] == {
        "Mode": "GOVERNANCE",
        "Days": {"Ref": "ArchiveLockDays"},
    }


def test_unfinished_uploads_and_staged_files_expire(resources: Resources) -> None:
    for name, bucket in of_type(resources, "AWS::S3::Bucket").items():
        rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules), name

    rules = resources["WorkBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    (staging,) = (rule for rule in rules if rule.get("Prefix") == "staging/")
    assert staging["ExpirationInDays"] > 0
    assert staging["NoncurrentVersionExpiration"]["NoncurrentDays"] > 0


def test_what_is_removed_of_datasets_and_edit_jobs_goes_after_a_month(
    resources: Resources,
) -> None:
    rules = resources["WorkBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    for prefix in ("datasets/", "edits/"):
        (rule,) = (each for each in rules if each.get("Prefix") == prefix)
        assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
        assert "ExpirationInDays" not in rule


def test_no_lifecycle_rule_deletes_from_the_archive(resources: Resources) -> None:
    rules = resources["ArchiveBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]

    assert [set(rule) for rule in rules] == [{"Id", "Status", "AbortIncompleteMultipartUpload"}]


def test_only_the_intake_bucket_sends_events(resources: Resources) -> None:
    sending = {
        name
        for name, bucket in of_type(resources, "AWS::S3::Bucket").items()
        if "NotificationConfiguration" in bucket["Properties"]
    }

    assert sending == {"IntakeBucket"}


# ---- Functions


def test_every_function_has_its_handler(resources: Resources) -> None:
    found = {
        name: function["Properties"]["Handler"]
        for name, function in of_type(resources, "AWS::Lambda::Function").items()
    }

    assert found == FUNCTIONS


@pytest.mark.parametrize("handler", FUNCTIONS.values())
def test_every_handler_exists(handler: str) -> None:
    module = handler.rpartition(".")[0].replace(".", "/")

    assert Path(ROOT, "functions", f"{module}.py").exists()


def test_every_function_is_traced_and_its_logs_expire(resources: Resources) -> None:
    groups = of_type(resources, "AWS::Logs::LogGroup")
    used = []
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        properties = function["Properties"]
        logging = properties["LoggingConfig"]

        assert properties["TracingConfig"] == {"Mode": "Active"}, name
        assert (properties["Runtime"], properties["Architectures"]) == ("python3.13", ["arm64"])
        assert logging["LogFormat"] == "JSON", name
        used.append(logging["LogGroup"]["Ref"])

    assert len(set(used)) == len(used)
    assert set(used) <= groups.keys()
    for name, group in groups.items():
        assert group["Properties"]["RetentionInDays"] == {"Ref": "LogRetentionDays"}, name


def test_a_function_has_the_role_of_its_folder(resources: Resources) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        folder = FUNCTIONS[name].split(".")[0]

        assert written(function["Properties"]["Role"]) == f"${{{folder.capitalize()}Role.Arn}}"


def test_api_and_pages_time_out_before_the_gateway(resources: Resources) -> None:
    integrations = of_type(resources, "AWS::ApiGatewayV2::Integration").values()

    called = set()
    for integration in integrations:
        properties = integration["Properties"]
        function = called_by(written(properties["IntegrationUri"]))
        called.add(function)
        assert properties["TimeoutInMillis"] <= 30_000  # AWS refuses more; no tool does
        timeout_s = resources[function]["Properties"]["Timeout"]
        assert timeout_s * 1000 < properties["TimeoutInMillis"], function
        assert properties["PayloadFormatVersion"] == "2.0", function
    assert called == {"ApiFunction", "WebFunction"}


@pytest.mark.parametrize("function", ["ApiFunction", "WebFunction"])
def test_a_request_that_counts_a_batch_ends_before_its_claim(
    resources: Resources, function: str
) -> None:
    timeout = resources[function]["Properties"]["Timeout"]

    assert timeout < CLAIM_TIME.total_seconds()


def test_the_environment_has_what_wire_reads(resources: Resources) -> None:
    source = Path(ROOT, "layers/jobyard/jobyard/wiring.py").read_text()
    read = set(re.findall(r'env\[["\'](JOBYARD_\w+)["\']\]', source))
    names = [f"{noun.capitalize()}Table" for noun in tables.MODELS]
    assert sorted(names) == sorted(TABLES)

    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        variables = function["Properties"]["Environment"]["Variables"]
        assert read - variables.keys() == set(), name
        assert variables["JOBYARD_TABLES"] == {"Fn::Join": [",", [{"Ref": each} for each in names]]}
        assert variables["POWERTOOLS_METRICS_NAMESPACE"] == metrics.NAMESPACE


def test_the_environment_is_below_4_kb_with_the_longest_names(resources: Resources) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        variables = function["Properties"]["Environment"]["Variables"]
        size = sum(len(key) + len(_longest(value)) for key, value in variables.items())

        # AWS's limit is 4 KB. Parameters count as nothing here; 1,000 bytes are for their values.
        assert size < 4096 - 1000, name


def test_a_missed_minute_is_not_retried(resources: Resources) -> None:
    configured = [
        config["Properties"]
        for config in of_type(resources, "AWS::Lambda::EventInvokeConfig").values()
        if config["Properties"]["FunctionName"]
        in ({"Ref": "SchedulerTickFunction"}, {"Ref": "OutboxTickFunction"})
    ]
    targets = resources["MinuteRule"]["Properties"]["Targets"]

    assert [one["MaximumRetryAttempts"] for one in configured] == [0, 0]
    assert [one["MaximumEventAgeInSeconds"] for one in configured] == [60, 60]
    assert len(targets) == 2
    for target in targets:
        assert target["RetryPolicy"] == {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}


# ---- Events and invocations


def test_rules_and_the_gateway_may_invoke_their_functions(resources: Resources) -> None:
    permitted = {
        (called_by(written(one["FunctionName"])), one["Principal"], written(one["SourceArn"]))
        for one in (
            permission["Properties"]
            for permission in of_type(resources, "AWS::Lambda::Permission").values()
        )
    }
    invokers = set()
    for name, rule in of_type(resources, "AWS::Events::Rule").items():
        for target in rule["Properties"]["Targets"]:
            target_arn = written(target["Arn"])
            if "Function" in target_arn:
                function = called_by(target_arn)
                invokers.add((function, "events.amazonaws.com", f"${{{name}.Arn}}"))
    api = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"
    invokers |= {
        (function, "apigateway.amazonaws.com", api) for function in ("ApiFunction", "WebFunction")
    }

    assert permitted == invokers


def test_undeliverable_events_go_to_the_dead_letter_queue(resources: Resources) -> None:
    allowed = json.dumps(resources["DeadLettersPolicy"]["Properties"]["PolicyDocument"])
    for name, rule in of_type(resources, "AWS::Events::Rule").items():
        for target in rule["Properties"]["Targets"]:
            if name == "MinuteRule":
                continue  # the next minute does the same work
            assert written(target["DeadLetterConfig"]["Arn"]) == "${DeadLetters.Arn}", name
            assert f'["{name}", "Arn"]' in allowed
            # The page of the system knows what to do about it.
            assert {*rule["Properties"]["EventPattern"]["source"]} <= {*LETTER_KINDS}, name


def test_a_new_manifest_starts_the_batch_machine(resources: Resources) -> None:
    rule = resources["ManifestRule"]["Properties"]
    (target,) = rule["Targets"]

    assert rule["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": {"name": [{"Ref": "IntakeBucket"}]},
            "object": {"key": [{"prefix": "manifests/"}]},
        },
    }
    assert target["Arn"] == {"Ref": "BatchMachineAliaslive"}
    assert written(target["RoleArn"]) == "${ManifestRuleRole.Arn}"


def test_a_failed_execution_raises_an_alarm_and_is_recovered(resources: Resources) -> None:
    rule = resources["FailedExecutionRule"]["Properties"]

    assert rule["EventPattern"]["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    assert [written(one) for one in rule["EventPattern"]["detail"]["stateMachineArn"]] == [
        "${BatchMachine}",
        "${JobMachine}",
        "${SystemMachine}",
        "${EditMachine}",
    ]
    assert [written(target["Arn"]) for target in rule["Targets"]] == [
        "${AlarmTopic}",
        "${ExecutionFailureFunctionAliaslive}",
    ]


def test_the_api_needs_a_token_but_for_its_documentation_callbacks_and_the_pages(
    resources: Resources,
) -> None:
    api, web = "integrations/${ApiIntegration}", "integrations/${WebIntegration}"
    routes = {
        properties["RouteKey"]: (properties["AuthorizationType"], written(properties["Target"]))
        for properties in (
            route["Properties"] for route in of_type(resources, "AWS::ApiGatewayV2::Route").values()
        )
    }

    assert routes == {
        "ANY /api/{proxy+}": ("JWT", api),
        "GET /api/openapi.json": ("NONE", api),
        "GET /api/docs": ("NONE", api),
        "GET /api/docs/{name}": ("NONE", api),
        "POST /api/callbacks": ("NONE", api),
        "$default": ("NONE", web),
    }


def test_the_route_of_the_pages_keeps_its_logical_id(resources: Resources) -> None:
    """An update creates what has a new id before it deletes what has none any more. Gateways have
    one $default route, so the update of a stack from 0.1.0 would fail."""
    assert resources["ApiOtherRoute"]["Properties"]["RouteKey"] == "$default"


def test_pages_have_a_request_limit_of_their_own(resources: Resources) -> None:
    stage = resources["ApiStage"]

    limits = stage["Properties"]["RouteSettings"]["$default"]
    assert limits.keys() == {"ThrottlingBurstLimit", "ThrottlingRateLimit"}
    assert stage["Properties"]["DefaultRouteSettings"].keys() == limits.keys()


def test_what_needs_no_token_has_request_limits_of_its_own(resources: Resources) -> None:
    """Anybody may request it, and it is on the API's function."""
    routes = of_type(resources, "AWS::ApiGatewayV2::Route")
    limits = resources["ApiStage"]["Properties"]["RouteSettings"]
    unauthenticated = {
        name: route["Properties"]["RouteKey"]
        for name, route in routes.items()
        if route["Properties"]["AuthorizationType"] == "NONE"
    }

    assert limits.keys() == set(unauthenticated.values())
    for key in limits.keys() - {"$default", "POST /api/callbacks"}:
        assert limits[key] == {"ThrottlingBurstLimit": 20, "ThrottlingRateLimit": 5}
    # AWS refuses settings of a route that does not exist yet.
    assert set(resources["ApiStage"]["DependsOn"]) == unauthenticated.keys()


def test_a_budget_is_watched_by_a_parameter(template: dict[str, Any], resources: Resources) -> None:
    budget = resources["Budget"]
    has_budget = {"Fn::Not": [{"Fn::Equals": [{"Ref": "MonthlyBudget"}, 0]}]}

    assert budget["Condition"] == "HasMonthlyBudget"
    assert template["Conditions"]["HasMonthlyBudget"] == has_budget
    for each in budget["Properties"]["NotificationsWithSubscribers"]:
        assert each["Subscribers"] == [
            {"SubscriptionType": "SNS", "Address": {"Ref": "AlarmTopic"}}
        ]
    statements = resources["AlarmTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    principals = [each["Principal"]["Service"] for each in statements]
    assert "budgets.amazonaws.com" in principals


def test_old_versions_of_manifests_expire(resources: Resources) -> None:
    rules = resources["IntakeBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    (rule,) = (each for each in rules if each.get("Prefix") == "manifests/")

    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 90}
    assert "ExpirationInDays" not in rule  # the newest one stays


# Variables of the access log that nobody can put a quote or a new line into: ids, numbers and words
# of AWS, the template's routes, and a claim of a token whose signature was checked.
# source: API Gateway developer guide, "Customize HTTP API access logs"
_CLOSED_VARIABLES = {
    "authorizer.claims.sub",
    "error.responseType",
    "httpMethod",
    "identity.sourceIp",
    "integrationStatus",
    "requestId",
    "requestTime",
    "responseLatency",
    "responseLength",
    "routeKey",
    "status",
}


def test_no_request_can_forge_a_line_of_the_access_log(resources: Resources) -> None:
    """AWS does not say whether it escapes quotes in a value, so no value may have one."""
    line = resources["ApiStage"]["Properties"]["AccessLogSettings"]["Format"]

    assert "\n" not in line
    values = json.loads(line).values()
    assert {*values} <= {f"$context.{name}" for name in _CLOSED_VARIABLES}
    assert "$context.requestId" in values  # AWS requires it, and the functions log it too


# ---- Users


def test_a_group_is_a_role(resources: Resources) -> None:
    groups = [
        group["Properties"]["GroupName"]
        for group in of_type(resources, "AWS::Cognito::UserPoolGroup").values()
    ]

    assert tuple(groups) == ROLES


def test_the_sign_in_page_has_its_branding(resources: Resources) -> None:
    (domain,) = of_type(resources, "AWS::Cognito::UserPoolDomain").values()
    (page,) = of_type(resources, "AWS::Cognito::ManagedLoginBranding").values()

    assert domain["Properties"]["ManagedLoginVersion"] == 2
    assert page["Properties"]["ClientId"] == {"Ref": "UserPoolClient"}
    assert resources["UserPool"]["Properties"]["UserPoolTier"] == "ESSENTIALS"


def test_the_sign_in_page_may_return_to_the_pages_and_to_the_listed_urls(
    resources: Resources,
) -> None:
    client = resources["UserPoolClient"]["Properties"]

    for name, path in (("CallbackURLs", "/sign-in/return"), ("LogoutURLs", "/signed-out")):
        delimiter, joined = client[name]["Fn::Split"]
        text, values = joined["Fn::Sub"]
        assert (delimiter, text) == (",", f"${{Url}}{path},${{Others}}")
        assert written(values["Url"]) == "${PublicUrl} | ${Api.ApiEndpoint}"
        assert values["Others"] == {"Fn::Join": [",", {"Ref": "SignInReturnUrls"}]}


def test_pages_know_the_url_of_the_sign_in_page(resources: Resources) -> None:
    variables = resources["WebFunction"]["Properties"]["Environment"]["Variables"]
    own = "https://${UserPoolDomain}.auth.${AWS::Region}.amazoncognito.com"

    assert written(variables["JOBYARD_SIGN_IN_URL"]) == f"${{SignInUrl}} | {own}"
    assert written(variables["JOBYARD_CLIENTS"]) == (
        "${UserPoolClient},${MachineClient}=${MachineClientName} | ${UserPoolClient}"
    )


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("", True),
        ("https://jobs.example.org", True),
        ("http://127.0.0.1:4916", True),
        ("https://jobs.example.org/", False),
        ("https://example.org/jobs", False),
        ("jobs.example.org", False),
    ],
)
def test_the_public_url_is_an_origin(template: dict[str, Any], url: str, allowed: bool) -> None:
    """The sign-in page returns to a path below it, and a browser compares origins."""
    pattern = template["Parameters"]["PublicUrl"]["AllowedPattern"]

    assert bool(re.fullmatch(pattern, url)) is allowed


def test_pages_may_upload_manifests(resources: Resources) -> None:
    (rule,) = resources["IntakeBucket"]["Properties"]["CorsConfiguration"]["CorsRules"]
    origins = written(rule["AllowedOrigins"]["Fn::Split"][1])

    assert origins == "${Url},${Others} | ${PublicUrl} | ${Api.ApiEndpoint}"


def test_access_tokens_expire_soon(resources: Resources) -> None:
    client = resources["UserPoolClient"]["Properties"]

    assert (client["AccessTokenValidity"], client["TokenValidityUnits"]["AccessToken"]) == (
        15,
        "minutes",
    )


def test_role_names_have_no_spaces() -> None:
    """API Gateway passes the groups of a token on as one text, "[admin viewer]"."""
    assert [role for role in ROLES if " " in role] == []


def test_only_admins_create_users(resources: Resources) -> None:
    pool = resources["UserPool"]["Properties"]

    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
    assert pool["DeletionProtection"] == {"Fn::If": ["ProtectData", "ACTIVE", "INACTIVE"]}


# ---- Monitoring


def test_every_alarm_watches_a_metric_that_is_emitted(resources: Resources) -> None:
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items():
        properties = alarm["Properties"]
        given = properties.get("Dimensions", [])
        dimensions = {row["Name"]: written(row["Value"]) for row in given}
        fault = _not_emitted(properties["Namespace"], properties["MetricName"], dimensions)

        assert not fault, f"{name}: {fault}"


def test_every_dashboard_line_is_a_metric_that_is_emitted(
    resources: Resources,
) -> None:
    body = json.loads(resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"])
    lines = [line for widget in body["widgets"] for line in widget["properties"]["metrics"]]
    assert lines

    for line in lines:
        namespace, metric, *pairs = [part for part in line if isinstance(part, str)]
        dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
        assert not _not_emitted(namespace, metric, dimensions), line


def test_a_report_is_late_when_its_alarm_says_so(resources: Resources) -> None:
    period = resources["UndeliveredReportsAlarm"]["Properties"]["Period"]

    assert LATE_AFTER.total_seconds() == period


def test_every_alarm_notifies_and_is_quiet_without_data(resources: Resources) -> None:
    for name, alarm in of_type(resources, "AWS::CloudWatch::Alarm").items():
        properties = alarm["Properties"]

        assert properties["TreatMissingData"] == "notBreaching", name
        assert properties["AlarmActions"] == [{"Ref": "AlarmTopic"}], name


def test_each_failure_has_an_alarm(resources: Resources) -> None:
    watched = {
        (alarm["Properties"]["MetricName"], written(row["Value"]))
        for alarm in of_type(resources, "AWS::CloudWatch::Alarm").values()
        for row in alarm["Properties"].get("Dimensions", [{"Value": "the account"}])[-1:]
    }

    errors = {("Errors", f"${{{name}}}") for name in FUNCTIONS}
    assert errors - watched == {
        ("Errors", "${ExecutionFailureFunction}")
    }  # DeadLettersAlarm covers it
    on_failure = resources["ExecutionFailureFunctionEventInvokeConfig"]["Properties"][
        "DestinationConfig"
    ]
    assert written(on_failure["OnFailure"]["Destination"]) == "${DeadLetters.Arn}"
    assert {
        ("ExecutionsFailed", "${BatchMachine}"),
        ("ExecutionsFailed", "${JobMachine}"),
        ("ExecutionsFailed", "${SystemMachine}"),
        ("ExecutionsFailed", "${EditMachine}"),
        ("ApproximateOpenMapRunCount", "the account"),
        ("ApproximateNumberOfMessagesVisible", "${DeadLetters.QueueName}"),
        ("Throttles", "${ExecuteChunkFunction}"),
        ("Throttles", "${ApiFunction}"),
        ("JobsFailedTotal", "jobyard"),
        ("OldestOpenBatchAgeSeconds", "jobyard"),
        ("UndeliveredReports", "jobyard"),
    } <= watched


def test_the_failed_jobs_alarm_covers_every_job_type(
    resources: Resources,
) -> None:
    (row,) = resources["FailedJobsAlarm"]["Properties"]["Dimensions"]

    assert row == {"Name": "service", "Value": "jobyard"}


def test_every_alarm_is_in_the_runbook(resources: Resources) -> None:
    words = Path(ROOT, "docs/operating.md").read_text()
    alarms = of_type(resources, "AWS::CloudWatch::Alarm")

    assert [name for name in alarms if not re.search(rf"\b{name}\b", words)] == []


def test_the_map_runs_alarm_comes_before_the_limit(resources: Resources) -> None:
    alarm = resources["OpenMapRunsAlarm"]["Properties"]

    assert (alarm["Statistic"], alarm["Threshold"]) == ("Maximum", 900)  # of 1,000


def test_no_metric_has_an_id_among_its_dimensions() -> None:
    """Each set of dimensions is a metric, and costs $0.30 a month."""
    allowed = {"service", "job_type", "failure_code"}

    assert {name for each in metrics.DIMENSIONS.values() for name in each} == allowed
    assert [name for name, each in metrics.DIMENSIONS.items() if "failure_code" in each] == [
        metrics.JOBS_FAILED_BY_CODE
    ]


def test_cloudwatch_can_publish_to_the_alarm_topic(resources: Resources) -> None:
    assert "KmsMasterKeyId" not in resources["AlarmTopic"].get("Properties", {})


# ---- The templates as a whole


def test_a_nested_stack_holds_no_data(expanded: dict[str, Any], resources: Resources) -> None:
    """CloudFormation replaces a resource that moves between stacks. So data, and the topic with its
    subscribers, stay in template.yaml."""
    nested = {one["Type"] for name, one in resources.items() if name not in expanded["Resources"]}

    assert nested == {"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard"}


@pytest.mark.parametrize("stack", ["Monitoring"])
def test_a_nested_stack_gets_the_parameters_it_declares(
    template: dict[str, Any], stack: str
) -> None:
    properties = template["Resources"][stack]["Properties"]
    declared = read_template(ROOT, properties["TemplateURL"])["Parameters"]

    assert properties["Parameters"].keys() == declared.keys()
    assert [name for name, one in declared.items() if "Default" in one] == []


def test_alarms_have_generated_names(resources: Resources) -> None:
    """An alarm that moves to another stack exists twice for a moment."""
    for kind, name in {
        "AWS::CloudWatch::Alarm": "AlarmName",
        "AWS::CloudWatch::Dashboard": "DashboardName",
    }.items():
        for logical, one in of_type(resources, kind).items():
            assert name not in one["Properties"], logical


def test_concurrency_is_reserved_only_on_request(template: dict[str, Any]) -> None:
    """AWS refuses any reservation in a new account, which has 10 in all."""
    function = template["Resources"]["ExecuteChunkFunction"]["Properties"]

    assert template["Parameters"]["WorkerConcurrency"]["Default"] == 0
    assert function["ReservedConcurrentExecutions"] == {
        "Fn::If": ["ReservesWorkers", {"Ref": "WorkerConcurrency"}, {"Ref": "AWS::NoValue"}]
    }


@pytest.mark.parametrize(
    ("subnets", "groups", "accepted", "connected"),
    [
        ("", "", True, False),
        ("subnet-1,subnet-2", "sg-1", True, True),
        ("subnet-1", "", False, False),
        ("", "sg-1", False, False),
    ],
)
def test_workers_are_connected_to_a_vpc_with_subnets_and_security_groups_or_not_at_all(
    template: dict[str, Any], subnets: str, groups: str, accepted: bool, connected: bool
) -> None:
    values = {"DeviceSubnets": subnets.split(","), "DeviceSecurityGroups": groups.split(",")}
    (rule,) = template["Rules"]["SubnetsHaveSecurityGroups"]["Assertions"]

    assert _evaluated(rule["Assert"], values) is accepted
    assert _evaluated(template["Conditions"]["HasDeviceSubnets"], values) is connected
    for name in values:
        assert template["Parameters"][name]["Type"] == "CommaDelimitedList"
        assert template["Parameters"][name]["Default"] == ""


def test_only_workers_are_connected_to_the_subnets_of_devices(resources: Resources) -> None:
    networks = {
        name: function["Properties"]["VpcConfig"]
        for name, function in of_type(resources, "AWS::Lambda::Function").items()
        if "VpcConfig" in function["Properties"]
    }

    assert networks.keys() == {"ExecuteChunkFunction", "ExecuteJobFunction"}
    for network in networks.values():
        assert network["Fn::If"] == [
            "HasDeviceSubnets",
            {
                "SubnetIds": {"Ref": "DeviceSubnets"},
                "SecurityGroupIds": {"Ref": "DeviceSecurityGroups"},
            },
            {"Ref": "AWS::NoValue"},
        ]


def test_the_workers_stay_below_the_limit_of_a_new_table(template: dict[str, Any]) -> None:
    """A new table takes 4,000 write units a second, and needs half an hour to double that."""
    workers = template["Parameters"]["MaxConcurrency"]["Default"]

    assert (
        workers * CONCURRENT_JOBS * 2 <= 4_000 / 2
    )  # one-second jobs, two units each; half is spare


def test_no_function_has_too_many_layers(resources: Resources) -> None:
    for name, function in of_type(resources, "AWS::Lambda::Function").items():
        assert len(function["Properties"]["Layers"]) <= 5, name


def test_every_parameter_has_a_default(template: dict[str, Any]) -> None:
    without = [name for name, one in template["Parameters"].items() if "Default" not in one]

    assert without == []


def test_the_outputs_name_the_pages(template: dict[str, Any]) -> None:
    outputs = template["Outputs"]

    assert written(outputs["WebUrl"]["Value"]) == "${PublicUrl} | ${Api.ApiEndpoint}"
    assert outputs["ApiUrl"]["Value"] == outputs["WebUrl"]["Value"]


def test_the_outputs_are_those_the_cli_reads(template: dict[str, Any]) -> None:
    wanted = {output_name(field.name) for field in fields(Stack) if field.name != "name"}

    assert wanted <= template["Outputs"].keys()


def test_the_template_stays_far_from_cloudformation_s_limits(expanded: dict[str, Any]) -> None:
    assert len(expanded["Resources"]) < 350  # of 500
    assert len(json.dumps(expanded)) < 700_000  # of 1 MB


def _keys(keyed: dict[str, Any]) -> tuple[str, str]:
    kinds = {key["KeyType"]: key["AttributeName"] for key in keyed["KeySchema"]}
    return kinds["HASH"], kinds.get("RANGE", "")


def _evaluated(part: Any, values: dict[str, list[str]]) -> Any:
    """An assertion or a condition, evaluated with these parameters."""
    if not isinstance(part, dict):
        return part
    ((function, argument),) = part.items()
    if function == "Ref":
        return values[argument]
    first, *others = (_evaluated(each, values) for each in argument)
    match function:
        case "Fn::And":
            return all([first, *others])
        case "Fn::Or":
            return any([first, *others])
        case "Fn::Not":
            return not first
        case "Fn::Equals":
            return first == others[0]
        case "Fn::EachMemberEquals":
            return all(member == others[0] for member in first)
        case "Fn::Join":
            return first.join(others[0])
    raise AssertionError(f"{function} is not known here")


@cache
def _parameters() -> str:
    """The names of the template's parameters, as alternatives of a pattern."""
    return "|".join(read_template(ROOT)["Parameters"])


def _longest(value: Any) -> str:
    """`value` with the longest generated names: stack name, logical id, 13 letters.

    Parameters are left out. Clients of the user pool have ids of 26 letters.
    """
    text = re.sub(r"\$\{(UserPool|Machine)Client\}", "x" * 26, written(value))
    text = re.sub(rf"\$\{{({_parameters()})\}}", "", text)
    text = text.replace("${AWS::StackName}", LONGEST_STACK_NAME)
    text = re.sub(r"\$\{([A-Za-z]+)(\.\w+)?\}", rf"{LONGEST_STACK_NAME}-\1-ABCDEFGHIJKLM", text)
    return re.sub(r"\$\{AWS::\w+\}", ACCOUNT, text)


def _not_emitted(namespace: str, metric: str, dimensions: dict[str, str]) -> str:
    if namespace == metrics.NAMESPACE:
        own = metrics.DIMENSIONS.get(metric)
        emitted = None if own is None else set(own)
    else:
        emitted = SERVICE_METRICS.get((namespace, metric))
    if emitted is None:
        return f"nothing emits {namespace} {metric}"
    if dimensions.keys() != emitted:
        return f"{metric} is emitted by {sorted(emitted)}, not by {sorted(dimensions)}"
    if dimensions.get("service", "jobyard") != "jobyard":
        return f"the service is jobyard, not {dimensions['service']}"
    return ""


def test_mfa_is_required_by_a_parameter(template: dict[str, Any], resources: Resources) -> None:
    (pool,) = of_type(resources, "AWS::Cognito::UserPool").values()

    assert pool["Properties"]["MfaConfiguration"] == {"Fn::If": ["RequiresMfa", "ON", "OPTIONAL"]}
    assert pool["Properties"]["EnabledMfas"] == ["SOFTWARE_TOKEN_MFA"]
    required = {"Fn::Equals": [{"Ref": "RequireMfa"}, "true"]}
    assert template["Conditions"]["RequiresMfa"] == required
    environment = template["Globals"]["Function"]["Environment"]["Variables"]
    shared = environment["JOBYARD_USER_POOL"]
    assert shared == {"Fn::Sub": "${UserPool},${RequireMfa}"}  # "admins": see gateway.mfa


def test_user_names_ignore_case(resources: Resources) -> None:
    """A pool is case-sensitive by default, and AWS does not allow to change that later."""
    (pool,) = of_type(resources, "AWS::Cognito::UserPool").values()

    assert pool["Properties"]["UsernameConfiguration"] == {"CaseSensitive": False}


def test_a_program_has_the_scopes_of_its_roles_and_no_more(
    template: dict[str, Any], resources: Resources
) -> None:
    scopes = resources["MachineClientScopes"]["Properties"]
    client = resources["MachineClient"]["Properties"]
    parameters = template["Parameters"]

    assert scopes["Identifier"] + "/" == SCOPES
    assert tuple(each["ScopeName"] for each in scopes["Scopes"]) == MACHINE_CLIENT_ROLES
    any_role = f"({'|'.join(MACHINE_CLIENT_ROLES)})"
    assert parameters["MachineClientRoles"]["AllowedPattern"] == f"{any_role}(,{any_role})*"
    assert client["GenerateSecret"] is True
    assert client["AllowedOAuthFlows"] == ["client_credentials"]
    assert client["ExplicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]  # so no passwords


def test_there_is_no_program_unless_it_has_a_name(
    template: dict[str, Any], resources: Resources
) -> None:
    assert template["Parameters"]["MachineClientName"]["Default"] == ""
    for name in ("MachineClientScopes", "MachineClient"):
        assert resources[name]["Condition"] == "HasMachineClient"
    audience = resources["ApiAuthorizer"]["Properties"]["JwtConfiguration"]["Audience"]
    assert [written(each) for each in audience] == [
        "${UserPoolClient}",
        "${MachineClient} | ${AWS::NoValue}",
    ]
