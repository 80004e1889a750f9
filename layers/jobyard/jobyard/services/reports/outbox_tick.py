"""The outbox tick, once a minute: send waiting mails, measure the backlog, and sample the rates of
jobs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from jobyard.services.build import build
from jobyard.services.queries.backlog import Backlog, backlog
from jobyard.services.rates import sample_rates
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
    """Send waiting mails while `remaining` seconds are enough; measure the backlog and rates."""
    undelivered = deliver_waiting(context, remaining)
    queue = backlog(context.now())
    sample_rates(queue.open_batches, context.now(), build())
    return OutboxTick(undelivered, queue)
