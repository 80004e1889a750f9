"""The state of the deployment itself: alarms, lost mails, quotas, retention, system jobs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobyard import VERSION
from jobyard.domain.access import is_allowed
from jobyard.domain.activity import ACTS_KEPT
from jobyard.domain.alarms import Runbook, runbook_of
from jobyard.domain.batches.batch import OPEN_BATCH_STATES
from jobyard.domain.batches.report import Report
from jobyard.domain.rates import SAMPLES_KEPT
from jobyard.jobtypes import TYPES
from jobyard.services.access import authorize
from jobyard.services.context import QueryContext
from jobyard.services.queries.schedules import ScheduleView, list_schedules
from jobyard.services.settings import Settings
from jobyard.store import batches, reports
from jobyard.store.checkpoints import CHECKPOINT_LIFETIME

LOST_SINCE = timedelta(days=7)  # reports whose mail was refused or bounced
_REPORTS_SHOWN = 20
_BATCHES_COUNTED = 50  # of each state
_SYSTEM_JOBS = 20
_ALARM_NAME = re.compile(r"-([A-Za-z]+Alarm)(?:-|$)")


@dataclass(frozen=True)
class Alarm:
    """An alarm of the deployment. `state` is OK, ALARM or INSUFFICIENT_DATA, `since` when it began.

    `name` is that of the resource in the template. `cause` is CloudWatch's own text. `runbook` is
    None for an alarm that is not ours.
    """

    name: str
    description: str
    state: str
    since: datetime
    cause: str
    runbook: Runbook | None

    @property
    def is_active(self) -> bool:
        """Whether somebody has to act."""
        return self.state == "ALARM"


@dataclass(frozen=True)
class Retention:
    """How long something is kept, and what happens then. Jobs count from the end of their batch."""

    what: str
    kept: timedelta
    then: str


@dataclass(frozen=True)
class SystemState:
    """What the tables and the settings say about the deployment.

    `lost` are reports whose mail was refused or bounced. `open_batches` are numbers by state, which
    stop at `counted_up_to`. `system_jobs` is None for those who may not see schedules.
    """

    version: str
    stack: str
    lost: tuple[Report, ...]
    open_batches: Mapping[str, int]
    counted_up_to: int
    chunk_size: int
    max_concurrency: int
    max_workers: int
    retention: tuple[Retention, ...]
    system_jobs: tuple[ScheduleView, ...] | None


def list_alarms(cloudwatch: Any, context: QueryContext) -> tuple[Alarm, ...]:
    """The alarms of the deployment, the active ones first, then by name. `cloudwatch` is a client.

    Raises:
        Forbidden: the actor may not see them.
    """
    authorize(context.actor, "alarm", "view")
    return alarms_of(cloudwatch, context.settings)


def alarms_of(cloudwatch: Any, settings: Settings) -> tuple[Alarm, ...]:
    """The same, for what is computed for all readers."""
    prefix = f"{settings.stack}-Monitoring-"
    found = cloudwatch.describe_alarms(AlarmNamePrefix=prefix, MaxRecords=100)["MetricAlarms"]
    alarms = [_alarm(each) for each in found]
    return tuple(sorted(alarms, key=lambda each: (not each.is_active, each.name)))


def _alarm(found: Mapping[str, Any]) -> Alarm:
    matched = _ALARM_NAME.search(found["AlarmName"])
    name = matched[1] if matched else found["AlarmName"]
    return Alarm(
        name,
        found.get("AlarmDescription", ""),
        found["StateValue"],
        found["StateUpdatedTimestamp"],
        found.get("StateReason", ""),
        runbook_of(name),
    )


def system_state(context: QueryContext) -> SystemState:
    """What the tables and the settings say about the deployment.

    Raises:
        Forbidden: the actor may not see it.
    """
    authorize(context.actor, "alarm", "view")
    settings = context.settings
    return SystemState(
        version=VERSION,
        stack=settings.stack,
        lost=tuple(reports.failed_since(context.now - LOST_SINCE, _REPORTS_SHOWN)),
        open_batches=_open_batches(),
        counted_up_to=_BATCHES_COUNTED,
        chunk_size=settings.chunk_size,
        max_concurrency=settings.max_concurrency,
        max_workers=settings.worker_limit,
        retention=_retention(),
        system_jobs=_system_jobs(context),
    )


def _open_batches() -> dict[str, int]:
    """The number of open batches by state, up to a bound."""
    return {
        state: len(batches.of_state(state, limit=_BATCHES_COUNTED).items)
        for state in sorted(OPEN_BATCH_STATES)
    }


def _retention() -> tuple[Retention, ...]:
    """What is kept for how long; the rest is kept for good."""
    of_types = [
        Retention(
            f"{each.name} jobs",
            timedelta(days=each.retention_days),
            "archived",
        )
        for each in sorted(TYPES.values(), key=lambda each: (each.is_system, each.name))
    ]
    return (
        *of_types,
        Retention("activity: what people did", ACTS_KEPT, "removed"),
        Retention("checkpoints of long jobs", CHECKPOINT_LIFETIME, "removed"),
        Retention("samples of the rates of jobs", SAMPLES_KEPT, "removed"),
    )


def _system_jobs(context: QueryContext) -> tuple[ScheduleView, ...] | None:
    """The schedules of the system's own jobs; None for those who may not see schedules."""
    if not is_allowed("schedule", "view", context.actor.roles):
        return None
    return list_schedules(context, system=True, label="", after="", limit=_SYSTEM_JOBS).items
