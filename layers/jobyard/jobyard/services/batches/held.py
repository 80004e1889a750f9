"""Why a batch is held, and by which hold."""

from datetime import datetime

from jobyard.domain.batches.batch import Batch
from jobyard.domain.hold import Hold, active_hold, scopes_of
from jobyard.services.context import QueryContext
from jobyard.store import holds


def held_by(batch: Batch, context: QueryContext) -> tuple[str, datetime | None]:
    """Why a held batch, or a held job of it, is held, and until when; None if that is not known."""
    hold = _relevant_hold(batch, context)
    if hold and hold.lift:
        reason = f"the hold on {hold.scope} was lifted by {hold.lift.actor}"
        return f"{reason}; it is released within minutes", None
    if hold and active_hold([hold], context.now):
        return hold.description(), hold.until
    return "nothing holds it any more; it is released within a minute", None


def hold_on(batch: Batch, context: QueryContext) -> Hold | None:
    """The hold in force on a batch, if there is one."""
    hold = _relevant_hold(batch, context)
    return active_hold([hold], context.now) if hold else None


def _relevant_hold(batch: Batch, context: QueryContext) -> Hold | None:
    """The hold in force on a batch, else one that is being lifted; read once per request."""
    if batch.batch_id not in context.holds:
        found = holds.of_scopes(scopes_of(batch.collection, batch.job_type))
        lifted = next((hold for hold in found if hold.lift), None)
        context.holds[batch.batch_id] = active_hold(found, context.now) or lifted
    return context.holds[batch.batch_id]
