"""The cost that a report shows."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from jobyard.domain.cost import Cost, Usage, price_usage
from jobyard.services.reports.context import ReportContext
from jobyard.services.reports.mail import recipient_count
from jobyard.store import usage


def cost_of(origin_id: str, notify: Sequence[str], context: ReportContext) -> Cost:
    """The cost of a batch or campaign, including this invocation and the report's own mail."""
    own_mail = Usage(mails=recipient_count(notify, context.settings))
    return price_usage(usage.of_origin(origin_id) + context.used() + own_mail)


def cost_document(cost: Cost) -> dict[str, Any]:
    """A cost as JSON."""
    return {"dollars": round(cost.dollars, 9), "usage": asdict(cost.usage)}
