"""A minute passed: send what waits, tell how things stand, lift what is over, take up what nobody
works on."""

from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from jobyard.domain import metrics
from jobyard.domain.hold import Hold
from jobyard.services.asking import Asking, Person
from jobyard.services.holding import lift_ended
from jobyard.services.mailing import deliver_waiting
from jobyard.services.reconciling import reconcile
from jobyard.services.starting import Starting
from jobyard.services.views import backlog
from report.desk import LOGGER, MACHINES, REPORTING, S3, SETTINGS, now


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Do the minute's round. What may take longest comes last."""
    left = deliver_waiting(REPORTING)
    found = backlog(now())
    emf = EphemeralMetrics(namespace=metrics.NAMESPACE)
    emf.add_metric(metrics.UNDELIVERED_REPORTS, MetricUnit.Count, left)
    emf.add_metric(metrics.OPEN_BATCHES, MetricUnit.Count, found.open_batches)
    emf.add_metric(metrics.OLDEST_OPEN_BATCH_SECONDS, MetricUnit.Seconds, found.oldest_s)
    emf.add_metric(metrics.QUEUE_AGE_SECONDS, MetricUnit.Seconds, found.queue_age_s)
    emf.flush_metrics()
    lifted = lift_ended(_owner_asks, now())
    taken_up = reconcile(Starting(SETTINGS, MACHINES), now())
    LOGGER.info(
        "ticked",
        lifted=lifted,
        taken_up=taken_up,
        undelivered=left,
        open_batches=found.open_batches,
    )
    return {"undelivered": left, "open_batches": found.open_batches}


def _owner_asks(hold: Hold) -> Asking:
    """What the owner of a hold asked for when they gave it an end."""
    return Asking(
        SETTINGS,
        S3,
        MACHINES,
        now,
        Person(hold.owner, frozenset({"operator"})),
        key=f"{hold.scope} until {hold.until}, lifted at {now():%Y-%m-%d %H:%M}",
        reason=f"the hold on {hold.scope} was over",
    )
