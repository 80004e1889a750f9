"""The example's table of random voters, some of them with a confidential status that expires."""

import random
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from botocore.exceptions import ClientError

TABLE, INDEX = "voters", "by_expiry"
VOTERS, CONFIDENTIAL, DUE = 5000, 2000, 1200  # DUE of the CONFIDENTIAL ones have expired
ZONE = ZoneInfo("America/Los_Angeles")
_SEED = 58  # any constant
_COUNTIES = 58
_DAYS = 400  # from today to an expiry day, at most
_BATCH_SIZE = 25  # limit of BatchWriteItem; source: DynamoDB API reference


def voters(today: date) -> Iterator[dict[str, Any]]:
    """The voters as DynamoDB items. Only the expiry days depend on `today`.

    Due ones expired before today; the others expire in two days or later.
    """
    rng = random.Random(_SEED)
    confidential = dict.fromkeys(rng.sample(range(VOTERS), CONFIDENTIAL))
    due = set(list(confidential)[:DUE])
    for number in range(VOTERS):
        county = rng.randint(1, _COUNTIES)
        registered = today - timedelta(days=rng.randint(500, 9000))
        voter = {
            "voter_id": {"S": f"V{number + 1:07}"},
            "county": {"S": f"C{county:02}"},
            "precinct": {"S": f"C{county:02}-{rng.randint(1, 240):03}"},
            "registered_on": {"S": registered.isoformat()},
        }
        if number in confidential:
            days = -rng.randint(1, _DAYS) if number in due else rng.randint(2, _DAYS)
            voter |= {
                "confidential_status": {"S": "confidential"},
                "confidential_case": {"S": f"case-{rng.randint(0, 16**6):06x}"},
                "expires_on": {"S": (today + timedelta(days=days)).isoformat()},
            }
        yield voter


def fill_table(dynamodb: Any, now: datetime) -> int:
    """Create the table if necessary and reset all voters. Returns how many are due."""
    ensure_table(dynamodb)
    all_voters = list(voters(now.astimezone(ZONE).date()))
    for at in range(0, len(all_voters), _BATCH_SIZE):
        wanted: dict[str, Any] = {
            TABLE: [{"PutRequest": {"Item": each}} for each in all_voters[at : at + _BATCH_SIZE]]
        }
        while wanted:
            wanted = dynamodb.batch_write_item(RequestItems=wanted).get("UnprocessedItems", {})
    return DUE


def ensure_table(dynamodb: Any) -> None:
    """Create the table if there is none."""
    attributes = ("voter_id", "confidential_status", "expires_on")
    try:
        dynamodb.create_table(
            TableName=TABLE,
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in attributes
            ],
            KeySchema=[{"AttributeName": "voter_id", "KeyType": "HASH"}],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": INDEX,
                    "KeySchema": [
                        {"AttributeName": "confidential_status", "KeyType": "HASH"},
                        {"AttributeName": "expires_on", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceInUseException":
            raise
    while dynamodb.describe_table(TableName=TABLE)["Table"]["TableStatus"] != "ACTIVE":
        time.sleep(0.1)
