"""The outbox tick, once a minute: send waiting mails, and measure the backlog."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from jobyard.services.queries.backlog import Backlog, backlog
from jobyard.services.reports.context import ReportContext
from jobyard.services.reports.mail import deliver_waiting


@dataclass(frozen=True)
class OutboxTick:
    """What a tick found: how many reports are still undelivered, and the backlog of batches."""

    undelivered: int
    backlog: Backlog


def run_outbox_tick(
    context: ReportContext, remaining: Callable[[], float] = lambda: math.inf
) -> OutboxTick:
    """Send waiting mails while `remaining` seconds are enough; measure the backlog."""
    undelivered = deliver_waiting(context, remaining)
    return OutboxTick(undelivered, backlog(context.now()))
