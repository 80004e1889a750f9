"""A campaign: a job with many tasks, one for each target, in the order of its targets.

Its states are those of a job, and its tasks are jobs with one target each. Source: the Jobs of the
Connectivity Suite.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

from jobyard.domain.batches.report import ReportKind
from jobyard.domain.campaigns.ended_chunks import EndedChunks
from jobyard.domain.campaigns.fields import FieldReader
from jobyard.domain.campaigns.openings import Openings
from jobyard.domain.campaigns.rules import (
    EXPIRY_GRACE,
    RULE_FIELDS,
    CampaignRules,
    rule_warnings,
    rules_of,
)
from jobyard.domain.campaigns.schedule import CalendarFor
from jobyard.domain.campaigns.targets_file import TargetsFile
from jobyard.domain.compaction import MAX_RECORD_BYTES, json_bytes
from jobyard.domain.errors import InvalidCampaign, InvalidRule
from jobyard.domain.history import HistoryEntry, compact_history
from jobyard.domain.jobs.job import JOB, OPEN_JOB_STATES, JobState
from jobyard.domain.lifecycle import Move
from jobyard.domain.mail_addresses import (
    ADDRESS_FORM,
    MAX_RECIPIENTS,
    UndeliverableRecipient,
    all_addresses,
)
from jobyard.domain.plurals import plural
from jobyard.domain.text import NAME_BYTES, clean_fields

if TYPE_CHECKING:
    from jobyard.domain.campaigns.targets import CampaignTarget

REQUEST_FIELDS = (
    *("name", "job_type", "parameters", "targets", "targets_file", "replaces"),
    *("replace_overlapping", "notify"),
    *RULE_FIELDS,
)
SILENT_AFTER = timedelta(minutes=10)  # after the time by which an execution had to settle it
_RESERVED_BYTES = 1024  # for the keys of a record and their copies in indexes
_TargetsAndWarnings = tuple["tuple[CampaignTarget, ...] | None", tuple[str, ...]]
_NO_TARGETS: _TargetsAndWarnings = (None, ())
_NO_PARAMETERS: Mapping[str, Any] = {}


class StopReason(StrEnum):
    """Why a campaign starts no more attempts, and how it ends."""

    CANCEL = "cancel"  # a person cancelled it
    REPLACE = "replace"  # another campaign has its targets
    EXPIRE = "expire"  # its time is over
    ABORT = "abort"  # too many of its tasks failed


@dataclass(frozen=True)
class Campaign:
    """A campaign as it is stored. `version` counts its writes; times are aware UTC.

    `creator` is a name to show, `creator_sub` the person's id. Lists leave out one that
    `is_system` by default. `tasks` is the number of its tasks, `chunk_size` that of a chunk (the
    last may have fewer). With a `targets_file` the machine writes its rows, and `chunk_size` is 0
    until it has. One that is to `replace_overlapping` tasks of others has 0 until it has done so.
    `stop_reason` says why it is stopping, or did; if the stop `is_forced`, it does not wait for
    what runs. Outcomes count for its abort rule from `counted_since` on; None: from its start on.
    The three ids name the campaign that it replaces, the one that replaced it, and the one whose
    tasks without success it retries; "" for none.

    `generation` counts the executions that were started because something changed: only the latest
    of them settles it. If none has by `check_at`, the scheduler tick starts another. Nothing starts
    before `rests_until`, for `rest_reason`; None: it does not rest. `counts` has the number of its
    tasks by state, without those that have no record, as it was settled last. The counts of
    `ended_chunks` are final, so they are not read again.

    `notify` are the recipients of its reports, `undeliverable` those who cannot get one.
    `last_report` is the number of the last report; `due_report` is why another one has to be
    written, None if none has.
    """

    campaign_id: str
    state: JobState
    version: int
    name: str
    job_type: str
    creator: str
    created_at: datetime
    rules: CampaignRules
    creator_sub: str = ""
    is_system: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tasks: int = 0
    chunk_size: int = 0
    targets_file: TargetsFile | None = None
    replace_overlapping: bool = False
    stop_reason: StopReason | None = None
    is_forced: bool = False
    counted_since: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    replaces: str = ""
    replaced_by: str = ""
    retry_of: str = ""
    generation: int = 0
    check_at: datetime | None = None
    rests_until: datetime | None = None
    rest_reason: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    ended_chunks: EndedChunks = field(default_factory=EndedChunks)
    notify: tuple[str, ...] = ()
    undeliverable: tuple[UndeliverableRecipient, ...] = ()
    last_report: int = 0
    due_report: ReportKind | None = None
    history: tuple[HistoryEntry, ...] = ()

    def __post_init__(self) -> None:
        clean_fields(self, name=NAME_BYTES, creator=NAME_BYTES)

    @cached_property
    def openings(self) -> Openings:
        """When its tasks may run. They end when it expires."""
        return self.rules.schedule.openings(self.created_at)

    @property
    def expires_at(self) -> datetime:
        """When it ends, whatever has become of its tasks."""
        return self.rules.schedule.expires_at(self.created_at)

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.state in OPEN_JOB_STATES

    @property
    def has_work(self) -> bool:
        """Whether an execution has something to do for it: it is open, or not reported yet."""
        return self.is_open or self.due_report is not None

    def kept_until(self, retention: timedelta) -> datetime | None:
        """When it is archived, with its tasks; None while it is open or not reported yet."""
        return None if self.has_work else (self.ended_at or self.created_at) + retention

    def is_silent(self, now: datetime) -> bool:
        """Whether no execution has settled it for so long that its state is not known.

        The scheduler tick restarts overdue ones each minute, so the tick has stopped too.
        """
        return self.is_open and self.check_at is not None and now >= self.check_at + SILENT_AFTER

    @property
    def file_key(self) -> str:
        """The key of the file that its targets are from; "" if they were inline."""
        return self.targets_file.key if self.targets_file else ""

    @property
    def is_opened(self) -> bool:
        """Whether its rows are written and others are replaced, so that its tasks can start."""
        is_by_machine = self.targets_file or self.replace_overlapping or self.retry_of
        return self.chunk_size > 0 or not is_by_machine

    @property
    def stopped_at(self) -> datetime | None:
        """When it began to stop; None if it has not."""
        stops = (each.at for each in self.history if each.after == JobState.STOPPING)
        return next(stops, None)

    def attempt_deadline(self, started_at: datetime) -> datetime:
        """When an attempt that started at `started_at` has taken too long.

        After the campaign has expired, a step that runs has `EXPIRY_GRACE` left.
        """
        limit = started_at + timedelta(seconds=self.rules.attempt_s)
        return min(limit, self.expires_at + EXPIRY_GRACE)

    def moved(self, move: Move, **changes: Any) -> "Campaign":
        """The campaign after `move`, with `changes` to its other fields."""
        if move.after == JobState.RUNNING and self.started_at is None:
            changes.setdefault("started_at", move.at)
        if move.after not in OPEN_JOB_STATES:
            changes.setdefault("ended_at", move.at)
        return self.with_entry(HistoryEntry.of(move), **changes, state=JobState(move.after))

    def with_entry(self, entry: HistoryEntry, **changes: Any) -> "Campaign":
        """The campaign with one more entry in its history, and `changes` to its other fields."""
        after = replace(self, **changes, version=self.version + 1)
        max_bytes = MAX_RECORD_BYTES - _RESERVED_BYTES - after._record_bytes()
        history = (*self.history, entry)
        return replace(after, history=compact_history(history, _pinned(history), max_bytes))

    def _record_bytes(self) -> int:
        """The size of the stored record in bytes without its history, never too low."""
        fields = {name: each for name, each in vars(self).items() if name != "openings"}
        return json_bytes(fields | {"history": (), "rules": self.rules.document()})

    @property
    def description(self) -> str:
        """What it is, as its tombstone says it."""
        return (
            f"campaign {self.campaign_id} ({self.name}, {self.state}, "
            f"{plural(self.tasks, 'task')}, started {self.created_at:%Y-%m-%d})"
        )

    def reduced(self) -> "Campaign":
        """The campaign without the fields that only the archive keeps."""
        schedule = replace(self.rules.schedule, calendar=None)
        return replace(
            self,
            rules=replace(self.rules, schedule=schedule),
            notify=(),
            undeliverable=(),
            parameters={},
            ended_chunks=EndedChunks(),
            history=(),
        )

    @property
    def chunk_count(self) -> int:
        """The number of its chunks; 0 before it is opened."""
        return -(-self.tasks // self.chunk_size) if self.chunk_size else 0

    def task_count(self, chunk: int) -> int:
        """The number of tasks in `chunk`, a number from 0."""
        return min(self.chunk_size, self.tasks - chunk * self.chunk_size)


def _pinned(history: Sequence[HistoryEntry]) -> set[int]:
    """The indices of entries that are always kept: the last of each event of a person."""
    events = JOB.people_events()
    pinned: dict[str, int] = {}
    for index, entry in enumerate(history):
        if entry.event in events:
            pinned["person"] = index
        if entry.after == JobState.STOPPING:
            pinned["stop"] = index
    return {*pinned.values()}


@dataclass(frozen=True)
class CampaignRequest:
    """What a person asks for. Without `targets` they are in the file with the key `targets_file`.

    `replaces` is the id of the campaign that it replaces as a whole, "" for none. To
    `replace_overlapping` ones is to replace the tasks of others on the same targets. `notify` are
    the addresses that get its reports; None: that of the person who started it.
    """

    name: str
    job_type: str
    rules: CampaignRules
    parameters: Mapping[str, Any] = field(default_factory=dict)
    targets: "tuple[CampaignTarget, ...] | None" = None
    targets_file: str = ""
    replaces: str = ""
    replace_overlapping: bool = False
    warnings: tuple[str, ...] = ()
    notify: tuple[str, ...] | None = None


def request_of(
    document: object,
    created_at: datetime,
    calendar_for: CalendarFor,
    needs_min_for: Callable[[str], int] = lambda _job_type: 0,
) -> CampaignRequest:
    """Parse a request for a campaign, an object of `REQUEST_FIELDS`.

    Whether its job type exists and accepts the parameters is not checked here. `needs_min_for` has
    the minutes that a task of a job type needs unless the request says.

    Raises:
        InvalidCampaign: fields are wrong; it lists all of them.
    """
    fields = FieldReader(document, REQUEST_FIELDS)
    job_type = fields.read("job_type", text_of, "")
    if "job_type" not in fields:
        fields.refuse("job_type", "missing; the name of a job type")
    name = fields.read("name", text_of, job_type)
    parameters = fields.read("parameters", _object_of, _NO_PARAMETERS)
    replaces = fields.read("replaces", text_of, "")
    replace_overlapping = fields.read("replace_overlapping", _yes_or_no, default=False)
    notify = fields.read("notify", _recipients_of, None)
    targets, warnings = fields.read("targets", _targets_of, _NO_TARGETS)
    targets_file = fields.read("targets_file", _key_of, "")
    if targets_file and "targets" in fields:
        fields.refuse("targets_file", "either a list of targets or a file, not both")
    rules = rules_of(fields, created_at, calendar_for, needs_min_for(job_type))
    fields.check()
    assert isinstance(document, Mapping)
    warnings = (*warnings, *rule_warnings(document))
    return CampaignRequest(
        name=name,
        job_type=job_type,
        rules=rules,
        parameters=parameters,
        targets=targets,
        targets_file=targets_file,
        replaces=replaces,
        replace_overlapping=replace_overlapping,
        warnings=warnings,
        notify=notify,
    )


def text_of(where: str, value: object) -> str:
    """Parse a text of a few words.

    Raises:
        InvalidRule: it is not one.
    """
    if not isinstance(value, str) or not value.strip() or len(value.encode()) > NAME_BYTES:
        raise InvalidRule(where, f"a text of 1 to {NAME_BYTES} bytes, not {value!r:.40}")
    return value.strip()


def _key_of(where: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidRule(where, f"the key of an upload, not {value!r:.40}")
    return value


def _yes_or_no(where: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidRule(where, f"true or false, not {value!r:.40}")
    return value


def _object_of(where: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRule(where, f"a JSON object, not {value!r:.40}")
    return value


def _recipients_of(where: str, value: object) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else [None]
    found = all_addresses(each for each in texts if isinstance(each, str))
    if found.invalid or len(found.valid) < len(texts) or len(texts) > MAX_RECIPIENTS:
        allowed = f"a list of up to {MAX_RECIPIENTS} e-mail addresses; {ADDRESS_FORM}"
        raise InvalidRule(where, f"{allowed}, not {value!r:.40}")
    return found.valid


def _targets_of(where: str, value: object) -> _TargetsAndWarnings:
    from jobyard.domain.campaigns.targets import inline_targets  # reads CSV and JSON Lines too

    if not isinstance(value, list):
        raise InvalidCampaign([InvalidRule(where, f"a list, not {value!r:.40}")])
    targets, warnings = inline_targets(value)
    return tuple(targets), tuple(warnings)
