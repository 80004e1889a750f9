"""The overview of a deployment: what is wrong, what is open, what comes next.

It is computed for all readers together and stored in one item, so every part of it has a bound, and
it holds texts to show rather than records.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from jobyard.domain.access import is_allowed
from jobyard.domain.activity import Act
from jobyard.domain.batches.batch import BATCH, BatchState
from jobyard.domain.batches.progress import UNKNOWN_PROGRESS, BatchProgress
from jobyard.domain.cost import Usage
from jobyard.domain.ids import is_child_id, is_edit_id, origin_of
from jobyard.domain.jobs.failures import Failure
from jobyard.domain.schedules.occurrence import SkipReason
from jobyard.domain.text import clean_fields

NAME_BYTES_SHOWN = 100  # of a file name or a title
REASON_BYTES_SHOWN = 200  # of a reason, or of an alarm's description


@dataclass(frozen=True)
class StateCount:
    """The number of batches in a state. If it is not exact, there are more."""

    number: int
    is_exact: bool


@dataclass(frozen=True)
class OpenBatch:
    """An open batch, with the counts of all states of its jobs, and the total."""

    batch_id: str
    filename: str
    collection: str
    submitter: str
    state: BatchState
    submitted_at: datetime
    why: str
    counts: Mapping[str, int]
    progress: BatchProgress = UNKNOWN_PROGRESS
    job_type: str = ""

    def __post_init__(self) -> None:
        clean_fields(
            self,
            filename=NAME_BYTES_SHOWN,
            collection=NAME_BYTES_SHOWN,
            submitter=NAME_BYTES_SHOWN,
            why=REASON_BYTES_SHOWN,
        )

    @property
    def label(self) -> str:
        """The name of its state."""
        return BATCH.state(self.state).labels["deposit"]


@dataclass(frozen=True)
class NamedBatch:
    """A batch, and the number of its jobs that are meant."""

    batch_id: str
    filename: str
    jobs: int = 0

    def __post_init__(self) -> None:
        clean_fields(self, filename=NAME_BYTES_SHOWN)


@dataclass(frozen=True)
class RefusedBatches:
    """How many of the newest failed batches failed as a whole in the last 24 hours, such as those
    whose manifest was refused, and the newest of them. There may be more unless it `is_exact`.
    """

    number: int
    is_exact: bool
    batch_id: str
    filename: str

    def __post_init__(self) -> None:
        clean_fields(self, filename=NAME_BYTES_SHOWN)


@dataclass(frozen=True)
class WaitingBatch:
    """The batch that has been pending or held longest."""

    batch_id: str
    filename: str
    submitted_at: datetime

    def __post_init__(self) -> None:
        clean_fields(self, filename=NAME_BYTES_SHOWN)


@dataclass(frozen=True)
class FailuresByCode:
    """Failed jobs with the same code, and all batches with them, of those that were read.

    The first of the jobs failed at `first_seen_at`, the last at `last_seen_at`; None if unknown.
    """

    code: str
    batches: tuple[NamedBatch, ...]  # with the number of such jobs, most first
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None

    @property
    def count(self) -> int:
        """The number of these jobs."""
        return sum(each.jobs for each in self.batches)

    @property
    def description(self) -> str:
        """The failure for people."""
        return Failure(self.code).description


@dataclass(frozen=True)
class NextRun:
    """The next run of a schedule."""

    schedule_id: str
    title: str
    at: datetime

    def __post_init__(self) -> None:
        clean_fields(self, title=NAME_BYTES_SHOWN)


@dataclass(frozen=True)
class LastRun:
    """A past occurrence of a schedule. `why` says why it has no job, "" if it has one."""

    schedule_id: str
    title: str
    scheduled_for: datetime
    label: str
    why: str

    def __post_init__(self) -> None:
        clean_fields(self, title=NAME_BYTES_SHOWN, why=REASON_BYTES_SHOWN)


@dataclass(frozen=True)
class ProblemRun:
    """A schedule whose latest run failed `at` a time in the last 24 hours; or with `skip_reason`,
    one of whose runs was skipped then although nobody wanted that.
    """

    schedule_id: str
    title: str
    at: datetime
    skip_reason: SkipReason | None = None

    def __post_init__(self) -> None:
        clean_fields(self, title=NAME_BYTES_SHOWN)


@dataclass(frozen=True)
class ScheduleOverview:
    """The next runs of all schedules, soonest first, and their last occurrences, newest first, the
    skipped ones too. Those are the occurrences of some schedules unless `has_all_schedules`.

    `problem_runs` are the newest, of all schedules. `more_problems` schedules have others; even
    more unless `is_exact`.
    """

    next_runs: tuple[NextRun, ...] = ()
    last_runs: tuple[LastRun, ...] = ()
    problem_runs: tuple[ProblemRun, ...] = ()
    has_all_schedules: bool = True
    more_problems: int = 0
    is_exact: bool = True


@dataclass(frozen=True)
class UndeliveredReport:
    """A report whose mail, or request to a webhook, is late or was lost; with the state of its
    delivery since a time.
    """

    origin_id: str
    subject: str
    state: str
    at: datetime

    def __post_init__(self) -> None:
        clean_fields(self, subject=NAME_BYTES_SHOWN)

    @property
    def kind(self) -> str:
        """What it is about, as the access table calls it."""
        is_of_edit = is_edit_id(self.origin_id) or is_child_id(self.origin_id)
        return "edit" if is_of_edit else origin_of(self.origin_id).value


@dataclass(frozen=True)
class UndeliveredReports:
    """Reports whose delivery is late, or was lost in the last week: the late ones first, each kind
    oldest first. If it is not exact, there are more.
    """

    reports: tuple[UndeliveredReport, ...] = ()
    is_exact: bool = True

    def visible_to(self, roles: Collection[str]) -> "UndeliveredReports":
        """Those about what people with `roles` may see."""
        shown = (each for each in self.reports if is_allowed(each.kind, "view", roles))
        return replace(self, reports=tuple(shown))


@dataclass(frozen=True)
class SystemHealth:
    """The descriptions of active alarms, and the number of dead letters; None if CloudWatch or SQS
    did not answer. `more_alarms` are active too.
    """

    alarms: tuple[str, ...] | None = ()
    dead_letters: int | None = 0
    more_alarms: int = 0


@dataclass(frozen=True)
class RunningJobs:
    """How many jobs of a `kind` run, and how many may run at the same time: None if each origin has
    a limit of its own, which `note` says. If it is not exact, more may run.
    """

    kind: str
    running: int
    most: int | None
    note: str = ""
    is_exact: bool = True


@dataclass(frozen=True)
class HoldInForce:
    """A hold in force: what it stops, who placed it and why, and until when; None: until lifted."""

    scope: str
    owner: str
    reason: str
    until: datetime | None

    def __post_init__(self) -> None:
        clean_fields(self, owner=NAME_BYTES_SHOWN, reason=REASON_BYTES_SHOWN)


@dataclass(frozen=True)
class LimitsInUse:
    """What keeps jobs from starting: the limits of what runs at the same time, and holds."""

    running: tuple[RunningJobs, ...] = ()
    holds: tuple[HoldInForce, ...] = ()
    more_holds: int = 0  # that are not listed


@dataclass(frozen=True)
class OpenCampaign:
    """An open campaign: its state with its name for users, its tasks by state, and how many there
    are and have ended. At most `at_once` of them run at the same time.

    Its window is open until `window_at`, or is closed until then; None: until it ends.
    """

    campaign_id: str
    name: str
    state: str
    label: str
    counts: Mapping[str, int]
    tasks: int
    done: int
    at_once: int = 0
    is_window_open: bool = True
    window_at: datetime | None = None


@dataclass(frozen=True)
class Overview:
    """What is open, what fails and what is next.

    `open_batches` are the newest. `counts` has each open state, `failed`, and those of the batches
    that were submitted in the last 24 hours and ended otherwise. `failing` are the open and failed
    batches with failed jobs, newest first, with the number of these. They are among the newest,
    unless it `has_all_open` and `has_all_failed` batches. `usage` is that of this month.

    A depositor sees their own batches only, and None where other people's acts, mails and costs
    are concerned. `campaigns` are the open ones among the newest. They, `schedules`, `system` and
    `limits` are None for those who may not see them. `taken_at` is when it was computed; an
    overview that says the same is equal.
    """

    open_batches: tuple[OpenBatch, ...]
    counts: Mapping[str, StateCount]
    failing: tuple[NamedBatch, ...]
    oldest_waiting: WaitingBatch | None
    failures: tuple[FailuresByCode, ...]
    has_all_open: bool = True
    has_all_failed: bool = True
    schedules: ScheduleOverview | None = None
    undelivered: UndeliveredReports | None = None
    usage: Usage | None = None
    activity: tuple[Act, ...] | None = None
    system: SystemHealth | None = None
    campaigns: tuple[OpenCampaign, ...] | None = None
    limits: LimitsInUse | None = None
    refused: RefusedBatches | None = None
    taken_at: datetime | None = field(default=None, compare=False, repr=False)

    @property
    def failed_jobs(self) -> int:
        """The number of failed jobs of the `failing` batches."""
        return sum(each.jobs for each in self.failing)

    @property
    def has_all_failures(self) -> bool:
        """Whether it counts the failed jobs of all open and failed batches, not of the newest."""
        return self.has_all_open and self.has_all_failed

    def visible_to(self, roles: Collection[str], *, acts: int) -> "Overview":
        """What people with `roles`, who may see all batches, may see of it, with up to so many
        acts.
        """
        shown = [each for each in self.activity or () if each.is_visible_to(roles)]
        return replace(
            self,
            schedules=self.schedules if is_allowed("schedule", "view", roles) else None,
            undelivered=self.undelivered and self.undelivered.visible_to(roles),
            usage=self.usage if is_allowed("cost", "view", roles) else None,
            activity=tuple(shown[:acts]) if is_allowed("activity", "view", roles) else None,
            system=self.system if is_allowed("alarm", "view", roles) else None,
            campaigns=self.campaigns if is_allowed("campaign", "view", roles) else None,
            limits=self.limits if is_allowed("hold", "view", roles) else None,
        )
