"""Stores campaigns. Every write is conditional on the version that was read."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobyard.domain.batches.report import ReportKind
from jobyard.domain.campaigns.abort import OutcomeCounts
from jobyard.domain.campaigns.campaign import Campaign, StopReason
from jobyard.domain.campaigns.ended_chunks import EndedChunks
from jobyard.domain.campaigns.fields import FieldReader
from jobyard.domain.campaigns.rules import RULE_FIELDS, rules_of
from jobyard.domain.campaigns.targets_file import TargetsFile
from jobyard.domain.errors import (
    Gone,
    InvalidCampaign,
    InvalidRule,
    JobyardError,
    NotFound,
    StaleState,
)
from jobyard.domain.jobs.job import JobState
from jobyard.domain.mail_addresses import UndeliverableRecipient
from jobyard.domain.schedules.calendar import calendar_of
from jobyard.store.documents import (
    from_ms,
    from_ms_or_none,
    history_document,
    parse_history,
    sortable,
    to_ms,
    to_ms_or_none,
    without_blanks,
)
from jobyard.store.due_work import OPEN_CAMPAIGNS
from jobyard.store.tables import CampaignItem, save_if
from jobyard.store.tombstones import ARCHIVED, TombstoneTable

_OPEN_PAGE = 100
_ARCHIVING = "archiving"  # the partition of tombstones whose records are not all removed yet
_LIST_PARTITIONS = {False: "campaigns", True: "system"}  # partitions of the list; by `is_system`


def item_of(campaign: Campaign) -> CampaignItem:
    """The campaign as an item, for a transaction."""
    is_due = campaign.has_work and campaign.check_at is not None
    body = without_blanks(
        {
            "name": campaign.name,
            "job_type": campaign.job_type,
            "creator": campaign.creator,
            "creator_sub": campaign.creator_sub,
            "is_system": campaign.is_system,
            "created_at": to_ms(campaign.created_at),
            "rules": campaign.rules.document(),
            "parameters": dict(campaign.parameters),
            "tasks": campaign.tasks,
            "chunk_size": campaign.chunk_size,
            "targets_file": campaign.targets_file and campaign.targets_file.document(),
            "replace_overlapping": campaign.replace_overlapping,
            "stop": campaign.stop_reason and campaign.stop_reason.value,
            "is_forced": campaign.is_forced,
            "counted_since": to_ms_or_none(campaign.counted_since),
            "started_at": to_ms_or_none(campaign.started_at),
            "ended_at": to_ms_or_none(campaign.ended_at),
            "replaces": campaign.replaces,
            "replaced_by": campaign.replaced_by,
            "retry_of": campaign.retry_of,
            "generation": campaign.generation,
            "rests_until": to_ms_or_none(campaign.rests_until),
            "rest_reason": campaign.rest_reason,
            "counts": dict(campaign.counts),
            "ended_chunks": _ended_line(campaign.ended_chunks),
            "notify": list(campaign.notify),
            "undeliverable": [[*vars(each).values()] for each in campaign.undeliverable],
            "last_report": campaign.last_report,
            "due_report": campaign.due_report and campaign.due_report.value,
            "history": history_document(campaign.history),
        }
    )
    return CampaignItem(
        campaign_id=campaign.campaign_id,
        list_partition=_LIST_PARTITIONS[campaign.is_system],
        created=f"{sortable(campaign.created_at)}#{campaign.campaign_id}",
        due_shard=OPEN_CAMPAIGNS if is_due else None,
        due_at=to_ms(campaign.check_at) if is_due and campaign.check_at else None,
        state=campaign.state.value,
        version=campaign.version,
        body=body,
    )


def _campaign(item: CampaignItem) -> Campaign:
    """The campaign in an item.

    Raises:
        InvalidCampaign: it cannot be read.
    """
    try:
        return _parsed(item)
    except (JobyardError, KeyError, TypeError, ValueError, AttributeError) as error:
        unreadable = InvalidRule("campaign", f"a record that can be read; it is Unknown: {error!r}")
        raise InvalidCampaign([unreadable]) from error


def _parsed(item: CampaignItem) -> Campaign:
    body: dict[str, Any] = item.body
    created_at = from_ms(body["created_at"])
    fields = FieldReader(body["rules"], RULE_FIELDS)
    rules = rules_of(fields, created_at, lambda value: calendar_of(value))
    fields.check()
    return Campaign(
        campaign_id=item.campaign_id,
        state=JobState(item.state),
        version=int(item.version),
        name=body["name"],
        job_type=body["job_type"],
        creator=body["creator"],
        creator_sub=body.get("creator_sub", ""),
        is_system=body.get("is_system", False),
        created_at=created_at,
        rules=rules,
        parameters=body.get("parameters", {}),
        tasks=body.get("tasks", 0),
        chunk_size=body.get("chunk_size", 0),
        targets_file=_targets_file(body),
        replace_overlapping=body.get("replace_overlapping", False),
        stop_reason=StopReason(body["stop"]) if "stop" in body else None,
        is_forced=body.get("is_forced", False),
        counted_since=from_ms_or_none(body.get("counted_since")),
        started_at=from_ms_or_none(body.get("started_at")),
        ended_at=from_ms_or_none(body.get("ended_at")),
        replaces=body.get("replaces", ""),
        replaced_by=body.get("replaced_by", ""),
        retry_of=body.get("retry_of", ""),
        generation=body.get("generation", 0),
        check_at=from_ms_or_none(item.due_at),
        rests_until=from_ms_or_none(body.get("rests_until")),
        rest_reason=body.get("rest_reason", ""),
        counts=body.get("counts", {}),
        ended_chunks=_ended_chunks(body),
        notify=tuple(body.get("notify", ())),
        undeliverable=tuple(
            UndeliverableRecipient(*each) for each in body.get("undeliverable", ())
        ),
        last_report=body.get("last_report", 0),
        due_report=ReportKind(body["due_report"]) if "due_report" in body else None,
        history=parse_history(body.get("history", [])),
    )


def _ended_line(ended: EndedChunks) -> list[Any]:
    """What `_ended_chunks` reads; empty if there are none."""
    if not ended.number:
        return []
    outcomes = [*vars(ended.outcomes).values()]
    return [ended.number, dict(ended.counts), outcomes, to_ms_or_none(ended.counted_since)]


def _ended_chunks(body: Mapping[str, Any]) -> EndedChunks:
    if not (line := body.get("ended_chunks")):
        return EndedChunks()
    number, counts, outcomes, counted_since = line
    return EndedChunks(number, counts, OutcomeCounts(*outcomes), from_ms_or_none(counted_since))


def _targets_file(body: Mapping[str, Any]) -> TargetsFile | None:
    return TargetsFile.of_document(body["targets_file"]) if "targets_file" in body else None


def put_new(campaign: Campaign) -> Campaign:
    """Store a new campaign, and return it.

    Raises:
        StaleState: a campaign with this id exists.
    """
    if not save_if(item_of(campaign), CampaignItem.campaign_id.does_not_exist()):
        raise StaleState(f"campaign {campaign.campaign_id} exists already")
    return campaign


def get(campaign_id: str) -> Campaign:
    """The campaign.

    Raises:
        NotFound: there is none. Gone: it was archived.
        InvalidCampaign: it cannot be read any more.
    """
    try:
        item = CampaignItem.get(campaign_id, consistent_read=True)
    except CampaignItem.DoesNotExist:
        raise NotFound(f"there is no campaign {campaign_id}") from None
    if item.state == ARCHIVED:
        raise Gone(CAMPAIGN_TOMBSTONES.parse(item).description)
    return _campaign(item)


def write(before: Campaign, after: Campaign) -> Campaign:
    """Write `after` over `before`. A repeat of the same write succeeds.

    Raises:
        StaleState: the campaign changed since it was read.
    """
    item = item_of(after)
    if save_if(item, CampaignItem.version == before.version):
        return after
    stored = CampaignItem.get(before.campaign_id, consistent_read=True)
    if (stored.version, stored.state, stored.body) == (after.version, item.state, item.body):
        return after
    raise StaleState(f"campaign {before.campaign_id} has changed since it was read")


def open_ids() -> Iterator[str]:
    """The ids of all open campaigns, from the index, which may be outdated by a moment."""
    for item in CampaignItem.due.query(OPEN_CAMPAIGNS, page_size=_OPEN_PAGE):
        yield item.campaign_id


@dataclass(frozen=True)
class UnknownCampaign:
    """A campaign that cannot be read."""

    campaign_id: str
    created_at: str


@dataclass(frozen=True)
class CampaignPage:
    """Campaigns, newest first; `unknown` are those that cannot be read. `after` is the cursor of
    the next page; "" if this is the last.
    """

    items: tuple[Campaign, ...]
    after: str
    unknown: tuple[UnknownCampaign, ...] = ()


def newest(limit: int, after: str = "", *, system: bool = False) -> CampaignPage:
    """Up to `limit` campaigns, newest first, after the cursor `after`.

    Either those of system job types or the others. The index gives the ids; the campaigns are read
    with strong consistency.
    """
    keys = [
        *CampaignItem.listed.query(
            _LIST_PARTITIONS[system],
            range_key_condition=CampaignItem.created < after if after else None,
            scan_index_forward=False,
            limit=limit + 1,
        )
    ]
    shown = keys[:limit]
    cursor = str(shown[-1].created) if len(keys) > limit else ""
    read = CampaignItem.batch_get([key.campaign_id for key in shown], consistent_read=True)
    found = {item.campaign_id: item for item in read}
    items, unknown = [], []
    for key in shown:
        item = found.get(key.campaign_id)
        if item is None or item.state == ARCHIVED:
            continue  # the index lags behind
        try:
            items.append(_campaign(item))
        except InvalidCampaign:
            created_at = str(key.created).partition("#")[0]
            unknown.append(UnknownCampaign(key.campaign_id, created_at))
    return CampaignPage(tuple(items), cursor, tuple(unknown))


@dataclass(frozen=True)
class CampaignKey:
    """A campaign from the index, which may be outdated. `position` is its place in the list."""

    campaign_id: str
    created_at: datetime
    position: str


def oldest(limit: int, after: str = "", *, system: bool = False) -> list[CampaignKey]:
    """Up to `limit` campaigns, oldest first, after a position: of system job types, or the others.
    Archived ones are left out.
    """
    return [*_keys(_LIST_PARTITIONS[system], limit, after)]


def _keys(partition: str, limit: int, after: str) -> Iterator[CampaignKey]:
    found = CampaignItem.listed.query(
        partition, range_key_condition=CampaignItem.created > after if after else None, limit=limit
    )
    for item in found:
        created_at = datetime.fromisoformat(str(item.created).partition("#")[0])
        yield CampaignKey(item.campaign_id, created_at, item.created)


# Tombstones


def _listed(item: CampaignItem) -> dict[str, Any]:
    return {"list_partition": _ARCHIVING, "created": item.created}


CAMPAIGN_TOMBSTONES = TombstoneTable(CampaignItem, item_of, _campaign, _listed)


def in_archiving(after: str = "") -> CampaignKey | None:
    """The oldest campaign after a position whose records are not all removed yet; None if there is
    none.
    """
    return next(_keys(_ARCHIVING, 1, after), None)
