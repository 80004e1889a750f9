"""A minute passed: start what is due, take up what nobody works on, let go what no hold holds any
more. Each has a part of the minute, so that none keeps the next from its turn."""

from collections.abc import Callable
from functools import cache
from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard.domain import metrics
from jobyard.domain.hold import Hold
from jobyard.services.context import Actor, CommandContext
from jobyard.services.holds import lift_ended
from jobyard.services.recovery import reconcile
from jobyard.services.schedules.clock import TickResult, start_due_schedules
from jobyard.services.schedules.commands import make_system_schedules
from schedule.clients import LOGGER, MACHINES, S3, SETTINGS, STARTING, now

_KEPT_S = 20.0  # of the invocation, for what comes after the starts
_KEPT_FOR_LIFTS_S = 14.0  # for what comes after recovery
_KEPT_FOR_A_SLICE_S = 7.0  # no further slice of a lift is begun after that


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do the minute's round."""

    def until(kept_s: float) -> Callable[[], float]:
        return lambda: context.get_remaining_time_in_millis() / 1000 - kept_s

    _make_system_schedules()
    result = start_due_schedules(STARTING, now, until(_KEPT_S))
    _tell(result)
    recovered = result.recovered
    recovered += reconcile(STARTING, now(), remaining=until(_KEPT_FOR_LIFTS_S))
    lifted = lift_ended(_owner_asks, now(), until(_KEPT_FOR_A_SLICE_S))
    LOGGER.info(
        "minute",
        due=result.checked,
        started=result.started,
        skipped=len(result.skipped),
        lifted=lifted,
        recovered=recovered,
    )
    return {"started": result.started, "recovered": recovered}


@cache
def _make_system_schedules() -> None:
    """Make those that are not there yet, once in the life of the process: a release may bring
    another."""
    for schedule in make_system_schedules(now()):
        LOGGER.info("made", schedule_id=schedule.schedule_id, job_type=schedule.job_type)


def _tell(result: TickResult) -> None:
    """Log each time that no job was started for, and what nobody foresaw; count what was missed."""
    for schedule_id, error in result.errors:
        LOGGER.error(
            "a schedule could not be looked after", schedule_id=schedule_id, exc_info=error
        )
    missed = 0
    for occurrence in result.skipped:
        if occurrence.reason is not None:
            missed += occurrence.reason.is_trouble
            LOGGER.warning(
                "skipped",
                schedule_id=occurrence.schedule_id,
                at=occurrence.at,
                reason=occurrence.reason,
            )
    if missed:
        emf = EphemeralMetrics(namespace=metrics.NAMESPACE)
        emf.add_metric(metrics.RUNS_FAILED_OR_MISSED, MetricUnit.Count, missed)
        emf.flush_metrics()


def _owner_asks(hold: Hold) -> CommandContext:
    """What the owner of a hold asked for when they gave it an end."""
    return CommandContext(
        SETTINGS,
        S3,
        MACHINES,
        now,
        Actor(hold.owner_sub, hold.owner, frozenset({"operator"})),
        key=f"{hold.scope} until {hold.until}, lifted at {now():%Y-%m-%d %H:%M}",
        reason=f"the hold on {hold.scope} was over",
    )
