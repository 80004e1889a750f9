"""Adds to the numbers of an item, without reading the new ones back as PynamoDB does."""

import json
from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError
from pynamodb.models import Model

from jobyard.store import transactions
from jobyard.store.tables import client


def add(item: Model, numbers: Mapping[str, float]) -> str:
    """Add `numbers`, by attribute, to the item with the keys of `item`. Zeros are left out.

    Returns "" or the error, with the name of the table. A repeat adds again.
    """
    added = {name: number for name, number in numbers.items() if number}
    if not added:
        return ""
    try:
        client().update_item(
            **transactions.key_of(item),
            UpdateExpression="ADD " + ",".join(f"#{name} :{name}" for name in added),
            ExpressionAttributeNames={f"#{name}": name for name in added},
            ExpressionAttributeValues={
                f":{name}": {"N": json.dumps(number)} for name, number in added.items()
            },
            ReturnConsumedCapacity="TOTAL",
        )
    except (BotoCoreError, ClientError) as error:
        return f"{item.Meta.table_name}: {error}"
    return ""
