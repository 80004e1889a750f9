"""Campaigns of one job type that share targets: finds them, and replaces their tasks.

The tasks of the older campaign give way. If all that have not ended do, the campaign is replaced as
a whole; else its own workers end those tasks, and it continues with the others.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobyard.domain.campaigns.campaign import Campaign, StopReason
from jobyard.domain.campaigns.overlap import gives_way
from jobyard.domain.cause_key import Action, CauseKey
from jobyard.domain.errors import Gone, InvalidCampaign, NotFound, StaleState
from jobyard.domain.history import HistoryEntry
from jobyard.domain.jobs.job import JOB, OPEN_JOB_STATES, JobState
from jobyard.domain.lifecycle import Cause
from jobyard.domain.plurals import plural
from jobyard.services.batches import rows
from jobyard.services.batches.open_context import OpenContext
from jobyard.services.campaigns.changes import change_campaign
from jobyard.services.campaigns.job_origin import replacement_text
from jobyard.services.settings import Settings
from jobyard.store import campaigns, chunks, jobs

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_COMPARED = 500_000  # tasks that a preview compares; reading them takes seconds
_TRIES = 8


@dataclass(frozen=True)
class Overlap:
    """An open campaign, and how many of its targets another one has too.

    None: it is not known, because the campaign is not opened or there are too many to compare.
    """

    campaign: Campaign
    targets: int | None


def find_overlaps(
    newer: Campaign, target_ids: Set[str], s3: "S3Client", settings: Settings
) -> tuple[Overlap, ...]:
    """The open campaigns that would give way to a new one on these targets, oldest first."""
    found, left = [], MAX_COMPARED
    for older in _giving_way(newer):
        left -= older.tasks
        if not older.is_opened or left < 0:
            found.append(Overlap(older, None))
        elif shared := _shared(older, target_ids, s3, settings):
            found.append(Overlap(older, sum(map(len, shared.values()))))
    return tuple(found)


def replace_overlapping(newer: Campaign, context: OpenContext) -> tuple[Campaign, list[str]] | None:
    """Replace the unfinished tasks of older campaigns on the targets of `newer`, whose rows are
    written. Returns `newer` as it is stored now, and which tasks were replaced, in words.

    An older campaign that is replaced as a whole is noted in `newer` before: a repeat after a crash
    does not find it. None: an older campaign is not opened, so it is not known yet, and nothing was
    replaced.
    """
    target_ids = {target_id for _, _, target_id in _targets(newer, context.s3, context.settings)}
    giving_way = _giving_way(newer)
    if not all(older.is_opened for older in giving_way):
        return None
    done = []
    for older in giving_way:
        shared = _shared(older, target_ids, context.s3, context.settings)
        replaced, has_others = _unfinished(older, shared)
        if not replaced:
            continue
        number = sum(map(len, replaced.values()))
        if has_others:
            _mark(older, replaced, newer)
            _change(older.campaign_id, _noting(newer, number, context), context)
            done.append(f"{plural(number, 'task')} of {older.campaign_id}")
        else:
            newer = _noted(newer, older, context)
            _change(older.campaign_id, _stopping(newer, context), context)
    return newer, done


def _noted(newer: Campaign, older: Campaign, context: OpenContext) -> Campaign:
    """The newer campaign, with the note that it replaces the older one as a whole."""
    key = str(CauseKey(action=Action.OPENED, subject=older.campaign_id))
    if any(each.cause == key for each in newer.history):
        return newer
    cause = Cause(key, reason=f"it replaces campaign {older.campaign_id} as a whole")
    note = HistoryEntry.note("replace_campaign", newer.state, context.now(), cause)
    return campaigns.write(newer, newer.with_entry(note))


def replace_named(newer: Campaign, context: OpenContext) -> None:
    """Stop the campaign that `newer` replaces as a whole, unless the request did so or it ends."""

    def stopped(before: Campaign) -> Campaign | None:
        is_ending = not before.is_open or before.state is JobState.STOPPING
        return None if is_ending else _replaced(before, newer, context)

    with suppress(Gone, NotFound):
        _change(newer.replaces, stopped, context)


def _giving_way(newer: Campaign) -> list[Campaign]:
    """The open campaigns that give way to `newer`, oldest first."""
    found = []
    for campaign_id in campaigns.open_ids():
        with suppress(Gone, NotFound, InvalidCampaign):  # the tick reports one it cannot read
            older = campaigns.get(campaign_id)
            if gives_way(older, newer):
                found.append(older)
    return sorted(found, key=lambda each: (each.created_at, each.campaign_id))


def _targets(
    campaign: Campaign, s3: "S3Client", settings: Settings
) -> Iterator[tuple[int, int, str]]:
    """The chunk, the position and the id of each target of a campaign, in order."""
    key = rows.rows_key(campaign.campaign_id)
    body = s3.get_object(Bucket=settings.work_bucket, Key=key)["Body"]
    size = campaign.chunk_size or campaign.tasks
    for index, line in enumerate(body.iter_lines(chunk_size=1024 * 1024)):
        yield index // size, index % size, json.loads(line)["id"]


def _shared(
    older: Campaign, target_ids: Set[str], s3: "S3Client", settings: Settings
) -> dict[int, list[int]]:
    """The positions of the tasks on these targets, by chunk."""
    found: dict[int, list[int]] = {}
    for chunk, position, target_id in _targets(older, s3, settings):
        if target_id in target_ids:
            found.setdefault(chunk, []).append(position)
    return found


def _unfinished(
    older: Campaign, shared: Mapping[int, list[int]]
) -> tuple[dict[int, list[int]], bool]:
    """Those of the tasks in `shared` that have not ended, and whether any other one has not."""
    found: dict[int, list[int]] = {}
    has_others = False
    for number in range(older.chunk_count):
        wanted = {*shared.get(number, ())}
        if not wanted and has_others:
            continue
        ended = {
            each.address.position
            for each in jobs.of_chunk(older.campaign_id, number)
            if each.state not in OPEN_JOB_STATES
        }
        unfinished = {*range(older.task_count(number))} - ended
        if replaced := sorted(unfinished & wanted):
            found[number] = replaced
        has_others = has_others or bool(unfinished - wanted)
    return found, has_others


def _mark(older: Campaign, shared: Mapping[int, list[int]], newer: Campaign) -> None:
    """Have the workers of `older` end the tasks in `shared`. A repeat changes nothing."""
    for number, positions in shared.items():
        for tries in range(1, _TRIES + 1):
            seen = chunks.get(older.campaign_id, number)
            wanted = dict.fromkeys(positions, newer.campaign_id) | dict(seen.replacements)
            if wanted == seen.replacements:
                break
            with suppress(StaleState):
                chunks.put(replace(seen, replacements=wanted))
                break
            if tries == _TRIES:
                raise StaleState(f"chunk {number} of {older.campaign_id} changes too fast")


def _cause(newer: Campaign) -> Cause:
    key = CauseKey(action=Action.OPENED, subject=newer.campaign_id)
    return Cause(str(key), reason=replacement_text(newer.campaign_id))


def _stopping(newer: Campaign, context: OpenContext) -> Callable[[Campaign], Campaign | None]:
    """Stops a campaign that is replaced as a whole."""

    def stopped(before: Campaign) -> Campaign | None:
        return _replaced(before, newer, context) if gives_way(before, newer) else None

    return stopped


def _replaced(before: Campaign, newer: Campaign, context: OpenContext) -> Campaign:
    move = JOB.move(before.state, "stop", context.now(), _cause(newer))
    return before.moved(move, stop_reason=StopReason.REPLACE, replaced_by=newer.campaign_id)


def _noting(
    newer: Campaign, number: int, context: OpenContext
) -> Callable[[Campaign], Campaign | None]:
    """Notes in a campaign that some of its tasks are replaced."""
    cause = _cause(newer)

    def noted(before: Campaign) -> Campaign | None:
        if not gives_way(before, newer) or any(each.cause == cause.key for each in before.history):
            return None
        reason = f"campaign {newer.campaign_id} replaces {plural(number, 'task')}"
        noted = replace(cause, reason=reason)
        note = HistoryEntry.note("replace_tasks", before.state, context.now(), noted)
        return before.with_entry(note)

    return noted


def _change(
    campaign_id: str, change: Callable[[Campaign], Campaign | None], context: OpenContext
) -> None:
    """Write what `change` makes of a campaign. If it rests, the next tick has it settled."""

    def write(before: Campaign, after: Campaign) -> Campaign:
        if before.rests_until is not None:
            after = replace(after, check_at=context.now())
        return campaigns.write(before, after)

    change_campaign(campaign_id, change, write, _TRIES)
