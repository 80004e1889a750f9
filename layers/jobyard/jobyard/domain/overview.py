"""The overview of a deployment: what is wrong, what is open, what comes next.

It is computed for all readers together and stored in one item, so every part of it has a bound, and
it holds texts to show rather than records.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from jobyard.domain.access import is_allowed
from jobyard.domain.activity import Act
from jobyard.domain.batches.batch import BATCH, OPEN_BATCH_STATES, BatchState
from jobyard.domain.batches.progress import UNKNOWN_PROGRESS, BatchProgress
from jobyard.domain.cost import Usage
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
class RecentFailures:
    """Jobs that failed with the same code in the last 24 hours, and the batches with most of them.

    `batch_count` is the number of all batches with this code among those that were read. The first
    of the jobs failed at `first_seen_at`, the last at `last_seen_at`; None if unknown.
    """

    code: str
    count: int
    batch_count: int
    batches: tuple[NamedBatch, ...]  # with the number of such jobs, most first
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None

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
    skipped ones too. `problem_runs` are the newest. Past runs are those of some schedules unless
    `has_all_schedules`.
    """

    next_runs: tuple[NextRun, ...] = ()
    last_runs: tuple[LastRun, ...] = ()
    problem_runs: tuple[ProblemRun, ...] = ()
    has_all_schedules: bool = True


@dataclass(frozen=True)
class UndeliveredReports:
    """The number of reports whose mail is late, or was lost in the last week, and a batch with one.

    If it is not exact, there are more.
    """

    number: int = 0
    is_exact: bool = True
    batch_id: str = ""


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

    `open_batches` are the newest; `counts` has each open state and `failed`. `failed_jobs` are
    those of `failing_batches` open or failed batches. `usage` is that of this month.

    A depositor sees their own batches only, and None where other people's deeds, mails and costs
    are concerned. `campaigns` are the open ones among the newest. They, `schedules`, `system` and
    `limits` are None for those who may not see them. `taken_at` is when it was computed; an
    overview that says the same is equal.
    """

    open_batches: tuple[OpenBatch, ...]
    counts: Mapping[str, StateCount]
    failed_jobs: int
    failing_batches: int
    oldest_waiting: WaitingBatch | None
    failures: tuple[RecentFailures, ...]
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
    def has_all_failures(self) -> bool:
        """Whether it counts the failed jobs of all open and failed batches, not of the newest."""
        is_exact = all(each.is_exact for each in self.counts.values())
        open_count = sum(self.counts[state].number for state in OPEN_BATCH_STATES & {*self.counts})
        return is_exact and open_count == len(self.open_batches)

    def visible_to(self, roles: Collection[str], *, acts: int) -> "Overview":
        """What people with `roles`, who may see all batches, may see of it, with up to so many
        acts.
        """
        shown = [each for each in self.activity or () if each.is_visible_to(roles)]
        return replace(
            self,
            schedules=self.schedules if is_allowed("schedule", "view", roles) else None,
            usage=self.usage if is_allowed("cost", "view", roles) else None,
            activity=tuple(shown[:acts]) if is_allowed("activity", "view", roles) else None,
            system=self.system if is_allowed("alarm", "view", roles) else None,
            campaigns=self.campaigns if is_allowed("campaign", "view", roles) else None,
            limits=self.limits if is_allowed("hold", "view", roles) else None,
        )
