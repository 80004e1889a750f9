"""The scheduler tick: once a minute, start due jobs, recover orphaned work, lift expired holds."""

from functools import cache
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from jobyard.domain import metrics
from jobyard.services.scheduler_tick import SchedulerTickResult, TickContext, run_scheduler_tick
from jobyard.services.schedules.commands import make_system_schedules
from schedule.clients import LOGGER, MACHINES, S3, SETTINGS, now
from telemetry import emit_metrics


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Run the tick."""
    _make_system_schedules()
    tick = run_scheduler_tick(_tick_context(context))
    _log(tick)
    return {"started": tick.schedules.started, "recovered": tick.recovered}


def _tick_context(context: LambdaContext) -> TickContext:
    def remaining() -> float:
        return context.get_remaining_time_in_millis() / 1000

    return TickContext(SETTINGS, S3, MACHINES, now, remaining)


@cache
def _make_system_schedules() -> None:
    """Create the missing ones, once per process: a new release may define another."""
    for schedule in make_system_schedules(now()):
        LOGGER.info(
            "system schedule made", origin_id=schedule.schedule_id, job_type=schedule.job_type
        )


def _log(tick: SchedulerTickResult) -> None:
    """Log the tick, skipped times and unexpected errors; count missed times."""
    result = tick.schedules
    for schedule_id, error in result.errors:
        LOGGER.error("schedule error", origin_id=schedule_id, exc_info=error)
    for campaign_id, campaign_error in tick.campaign_errors.items():
        LOGGER.error("campaign error", origin_id=campaign_id, exc_info=campaign_error)
    missed = 0
    for occurrence in result.skipped:
        if occurrence.skip_reason is not None:
            missed += occurrence.skip_reason.needs_attention
            LOGGER.warning(
                "skipped",
                origin_id=occurrence.schedule_id,
                at=occurrence.scheduled_for,
                reason=occurrence.skip_reason,
            )
    if missed:
        emit_metrics({metrics.RUNS_FAILED_OR_MISSED: missed})
    if tick.stuck_edits:
        emit_metrics({metrics.STUCK_EDITS: tick.stuck_edits})
    LOGGER.info(
        "scheduler tick",
        due=result.checked,
        started=result.started,
        skipped=len(result.skipped),
        lifted=tick.lifted,
        recovered=tick.recovered,
    )
