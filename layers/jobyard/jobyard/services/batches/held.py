"""Why a batch is held, and by which hold."""

from datetime import datetime

from jobyard.domain.batches.batch import Batch
from jobyard.domain.hold import Hold, active_hold, scopes_of
from jobyard.services.context import QueryContext
from jobyard.store import holds


def held_by(found: Batch, context: QueryContext) -> tuple[str, datetime | None]:
    """Why a batch, or a job of it, is held by a hold, and until when."""
    stop = _hold_over(found, context)
    if stop and stop.release:
        reason = f"the hold on {stop.scope} was lifted by {stop.release.actor}"
        return f"{reason}; its turn comes within minutes", None
    if stop and active_hold([stop], context.now):
        return stop.description(), stop.until
    return "nothing holds it any more; it is released within a minute", None


def hold_on(found: Batch, context: QueryContext) -> Hold | None:
    """The hold in force on a batch, if there is one."""
    stop = _hold_over(found, context)
    return active_hold([stop], context.now) if stop else None


def _hold_over(found: Batch, context: QueryContext) -> Hold | None:
    """The hold in force on a batch, else one that is being lifted."""
    if found.batch_id not in context.holds:
        on_it = holds.of_scopes(scopes_of(found.collection, found.job_type))
        lifted = next((hold for hold in on_it if hold.release), None)
        context.holds[found.batch_id] = active_hold(on_it, context.now) or lifted
    return context.holds[found.batch_id]
