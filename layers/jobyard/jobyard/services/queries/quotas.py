"""What a person has used today of what each may use."""

from dataclasses import replace

from jobyard.domain.quota import QuotaUse, day_of
from jobyard.services.context import QueryContext
from jobyard.store import quotas


def own_quota_use(context: QueryContext) -> QuotaUse:
    """What the actor uses. Bytes and mails are those of today; of `slots` some may have ended."""
    used, today = quotas.get(context.actor.sub), day_of(context.now)
    return used if used.day == today else replace(used, day=today, bytes=0, mails=0)
