"""The emulator in the tests' process: its shortcuts give what botocore and HTTP would."""

from typing import Any

import pytest

from cli.local import clients
from tests.in_process_emulator import ENDPOINT, InProcessEmulator, endpoint_of


@pytest.mark.parametrize(
    ("service", "operation", "params"),
    [
        ("dynamodb", "GetItem", {"TableName": "jobs"}),
        ("s3", "GetObject", {"Bucket": "work", "Key": "a/b c"}),
        ("s3", "ListObjectsV2", {"Bucket": "work", "Prefix": "a/"}),
        ("s3", "ListBuckets", {}),
        ("sesv2", "SendEmail", {"FromEmailAddress": "jobyard@example.org"}),
    ],
)
def test_calls_have_the_endpoint_that_botocore_finds(
    in_process_emulator: InProcessEmulator, service: str, operation: str, params: dict[str, Any]
) -> None:
    client = clients.client(service, ENDPOINT)
    model = client.meta.service_model.operation_model(operation)
    context = {"client_config": client.meta.config}

    url, headers, _ = client._resolve_endpoint_ruleset(
        model, params, context, ignore_signing_region=False
    )

    assert (url, headers) == endpoint_of(params)[:2]


def test_errors_of_dynamodb_are_those_of_botocore(in_process_emulator: InProcessEmulator) -> None:
    dynamodb = clients.client("dynamodb", ENDPOINT)

    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.get_item(TableName="no-such-table", Key={"id": {"S": "x"}})


def test_presigned_urls_are_signed(in_process_emulator: InProcessEmulator) -> None:
    url = clients.client("s3", ENDPOINT).generate_presigned_url(
        "get_object", Params={"Bucket": "work", "Key": "a"}
    )

    assert url.startswith(f"{ENDPOINT}/work/a?")
    assert "X-Amz-Signature=" in url
