"""Stores the claims on targets, in the table of campaigns. A claim is taken from the one that was
read, and never deleted.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jobyard.domain.campaigns.claim import Claim
from jobyard.domain.jobs.job import JobAddress
from jobyard.store.documents import from_ms, to_ms
from jobyard.store.statements import BATCH_LIMIT, execute
from jobyard.store.tables import CampaignItem, DocumentAttribute

_PREFIX = "target#"
_STATE = "claim"  # no lifecycle has it
_BODY = DocumentAttribute()
_Change = tuple[Claim | None, Claim]  # the stored claim (None: none yet), the one to take


def of_targets(target_ids: Iterable[str]) -> Mapping[str, Claim]:
    """The claims on targets, by target."""
    found = CampaignItem.batch_get([_PREFIX + each for each in target_ids], consistent_read=True)
    return {claim.target_id: claim for claim in map(_claim, found)}


def take(changes: Sequence[_Change], pause: Callable[[float], None] = time.sleep) -> list[bool]:
    """Take claims, 25 per call. Returns for each whether it is taken, in order.

    Raises:
        RuntimeError: DynamoDB refused a statement because of a bug, or failed it too often.
        ClientError: the call failed.
    """
    taken: dict[str, bool] = {}
    for is_new in (True, False):  # so that each call is one IAM action
        some = [change for change in changes if (change[0] is None) is is_new]
        for first in range(0, len(some), BATCH_LIMIT):
            taken |= _take(some[first : first + BATCH_LIMIT], pause)
    return [taken[after.target_id] for _, after in changes]


def _take(changes: Sequence[_Change], pause: Callable[[float], None]) -> dict[str, bool]:
    executed = execute([_statement(*each) for each in changes], pause)
    return {
        after.target_id: is_written or _is_ours(after)
        for (_, after), is_written in zip(changes, executed, strict=True)
    }


def _is_ours(wanted: Claim) -> bool:
    """Whether a claim was written although its write was refused: botocore repeats a call whose
    answer was lost.
    """
    return of_targets([wanted.target_id]).get(wanted.target_id) == wanted


def _statement(before: Claim | None, after: Claim) -> Any:
    table = CampaignItem.Meta.table_name
    task = after.task
    line = [task.origin_id, task.chunk, task.position, after.attempt, to_ms(after.until)]
    content = [{"N": str(after.version)}, {"S": _BODY.serialize(line)}]
    key = {"S": _PREFIX + after.target_id}
    if before is None:
        return {
            "Statement": f'INSERT INTO "{table}" VALUE '
            "{'campaign_id':?,'state':?,'version':?,'body':?}",
            "Parameters": [key, {"S": _STATE}, *content],
        }
    return {
        "Statement": f'UPDATE "{table}" SET "version"=? SET "body"=? '
        'WHERE "campaign_id"=? AND "version"=?',
        "Parameters": [*content, key, {"N": str(before.version)}],
    }


def _claim(item: CampaignItem) -> Claim:
    origin_id, chunk, position, attempt, until = item.body
    task = JobAddress(origin_id, chunk, position)
    target_id = item.campaign_id.removeprefix(_PREFIX)
    return Claim(target_id, task, attempt, int(item.version), from_ms(until))
