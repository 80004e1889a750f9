"""Opening a campaign: write its rows and the index of their chunks, and replace others' tasks.

The request writes the rows of inline targets. Those of a file are written by the first step of an
execution, because so many take longer than a request may. So are the tasks replaced.
"""

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from jobyard.domain.batches.chunks import Chunk
from jobyard.domain.batches.report import ReportKind
from jobyard.domain.campaigns.campaign import Campaign
from jobyard.domain.campaigns.targets import CampaignTarget
from jobyard.domain.cause_key import Action, CauseKey
from jobyard.domain.errors import InvalidCampaign
from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.job import JOB, JobState
from jobyard.domain.lifecycle import Cause
from jobyard.domain.plurals import plural
from jobyard.services.batches import rows
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.batches.uploads import MultipartUpload
from jobyard.services.campaigns.overlaps import replace_named, replace_overlapping
from jobyard.services.campaigns.unfinished import unfinished_targets
from jobyard.services.campaigns.uploaded_targets import UploadedTargets
from jobyard.services.runs import ExecutionRun, NextStep
from jobyard.services.settings import Settings
from jobyard.store import campaigns

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MIN_CHUNK, _MAX_CHUNK = 25, 1_000  # tasks
_CHUNKS = 40  # of most campaigns: as many workers as the largest `at_once` has


def chunk_size_of(tasks: int) -> int:
    """How many tasks each chunk of a campaign has."""
    return min(max(-(-tasks // _CHUNKS), _MIN_CHUNK), _MAX_CHUNK)


def put_rows(
    campaign_id: str, targets: Iterable[CampaignTarget], s3: "S3Client", settings: Settings
) -> int:
    """Write the rows of a campaign and their index. Returns how many there are.

    A repeat writes the same. If `targets` raises, nothing is written.
    """
    ends = array("Q")  # of each row: eight bytes of memory
    with MultipartUpload(s3, settings.work_bucket, rows.rows_key(campaign_id)) as upload:
        for target in targets:
            upload.write(json.dumps(target.document(), separators=(",", ":")).encode() + b"\n")
            ends.append(upload.size)
        upload.finish()
    rows.put_index(s3, settings, rows.index_key(campaign_id), _chunks(ends))
    return len(ends)


def _chunks(ends: "array[int]") -> Iterator[Chunk]:
    """The chunks of rows that end at these bytes."""
    size, start = chunk_size_of(len(ends)), 0
    for number, first in enumerate(range(0, len(ends), size)):
        end = ends[min(first + size, len(ends)) - 1]
        yield Chunk(number, start, end)
        start = end


def resume(campaign_id: str, _command: str, run: ExecutionRun, context: OpenContext) -> NextStep:
    """Take the first step of an execution: stop the campaign that it replaces, if the request died
    before that, and open it if it is not yet. Settle comes next.

    An execution of an earlier generation opens nothing.

    Raises:
        StaleState: another execution or a person changed the campaign meanwhile.
    """
    campaign = campaigns.get(campaign_id)
    if campaign.state is JobState.SCHEDULED and run.recoveries >= campaign.generation:
        if campaign.replaces:
            replace_named(campaign, context)
        _open(campaign, context)
    return NextStep(campaign_id, "settle", run=run)


def _targets_of(campaign: Campaign, context: OpenContext) -> Iterable[CampaignTarget] | None:
    """The targets whose rows the machine writes; None if the request wrote them."""
    if campaign.targets_file:
        return UploadedTargets(campaign.targets_file, context.s3, context.settings)
    if campaign.retry_of:
        retried = campaigns.get(campaign.retry_of)
        return unfinished_targets(retried, context.s3, context.settings)
    return None


def _open(campaign: Campaign, context: OpenContext) -> None:
    """Write the rows of a campaign that has none; if its file cannot be used any more, give it up.
    Then replace the tasks of older campaigns, once all of those are opened.
    """
    if campaign.is_opened:
        return
    cause = Cause(str(CauseKey(action=Action.OPENED, subject=context.execution)))
    tasks = campaign.tasks
    if (targets := _targets_of(campaign, context)) is not None:
        try:
            tasks = put_rows(campaign.campaign_id, targets, context.s3, context.settings)
        except InvalidCampaign as error:
            cause = Cause(cause.key, reason=str(error))
            move = JOB.move(campaign.state, "give_up", context.now(), cause)
            failed = campaign.moved(move, tasks=0, due_report=ReportKind.REFUSED)
            campaigns.write(campaign, failed)
            return
    outcome = plural(tasks, "task")
    if campaign.replace_overlapping:
        done = replace_overlapping(campaign, context)
        if done is None:
            return
        campaign, replaced = done
        if replaced:
            outcome = f"{outcome}; replaces {', '.join(replaced)}"
    opened = replace(cause, reason=outcome)
    entry = HistoryEntry.note("open", campaign.state, context.now(), opened)
    after = campaign.with_entry(entry, tasks=tasks, chunk_size=chunk_size_of(tasks))
    campaigns.write(campaign, after)
