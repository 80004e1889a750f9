"""The PynamoDB models of all tables. They have no table names until `bind` is called.

An item has its keys, the attributes that conditions and indexes use, and a `body`: everything else
as one JSON document. A body is only overwritten if its item still has the version that was read.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pynamodb.attributes import JSONAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.connection import Connection
from pynamodb.exceptions import PutError, PynamoDBException
from pynamodb.expressions.condition import Condition
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, KeysOnlyProjection
from pynamodb.models import Model

# The partition of a list in its index. Tables keep the name that they have in 0.1.0.
_STORED_PARTITION = "shelf"


class DocumentAttribute(JSONAttribute):
    """A JSON document in UTF-8. Escapes would take six bytes for each letter that is not ASCII."""

    def serialize(self, value: Any) -> str:
        """The document as it is stored. A lone surrogate becomes "?", as UTF-8 has none."""
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        return text.encode(errors="replace").decode()


class CampaignBody(DocumentAttribute):
    """The body of a campaign; None if it is no JSON, so that it does not stop a list."""

    def deserialize(self, value: Any) -> Any:
        """The document."""
        with suppress(ValueError):
            return super().deserialize(value)
        return None


class ByMonthIndex(GlobalSecondaryIndex["BatchItem"]):
    """All batches, by the month they were submitted in."""

    class Meta:
        index_name = "by_month"
        projection = AllProjection()

    month = UnicodeAttribute(hash_key=True)
    submitted = UnicodeAttribute(range_key=True)


class ByStateIndex(GlobalSecondaryIndex["BatchItem"]):
    """Batches by state."""

    class Meta:
        index_name = "by_state"
        projection = AllProjection()

    state = UnicodeAttribute(hash_key=True)
    submitted = UnicodeAttribute(range_key=True)


class ByCollectionIndex(GlobalSecondaryIndex["BatchItem"]):
    """Batches by collection."""

    class Meta:
        index_name = "by_collection"
        projection = AllProjection()

    collection = UnicodeAttribute(hash_key=True)
    submitted = UnicodeAttribute(range_key=True)


class BySubmitterIndex(GlobalSecondaryIndex["BatchItem"]):
    """Batches by the person who submitted them."""

    class Meta:
        index_name = "by_submitter"
        projection = AllProjection()

    submitter = UnicodeAttribute(hash_key=True)
    submitted = UnicodeAttribute(range_key=True)


class BatchItem(Model):
    """A batch, its tombstone, or its tally under the key "BATCH_ID#tally".

    A tombstone is in no index, except `by_state` until all records of its batch are removed. A
    tally is in none, and DynamoDB removes it when it `expires`.
    """

    class Meta:
        table_name: str | None = None

    batch_id = UnicodeAttribute(hash_key=True)
    month = UnicodeAttribute(null=True)
    state = UnicodeAttribute()
    collection = UnicodeAttribute(null=True)
    submitter = UnicodeAttribute(null=True)
    submitted = UnicodeAttribute(null=True)
    version = NumberAttribute()
    expires = NumberAttribute(null=True)
    body = DocumentAttribute()
    by_month = ByMonthIndex()
    by_state = ByStateIndex()
    by_collection = ByCollectionIndex()
    by_submitter = BySubmitterIndex()


class JobItem(Model):
    """A job that has started or that a person changed. Every write is billed by the item's size, so
    its attributes are short: state `s`, version `v`, body `b` (`job_format` lists its keys)."""

    class Meta:
        table_name: str | None = None

    chunk_id = UnicodeAttribute(hash_key=True)
    position = NumberAttribute(range_key=True)
    state = UnicodeAttribute(attr_name="s")
    version = NumberAttribute(attr_name="v")
    body = UnicodeAttribute(attr_name="b")


class HeldIndex(GlobalSecondaryIndex["ChunkItem"]):
    """Chunks with jobs that the machine holds, by collection and batch; sparse. `held_of` is
    "COLLECTION#BATCH_ID"."""

    class Meta:
        index_name = "held"
        projection = KeysOnlyProjection()

    held_shard = UnicodeAttribute(hash_key=True)
    held_of = UnicodeAttribute(range_key=True)
    batch_id = UnicodeAttribute()
    chunk = NumberAttribute()


class ChunkItem(Model):
    """A chunk's counts."""

    class Meta:
        table_name: str | None = None

    batch_id = UnicodeAttribute(hash_key=True)
    chunk = NumberAttribute(range_key=True)
    held_shard = UnicodeAttribute(null=True)
    held_of = UnicodeAttribute(null=True)
    held = HeldIndex()
    version = NumberAttribute()
    body = DocumentAttribute()


class UndeliveredIndex(GlobalSecondaryIndex["ReportItem"]):
    """Reports whose mail is to be sent ("yes"), or was refused or bounced ("lost"), and those to
    deliver to the webhook in a slot ("webhook SLOT"), by the time of the next attempt; sparse."""

    class Meta:
        index_name = "undelivered"
        projection = AllProjection()

    undelivered = UnicodeAttribute(hash_key=True)
    queued_at = UnicodeAttribute(range_key=True)


class ByWebhookIndex(GlobalSecondaryIndex["ReportItem"]):
    """Deliveries by webhook, in the order in which they were stored; sparse."""

    class Meta:
        index_name = "by_webhook"
        projection = AllProjection()

    webhook = UnicodeAttribute(hash_key=True)
    delivery = UnicodeAttribute(range_key=True)


class ReportItem(Model):
    """A report, which is also the outbox's record of its mail."""

    class Meta:
        table_name: str | None = None

    batch_id = UnicodeAttribute(hash_key=True)
    seq = NumberAttribute(range_key=True)
    version = NumberAttribute()
    undelivered = UnicodeAttribute(null=True)
    queued_at = UnicodeAttribute()
    webhook = UnicodeAttribute(null=True)
    delivery = UnicodeAttribute(null=True)
    body = DocumentAttribute()
    by_delivery = UndeliveredIndex()
    by_webhook = ByWebhookIndex()


class HoldItem(Model):
    """A hold."""

    class Meta:
        table_name: str | None = None

    scope = UnicodeAttribute(hash_key=True)
    body = DocumentAttribute()


class ByNameIndex(GlobalSecondaryIndex["CollectionItem"]):
    """Collections by name. All have the same `list_partition`, the index's partition."""

    class Meta:
        index_name = "listed"
        projection = AllProjection()

    list_partition = UnicodeAttribute(attr_name=_STORED_PARTITION, hash_key=True)
    name = UnicodeAttribute(range_key=True)


class CollectionItem(Model):
    """A collection, and who may deposit in it."""

    class Meta:
        table_name: str | None = None

    name = UnicodeAttribute(hash_key=True)
    list_partition = UnicodeAttribute(attr_name=_STORED_PARTITION)
    version = NumberAttribute()
    body = DocumentAttribute()
    listed = ByNameIndex()


class ObjectItem(Model):
    """A version of an object in the archive."""

    class Meta:
        table_name: str | None = None

    ark = UnicodeAttribute(hash_key=True)
    number = NumberAttribute(range_key=True, attr_name="version")
    job_id = UnicodeAttribute()
    body = DocumentAttribute()


class IdentifierItem(Model):
    """Which object a local identifier of a collection belongs to."""

    class Meta:
        table_name: str | None = None

    identifier = UnicodeAttribute(hash_key=True)
    ark = UnicodeAttribute()


class OperationItem(Model):
    """An operation on many jobs of a batch, or the list of the batch's running operations. Only the
    list has a version."""

    class Meta:
        table_name: str | None = None

    batch_id = UnicodeAttribute(hash_key=True)
    operation_id = UnicodeAttribute(range_key=True)
    state = UnicodeAttribute()
    version = NumberAttribute(null=True)
    body = DocumentAttribute()


class DueIndex(GlobalSecondaryIndex["ScheduleItem"]):
    """Schedules by the time of their next check by the scheduler tick; sparse."""

    class Meta:
        index_name = "due"
        projection = AllProjection()

    due_shard = UnicodeAttribute(hash_key=True)
    due_at = NumberAttribute(range_key=True)


class ByTitleIndex(GlobalSecondaryIndex["ScheduleItem"]):
    """Schedules by title. `list_partition` is "schedules" or "system".

    Only keys are projected, so that a run does not write to this index.
    """

    class Meta:
        index_name = "listed"
        projection = KeysOnlyProjection()

    list_partition = UnicodeAttribute(attr_name=_STORED_PARTITION, hash_key=True)
    title = UnicodeAttribute(range_key=True)


class ProblemIndex(GlobalSecondaryIndex["ScheduleItem"]):
    """Schedules with a run that failed or was skipped although nobody wanted that; sparse.

    Only keys are projected, so that a run that succeeds does not write to this index.
    """

    class Meta:
        index_name = "problems"
        projection = KeysOnlyProjection()

    problem_partition = UnicodeAttribute(hash_key=True)
    problem_at = NumberAttribute(range_key=True)


class ScheduleItem(Model):
    """A schedule."""

    class Meta:
        table_name: str | None = None

    schedule_id = UnicodeAttribute(hash_key=True)
    list_partition = UnicodeAttribute(attr_name=_STORED_PARTITION, null=True)
    title = UnicodeAttribute(null=True)
    due_shard = UnicodeAttribute(null=True)
    due_at = NumberAttribute(null=True)
    problem_partition = UnicodeAttribute(null=True)
    problem_at = NumberAttribute(null=True)
    state = UnicodeAttribute()
    version = NumberAttribute()
    body = DocumentAttribute()
    due = DueIndex()
    listed = ByTitleIndex()
    problems = ProblemIndex()


class OccurrenceItem(Model):
    """An occurrence of a schedule, with its outcome."""

    class Meta:
        table_name: str | None = None

    schedule_id = UnicodeAttribute(hash_key=True)
    at = NumberAttribute(range_key=True)
    version = NumberAttribute()
    body = DocumentAttribute()


class OpenCampaignIndex(GlobalSecondaryIndex["CampaignItem"]):
    """Open campaigns, by the time of their next check by the scheduler tick; sparse."""

    class Meta:
        index_name = "due"
        projection = KeysOnlyProjection()

    due_shard = UnicodeAttribute(hash_key=True)
    due_at = NumberAttribute(range_key=True)


class ByCreationIndex(GlobalSecondaryIndex["CampaignItem"]):
    """Campaigns by the time of their creation. `list_partition` is "campaigns" or "system".

    Only keys are projected, so that a decision about a campaign does not write to this index.
    """

    class Meta:
        index_name = "listed"
        projection = KeysOnlyProjection()

    list_partition = UnicodeAttribute(attr_name=_STORED_PARTITION, hash_key=True)
    created = UnicodeAttribute(range_key=True)


class CampaignItem(Model):
    """A campaign. In no index: the claim on a target, under the key "target#TARGET_ID", and the
    leases of a job type, under "leases#JOB_TYPE".
    """

    class Meta:
        table_name: str | None = None

    campaign_id = UnicodeAttribute(hash_key=True)
    list_partition = UnicodeAttribute(attr_name=_STORED_PARTITION, null=True)
    created = UnicodeAttribute(null=True)
    due_shard = UnicodeAttribute(null=True)
    due_at = NumberAttribute(null=True)
    state = UnicodeAttribute()
    version = NumberAttribute()
    body = CampaignBody()
    due = OpenCampaignIndex()
    listed = ByCreationIndex()


class CalendarItem(Model):
    """A named calendar."""

    class Meta:
        table_name: str | None = None

    name = UnicodeAttribute(hash_key=True)
    version = NumberAttribute()
    body = DocumentAttribute()


class DatasetByNameIndex(GlobalSecondaryIndex["DatasetItem"]):
    """Datasets by name. All have the same `list_partition`. Heads are not in it, so
    that a commit does not write to it."""

    class Meta:
        index_name = "listed"
        projection = KeysOnlyProjection()

    list_partition = UnicodeAttribute(attr_name=_STORED_PARTITION, hash_key=True)
    name = UnicodeAttribute(range_key=True)


class DatasetItem(Model):
    """A part of a dataset: its head, which commits move, or its settings. A head stays below 1 KB,
    so that writing it is one unit."""

    class Meta:
        table_name: str | None = None

    name = UnicodeAttribute(hash_key=True)
    part = UnicodeAttribute(range_key=True)
    list_partition = UnicodeAttribute(attr_name=_STORED_PARTITION, null=True)
    version = NumberAttribute()
    body = DocumentAttribute()
    listed = DatasetByNameIndex()


class CommitItem(Model):
    """A commit of a dataset, which made a revision."""

    class Meta:
        table_name: str | None = None

    dataset = UnicodeAttribute(hash_key=True)
    revision = NumberAttribute(range_key=True)
    body = DocumentAttribute()


class VersionItem(Model):
    """A version of a feature: where the change file of its revision has it. `feature` is
    "DATASET#FEATURE_ID"."""

    class Meta:
        table_name: str | None = None

    feature = UnicodeAttribute(hash_key=True)
    revision = NumberAttribute(range_key=True)
    body = DocumentAttribute()


class ByTeamIndex(GlobalSecondaryIndex["EditItem"]):
    """The worklist of a team: edit jobs and children by `place`, which begins with their column;
    sparse.

    Only keys are projected by all indexes of the table, since a record may have 64 KB.
    """

    class Meta:
        index_name = "by_team"
        projection = KeysOnlyProjection()

    team = UnicodeAttribute(hash_key=True)
    place = UnicodeAttribute(range_key=True)


class ByWorkerIndex(GlobalSecondaryIndex["EditItem"]):
    """The worklist of a person: what they have claimed, by `place`; sparse."""

    class Meta:
        index_name = "by_worker"
        projection = KeysOnlyProjection()

    worker = UnicodeAttribute(hash_key=True)
    place = UnicodeAttribute(range_key=True)


class ByDatasetIndex(GlobalSecondaryIndex["EditItem"]):
    """Edit jobs of a dataset by the time of their creation. `list_partition` is "DATASET#open", or
    "#ended" or "#archived" after its name."""

    class Meta:
        index_name = "by_dataset"
        projection = KeysOnlyProjection()

    list_partition = UnicodeAttribute(attr_name=_STORED_PARTITION, hash_key=True)
    created = UnicodeAttribute(range_key=True)


class AllEditsIndex(GlobalSecondaryIndex["EditItem"]):
    """Edit jobs of all datasets by the time of their creation. `listing` is "open", "ended" or
    "archived", one partition for each: edit jobs are work of people, a few in a second at most."""

    class Meta:
        index_name = "listed"
        projection = KeysOnlyProjection()

    listing = UnicodeAttribute(hash_key=True)
    created = UnicodeAttribute(range_key=True)


class ByPlannerIndex(GlobalSecondaryIndex["EditItem"]):
    """Edit jobs of a planner by the time of their creation, without archived ones; sparse."""

    class Meta:
        index_name = "by_planner"
        projection = KeysOnlyProjection()

    planner = UnicodeAttribute(hash_key=True)
    created = UnicodeAttribute(range_key=True)


class EditDueIndex(GlobalSecondaryIndex["EditItem"]):
    """Edit jobs and children that the machine works on, by the time since when; sparse."""

    class Meta:
        index_name = "due"
        projection = KeysOnlyProjection()

    due_shard = UnicodeAttribute(hash_key=True)
    due_at = NumberAttribute(range_key=True)


class EditItem(Model):
    """An edit job, or a child of one."""

    class Meta:
        table_name: str | None = None

    job_id = UnicodeAttribute(hash_key=True)
    team = UnicodeAttribute(null=True)
    worker = UnicodeAttribute(null=True)
    place = UnicodeAttribute(null=True)
    list_partition = UnicodeAttribute(attr_name=_STORED_PARTITION, null=True)
    listing = UnicodeAttribute(null=True)
    planner = UnicodeAttribute(null=True)
    created = UnicodeAttribute(null=True)
    due_shard = UnicodeAttribute(null=True)
    due_at = NumberAttribute(null=True)
    state = UnicodeAttribute()
    version = NumberAttribute()
    body = DocumentAttribute()
    by_team = ByTeamIndex()
    by_worker = ByWorkerIndex()
    by_dataset = ByDatasetIndex()
    by_planner = ByPlannerIndex()
    listed = AllEditsIndex()
    due = EditDueIndex()


class TeamListIndex(GlobalSecondaryIndex["TeamItem"]):
    """Teams by name. All have the same `list_partition`; their members have none."""

    class Meta:
        index_name = "listed"
        projection = KeysOnlyProjection()

    list_partition = UnicodeAttribute(attr_name=_STORED_PARTITION, hash_key=True)
    name = UnicodeAttribute(range_key=True)


class MembershipIndex(GlobalSecondaryIndex["TeamItem"]):
    """The teams of a person; sparse."""

    class Meta:
        index_name = "by_member"
        projection = KeysOnlyProjection()

    member = UnicodeAttribute(hash_key=True)
    name = UnicodeAttribute(range_key=True)


class TeamItem(Model):
    """A team under the part "#team", or a member of it under their id, which is also `member`. Only
    the team's version is a condition of writes."""

    class Meta:
        table_name: str | None = None

    name = UnicodeAttribute(hash_key=True)
    part = UnicodeAttribute(range_key=True)
    list_partition = UnicodeAttribute(attr_name=_STORED_PARTITION, null=True)
    member = UnicodeAttribute(null=True)
    version = NumberAttribute(null=True)
    body = DocumentAttribute()
    listed = TeamListIndex()
    by_member = MembershipIndex()


class CheckpointItem(Model):
    """The checkpoint of a job that takes longer than one worker's time."""

    class Meta:
        table_name: str | None = None

    job_id = UnicodeAttribute(hash_key=True)
    version = NumberAttribute()
    expires = NumberAttribute()
    body = DocumentAttribute()


class UsageItem(Model):
    """What a part of Jobyard used for a batch, a schedule or a campaign."""

    class Meta:
        table_name: str | None = None

    origin_id = UnicodeAttribute(hash_key=True)
    part = UnicodeAttribute(range_key=True)
    write_units = NumberAttribute(null=True)
    read_units = NumberAttribute(null=True)
    transitions = NumberAttribute(null=True)
    invocations = NumberAttribute(null=True)
    ms = NumberAttribute(null=True)
    mb_ms = NumberAttribute(null=True)
    s3_writes = NumberAttribute(null=True)
    s3_reads = NumberAttribute(null=True)
    bytes_stored = NumberAttribute(null=True)
    mails = NumberAttribute(null=True)
    events = NumberAttribute(null=True)


class TimelineItem(Model):
    """What happened when, in series by time: an act of a person, or a sample of the totals of jobs.

    The totals themselves are a series too: invocations add jobs and usage to its items.
    """

    class Meta:
        table_name: str | None = None

    series = UnicodeAttribute(hash_key=True)
    at = UnicodeAttribute(range_key=True)
    expires = NumberAttribute(null=True)
    body = DocumentAttribute(null=True)
    before = DocumentAttribute(null=True)
    deployed = UnicodeAttribute(null=True)
    started = NumberAttribute(null=True)
    ended = NumberAttribute(null=True)
    failed = NumberAttribute(null=True)
    within_1_s = NumberAttribute(null=True)
    within_2_s = NumberAttribute(null=True)
    within_5_s = NumberAttribute(null=True)
    within_10_s = NumberAttribute(null=True)
    within_20_s = NumberAttribute(null=True)
    within_30_s = NumberAttribute(null=True)
    within_60_s = NumberAttribute(null=True)
    within_120_s = NumberAttribute(null=True)
    within_300_s = NumberAttribute(null=True)
    within_600_s = NumberAttribute(null=True)
    within_1800_s = NumberAttribute(null=True)
    within_3600_s = NumberAttribute(null=True)
    within_14400_s = NumberAttribute(null=True)
    within_86400_s = NumberAttribute(null=True)
    longer = NumberAttribute(null=True)
    write_units = NumberAttribute(null=True)
    read_units = NumberAttribute(null=True)
    transitions = NumberAttribute(null=True)
    invocations = NumberAttribute(null=True)
    ms = NumberAttribute(null=True)
    mb_ms = NumberAttribute(null=True)
    s3_writes = NumberAttribute(null=True)
    s3_reads = NumberAttribute(null=True)
    bytes_stored = NumberAttribute(null=True)
    mails = NumberAttribute(null=True)
    events = NumberAttribute(null=True)


class KeyValueItem(Model):
    """A value under a key, until `expires` if it has one. Only what is computed for readers has a
    version. The idempotency records are in the same table."""

    class Meta:
        table_name: str | None = None

    id = UnicodeAttribute(hash_key=True)
    content = UnicodeAttribute()
    version = NumberAttribute(null=True)
    expires = NumberAttribute(null=True)


class SessionItem(Model):
    """A session of the web pages, until it `expires`. `content` is its refresh token."""

    class Meta:
        table_name: str | None = None

    id = UnicodeAttribute(hash_key=True)
    content = UnicodeAttribute()
    expires = NumberAttribute()


MODELS: Mapping[str, type[Model]] = {
    "batches": BatchItem,
    "jobs": JobItem,
    "chunks": ChunkItem,
    "reports": ReportItem,
    "holds": HoldItem,
    "collections": CollectionItem,
    "objects": ObjectItem,
    "identifiers": IdentifierItem,
    "operations": OperationItem,
    "schedules": ScheduleItem,
    "occurrences": OccurrenceItem,
    "campaigns": CampaignItem,
    "calendars": CalendarItem,
    "datasets": DatasetItem,
    "commits": CommitItem,
    "versions": VersionItem,
    "edits": EditItem,
    "teams": TeamItem,
    "checkpoints": CheckpointItem,
    "requests": KeyValueItem,
    "sessions": SessionItem,
    "usage": UsageItem,
    "timeline": TimelineItem,
}


def bind(names: Mapping[str, str], *, region: str, host: str | None = None) -> None:
    """Set the table of every model. `names` maps each key of `MODELS` to the name of its table.

    Raises:
        KeyError: a key is missing.
    """
    for noun, model in MODELS.items():
        meta: Any = model.Meta
        meta.table_name = names[noun]
        meta.region = region
        meta.host = host
        meta.connect_timeout_seconds = 3
        meta.read_timeout_seconds = 10
        meta.max_retry_attempts = 4
        meta.max_pool_connections = 30  # a worker's 25 concurrent jobs, and the worker itself
        model._connection = None
    _share(JobItem._get_connection().connection)


def _share(shared: Connection) -> None:
    """Let all models use one connection, and so one client.

    PynamoDB makes one for each table, and each loads botocore's data and connects.
    """
    for model in MODELS.values():
        table = model._get_connection()
        if table.connection is not shared:
            shared.add_meta_table(table.get_meta_table())
            table.connection = shared


def client() -> Any:
    """The DynamoDB client that PynamoDB holds: for PartiQL batches, which it does not support, and
    for the meter."""
    return connection().client


def connection() -> Connection:
    """PynamoDB's connection, whose session and client the other clients share."""
    return JobItem._get_connection().connection


def is_version(model: type[Any], version: int) -> Condition:
    """The condition that the stored item has this version; 0: that there is no item."""
    if version:
        has_version: Condition = model.version == version
        return has_version
    (hash_key,) = (each for each in model.get_attributes().values() if each.is_hash_key)
    missing: Condition = hash_key.does_not_exist()
    return missing


def is_condition_failure(error: PynamoDBException) -> bool:
    """Whether a write was refused by its condition.

    PynamoDB's own `cause_response_code` raises AttributeError if no answer came.
    """
    response = getattr(error.cause, "response", None) or {}
    refused: bool = response.get("Error", {}).get("Code") == "ConditionalCheckFailedException"
    return refused


def save_if(item: Model, condition: Condition) -> bool:
    """Write `item` if `condition` holds for the stored item. Returns False if it does not.

    Raises:
        PutError: DynamoDB failed for another reason.
    """
    try:
        item.save(condition=condition)
    except PutError as error:
        if not is_condition_failure(error):
            raise
        return False
    return True
