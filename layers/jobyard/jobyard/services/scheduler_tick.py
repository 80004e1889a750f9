"""The scheduler tick, once a minute: start due jobs, recover orphaned work, lift expired holds.

Each part has its share of the tick's time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from jobyard.domain.hold import Hold
from jobyard.services.batches.recovery import recover_batches
from jobyard.services.campaigns.recovery import restart_overdue
from jobyard.services.context import Actor, CommandContext
from jobyard.services.edits.recovery import recover_edits
from jobyard.services.executions import Executions
from jobyard.services.holds import lift_expired
from jobyard.services.schedules.clock import ClockResult, start_due_schedules
from jobyard.services.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

# Seconds of the tick's time that are left when a part has to stop.
_AFTER_STARTS_S = 20.0
_AFTER_RECOVERY_S = 14.0
_AFTER_CAMPAIGNS_S = 11.0
_AFTER_EDITS_S = 9.0
_AFTER_LIFTS_S = 7.0  # enough for the slice of a lift that is in progress


@dataclass(frozen=True)
class TickContext:
    """The deployment, its clients, the clock, and the seconds that remain for the tick."""

    settings: Settings
    s3: "S3Client"
    machines: "SFNClient"
    now: Callable[[], datetime]
    remaining: Callable[[], float]


@dataclass(frozen=True)
class SchedulerTickResult:
    """The result of a tick. `recovered` counts started executions; `lifted` counts holds.

    `campaign_errors` has the errors of campaigns that could not be restarted, by id. `stuck_edits`
    counts the edit jobs that the machine works on for too long.
    """

    schedules: ClockResult
    recovered: int
    lifted: int
    campaign_errors: Mapping[str, Exception] = field(default_factory=dict)
    stuck_edits: int = 0


def run_scheduler_tick(context: TickContext) -> SchedulerTickResult:
    """Start due jobs, recover orphaned work, lift expired holds."""

    def until(reserve_s: float) -> Callable[[], float]:
        return lambda: context.remaining() - reserve_s

    executions = Executions(context.settings, context.machines)
    schedules = start_due_schedules(executions, context.now, until(_AFTER_STARTS_S))
    recovered = recover_batches(executions, context.now(), remaining=until(_AFTER_RECOVERY_S))
    overdue = restart_overdue(executions, context.now(), until(_AFTER_CAMPAIGNS_S))
    edited = recover_edits(executions, context.now(), until(_AFTER_EDITS_S))
    lifted = lift_expired(
        lambda hold: _as_owner(hold, context), context.now(), until(_AFTER_LIFTS_S)
    )
    return SchedulerTickResult(
        schedules,
        schedules.recovered + recovered + overdue.restarted + edited.started,
        lifted,
        overdue.errors,
        edited.stuck,
    )


def _as_owner(hold: Hold, context: TickContext) -> CommandContext:
    """A command context in which the owner of an expired hold lifts it."""
    now = context.now()
    return CommandContext(
        context.settings,
        context.s3,
        context.machines,
        context.now,
        Actor(hold.owner_sub, hold.owner, frozenset({"operator"})),
        key=f"{hold.scope} until {hold.until}, lifted at {now:%Y-%m-%d %H:%M}",
        reason=f"the hold on {hold.scope} has expired",
    )
